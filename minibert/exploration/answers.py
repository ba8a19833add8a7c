"""The questions of the page and their answers, as JSON: what an explorer finds, with nothing added.

A question is ``{"kind": ..., "step": ..., "text": ..., "masked": [...], ...}``. Large arrays are base64 of
little-endian float32 with their shape.
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minibert.diagnostics.activations.measures import compute_activation_statistics
from minibert.errors import MinibertError, unknown_name
from minibert.exploration.checkpoints import Checkpoints
from minibert.exploration.explorer import MathematicalExplorer
from minibert.exploration.guesses import name_of
from minibert.exploration.steps import Step

GUESSES = 6
"""Likeliest tokens that are shown"""
SCORES = 12
"""Entries of a row over the vocabulary that are shown"""
DIGITS = 6

Question = Mapping[str, Any]


class Answers:
    """Answers questions about a model at its checkpoints."""

    def __init__(self, checkpoints: Checkpoints):
        self.checkpoints = checkpoints

    def __call__(self, question: Any) -> dict[str, Any]:
        """The answer as JSON data.

        Raises :class:`MinibertError` for a question that is none, and for what its text and numbers do not allow.
        """
        if not isinstance(question, Mapping):
            raise MinibertError("question: is no JSON object. Allowed: {'kind': ..., 'step': ..., 'text': ...}.")
        kind = question.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            raise unknown_name("kind", str(kind)[:40], KINDS)
        masked = question.get("masked", [])
        if not isinstance(masked, list):
            raise MinibertError(f"masked: {masked!a:.40} was given. Allowed: a list of positions.")
        explorer = self.checkpoints.at(question.get("step"))
        return KINDS[kind](self, explorer, question.get("text", ""), masked, question)

    def sentence(self, explorer: MathematicalExplorer, text: str, masked: list, question: Question):
        """Tokens, guesses after each layer, and the attention of every head."""
        found = explorer.guess_by_layer(text, masked, min(GUESSES, explorer.tokenizer.get_vocab_size()))
        heads, read = explorer.explore_attention_heads(text, masked), found.sentence
        walked = explorer.step_through_forward_pass(text, masked)
        return {
            "tokens": read.tokens,
            "originals": read.original_tokens,
            "ordinary": read.ordinary.tolist(),
            "masked": read.masked,
            "places": found.places,
            "guesses": [
                _pairs([zip(*row, strict=True) for row in zip(tokens, shares, strict=True)])
                for tokens, shares in zip(found.tokens, found.probabilities, strict=True)
            ],
            "entropies": numbers(found.entropies),
            "original_probabilities": numbers(found.original_probabilities),
            "original_ranks": found.original_ranks.tolist(),
            "attention": packed(heads.weights),
            "head_entropies": numbers(heads.entropies),
            "head_distances": numbers(heads.distances),
            "head_shares": {name: numbers(share) for name, share in heads.shares.items()},
            "parts": [[place, len(walked.at(place))] for place in walked.places],
        }

    def part(self, explorer: MathematicalExplorer, text: str, masked: list, question: Question):
        """The steps of one part of the network, with their arrays."""
        walked = explorer.step_through_forward_pass(text, masked)
        return {"steps": [_step(explorer, step) for step in walked.at(str(question.get("part")))]}

    def gradient(self, explorer: MathematicalExplorer, text: str, masked: list, question: Question):
        """The gradient of one prediction at every place."""
        found = explorer.analyze_gradient_flow(text, question.get("position"), question.get("target"), masked)
        return {
            "target": found.target,
            "loss": found.loss,
            "places": found.places,
            "norms": numbers(found.norms),
            "blocks": [[each.name, *numbers([each.arriving, each.branch])] for each in found.blocks],
            "attributions": numbers(found.attributions),
            "parameters": [[name, *numbers([norm])] for name, norm in found.parameter_norms.items()],
        }

    def layers(self, explorer: MathematicalExplorer, text: str, masked: list, question: Question):
        """Layers compared with each other or, with ``beside``, with those of another step."""
        beside = question.get("beside")
        other = None if beside is None else self.checkpoints.at(beside)
        found = explorer.compare_layer_representations(text, other, masked)
        return {
            "places": found.places,
            "other_places": found.other_places,
            "similarity": None if found.similarity is None else numbers(found.similarity),
            "cosines": None if found.cosines is None else numbers(found.cosines),
            "norms": numbers(found.norms),
            "changes": numbers(found.changes),
        }

    def ablation(self, explorer: MathematicalExplorer, text: str, masked: list, question: Question):
        """Predictions with and without some heads."""
        heads = question.get("heads")
        if not isinstance(heads, list):
            raise MinibertError(f"heads: {heads!a:.40} was given. Allowed: a list of pairs, such as [[0, 1]].")
        most = min(GUESSES, explorer.tokenizer.get_vocab_size())
        found = explorer.ablate_heads(text, heads, masked, most)
        return {
            "before": _pairs(found.before),
            "after": _pairs(found.after),
            "divergences": numbers(found.divergences),
            "original_before": numbers(found.original_before),
            "original_after": numbers(found.original_after),
        }

    def effects(self, explorer: MathematicalExplorer, text: str, masked: list, question: Question):
        """What each head alone does for one prediction."""
        found = explorer.measure_head_effects(text, question.get("position"), question.get("target"), masked)
        return {
            "target": found.target,
            "log_probability": found.log_probability,
            "effects": numbers(found.effects),
            "divergences": numbers(found.divergences),
        }


KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "sentence": Answers.sentence,
    "part": Answers.part,
    "gradient": Answers.gradient,
    "layers": Answers.layers,
    "ablation": Answers.ablation,
    "effects": Answers.effects,
}
"""Kind of a question -> what answers it"""


def numbers(values) -> Any:
    """Numbers of six digits, as nested lists of the array's shape; None for what is not finite."""
    array = np.asarray(values, np.float64)
    return [numbers(each) for each in array] if array.ndim else _number(float(array))


def packed(array: np.ndarray) -> dict[str, Any]:
    """Shape, and base64 of float32."""
    content = np.ascontiguousarray(array, "<f4").tobytes()
    return {"shape": list(array.shape), "data": base64.b64encode(content).decode()}


def _number(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def _pairs(guesses: Sequence[Iterable[tuple[str, float]]]) -> list:
    return [[[token, _number(share)] for token, share in row] for row in guesses]


def _step(explorer: MathematicalExplorer, step: Step) -> dict[str, Any]:
    """A step with its array or, over the vocabulary, with the largest entries of each row."""
    found = compute_activation_statistics(step.array)
    told: dict[str, Any] = {
        "name": step.name,
        "formula": step.formula,
        "axes": list(step.axes),
        "shape": step.shape,
        "meaning": step.meaning,
        "statistics": numbers([found.mean, found.deviation, found.minimum, found.maximum]),
    }
    if step.axes[-1] == "V":
        best = np.argsort(-step.array, axis=1, kind="stable")[:, :SCORES]
        values = np.take_along_axis(step.array, best, axis=1)
        told["largest"] = [
            [
                [name_of(explorer.tokenizer, id) or f"row {id}", _number(value)]
                for id, value in zip(*row, strict=True)
            ]
            for row in zip(best, values, strict=True)
        ]
    else:
        told["array"] = packed(step.array)
    return told
