"""Classifiers of one task, several trained at once: rates chosen on the dev sentences, then several seeds."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple, cast

import numpy as np
from threadpoolctl import threadpool_limits

from minibert.config.evaluation import DownstreamConfig
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
from minibert.evaluation.downstream.sentences import EncodedSentences
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


def fine_tuned(
    name: str,
    network: MiniBERT,
    labels: list[str],
    encoded: dict[str, EncodedSentences],
    settings: DownstreamConfig,
    seed: int,
    lanes: int,
    note: Callable[[str], None],
) -> dict[tuple[str, str], FineTuned]:
    """What one network reaches in each way to train it."""
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(lanes) as threads:
        workshop = _Workshop({name: network}, labels, encoded, settings, threads, note)
        finalists = workshop.choose([seed + number for number in range(settings.seeds)])
        return {key: workshop.report(*found) for key, found in finalists.items()}


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
