"""What the runs of a study recorded of their probes, as arrays."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from minibert.tracking import Store
from minibert.tracking.records import Record

from ..tracked_runs import TrackedRun, open_record

BY_LAYER = ("accuracy", "selectivity", "control_accuracy", "untrained_accuracy", "code_length")
"""Recorded as ``probing/<quantity>/<kind>/layer_<n>``; layer 0 is the output of the embeddings"""
REFERENCES = ("majority_accuracy", "word_tag_accuracy")
"""Recorded as ``probing/<quantity>/<kind>``"""
_METRIC = re.compile(r"probing/accuracy/(?P<kind>.+)/layer_(?P<layer>\d+)")


@dataclass(frozen=True)
class ProbedKind:
    """One kind of knowledge in one run: what is read at n checkpoints from L + 1 layers. NaN: not recorded."""

    name: str
    by_layer: dict[str, np.ndarray]
    """Quantity of :data:`BY_LAYER` -> (L + 1, n)"""
    references: dict[str, float]
    """Quantity of :data:`REFERENCES` -> its value, of the data alone"""

    @property
    def layers(self) -> int:
        """L + 1"""
        return len(self.by_layer["accuracy"])

    @property
    def accuracy(self) -> np.ndarray:
        """(L + 1, n)"""
        return self.by_layer["accuracy"]

    @property
    def untrained(self) -> np.ndarray:
        """(L + 1,): the accuracy of the same layers before the first step"""
        return self.by_layer["untrained_accuracy"][:, -1]

    def last(self, quantity: str) -> np.ndarray:
        """(L + 1,): a quantity at the last checkpoint"""
        return self.by_layer[quantity][:, -1]


@dataclass(frozen=True)
class ProbedRun:
    """The probes of one run."""

    run: TrackedRun
    steps: np.ndarray
    """(n,) of the checkpoints"""
    kinds: dict[str, ProbedKind]


def read_probes(store: Store, runs: Iterable[TrackedRun]) -> list[ProbedRun]:
    """The runs that have results of probes, by seed.

    Raises :class:`minibert.errors.MinibertError` when the store cannot be read.
    """
    ordered = sorted(runs, key=lambda run: (run.seed is None, run.seed or 0))
    return [found for run in ordered if (found := _read(store, run)) is not None]


def reasons(runs: Iterable[TrackedRun], instrument: str) -> list[str]:
    """Why an instrument did not answer in some of the runs, each reason once; none where it answered later on."""
    tags = (f"evaluation.left_out.{instrument}", f"evaluation.failed.{instrument}")
    silent = [run for run in runs if not any(metric.startswith(f"{instrument}/") for metric in run.metrics)]
    return list(dict.fromkeys(run.tags[tag] for run in silent for tag in tags if tag in run.tags))


def words(kind: str) -> str:
    """``part of speech``"""
    return kind.replace("_", " ")


def _read(store: Store, run: TrackedRun) -> ProbedRun | None:
    layers: dict[str, int] = {}
    for metric in run.metrics:
        if found := _METRIC.fullmatch(metric):
            kind, layer = found["kind"], int(found["layer"])
            layers[kind] = max(layers.get(kind, 0), layer + 1)
    if not layers:
        return None
    record = open_record(store, run)
    histories = {kind: _histories(record, run, kind, count) for kind, count in layers.items()}
    steps = sorted({step for found in histories.values() for step in found["accuracy", 0]})
    return ProbedRun(
        run=run,
        steps=np.array(steps, int),
        kinds={
            kind: ProbedKind(
                name=kind,
                by_layer=_arrays(histories[kind], count, steps),
                references={name: run.final(f"probing/{name}/{kind}") for name in REFERENCES},
            )
            for kind, count in layers.items()
        },
    )


def _histories(record: Record, run: TrackedRun, kind: str, layers: int) -> dict[tuple[str, int], dict[int, float]]:
    """(quantity, layer) -> step -> value"""
    found = {}
    for quantity in BY_LAYER:
        for layer in range(layers):
            metric = f"probing/{quantity}/{kind}/layer_{layer}"
            recorded = record.history(metric) if metric in run.metrics else ([], [])
            found[quantity, layer] = dict(zip(*recorded, strict=True))
    return found


def _arrays(
    histories: dict[tuple[str, int], dict[int, float]], layers: int, steps: Sequence[int]
) -> dict[str, np.ndarray]:
    def values(quantity: str, layer: int) -> list[float]:
        by_step = histories[quantity, layer]
        return [by_step.get(step, np.nan) for step in steps]

    return {quantity: np.array([values(quantity, layer) for layer in range(layers)]) for quantity in BY_LAYER}
