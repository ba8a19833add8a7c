"""Which layer knows most of each kind of knowledge, how much of it the controls have, and when it is learnt.

A time is log₂(1 + s) of a step s, so that step 0 has one. Times, means of them and differences are on this scale.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..statistics import CONFIDENCE, Difference, Estimate, first_crossing, holm, mean_interval, paired_difference
from .probe_records import ProbedKind, ProbedRun

LEAST_GAIN = 0.01
"""A kind whose accuracy gains less over step 0 is not dated: that is a difference of some test examples"""
OfRun = Callable[[ProbedKind], float]


@dataclass(frozen=True)
class Known:
    """One kind of knowledge at the last checkpoint, over seeds, in the layer with the highest mean accuracy."""

    name: str
    runs: tuple[ProbedRun, ...]
    """Those that were asked about it"""
    by_layer: tuple[Estimate, ...]
    """The accuracy of each of the L + 1 layers"""
    best: int
    next_best: int
    """The layer with the second highest mean"""
    shortest_code: int
    """The layer whose mean online code is shortest: a second measure, of the probes' training part"""
    over_embeddings: Difference
    """Without a seed where the embeddings are the best layer"""
    over_next: Difference
    over_same_untrained: Difference
    """To the same layer of the untrained network"""
    over_untrained: Difference
    """To whichever layer of the untrained network is best in this run"""
    selectivity: Estimate
    over_word_tag: Estimate
    """Above labelling each word with its most frequent label"""
    over_majority: Estimate


@dataclass(frozen=True)
class Learnt:
    """When one kind of knowledge has reached half of its last gain over step 0, in its best layer."""

    name: str
    gain: Estimate
    by_seed: dict[tuple[str, ...], float]
    """Replicate -> time; NaN where the gain is below :data:`LEAST_GAIN`"""
    early: int
    """In how many runs the first checkpoint after step 0 is beyond the half already"""

    @property
    def time(self) -> Estimate:
        """Over the runs that have one"""
        return mean_interval(list(self.by_seed.values()))

    @property
    def dated(self) -> bool:
        """Whether every run has a time. Others are not compared: their mean would be of chosen seeds."""
        return self.time.n == len(self.by_seed)


@dataclass(frozen=True)
class Order:
    """One kind against another, seed by seed: negative if the first is learnt sooner."""

    first: str
    second: str
    difference: Difference
    adjusted_p: float
    """Holm's, over all orders; NaN below two seeds"""

    @property
    def told(self) -> bool:
        """Whether the interval of this one difference is on one side of 0."""
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def separated(self) -> bool:
        return self.adjusted_p < 1 - CONFIDENCE

    @property
    def sooner(self) -> str:
        return self.first if self.difference.mean < 0 else self.second

    @property
    def later(self) -> str:
        return self.second if self.difference.mean < 0 else self.first


def known(runs: Sequence[ProbedRun]) -> list[Known]:
    """Every kind that at least one of the runs was asked about, in the order in which they were recorded."""
    names = dict.fromkeys(name for run in runs for name in run.kinds)
    return [_known(name, tuple(run for run in runs if name in run.kinds)) for name in names]


def learnt(kinds: Sequence[Known]) -> list[Learnt]:
    """The times of all kinds that were probed at several steps: the soonest first, those not dated last."""
    found = [_learnt(kind) for kind in kinds if all(_has_curve(run, kind.name) for run in kind.runs)]
    return sorted(found, key=lambda each: (not each.dated, each.time.mean if each.time.n else math.inf))


def orders(found: Sequence[Learnt]) -> list[Order]:
    """Each pair of kinds that are dated."""
    pairs = list(combinations((each for each in found if each.dated), 2))
    differences = [paired_difference(one.by_seed, other.by_seed) for one, other in pairs]
    adjusted = holm([difference.p_value for difference in differences])
    return [
        Order(one.name, other.name, difference, p)
        for (one, other), difference, p in zip(pairs, differences, adjusted, strict=True)
    ]


def adjusted(differences: Sequence[Difference]) -> list[float]:
    """Holm's p values over all of them."""
    return holm([difference.p_value for difference in differences])


def _known(name: str, runs: tuple[ProbedRun, ...]) -> Known:
    def over_seeds(value: OfRun) -> dict[tuple[str, ...], float]:
        return {run.run.replicate: value(run.kinds[name]) for run in runs}

    def difference(value: OfRun, other: OfRun) -> Difference:
        return paired_difference(over_seeds(value), over_seeds(other))

    def mean(value: OfRun) -> Estimate:
        return mean_interval(list(over_seeds(value).values()))

    layers = min(run.kinds[name].layers for run in runs)
    by_layer = tuple(mean(lambda kind, layer=layer: kind.last("accuracy")[layer]) for layer in range(layers))
    codes = [mean(lambda kind, layer=layer: kind.last("code_length")[layer]).mean for layer in range(layers)]
    best, *others = sorted(range(layers), key=lambda layer: -by_layer[layer].mean)
    next_best = others[0] if others else best

    def here(kind: ProbedKind) -> float:
        return kind.last("accuracy")[best]

    return Known(
        name=name,
        runs=runs,
        by_layer=by_layer,
        best=best,
        next_best=next_best,
        shortest_code=int(np.argmin(codes)),
        over_embeddings=difference(here, lambda kind: kind.last("accuracy")[0]) if best else _NONE,
        over_next=difference(here, lambda kind: kind.last("accuracy")[next_best]) if others else _NONE,
        over_same_untrained=difference(here, lambda kind: kind.untrained[best]),
        over_untrained=difference(here, lambda kind: float(np.max(kind.untrained))),
        selectivity=mean(lambda kind: kind.last("selectivity")[best]),
        over_word_tag=mean(lambda kind: here(kind) - kind.references["word_tag_accuracy"]),
        over_majority=mean(lambda kind: here(kind) - kind.references["majority_accuracy"]),
    )


_NONE = Difference(0, math.nan, math.nan, math.nan, {})


def _has_curve(run: ProbedRun, name: str) -> bool:
    return np.isfinite(run.kinds[name].accuracy).any(axis=0).sum() > 1


def _learnt(kind: Known) -> Learnt:
    by_seed, gains, early = {}, [], 0
    for run in kind.runs:
        times, gained = gain_curve(run, kind.name, kind.best)
        gains.append(gained[-1])
        dated = gained[-1] >= LEAST_GAIN
        half = first_crossing(times, gained, gained[-1] / 2, falling=False) if dated else math.nan
        by_seed[run.run.replicate] = half
        early += bool(half <= times[1])
    return Learnt(kind.name, mean_interval(gains), by_seed, early)


def gain_curve(run: ProbedRun, name: str, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Times, and how far the accuracy of a layer is above that at step 0, where the network is untrained."""
    probed = run.kinds[name]
    accuracy, start = probed.accuracy[layer], probed.untrained[layer]
    later = (run.steps > 0) & np.isfinite(accuracy)
    times = np.log2(1 + np.append(0, run.steps[later]))
    return times, np.append(0.0, accuracy[later] - start)


def step_of(time: float) -> float:
    """The step of a time."""
    return 2**time - 1
