"""When attention and loss change in a run, and which of them changes first.

A time is log₂ s of a step s, in doublings. Change points and differences are on this scale.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..statistics import Difference, Estimate, holm, mean_interval, paired_difference
from .attention_runs import AttentionRun
from .change_points import ChangePoint, find_change_point
from .curves import binned, first_below

MARGIN = 0.1
"""The loss has left the unigram level if it is this many nats below the unigram entropy"""
BIN = 1 / 8
"""Doublings: width of the bins that curves are averaged in, so that early and late steps have equal weight"""
WITHIN = 0.5
"""Doublings: two times are equal if the whole interval of their difference is within this"""
LEAVES, FALLS = "loss leaves the unigram level", "loss begins its fastest fall"


@dataclass(frozen=True)
class Sought:
    """A curve of every layer. The time of its fastest change is measured."""

    title: str
    curves: Callable[[AttentionRun], np.ndarray]
    """(L, n)"""
    least: float
    """The smallest change that counts"""

    def event(self, layer: int) -> str:
        return f"layer {layer}: {self.title}"


ENTROPY = Sought("entropy begins its fastest change", lambda run: run.entropy_share.mean(axis=1), 0.02)
NEIGHBOURS = Sought("attention on neighbours begins its fastest change", lambda run: run.neighbours, 0.02)
DISTANCES = Sought("heads begin to come apart fastest", lambda run: run.distances, 0.01)


@dataclass(frozen=True)
class Event:
    """An event that happens at most once in a run. If it does not happen, all values are NaN."""

    time: float
    low: float
    high: float
    """Ends of the interval from the noise of this one curve"""
    change: float


@dataclass(frozen=True)
class Fit:
    """A curve on the scale of doublings, averaged within bins, with its change point."""

    times: np.ndarray
    values: np.ndarray
    change: ChangePoint | None


@dataclass(frozen=True)
class Timeline:
    """One run."""

    run: AttentionRun
    events: dict[str, Event]
    """:data:`LEAVES`, :data:`FALLS`, and the events of every layer, by name"""
    fits: dict[str, Fit]
    """Of all events that are change points"""


@dataclass(frozen=True)
class Order:
    """Whether the attention of a layer changes before, with or after the loss, seed by seed."""

    group: str
    layer: int
    reference: str
    """:data:`LEAVES` or :data:`FALLS`"""
    difference: Difference
    """Doublings; negative if attention changes first"""
    adjusted_p: float
    """Holm's, over all orders; NaN below two seeds"""

    @property
    def verdict(self) -> str:
        """``before`` or ``after`` if the interval is on one side of 0; ``with`` if it is within ± ``WITHIN``."""
        low, high = self.difference.low, self.difference.high
        if not math.isfinite(low + high):
            return "cannot be told"
        if high < 0 or low > 0:
            return "before" if high < 0 else "after"
        return "with" if max(-low, high) <= WITHIN else "cannot be told"


def timeline(run: AttentionRun) -> Timeline:
    """The times of all events of a run."""
    fits = {FALLS: _fit(run.loss.steps, run.loss.values, MARGIN)}
    for sought in (ENTROPY, NEIGHBOURS, DISTANCES):
        for layer, values in enumerate(sought.curves(run)):
            fits[sought.event(layer)] = _fit(run.steps, values, sought.least)
    leaves = first_below(run.loss.steps, run.loss.values, run.unigram_entropy - MARGIN)
    time = math.log2(max(leaves, 1.0)) if math.isfinite(leaves) else math.nan
    events = {LEAVES: Event(time, time, time, math.nan)}
    return Timeline(run, events | {name: _event(fit.change) for name, fit in fits.items()}, fits)


def mean_time(timelines: list[Timeline], event: str) -> Estimate:
    """The mean time of an event over the runs in which it happens."""
    return mean_interval([line.events[event].time for line in timelines])


def compare(timelines: Mapping[str, list[Timeline]]) -> list[Order]:
    """The sharpest change of each layer's entropy share against both times of the loss, paired by seed.

    ``timelines``: group -> its runs.
    """

    def by_seed(found: list[Timeline], event: str) -> dict[tuple[str, ...], float]:
        return {line.run.run.replicate: line.events[event].time for line in found}

    differences = {
        (shown, layer, reference): paired_difference(
            by_seed(found, ENTROPY.event(layer)), by_seed(found, reference)
        )
        for shown, found in timelines.items()
        for layer in range(found[0].run.layers)
        for reference in (LEAVES, FALLS)
    }
    adjusted = holm([difference.p_value for difference in differences.values()])
    return [Order(*key, found, p) for (key, found), p in zip(differences.items(), adjusted, strict=True)]


def _fit(steps: np.ndarray, values: np.ndarray, least: float) -> Fit:
    later = steps > 0  # the logarithm has no step 0
    times, values = binned(np.log2(steps[later]), values[later], BIN)
    return Fit(times, values, find_change_point(times, values, least) if len(times) > 1 else None)


def _event(change: ChangePoint | None) -> Event:
    if change is None:
        return Event(*[math.nan] * 4)
    return Event(change.place, change.low, change.high, change.change)
