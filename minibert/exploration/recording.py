"""A page without a server: the answers to all questions that its controls ask."""

from collections.abc import Iterator, Sequence
from typing import Any

from minibert.diagnostics.attention.maps import spaced_steps
from minibert.errors import MinibertError
from minibert.exploration.answers import Answers
from minibert.exploration.page.render import render

MOST_STEPS = 8
"""Checkpoints of a run that a page holds"""


def recorded_page(answers: Answers, texts: Sequence[str]) -> str:
    """The page of some sentences, with all that needs no further computing.

    Of a run, it holds first and last checkpoint and some in between (:func:`spaced_steps`). Single heads can be
    switched off, not several; gradients and effects are those of the masked tokens. Arrays of every step of the
    forward pass are kept of the last checkpoint alone.

    Raises :class:`MinibertError` for a text that cannot be read.
    """
    if not texts:
        raise MinibertError("text: no sentence was given. Allowed: one or more.")
    checkpoints = answers.checkpoints
    steps = spaced_steps(checkpoints.steps, MOST_STEPS)
    recorded = [
        (question, answers(question))
        for text in dict.fromkeys(texts)
        for step in steps
        for question in _questions(answers, text, step, steps)
    ]
    return render(checkpoints, texts[0], recorded, steps)


def _questions(answers: Answers, text: str, step: int, steps: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The questions about one sentence at one step, each with its keys in the order in which the page asks."""
    explorer = answers.checkpoints.at(step)
    asked = {"step": step, "text": text, "masked": []}
    sentence, config = explorer.read(text), explorer.model.config
    yield {"kind": "sentence", **asked}
    yield {"kind": "layers", **asked}
    for beside in steps:
        yield {"kind": "layers", **asked, "beside": beside}
    for position in sentence.masked or range(len(sentence.ids)):
        for kind in ("gradient", "effects"):
            yield {"kind": kind, **asked, "position": position, "target": None}
    if step == steps[-1]:
        for layer in range(config.layers):
            for head in range(config.heads):
                yield {"kind": "ablation", **asked, "heads": [[layer, head]]}
        for part in explorer.step_through_forward_pass(text).places:
            yield {"kind": "part", **asked, "part": part}
