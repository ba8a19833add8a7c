"""Fine-tuning as a fair comparison: rates chosen on the dev sentences, several seeds, controls, one test.

For each network (trained, untrained) and each way to train it (``full``, ``frozen``), every rate is tried with the
first seed; the one with the highest dev accuracy is taken for all seeds. The test sentences are predicted once by
every classifier that is left, when all choices are made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer

from minibert.config import require_config, validate
from minibert.config.evaluation import DownstreamConfig
from minibert.data.annotated.classified import LabelledSentence
from minibert.evaluation.downstream.controls import bag_of_words, majority
from minibert.evaluation.downstream.scores import Score, score
from minibert.evaluation.downstream.sentences import (
    EncodedSentences,
    Splits,
    as_splits,
    draw,
    encode,
    label_names,
    shared_texts,
)
from minibert.evaluation.downstream.trials import TRAINED, UNTRAINED, FineTuned, fine_tuned
from minibert.evaluation.inputs import asked_network
from minibert.model.bert import MiniBERT


@dataclass(frozen=True)
class Control:
    """What is reached without a network."""

    name: str
    score: Score
    right: np.ndarray
    """(S,) bool"""
    dev_accuracy: float
    setting: str
    """What was chosen"""


@dataclass(frozen=True)
class Controls:
    """What is reached without pretraining: the same for all checkpoints of a run."""

    fine_tuned: dict[tuple[str, str], FineTuned]
    """(``untrained``, encoder) -> what the untrained network reaches"""
    simple: dict[str, Control]
    """``bag_of_words`` and ``majority``"""


@dataclass(frozen=True)
class Comparison:
    """What :func:`finetune` returns."""

    labels: list[str]
    fine_tuned: dict[tuple[str, str], FineTuned]
    """(network, encoder) -> what it reaches"""
    controls: dict[str, Control]
    """``bag_of_words`` and ``majority``"""
    train: list[LabelledSentence]
    """The sentences that all were trained on"""
    given: int
    """Training sentences that these were drawn from"""
    encoded: dict[str, EncodedSentences]
    """``train``, ``dev`` and ``test``"""
    shared: dict[str, int]
    """``dev`` and ``test`` -> sentences of this part that are training sentences, too"""


def finetune(
    model: MiniBERT,
    tokenizer: Tokenizer,
    splits: Splits | Mapping[str, Sequence[LabelledSentence] | str | Path] | str | Path,
    settings: DownstreamConfig | None = None,
    untrained: MiniBERT | None = None,
    seed: int = 0,
    lanes: int = 2,
    note: Callable[[str], None] = lambda message: None,
    controls: Controls | None = None,
) -> Comparison:
    """Fine-tune copies of a network on labelled sentences, and its controls on the same ones.

    ``splits``: the sentences to train on, to choose with and to report, also as a dictionary (``train``, ``dev``,
    ``test``) of sentences or tables, or a folder with three tables; sentences may be tuples. ``untrained`` is
    fine-tuned in the same way, its rates chosen for itself; None: a new network of this configuration and
    ``seed``. ``controls``: what :func:`measure_controls` has found of it before, if it has. The seeds are
    ``seed``, ``seed + 1``, …: of the new layer, the order of sentences and dropout. ``settings.max_samples``
    training sentences are drawn once, for all seeds and controls
    (:func:`minibert.evaluation.downstream.sentences.draw`).

    As many trainings run at once as there are ``lanes``, each in one thread, so that results do not depend on
    their number. One that ends with a loss that is not finite fails by itself. ``model`` is not changed.

    Raises :class:`MinibertError` for settings out of range, for what is no labelled sentence, for fewer than two
    labels, for labels in ``dev`` or ``test`` that no training sentence has, and for an empty part.
    """
    settings = DownstreamConfig() if settings is None else settings
    require_config(settings, DownstreamConfig, "evaluation.downstream.")
    validate(cast(Any, settings), "evaluation.downstream.")
    model, tokenizer = asked_network(model, tokenizer)
    task = _prepare(tokenizer, as_splits(splits), settings, model, seed)
    if controls is None:
        untrained = MiniBERT(model.config, seed) if untrained is None else untrained
        controls = _controls(untrained, task, settings, seed, lanes, note)
    reached = (
        fine_tuned(TRAINED, model, task.labels, task.encoded, settings, seed, lanes, note) | controls.fine_tuned
    )
    return Comparison(task.labels, reached, controls.simple, task.train, task.given, task.encoded, task.shared)


def measure_controls(
    untrained: MiniBERT,
    tokenizer: Tokenizer,
    splits: Splits,
    settings: DownstreamConfig,
    seed: int = 0,
    lanes: int = 2,
    note: Callable[[str], None] = lambda message: None,
) -> Controls:
    """What :func:`finetune` compares a network with, on the same sentences."""
    return _controls(
        untrained, _prepare(tokenizer, splits, settings, untrained, seed), settings, seed, lanes, note
    )


class _Task(NamedTuple):
    """The sentences, and as networks read them."""

    train: list[LabelledSentence]
    """Those that are trained on"""
    given: int
    """Training sentences that these were drawn from"""
    dev: list[LabelledSentence]
    test: list[LabelledSentence]
    labels: list[str]
    encoded: dict[str, EncodedSentences]
    shared: dict[str, int]
    """``dev`` and ``test`` -> sentences of this part that are training sentences, too"""


def _prepare(
    tokenizer: Tokenizer, splits: Splits, settings: DownstreamConfig, network: MiniBERT, seed: int
) -> _Task:
    dev, test, given = list(splits.dev), list(splits.test), list(splits.train)
    train = draw(given, settings.max_samples, seed)
    labels = label_names(train)
    parts = {"train": train, "dev": dev, "test": test}
    encoded = {name: encode(tokenizer, part, labels, network.config, name) for name, part in parts.items()}
    shared = {name: shared_texts(parts[name], train) for name in ("dev", "test")}
    return _Task(train, len(given), dev, test, labels, encoded, shared)


def _controls(
    untrained: MiniBERT,
    task: _Task,
    settings: DownstreamConfig,
    seed: int,
    lanes: int,
    note: Callable[[str], None],
) -> Controls:
    reached = fine_tuned(UNTRAINED, untrained, task.labels, task.encoded, settings, seed, lanes, note)
    with threadpool_limits(1, user_api="blas"):
        words = bag_of_words(task.train, task.dev, [each.text for each in task.test], task.labels)
    most, truth = majority(task.train, task.dev, len(task.test), task.labels), task.encoded["test"].classes
    simple = {
        name: Control(
            name,
            score(found.classes, truth, len(task.labels)),
            found.classes == truth,
            found.dev_accuracy,
            found.setting,
        )
        for name, found in (("bag_of_words", words), ("majority", most))
    }
    return Controls(reached, simple)
