"""The finished and unfinished runs of a sweep as plain tables: one run, its settings, metrics and curves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minibert.collection import without_collection
from minibert.tracking import Store
from minibert.tracking.records import Record
from minibert.tracking.store import store_errors
from minibert.tracking.sweeps import Child
from minibert.tracking.tables import read_points

from .assumptions import recorded_settings, replicate
from .quantities import AXES, quantity
from .values import is_number

RANGE_TEST = "lr_range/"
"""What the metrics of a range test of the learning rate begin with."""
SMOOTHED = "lr_range/smoothed_loss"
BELOW_UNIGRAM = "eval/nats_below_unigram"
BELOW_BIGRAM = "eval/nats_below_bigram"
"""Not recorded, but computed from recorded metrics"""

SEPARATOR = " · "
"""Between the values of one combination of several factors"""

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
    parts: tuple[str, ...] = ()
    """Its value of each factor, if several settings were found to vary"""
    address: str = ""
    """Of its artifacts, if that is known"""

    @property
    def finished(self) -> bool:
        return self.status == "FINISHED"

    @property
    def ended_not_finite(self) -> bool:
        """Whether training was ended because the loss or a gradient was not finite."""
        return self.status == "FAILED" and "not finite" in (self.reason or "")

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


def one_per_configuration(members: Sequence[Child]) -> list[Child]:
    """A configuration that was trained more than once counts once: its newest finished run, else its newest."""
    chosen = {}
    for child in sorted(members, key=lambda child: (child.status == "FINISHED", child.started)):
        chosen[child.config_hash] = child
    return list(chosen.values())


def load(
    store: Store, members: Sequence[Child], factors: Sequence[str], tuned: str | None, metric: str
) -> tuple[TrackedRun, ...]:
    """The runs of a sweep with the curves that a report of ``metric`` draws.

    Raises :class:`MinibertError` when the store cannot be read.
    """
    with store_errors(store.uri, "read the curves of the runs"), without_collection():
        return tuple(_load(store, child, factors, tuned, metric) for child in members)


def _load(store: Store, child: Child, factors: Sequence[str], tuned: str | None, metric: str) -> TrackedRun:
    def is_drawn(key: str) -> bool:
        if metric.startswith(RANGE_TEST) and key in (SMOOTHED, "train/loss", "train/learning_rate"):
            return True
        return key == metric or key in AXES or (key.startswith("eval/") and key.count("/") == 1)

    recorded = recorded_settings(child.parameters, child.tags)
    parts = tuple(recorded.get(key, "null") for key in factors)
    seed = child.parameters.get("seed", "null")
    return TrackedRun(
        id=child.id,
        name=child.name,
        status=child.status,
        reason=child.reason,
        value=SEPARATOR.join(parts) or "all",
        setting=child.parameters.get(tuned, "null") if tuned else None,
        seed=int(seed) if is_number(seed) else None,
        replicate=replicate(child.parameters, *factors, tuned),
        metrics=_with_distance_to_bigram(child.metrics),
        curves=curves(store, child.id, [key for key in child.metrics if is_drawn(key)]),
        parameters=child.parameters,
        tags=child.tags,
        parts=parts,
        address=child.address,
    )


def _with_distance_to_bigram(metrics: dict[str, float]) -> dict[str, float]:
    loss, bigram = metrics.get("eval/loss"), metrics.get("baseline/bigram_cross_entropy")
    if loss is None or bigram is None or abs(loss) >= LARGEST_STORED:
        return metrics
    return {BELOW_BIGRAM: bigram - loss} | metrics


def curves(store: Store, run_id: str, metrics: Sequence[str]) -> dict[str, Curve]:
    """The histories of metrics that a run has recorded. Values that are not finite are NaN."""
    points = read_points(store, run_id, metrics)
    if points is None:
        points = {metric: _points(store, run_id, metric) for metric in metrics}
    return {metric: _curve(by_step) for metric, by_step in points.items()}


def _points(store: Store, run_id: str, metric: str) -> dict[int, float]:
    points = store.client.get_metric_history(run_id, metric)
    return {point.step: point.value for point in sorted(points, key=lambda point: (point.step, point.timestamp))}


def _curve(by_step: dict[int, float]) -> Curve:
    values = np.array(list(by_step.values()), dtype=np.float64)
    values[np.abs(values) >= LARGEST_STORED] = np.nan
    return Curve(np.array(list(by_step), dtype=np.int64), values)


def open_record(store: Store, run: TrackedRun) -> Record:
    """The run's record, for histories and arrays that are not read with the study. Nothing is written to it.

    Raises :class:`MinibertError` when the store cannot be read.
    """
    address = run.address
    if not address:
        with store_errors(store.uri, f"read run {run.id}"):
            address = store.client.get_run(run.id).info.artifact_uri or ""
    return Record(store, run.id, address, continued=True)
