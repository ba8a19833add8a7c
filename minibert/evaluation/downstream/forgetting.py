"""What a network forgets of its pretraining while it is fine-tuned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from minibert.config import require_config
from minibert.data.annotated.agreement import agreement_pairs
from minibert.data.annotated.classified import LabelledSentence
from minibert.data.batches import frozen_batches
from minibert.data.packing import Sequences
from minibert.errors import MinibertError
from minibert.evaluation.downstream.finetuning import Recipe, train_classifier
from minibert.evaluation.downstream.sentences import encode, label_names, labelled
from minibert.evaluation.inputs import asked_network, is_list, named, shown
from minibert.evaluation.intrinsic.held_out import evaluate
from minibert.evaluation.minimal_pairs import probe_syntactic_knowledge
from minibert.model.bert import MiniBERT
from minibert.model.classifier import SentenceClassifier
from minibert.training.lanes import Lanes


class OldTask(NamedTuple):
    """Something that a network could do before it was fine-tuned."""

    score: Callable[[MiniBERT], float]
    higher_is_better: bool = True


@dataclass(frozen=True)
class Curve:
    """How well an old task is done along fine-tuning."""

    steps: list[int]
    """Of fine-tuning, over all new tasks; 0 is the network that was given"""
    values: list[float]
    higher_is_better: bool

    @property
    def best(self) -> float:
        """Before the last step; NaN where no value is a number."""
        found = [value for value in self.values[:-1] if np.isfinite(value)]
        return (max if self.higher_is_better else min)(found, default=float("nan"))

    @property
    def forgetting(self) -> float:
        """f = max over earlier steps of a, less the last a; of a loss, the last less the minimum.

        So it is above 0 where something was forgotten, and below 0 where the network is better than ever.
        Chaudhry, Dokania, Ajanthan and Torr, "Riemannian Walk for Incremental Learning", ECCV 2018, eq. 3.
        """
        return (self.best - self.values[-1]) * (1 if self.higher_is_better else -1)


@dataclass(frozen=True)
class Forgetting:
    """What :func:`measure_catastrophic_forgetting` returns."""

    curves: dict[str, Curve]
    """Old task -> how well it is done at the measured steps"""
    learnt: dict[str, int]
    """New task -> the step with which it was learnt"""
    classifiers: dict[str, SentenceClassifier]
    """New task -> the network when it was learnt, with its new layer"""
    cut: int
    """Sentences longer than the model's positions"""


def held_out_loss(
    held_out: Sequences,
    vocab_size: int,
    sequences: int = 128,
    rate: float = 0.15,
    mask_seed: int = 15,
    lanes: int = 2,
) -> OldTask:
    """The masked-word loss on held-out text, in nats: on frozen masks, those of ``eval/loss`` by default."""
    batches = frozen_batches(held_out, rate, sequences, 32, mask_seed, vocab_size)

    def score(model: MiniBERT) -> float:
        with Lanes(model, lanes) as spread:
            return evaluate(spread, batches)["loss"]

    return OldTask(score, higher_is_better=False)


def agreement(tokenizer: Tokenizer, count: int = 50, lanes: int = 2) -> OldTask:
    """Accuracy on minimal pairs of subject and verb, ``count`` of each paradigm; 0.5 by guessing.

    Raises :class:`MinibertError` where the vocabulary has too few of the words.
    """
    pairs = agreement_pairs(tokenizer, count)

    def score(model: MiniBERT) -> float:
        return probe_syntactic_knowledge(model, tokenizer, pairs, lanes=lanes).model[-1].accuracy

    return OldTask(score)


def measure_catastrophic_forgetting(
    model: MiniBERT,
    old_tasks: Mapping[str, OldTask | Callable[[MiniBERT], float]] | OldTask | Callable[[MiniBERT], float],
    new_tasks: Mapping[str, Sequence[LabelledSentence] | str | Path] | Sequence[LabelledSentence] | str | Path,
    tokenizer: Tokenizer,
    recipe: Recipe | None = None,
    points: int = 8,
    lanes: int = 2,
) -> Forgetting:
    """Fine-tune a network on one new task after the other, and ask it for the old ones on the way.

    ``old_tasks``: name -> what scores a network, where higher is better, or an :class:`OldTask`
    (:func:`held_out_loss`, :func:`agreement`). They are scored before the first step, at about ``points`` steps of
    each new task, dense at its start, and after its last. ``new_tasks``: name -> labelled sentences, which may be
    tuples, or a table of them. One task needs no name. Each task has a new layer of its own and begins with the
    encoder that the one before it left; ``recipe`` (default: rate 1e-3) is that of all. ``model`` is not changed.

    Raises :class:`MinibertError` for no old or no new task, for what is none, and for a loss that is not finite.

    McCloskey and Cohen, "Catastrophic Interference in Connectionist Networks", 1989; forgetting as in
    :attr:`Curve.forgetting`.
    """
    if not (old_tasks and new_tasks):
        missing = "new_tasks" if old_tasks else "old_tasks"
        raise MinibertError(f"{missing}: none were given. Give at least one by name.")
    model, tokenizer = asked_network(model, tokenizer)
    recipe = Recipe(1e-3) if recipe is None else recipe
    require_config(recipe, Recipe, "recipe.")
    tasks = {name: _old_task(name, task) for name, task in named(old_tasks, "old_tasks", _is_task).items()}
    new = {
        name: labelled(each, f"new_tasks[{name}]") for name, each in named(new_tasks, "new_tasks", is_list).items()
    }
    curves = {name: Curve([], [], task.higher_is_better) for name, task in tasks.items()}

    def measure(encoder: MiniBERT, step: int) -> None:
        for name, task in tasks.items():
            curves[name].steps.append(step)
            curves[name].values.append(float(task.score(encoder)))

    measure(model, 0)
    begun, cut, learnt, classifiers = 0, 0, {}, {}
    for name, sentences in new.items():
        labels = label_names(sentences)
        encoded = encode(tokenizer, sentences, labels, model.config, name)
        steps = recipe.steps(encoded)
        wanted = measured_steps(steps, points)

        def observe(classifier: SentenceClassifier, step: int, begun=begun, wanted=wanted) -> None:
            if step in wanted:
                measure(classifier.encoder(), begun + step)

        classifiers[name] = train_classifier(model, labels, encoded, recipe, lanes, observe)
        model, begun, cut = classifiers[name].encoder(), begun + steps, cut + encoded.cut
        learnt[name] = begun
    return Forgetting(curves, learnt, classifiers, cut)


def _is_task(given: object) -> bool:
    return isinstance(given, OldTask) or callable(given)


def _old_task(name: str, given: Any) -> OldTask:
    if not _is_task(given):
        raise MinibertError(
            f"old_tasks[{name}]: {shown(given)} was given. Allowed: a function that scores a MiniBERT, or "
            "an OldTask."
        )
    return given if isinstance(given, OldTask) else OldTask(given)


def measured_steps(steps: int, points: int) -> set[int]:
    """About ``points`` steps from the first to the last, evenly spaced on a logarithmic scale."""
    return {round(step) for step in np.geomspace(1, steps, max(points, 1))} | {steps}
