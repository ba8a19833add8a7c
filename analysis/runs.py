"""The finished and unfinished runs of a sweep as plain tables: one run, its settings, metrics and curves."""

import math
from dataclasses import dataclass

import numpy as np

from minibert.tracking import Store
from minibert.tracking.records import Record
from minibert.tracking.store import store_errors

from .quantities import quantity

RANGE_TEST = "lr_range/"
"""What the metrics of a range test of the learning rate begin with."""
SMOOTHED = "lr_range/smoothed_loss"
BELOW_BIGRAM = "eval/nats_below_bigram"
"""Not recorded, but computed from recorded metrics"""

LARGEST_STORED = 1e308
"""SQL has no infinity: MLflow stores the largest float64 in its place."""


@dataclass(frozen=True)
class Curve:
    """The history of one metric: ``steps`` (n,) strictly increasing, ``values`` (n,)."""

    steps: np.ndarray
    values: np.ndarray

    def at(self, steps: np.ndarray) -> np.ndarray:
        """Values at other steps, interpolated linearly; NaN outside of the recorded steps."""
        return np.interp(steps, self.steps, self.values, left=np.nan, right=np.nan)


@dataclass(frozen=True)
class TrackedRun:
    """One run of a study. ``value`` is its value of the compared factor, as text."""

    id: str
    name: str
    status: str
    reason: str | None
    value: str
    setting: str | None
    """Its value of the key that is tuned for every value of the factor; None if nothing is tuned."""
    seed: int | None
    replicate: tuple[str, ...]
    """Its seeds, streams included, less what is compared: runs are paired by it."""
    metrics: dict[str, float]
    """The last value of every metric."""
    curves: dict[str, Curve]
    parameters: dict[str, str]
    tags: dict[str, str]

    @property
    def finished(self) -> bool:
        return self.status == "FINISHED"

    @property
    def config_hash(self) -> str:
        """The identifier of the run's configuration; its name is for people."""
        return self.tags.get("minibert.config_hash", self.id)

    def final(self, metric: str) -> float:
        """The last recorded value; NaN if there is none or it is not finite."""
        value = self.metrics.get(metric, math.nan)
        return value if abs(value) < LARGEST_STORED else math.nan

    def scaled(self, metric: str) -> float:
        """The last recorded value on the scale that statistics are made on (:meth:`Quantity.scale`)."""
        return quantity(metric).scale(self.final(metric))


def open_record(store: Store, run: TrackedRun) -> Record:
    """The run's record, for histories and arrays that are not read with the study. Nothing is written to it.

    Raises :class:`MinibertError` when the store cannot be read.
    """
    with store_errors(store.uri, f"read run {run.id}"):
        artifact_uri = store.client.get_run(run.id).info.artifact_uri or ""
    return Record(store, run.id, artifact_uri, continued=True)


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def same_value(first: str, second: str) -> bool:
    """Whether two texts mean the same value: 0.4 and 0.40 do."""
    if is_number(first) and is_number(second):
        return float(first) == float(second)
    return first == second
