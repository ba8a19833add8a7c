"""How a run stands: what the terminal and the page show of it."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

import numpy as np

from minibert.diagnostics.health.issues import Finding
from minibert.diagnostics.plotting.series import History
from minibert.errors import MinibertError
from minibert.tracking.abandoned import ABANDONED, judge_process
from minibert.tracking.live import LiveRecord
from minibert.tracking.status import Status
from minibert.watching.analyzer import detect_so_far
from minibert.watching.losses import levels
from minibert.watching.updates import update_ratios

WINDOW = 30
"""Points that the present speed is read from: about three evaluations with default settings"""
PAUSE_SECONDS, PAUSE_FACTOR = 60.0, 20.0
"""A run was interrupted between two points that are further apart in time, and so much further than most"""
SHARE = 0.03
"""Largest share of the time that is spent on looking, of one core"""


class Speed(NamedTuple):
    """By the clock, evaluations and diagnostics included."""

    steps: float
    """A second"""
    tokens: float
    """Read a second, without padding"""


@dataclass(frozen=True)
class State:
    """A run at the moment of the last look."""

    id: str
    name: str
    status: str
    """In the words of the store, or :data:`ABANDONED`"""
    why: str
    """Why it failed, was killed or counts as abandoned; empty for others"""
    step: int
    """Optimizer steps done, as far as they are recorded"""
    steps: int
    elapsed: float
    """Seconds since it began, with what it was interrupted for; of one that has ended, until its end"""
    silent: float | None
    """Seconds since its last point; None before the first, and of a run that has ended"""
    speed: Speed | None
    """None before there are enough points"""
    training: History
    """Steps and training losses, in nats per predicted token"""
    held_out: History
    """Steps and held-out losses, in the same unit"""
    accuracies: History
    """Steps and shares of right predictions on held-out text"""
    levels: dict[str, float]
    """What counting words reaches on the held-out text, in nats per token"""
    updates: dict[str, History] = field(default_factory=dict)
    """Part of the network -> steps and ratios of update and weight"""
    findings: list[Finding] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        return self.status != Status.RUNNING

    @property
    def phase(self) -> str:
        """In words, what it does or how it ended."""
        if self.has_ended:
            return self.status.lower()
        if self.step < 0 or not self.training[0]:
            return "preparing"
        return "training" if self.step < self.steps else "last diagnostics, evaluation and figures"

    @property
    def seconds_left(self) -> float | None:
        """Until its last training step, at the present speed; None if that is unknown."""
        if self.has_ended or self.speed is None or not self.speed.steps or self.step >= self.steps:
            return None
        return (self.steps - self.step) / self.speed.steps


def look(record: LiveRecord) -> State:
    """Read what is new of a run, and say how it stands.

    Raises :class:`MinibertError` if the store cannot be read, and for a run that minibert did not train.
    """
    record.look()
    status, why = _status(record)
    about, now = record.about, time.time()
    ended = status != Status.RUNNING
    steps, _, times = record.points("tokens_seen")
    end = now  # the store keeps the end of an earlier attempt while a run trains again
    if ended:
        end = about.ended if about.ended and status != ABANDONED else times[-1] if times else now
    return State(
        id=record.id,
        name=about.name,
        status=status,
        why=why,
        step=steps[-1] if steps else -1,
        steps=_planned(record),
        elapsed=max(end - about.started, 0.0),
        silent=max(now - times[-1], 0.0) if times and not ended else None,
        speed=present_speed(record),
        training=record.history("train/loss"),
        held_out=record.history("eval/loss"),
        accuracies=record.history("eval/masked_accuracy"),
        levels=levels(record),
        updates=update_ratios(record),
        findings=detect_so_far(record).findings,
    )


def present_speed(record: LiveRecord) -> Speed | None:
    """Of the last :data:`WINDOW` points; those before an interruption do not count. None for fewer than two."""
    steps, tokens, times = (np.asarray(each[-WINDOW:]) for each in record.points("tokens_seen"))
    gaps = np.diff(times)
    if not len(gaps):
        return None
    pauses = np.flatnonzero(gaps > max(PAUSE_SECONDS, PAUSE_FACTOR * median(gaps)))
    first = int(pauses[-1]) + 1 if len(pauses) else 0
    seconds = float(times[-1] - times[first])
    if seconds <= 0 or steps[-1] <= steps[first]:
        return None
    return Speed(float(steps[-1] - steps[first]) / seconds, float(tokens[-1] - tokens[first]) / seconds)


def thinned(history: History, most: int) -> History:
    """At most so many points: means over neighbours, each at the step of the last of them."""
    steps, values = history
    if len(steps) <= most:
        return history
    groups = np.array_split(np.arange(len(steps)), most)
    return [steps[group[-1]] for group in groups], [float(np.mean(np.take(values, group))) for group in groups]


def _status(record: LiveRecord) -> tuple[str, str]:
    why, gone = judge_process(record.about.tags) if record.is_running else ("", False)
    if gone:
        record.look()  # it may have ended by itself between the look and the judgement
        if record.is_running:
            return ABANDONED, f"{why}; the same command continues it from its last checkpoint"
    if record.is_running:
        return Status.RUNNING, ""
    return record.about.status, record.about.tags.get("minibert.reason", "")


def _planned(record: LiveRecord) -> int:
    try:
        return int(record.about.parameters["training.steps"])
    except (KeyError, ValueError):
        if record.about.tags.get("minibert.kind") == "run":  # it has just begun: the settings come in a moment
            return 0
        if record.about.tags.get("minibert.kind") == "sweep":
            raise MinibertError(f"run={record.id}: is a sweep. Watch it by sweep={record.id}.") from None
        raise MinibertError(
            f"run={record.id}: is no run of minibert: it has no setting training.steps. Allowed: a run that "
            "minibert trains or has trained."
        ) from None


def as_json(state: State, most: int) -> dict:
    """The state as JSON data, which has no NaN and no infinity: they are null. Curves have ``most`` points."""
    curves = {name: _curve(thinned(getattr(state, name), most)) for name in ("training", "held_out", "accuracies")}
    findings = [
        {name: getattr(each, name) for name in ("severity", "issue", "step", "evidence", "cause", "advice")}
        for each in state.findings
    ]
    return curves | {
        "id": state.id,
        "name": state.name,
        "status": state.status.lower(),
        "phase": state.phase,
        "why": state.why,
        "ended": state.has_ended,
        "step": max(state.step, 0),
        "steps": state.steps,
        "elapsed": state.elapsed,
        "left": state.seconds_left,
        "silent": state.silent,
        "tokens_per_second": state.speed.tokens if state.speed else None,
        "levels": [{"name": name, "value": value} for name, value in state.levels.items()],
        "updates": [{"part": part} | _curve(history) for part, history in state.updates.items()],
        "findings": findings,
    }


def _curve(history: History) -> dict[str, Sequence]:
    steps, values = history
    return {"steps": list(steps), "values": [value if math.isfinite(value) else None for value in values]}


def pause_after(seconds: float, every: float) -> float:
    """Seconds until the next look: ``every``, or more if the last look took long (processor seconds)."""
    return max(seconds / SHARE, every)
