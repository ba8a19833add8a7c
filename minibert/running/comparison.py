"""A second training beside the record of the first: parameters and metrics, compared to the bit."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from minibert.errors import listed
from minibert.tracking.records import Record
from minibert.tracking.refusals import as_number

TIMES = ("seconds", "train/tokens_per_second")
"""Metrics that measure time: the only ones that two runs of one configuration do not share"""


@dataclass(frozen=True)
class Difference:
    """The parameters of one step that are not those on record."""

    step: int
    parameter: str
    """The first in the order of the network"""
    how: str
    """By how much it differs, as a phrase"""
    parameters: int
    """How many parameters differ"""
    of: int

    def __str__(self) -> str:
        others = f"; {self.parameters} of {self.of} parameters differ" if self.parameters > 1 else ""
        return f"{self.parameter} differs at step {self.step}, {self.how}{others}"


@dataclass(frozen=True)
class MetricDifference:
    """The earliest value of a metric that is not the one on record."""

    step: int
    metric: str
    recorded: float
    now: float

    def __str__(self) -> str:
        return f"{self.metric} at step {self.step}: {self.recorded!r} on record, {self.now!r} now"


@dataclass(frozen=True)
class Lack:
    """What the record lacks of a metric that was computed again."""

    metric: str
    steps: tuple[int, ...]
    """At which it was computed again and has no value on record"""
    last: int | None
    """The last step that it has a value on record of; None if it has none at all"""

    @property
    def where(self) -> str:
        """Which of its values, as a phrase."""
        if self.last is None:
            return "at every step"
        if self.steps[0] > self.last:
            return f"after step {self.last}"
        return f"at {len(self.steps)} steps, the first of them step {self.steps[0]}"


@dataclass(frozen=True)
class Metrics:
    """How the metrics of a second training compare with the record, as far as it went."""

    differing: tuple[MetricDifference, ...]
    """The first difference of each metric that differs, in order of steps"""
    names: int
    """How many metrics were compared"""
    points: int
    uncompared: tuple[str, ...]
    """Metrics on record that were not computed again"""
    lacking: tuple[Lack, ...]
    """Values that were computed again and are not on record"""


@dataclass
class Rehearsal:
    """A record that nothing is written to. It keeps metrics in memory, as a run records them, and compares each
    value with the one on record as it comes."""

    recorded: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Metric -> step -> value (:func:`recorded_metrics`)"""
    metrics: dict[str, dict[int, float]] = field(default_factory=dict)
    """The same of this training"""
    differing: dict[str, MetricDifference] = field(default_factory=dict)
    """By metric"""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            points = self.metrics.setdefault(name, {})
            if step > next(reversed(points), -1):  # as in a run, what is recorded stays
                with suppress(TypeError, ValueError, OverflowError):
                    points[step] = as_number(value)
                    self._compare(name, step, points[step])

    def _compare(self, name: str, step: int, now: float) -> None:
        recorded = self.recorded.get(name, {}).get(step)
        if recorded is not None and not _same(recorded, now):
            self.differing.setdefault(name, MetricDifference(step, name, recorded, now))

    def compared(self) -> Metrics:
        """What came of all comparisons up to now."""
        shared = {name: points.keys() & self.recorded[name].keys() for name, points in self.metrics.items()
                  if name in self.recorded}  # fmt: skip
        return Metrics(
            differing=tuple(sorted(self.differing.values(), key=lambda each: each.step)),
            names=sum(map(bool, shared.values())),
            points=sum(map(len, shared.values())),
            uncompared=tuple(sorted(self.recorded.keys() - shared.keys())),
            lacking=tuple(self._lacking()),
        )

    def _lacking(self) -> Iterator[Lack]:
        for name in sorted(self.metrics.keys() - set(TIMES)):
            recorded = self.recorded.get(name, {})
            if steps := tuple(step for step in self.metrics[name] if step not in recorded):
                yield Lack(name, steps, max(recorded, default=None))

    def flush(self) -> bool:
        return True

    def history(self, metric: str) -> tuple[list[int], list[float]]:
        points = self.metrics.get(metric, {})
        return list(points), list(points.values())

    def metric_names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self.metrics if name.startswith(prefix))

    def arrays(self, name: str) -> dict[int, dict[str, np.ndarray]]:
        return {}

    def _drop(self, *_) -> None:
        """Arrays, figures, tags and files are not compared."""

    log_arrays = log_figure = log_dict = set_tags = _drop


def recorded_metrics(record: Record) -> dict[str, dict[int, float]]:
    """Metric -> step -> value, of all that measure no time.

    Raises :class:`MinibertError` when the store cannot be read.
    """
    names = [name for name in record.metric_names() if name not in TIMES]
    return {name: dict(zip(*record.history(name), strict=True)) for name in names}


def compare_parameters(step: int, recorded: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray]):
    """The :class:`Difference` of two sets of parameters, or None if they are equal to the bit."""
    differing = [name for name in now if not _equal(recorded.get(name), now[name])]
    differing += [name for name in recorded if name not in now]
    if not differing:
        return None
    first = differing[0]
    how = _how(recorded.get(first), now.get(first))
    return Difference(step, first, how, len(differing), len(now))


def _same(recorded: float, now: float) -> bool:
    return recorded == now or (math.isnan(recorded) and math.isnan(now))


def _equal(recorded: np.ndarray | None, now: np.ndarray) -> bool:
    if recorded is None or (recorded.dtype, recorded.shape) != (now.dtype, now.shape):
        return False
    return recorded.tobytes() == now.tobytes()


def _how(recorded: np.ndarray | None, now: np.ndarray | None) -> str:
    if recorded is None or now is None:
        return "which only the network of " + ("today has" if recorded is None else "the record has")
    if (recorded.dtype, recorded.shape) != (now.dtype, now.shape):
        return f"which is {recorded.dtype} {recorded.shape} on record and {now.dtype} {now.shape} now"
    before, after = recorded.astype(np.float64), now.astype(np.float64)
    unequal = recorded.reshape(-1, 1).view(np.uint8) != np.ascontiguousarray(now).reshape(-1, 1).view(np.uint8)
    count = int(unequal.any(axis=1).sum())
    with np.errstate(invalid="ignore"):
        largest = np.nanmax(np.abs(before - after), initial=0.0)
        size = np.nanmax(np.abs(before), initial=0.0)
    return f"in {count:,} of {now.size:,} values by at most {largest:.2g} (the largest on record is {size:.2g})"


def told_lacks(lacking: Sequence[Lack]) -> str:
    """What a record lacks, in one phrase: the metrics that lack the same are told together."""
    alike: dict[str, list[str]] = {}
    for each in lacking:
        alike.setdefault(each.where, []).append(each.metric)
    parts = [
        f"{names[0]}{f' and {len(names) - 1} more metrics' if names[1:] else ''} {where}"
        for where, names in sorted(alike.items(), key=lambda item: -len(item[1]))
    ]
    return "; ".join(listed(parts))
