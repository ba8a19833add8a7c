"""What is found to be wrong with a training run, and the recorded numbers that it is found by."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from minibert.diagnostics.plotting.series import head_name, layer_name, locate
from minibert.errors import MinibertError

SEVERITIES = ("problem", "warning", "note")
"""``problem``: the run did not do what it was for. ``warning``: it went on, but something in it is not as it
should be. ``note``: good to know, and nothing is wrong; notes are not counted."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, by what it was found, and what may help."""

    issue: str
    severity: str
    """One of :data:`SEVERITIES`"""
    metric: str
    """The recorded metric that shows it best; ``update_ratio/median`` is that of the median weight matrix"""
    step: int
    """Where it shows, in optimizer steps"""
    value: float
    """The metric's value there"""
    evidence: str
    """A sentence with the number and the limit that it passes"""
    cause: str
    """What it most likely comes from"""
    advice: str
    """What to try"""

    def __str__(self) -> str:
        return f"{self.severity}: {self.evidence} Likely cause: {self.cause} Try: {self.advice}"


@dataclass(frozen=True)
class Health:
    """What :func:`minibert.diagnostics.detect_training_issues` found."""

    findings: list[Finding]
    """The gravest first"""
    checked: tuple[str, ...]
    """The issues that were checked"""
    not_checked: dict[str, str]
    """Issue -> why it could not be checked"""
    plateau_left_step: int | None
    """The step from which on the loss stays below the unigram level; None if it does not, or if that is unknown"""

    @property
    def faults(self) -> list[Finding]:
        """The findings that are more than notes."""
        return [each for each in self.findings if each.severity != "note"]

    def to_dict(self) -> dict[str, Any]:
        """As JSON data. NaN and infinities become texts, because JSON has no number for them."""
        findings = [asdict(each) for each in self.findings]
        for each in findings:
            each["value"] = each["value"] if math.isfinite(each["value"]) else str(each["value"])
        return asdict(self) | {"findings": findings}


class NotRecordedError(Exception):
    """What a check needs was not recorded, or not often enough: the reason."""


class History(NamedTuple):
    """A metric over training, non-finite values included."""

    steps: np.ndarray
    """(n,) int64, rising"""
    values: np.ndarray
    """(n,) float64"""

    @property
    def finite(self) -> "History":
        kept = np.isfinite(self.values)
        return History(self.steps[kept], self.values[kept])

    def smoothed(self, width: int) -> "History":
        """Means over ``width`` neighbours, at the step of the last of them; shorter by ``width`` - 1."""
        if len(self.values) < width:
            return History(self.steps[:0], self.values[:0])
        return History(self.steps[width - 1 :], np.convolve(self.values, np.full(width, 1 / width), "valid"))

    def at(self, steps: np.ndarray) -> np.ndarray:
        """The values at these steps, NaN where there is none."""
        known = dict(zip(self.steps.tolist(), self.values.tolist(), strict=True))
        return np.array([known.get(step, np.nan) for step in steps.tolist()])


def found_at(
    history: History, place: int, issue: str, severity: str, metric: str, evidence: str, *, cause: str, advice: str
) -> Finding:
    """A finding that shows at one point of a history."""
    step, value = int(history.steps[place]), float(history.values[place])
    return Finding(issue, severity, metric, step, value, evidence, cause, advice)


class Histories:
    """The metrics of a run, each read once: of a :class:`minibert.tracking.records.Record`, or of a mapping
    metric -> (steps, values).

    Raises :class:`MinibertError` for anything else, and for steps and values that differ in number.
    """

    def __init__(self, record: Any):
        if isinstance(record, Mapping):
            self._names: Callable[[], Sequence[str]] = lambda: sorted(record)
            self._read = lambda metric: record.get(metric, ((), ()))
        elif hasattr(record, "history") and hasattr(record, "metric_names"):
            self._names, self._read = record.metric_names, record.history
        else:
            raise MinibertError(
                f"record: a {type(record).__name__} was given. Allowed: a record of a run, with history(metric) "
                "and metric_names(prefix), or a mapping metric -> (steps, values)."
            )
        self._histories: dict[str, History] = {}

    @classmethod
    def of_record(cls, record: Any) -> "Histories":
        return record if isinstance(record, cls) else cls(record)

    @cached_property
    def all_names(self) -> list[str]:
        return list(self._names())

    def names(self, prefix: str, suffix: str = "") -> list[str]:
        """The recorded metrics that begin and end so."""
        return [name for name in self.all_names if name.startswith(prefix) and name.endswith(suffix)]

    def of(self, metric: str) -> History:
        """Empty where nothing was recorded."""
        if metric not in self._histories:
            steps, values = self._read(metric) if metric in self.all_names else ((), ())
            if len(steps) != len(values):
                raise MinibertError(
                    f"{metric}: {len(steps)} steps and {len(values)} values were given. Allowed: as many of each."
                )
            order = np.argsort(np.asarray(steps, np.int64), kind="stable")
            steps, values = np.asarray(steps, np.int64)[order], np.asarray(values, np.float64)[order]
            self._histories[metric] = History(steps, values)
        return self._histories[metric]

    def by_layer(self, prefix: str) -> dict[str, History]:
        """``layer_i`` -> history, of the metrics ``<prefix>layer_i``."""
        places = ((name, locate(name.removeprefix(prefix))) for name in self.names(prefix))
        return {
            layer_name(place.layer): self.of(name)
            for name, place in places
            if place.layer is not None and place.head is None and not place.kind
        }

    def by_head(self, prefix: str) -> dict[str, dict[str, History]]:
        """``layer_i`` -> ``head_j`` -> history, of the metrics ``<prefix>layer_i/head_j``."""
        found: dict[str, dict[str, History]] = {}
        for name in self.names(prefix):
            place = locate(name.removeprefix(prefix))
            if place.layer is not None and place.head is not None:
                found.setdefault(layer_name(place.layer), {})[head_name(place.head)] = self.of(name)
        return found

    @property
    def last_step(self) -> int:
        """The last step of what is recorded of the losses."""
        losses = (self.of(name).steps for name in ("train/loss", "eval/loss"))
        return max((int(steps[-1]) for steps in losses if len(steps)), default=0)
