"""A second training beside the record of the first: parameters and metrics, compared to the bit."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

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
class Metrics:
    """What :func:`compare_metrics` found."""

    first: MetricDifference | None
    differing: tuple[str, ...]
    names: int
    """How many metrics were compared"""
    points: int
    uncompared: tuple[str, ...]
    """Metrics on record that were not computed again"""


@dataclass
class Rehearsal:
    """A record that nothing is written to: it keeps metrics in memory, as a run records them, and nothing else."""

    metrics: dict[str, dict[int, float]] = field(default_factory=dict)
    """Metric -> step -> value"""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            points = self.metrics.setdefault(name, {})
            if step > next(reversed(points), -1):  # as in a run, what is recorded stays
                with suppress(TypeError, ValueError, OverflowError):
                    points[step] = as_number(value)

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


def compare_parameters(step: int, recorded: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray]):
    """The :class:`Difference` of two sets of parameters, or None if they are equal to the bit."""
    differing = [name for name in now if not _equal(recorded.get(name), now[name])]
    differing += [name for name in recorded if name not in now]
    if not differing:
        return None
    first = differing[0]
    how = _how(recorded.get(first), now.get(first))
    return Difference(step, first, how, len(differing), len(now))


def compare_metrics(record: Record, again: Rehearsal) -> Metrics:
    """Compare every value that both have, times aside.

    Raises :class:`MinibertError` when the store cannot be read.
    """
    known, points, found = set(record.metric_names()), 0, []
    compared = [name for name in again.metrics if name in known and name not in TIMES]
    for name in compared:
        recorded = dict(zip(*record.history(name), strict=True))
        shared = {step: value for step, value in again.metrics[name].items() if step in recorded}
        points += len(shared)
        wrong = [step for step, value in shared.items() if not _same(recorded[step], value)]
        found += [MetricDifference(step, name, recorded[step], shared[step]) for step in wrong[:1]]
    first = min(found, key=lambda each: each.step, default=None)
    uncompared = tuple(sorted(known - set(compared) - set(TIMES)))
    return Metrics(first, tuple(each.metric for each in found), len(compared), points, uncompared)


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
