"""Measurements inside the networks of a study's groups at the end of training, side by side.

For every run: the effective rank of its matrices and the entropy of its attention, recorded as metrics, and slices
of its loss landscape, recorded as arrays. For every group: means over seeds with their intervals.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from minibert.diagnostics.plotting.series import locate, part_of
from minibert.errors import MinibertError
from minibert.tracking import Store

from .findings import Group
from .statistics import Estimate, mean_interval
from .tracked_runs import TrackedRun, open_record

BY_LAYER = {
    "inside/attention_rank": ("effective_rank", "attention "),
    "inside/feed_forward_rank": ("effective_rank", "feed forward "),
    "inside/attention_entropy": ("attention_entropy", ""),
}
"""Quantity -> the recorded quantity that it averages, and the prefix of the kinds that it averages over"""
WHOLE = (
    "effective_rank/embeddings.token.weight", "landscape/random/width", "landscape/random/curvature",
    "landscape/update/width", "landscape/update/curvature",
)  # fmt: skip
"""Metrics of a run as a whole"""
SLICES = {"random_slice": "one random direction", "update_slice": "the last update"}
"""Arrays with ``distances`` and ``losses`` (P,) -> what they are along"""


@dataclass(frozen=True)
class SliceCurve:
    """The loss along a line through the networks of a group: its mean over seeds at each of the distances (P,)."""

    distances: np.ndarray
    losses: tuple[Estimate, ...]


@dataclass(frozen=True)
class Inside:
    """Group, as shown -> measurements inside its networks. Quantities that no run recorded are left out."""

    means: dict[str, dict[str, Estimate]]
    """Quantity -> group -> mean over its layers and seeds"""
    layers: dict[str, dict[str, dict[int, Estimate]]]
    """Quantity -> group -> layer -> mean over its seeds"""
    slices: dict[str, dict[str, SliceCurve]]
    """Key of :data:`SLICES` -> group -> curve"""


def look_inside(store: Store, groups: tuple[Group, ...]) -> Inside | None:
    """Read these measurements of the runs; None if there are none."""
    layers = {
        name: {group.shown: [_layers(run, *recorded) for run in group.runs] for group in groups}
        for name, recorded in BY_LAYER.items()
    }
    means = {
        name: {shown: mean_interval([_mean(run.values()) for run in runs]) for shown, runs in by_group.items()}
        for name, by_group in layers.items()
    }
    means |= {name: {group.shown: group.mean(name) for group in groups} for name in WHOLE}
    slices = {name: {group.shown: _slice(store, group, name) for group in groups} for name in SLICES}
    found = Inside(
        means={name: by_group for name, by_group in means.items() if any(each.n for each in by_group.values())},
        layers={
            name: {shown: _over_seeds(runs) for shown, runs in by_group.items()}
            for name, by_group in layers.items()
            if any(any(runs) for runs in by_group.values())
        },
        slices={
            name: {shown: curve for shown, curve in by_group.items() if curve}
            for name, by_group in slices.items()
            if any(by_group.values())
        },
    )
    return found if found.means or found.slices else None


def _layers(run: TrackedRun, quantity: str, kind: str) -> dict[int, float]:
    """Layer -> the mean of its metrics"""
    values: dict[int, list[float]] = {}
    for metric in run.metrics:
        if part := part_of(metric, quantity):
            found = locate(part)
            of_it = found.kind.startswith(kind) if kind else found.head is not None
            if found.layer is not None and of_it:
                values.setdefault(found.layer, []).append(run.final(metric))
    return {layer: _mean(values[layer]) for layer in sorted(values)}


def _mean(values: Iterable[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def _over_seeds(runs: list[dict[int, float]]) -> dict[int, Estimate]:
    found = sorted({layer for run in runs for layer in run})
    return {layer: mean_interval([run[layer] for run in runs if layer in run]) for layer in found}


def _slice(store: Store, group: Group, name: str) -> SliceCurve | None:
    """The mean curve of a group's runs, of those that recorded the loss at the same distances as the first."""
    found = [arrays for run in group.runs if (arrays := _last_arrays(store, run, name))]
    if not found:
        return None
    distances = found[0]["distances"]
    losses = [arrays["losses"] for arrays in found if np.array_equal(arrays["distances"], distances)]
    return SliceCurve(distances, tuple(mean_interval(list(at_one)) for at_one in np.array(losses).T))


def _last_arrays(store: Store, run: TrackedRun, name: str) -> Mapping[str, np.ndarray] | None:
    """The last recorded arrays; None if there are none or they cannot be read, so that a report is still made."""
    try:
        recorded = open_record(store, run).arrays(name)
    except MinibertError:
        return None
    arrays = recorded[max(recorded)] if recorded else {}
    return arrays if {"distances", "losses"} <= arrays.keys() else None
