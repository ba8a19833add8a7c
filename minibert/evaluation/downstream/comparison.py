"""Fine-tuning as a fair comparison: rates chosen on the dev sentences, several seeds, controls, one test.

For each network (trained, untrained) and each way to train it (``full``, ``frozen``), every rate is tried with the
first seed; the one with the highest dev accuracy is taken for all seeds. The test sentences are predicted once by
every classifier that is left, when all choices are made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer

from minibert.config import validate
from minibert.config.evaluation import DownstreamConfig
from minibert.data.annotated.classified import LabelledSentence
from minibert.evaluation.downstream.controls import bag_of_words, majority
from minibert.evaluation.downstream.finetuning import (
    Diverged,
    Recipe,
    class_scores,
    head_scores,
    pooled_states,
    train_classifier,
    train_head,
)
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
from minibert.evaluation.inputs import asked_network
from minibert.evaluation.intervals import Interval, mean_over_seeds
from minibert.model.bert import MiniBERT
from minibert.model.classifier import Pooling, SentenceClassifier

TRAINED, UNTRAINED = "trained", "untrained"


@dataclass(frozen=True)
class FineTuned:
    """What a network reaches when it is fine-tuned in one way."""

    network: str
    """``trained`` or ``untrained``"""
    encoder: str
    """``full`` or ``frozen``"""
    rate: float | None
    """The learning rate that was chosen; None where training failed with every one"""
    dev: dict[float, float]
    """Rate -> accuracy on the dev sentences with the first seed; NaN where training failed"""
    scores: dict[int, Score]
    """Seed -> what its classifier scores on the test sentences"""
    right: np.ndarray
    """(S,): the share of seeds with which each test sentence is classified rightly"""
    classifiers: dict[int, SentenceClassifier] = field(repr=False)
    """Seed -> network and learned layer; of the trained network alone"""
    failures: list[str]
    """Rate and seed of what failed, and why"""

    @property
    def accuracy(self) -> Interval:
        return mean_over_seeds([each.accuracy for each in self.scores.values()])

    @property
    def macro_f1(self) -> Interval:
        return mean_over_seeds([each.macro_f1 for each in self.scores.values()])


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


class Job(NamedTuple):
    network: str
    encoder: str
    rate: float
    seed: int


class Outcome(NamedTuple):
    job: Job
    classifier: SentenceClassifier | None
    """None where training failed"""
    dev_accuracy: float
    failure: str


def finetune(
    model: MiniBERT,
    tokenizer: Tokenizer,
    splits: Splits | Mapping[str, Sequence[LabelledSentence] | str | Path] | str | Path,
    settings: DownstreamConfig | None = None,
    untrained: MiniBERT | None = None,
    seed: int = 0,
    lanes: int = 2,
    note: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Fine-tune copies of a network on labelled sentences, and its controls on the same ones.

    ``splits``: the sentences to train on, to choose with and to report, also as a dictionary (``train``, ``dev``,
    ``test``) of sentences or tables, or a folder with three tables; sentences may be tuples. ``untrained`` is
    fine-tuned in the same way, its rates chosen for itself; None: a new network of this configuration and
    ``seed``. The seeds are ``seed``, ``seed + 1``, …: of the new layer, the order of sentences and dropout.
    ``settings.max_samples`` training sentences are drawn once, for all seeds and controls
    (:func:`minibert.evaluation.downstream.sentences.draw`).

    As many trainings run at once as there are ``lanes``, each in one thread, so that results do not depend on
    their number. One that ends with a loss that is not finite fails by itself. ``model`` is not changed.

    Raises :class:`MinibertError` for settings out of range, for what is no labelled sentence, for fewer than two
    labels, for labels in ``dev`` or ``test`` that no training sentence has, and for an empty part.
    """
    settings = DownstreamConfig() if settings is None else settings
    validate(cast(Any, settings), "evaluation.downstream.")
    model, tokenizer = asked_network(model, tokenizer)
    splits = as_splits(splits)
    untrained = MiniBERT(model.config, seed) if untrained is None else untrained
    networks = {TRAINED: model, UNTRAINED: untrained}
    dev, test, given = list(splits.dev), list(splits.test), list(splits.train)
    train = draw(given, settings.max_samples, seed)
    labels = label_names(train)
    parts = {"train": train, "dev": dev, "test": test}
    encoded = {name: encode(tokenizer, part, labels, model.config, name) for name, part in parts.items()}
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(lanes) as threads:
        workshop = _Workshop(networks, labels, encoded, settings, threads, note)
        finalists = workshop.choose([seed + number for number in range(settings.seeds)])
        words = bag_of_words(train, dev, [each.text for each in test], labels)
        most = majority(train, dev, len(test), labels)
        fine_tuned = {key: workshop.report(*found) for key, found in finalists.items()}
    truth = encoded["test"].classes
    controls = {
        name: Control(
            name,
            score(found.classes, truth, len(labels)),
            found.classes == truth,
            found.dev_accuracy,
            found.setting,
        )
        for name, found in (("bag_of_words", words), ("majority", most))
    }
    shared = {name: shared_texts(parts[name], train) for name in ("dev", "test")}
    return Comparison(labels, fine_tuned, controls, train, len(given), encoded, shared)


@dataclass
class _Workshop:
    """Trains classifiers, several at once."""

    networks: dict[str, MiniBERT]
    labels: list[str]
    encoded: dict[str, EncodedSentences]
    settings: DownstreamConfig
    threads: ThreadPoolExecutor
    note: Callable[[str], None]
    states: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    """(network, part) -> the states that a frozen encoder gives the new layer"""

    def choose(self, seeds: Sequence[int]) -> dict[tuple[str, str], tuple[list[Outcome], dict[float, float]]]:
        """(network, encoder) -> an outcome for each seed at the chosen rate, and dev accuracies by rate."""
        settings = self.settings
        if "frozen" in settings.encoders:
            self._compute_states("train", "dev")
        rates = {"full": settings.rates, "frozen": settings.frozen_rates}
        keys = list(product(self.networks, settings.encoders))
        first = list(
            self.run(Job(network, encoder, rate, seeds[0]) for network, encoder in keys for rate in rates[encoder])
        )
        found = {}
        for key in keys:
            tried = [each for each in first if each.job[:2] == key]
            dev = {each.job.rate: each.dev_accuracy for each in tried}
            # Of equal ones the lower rate, which changes the network less.
            best = min(tried, key=lambda each: (each.classifier is None, -each.dev_accuracy, each.job.rate))
            kept = [best] if best.classifier is not None else tried
            found[key] = kept, dev
        del first
        further = (
            kept[0].job._replace(seed=seed)
            for kept, _ in found.values()
            if kept[0].classifier is not None
            for seed in seeds[1:]
        )
        for outcome in self.run(further):
            found[outcome.job[:2]][0].append(outcome)
        return found

    def run(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        for outcome in self.threads.map(self._train, jobs):
            network, encoder, rate, seed = outcome.job
            found = outcome.failure or f"dev accuracy {outcome.dev_accuracy:.3f}"
            self.note(f"{network}, {encoder}, rate {rate:g}, seed {seed}: {found}")
            yield outcome

    def report(self, outcomes: list[Outcome], dev: dict[float, float]) -> FineTuned:
        """Predict the test sentences, for the first time."""
        network, encoder, rate, _ = outcomes[0].job
        done = [each for each in outcomes if each.classifier is not None]
        if encoder == "frozen" and (network, "test") not in self.states:
            self._compute_states("test")
        truth, scores, right = self.encoded["test"].classes, {}, np.zeros(len(self.encoded["test"]))
        failures = [
            f"rate {each.job.rate:g}, seed {each.job.seed}: {each.failure}" for each in outcomes if each.failure
        ]
        predicted = self.threads.map(lambda each: self._predict(each, "test"), done)
        for outcome, classes in zip(done, predicted, strict=True):
            scores[outcome.job.seed] = score(classes, truth, len(self.labels))
            right += (classes == truth) / len(done)
        kept = {each.job.seed: cast(SentenceClassifier, each.classifier) for each in done if network == TRAINED}
        return FineTuned(network, encoder, rate if done else None, dev, scores, right, kept, failures)

    def _train(self, job: Job) -> Outcome:
        settings, train = self.settings, self.encoded["train"]
        recipe = Recipe(
            job.rate,
            settings.epochs,
            settings.batch_size,
            settings.dropout,
            cast(Pooling, settings.pooling),
            job.seed,
        )
        model = self.networks[job.network]
        try:
            if job.encoder == "frozen":
                states = self.states[job.network, "train"]
                classifier = train_head(model, self.labels, train, states, recipe)
            else:
                classifier = train_classifier(model, self.labels, train, recipe)
            outcome = Outcome(job, classifier, float("nan"), "")
            right = self._predict(outcome, "dev") == self.encoded["dev"].classes
            return outcome._replace(dev_accuracy=float(right.mean()))
        except Diverged as error:
            return Outcome(job, None, float("nan"), str(error))

    def _predict(self, outcome: Outcome, part: str) -> np.ndarray:
        classifier = cast(SentenceClassifier, outcome.classifier)
        if outcome.job.encoder == "frozen":
            return head_scores(classifier, self.states[outcome.job.network, part]).argmax(axis=1)
        return class_scores(classifier, self.encoded[part]).argmax(axis=1)

    def _compute_states(self, *parts: str) -> None:
        settings = self.settings
        keys = list(product(self.networks, parts))

        def compute(key: tuple[str, str]) -> np.ndarray:
            network, part = key
            recipe = Recipe(1.0, dropout=settings.dropout, pooling=cast(Pooling, settings.pooling))
            classifier = recipe.classifier(self.networks[network], self.labels)
            return pooled_states(classifier, self.encoded[part])

        self.states |= dict(zip(keys, self.threads.map(compute, keys), strict=True))
