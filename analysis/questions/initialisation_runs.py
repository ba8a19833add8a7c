"""Runs with several initial weights: when each leaves the plateau of word frequencies, and which diverge."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from scipy import stats

from ..findings import difference_to
from ..statistics import CONFIDENCE, Difference, Estimate, holm, mean_interval, restricted_mean
from ..tracked_runs import SEPARATOR, TrackedRun
from .curves import first_below

LOSS, UNIGRAM = "eval/loss", "baseline/unigram_entropy"
STRATEGY, GAIN, STEPS = "model.init", "model.init_gain", "training.steps"
MARGIN = 0.1
"""The loss has left the plateau if it is this many nats below the unigram entropy"""


@dataclass(frozen=True)
class StartedRun:
    """One run that has ended."""

    run: TrackedRun
    left: float
    """The step after which all evaluations are :data:`MARGIN` nats below the unigram entropy; NaN if none is"""
    diverged: bool
    """Ended because a number was not finite, or with a loss above that before the first step by :data:`MARGIN`"""

    @property
    def loss(self) -> float:
        """At the end of training; NaN if it is not finite, or if the run was ended before."""
        return self.run.final(LOSS) if self.run.finished else math.nan


@dataclass(frozen=True)
class Start:
    """The runs of one strategy and gain."""

    strategy: str
    gain: float
    value: str
    """Both, as the study's baseline names them: ``bert · 1.0``"""
    runs: tuple[StartedRun, ...]
    horizon: int
    """Steps of the training"""

    @cached_property
    def leaves(self) -> Estimate:
        """The mean step at which the plateau is left, restricted to the training (Kaplan-Meier): a run that has
        not left it, or has diverged, counts with all steps."""
        return restricted_mean([run.left for run in self.runs], [self.horizon] * len(self.runs), self.horizon)

    @cached_property
    def final(self) -> Estimate:
        return mean_interval([run.loss for run in self.runs])

    @property
    def never_left(self) -> int:
        return sum(math.isnan(run.left) for run in self.runs)

    @property
    def diverged(self) -> int:
        return sum(run.diverged for run in self.runs)

    def steps_by_seed(self) -> dict[tuple[str, ...], float]:
        """Replicate -> min(step at which the plateau is left, horizon), whose mean is the restricted one."""
        return {
            run.run.replicate: self.horizon if math.isnan(run.left) else min(run.left, self.horizon)
            for run in self.runs
        }

    def losses_by_seed(self) -> dict[tuple[str, ...], float]:
        return {run.run.replicate: run.loss for run in self.runs if math.isfinite(run.loss)}


@dataclass(frozen=True)
class Compared:
    """A start against the baseline. Differences are value less baseline, seed by seed where seeds are shared."""

    start: Start
    steps: Difference | None = None
    steps_p: float = math.nan
    """Holm's p, over all comparisons of steps"""
    loss: Difference | None = None
    loss_p: float = math.nan


def read_starts(runs: Iterable[TrackedRun], unigram_entropy: float) -> list[Start]:
    """The starts whose runs have finished or diverged, by strategy and gain.

    ``unigram_entropy``: nats, for runs that did not record it.
    """
    by_start: dict[tuple[str, float, str], list[TrackedRun]] = {}
    for run in runs:
        if {STRATEGY, GAIN, STEPS} <= run.parameters.keys() and (run.finished or run.ended_not_finite):
            strategy, gain = run.parameters[STRATEGY], run.parameters[GAIN]
            by_start.setdefault((strategy, float(gain), f"{strategy}{SEPARATOR}{gain}"), []).append(run)
    found = []
    for start, members in sorted(by_start.items()):
        started = tuple(_read(run, unigram_entropy) for run in sorted(members, key=lambda run: run.seed or 0))
        found.append(Start(*start, started, max(int(run.parameters[STEPS]) for run in members)))
    return found


def compare(starts: Sequence[Start], baseline: str | None) -> list[Compared]:
    """Every start, with its differences to the one whose value is ``baseline``, if that is among them."""
    (base, *_) = [start for start in starts if start.value == baseline] or [None]
    if base is None:
        return [Compared(start) for start in starts]
    others = [start for start in starts if start is not base]
    steps = [difference_to(base.steps_by_seed(), start.steps_by_seed()) for start in others]
    losses = [difference_to(base.losses_by_seed(), start.losses_by_seed()) for start in others]
    adjusted = zip(*(holm([each.p_value for each in found]) for found in (steps, losses)), strict=True)
    found = {
        start.value: Compared(start, step, step_p, loss, loss_p)
        for start, step, loss, (step_p, loss_p) in zip(others, steps, losses, adjusted, strict=True)
    }
    return [found.get(start.value, Compared(start)) for start in starts]


def share(count: int, of: int) -> tuple[float, float, float]:
    """A share of runs with its 95 % interval (Wilson, 1927)."""
    found = stats.binomtest(count, of).proportion_ci(CONFIDENCE, method="wilson")
    return count / of, float(found.low), float(found.high)


def _read(run: TrackedRun, unigram_entropy: float) -> StartedRun:
    recorded = run.final(UNIGRAM)
    level = (recorded if math.isfinite(recorded) else unigram_entropy) - MARGIN
    curve = run.curves.get(LOSS)
    first = curve.values[0] if curve is not None and curve.values.size else math.nan
    end = run.final(LOSS)
    diverged = not run.finished or not math.isfinite(end) or end > first + MARGIN
    left = math.nan if diverged or curve is None else first_below(curve.steps, curve.values, level)
    return StartedRun(run, left, diverged)
