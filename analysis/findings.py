"""The results of a study: group means, differences to the baseline, and the cost of reaching a level."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .controls import Control, controls_of
from .quantities import AXES, quantity
from .statistics import (
    Difference,
    Estimate,
    first_crossing,
    holm,
    mean_interval,
    paired_difference,
    restricted_mean,
    unpaired_difference,
)
from .study import Study
from .tracked_runs import TrackedRun

SIGNIFICANCE = 0.05
UNIGRAM, BIGRAM, TARGET = "unigram entropy", "bigram model", "target"
SAME_TEXT = 1e-6
"""How far baselines of one text can be apart that another kernel computed, relative to their size"""


@dataclass(frozen=True)
class Group:
    """The finished runs of one value of the factor."""

    value: str
    shown: str
    runs: tuple[TrackedRun, ...]
    final: Estimate
    """The study's metric at the end of training; like all estimates on the scale of :meth:`Quantity.scale`."""
    difference: Difference | None
    """Difference to the baseline (:func:`difference_to`); None for the baseline itself, and if there is none."""
    adjusted_p: float
    """Holm's p value over all comparisons with the baseline; NaN if there is no comparison."""

    @property
    def separated(self) -> bool:
        """Whether the data separate this group from the baseline."""
        return self.adjusted_p < SIGNIFICANCE

    def mean(self, metric: str) -> Estimate:
        """A metric's final values over the seeds."""
        return mean_interval([run.scaled(metric) for run in self.runs])

    @property
    def diverged(self) -> int:
        """Number of runs that ended without a finite value of the metric. No mean includes them."""
        return len(self.runs) - self.final.n


@dataclass(frozen=True)
class Cost:
    """The cost for a group to first reach a level, which ``reached`` of ``runs`` runs do."""

    reached: int
    runs: int
    axes: dict[str, Estimate]
    """Mean costs. Where some runs do not get there, up to the shortest of these runs' ends
    (:func:`analysis.statistics.restricted_mean`): the mean of all is at least that"""

    @property
    def at_least(self) -> bool:
        """Whether the means are lower bounds, because some runs do not get there."""
        return self.reached < self.runs


@dataclass(frozen=True)
class Efficiency:
    """Per group, the steps, tokens, seconds and operations to first reach ``level`` of the study's metric."""

    level: float
    meaning: str
    costs: dict[str, Cost]


@dataclass(frozen=True)
class Findings:
    study: Study
    groups: tuple[Group, ...]
    """Those with at least one finished run, by value."""
    efficiencies: tuple[Efficiency, ...]
    references: dict[str, float]
    """Values that need no trained network: title -> value of the study's metric."""
    steps: int | None
    """The last step, if it is the same in all finished runs."""
    controls: tuple[Control, ...] = ()
    """What the study's metric stands beside, if it is one of an instrument"""

    @property
    def baseline(self) -> Group | None:
        return next((group for group in self.groups if group.value == self.study.baseline), None)

    @property
    def most_seeds(self) -> int:
        return max((group.final.n for group in self.groups), default=0)

    @property
    def has_curves(self) -> bool:
        """Whether the metric was recorded at several steps of a run."""
        return any(_has_curve(self.study, run) for group in self.groups for run in group.runs)


def find(study: Study) -> Findings:
    """Compute all numbers that the report states."""
    groups = _groups(study)
    curves = [run.curves[study.metric] for group in groups for run in group.runs if study.metric in run.curves]
    ends = {int(curve.steps[-1]) for curve in curves if curve.steps.size}
    recorded = {metric for group in groups for run in group.runs for metric in run.metrics}
    controls = tuple(controls_of(study.metric, recorded))
    return Findings(
        study=study,
        groups=groups,
        efficiencies=tuple(_efficiencies(study, groups)),
        references=_references(study, groups, controls),
        steps=ends.pop() if len(ends) == 1 else None,
        controls=controls,
    )


def axis_values(run: TrackedRun, metric: str, axis: str) -> np.ndarray:
    """The x values of a metric's curve: the steps (n,), or another metric recorded beside it."""
    steps = run.curves[metric].steps
    if axis == "step":
        return steps.astype(np.float64)
    return run.curves[axis].at(steps) if axis in run.curves else np.full(steps.size, np.nan)


def difference_to(baseline: Mapping[Any, float], values: Mapping[Any, float]) -> Difference:
    """Seed -> value of both: seed by seed if they share two seeds or more, else between the means (Welch)."""
    paired = paired_difference(values, baseline)
    if paired.n >= 2:
        return paired
    unpaired = unpaired_difference([*values.values()], [*baseline.values()])
    return unpaired if unpaired.n >= 2 else paired


def _groups(study: Study) -> tuple[Group, ...]:
    def by_seed(runs: tuple[TrackedRun, ...]) -> dict[tuple[str, ...], float]:
        return {run.replicate: run.scaled(study.metric) for run in runs}

    baseline = by_seed(() if study.baseline is None else study.groups.get(study.baseline, ()))
    present = {value: runs for value, runs in study.groups.items() if runs}
    others = {value: runs for value, runs in present.items() if value != study.baseline}
    differences = {value: difference_to(baseline, by_seed(runs)) for value, runs in others.items()}
    differences = {value: difference for value, difference in differences.items() if difference.n}
    adjusted = dict(zip(differences, holm([found.p_value for found in differences.values()]), strict=True))
    return tuple(
        Group(
            value=value,
            shown=study.shown(value),
            runs=runs,
            final=mean_interval([run.scaled(study.metric) for run in runs]),
            difference=differences.get(value),
            adjusted_p=adjusted.get(value, math.nan),
        )
        for value, runs in present.items()
    )


def _efficiencies(study: Study, groups: tuple[Group, ...]):
    described = quantity(study.metric)
    if described.higher_is_better is None or not any(
        _has_curve(study, run) for group in groups for run in group.runs
    ):
        return
    worst = min if described.higher_is_better else max

    def worst_final(group: Group) -> float:
        finals = [final for run in group.runs if math.isfinite(final := run.final(study.metric))]
        return worst(finals, default=math.nan)

    finals = {group.value: final for group in groups if math.isfinite(final := worst_final(group))}
    if not finals:
        return
    every = "every run" if not any(group.diverged for group in groups) else "every run that does not diverge"
    levels = {worst(finals.values()): f"the end of the worst run, so that {every} gets there"}
    if study.baseline in finals:
        meaning = f"the end of the worst run at {study.shown(study.baseline)}, the baseline"
        levels.setdefault(finals[study.baseline], meaning)
    for level, meaning in levels.items():
        costs = {group.value: _cost(study, group, level) for group in groups}
        if any(cost.axes["step"].mean > 0 for cost in costs.values()):  # not where all begin below it
            yield Efficiency(level, meaning, costs)


def _cost(study: Study, group: Group, level: float) -> Cost:
    falling = not quantity(study.metric).higher_is_better
    drawn = [run for run in group.runs if _has_curve(study, run)]

    def spent(axis: str) -> Estimate:
        places = [axis_values(run, study.metric, axis) for run in drawn]
        costs = [
            first_crossing(x, run.curves[study.metric].values, level, falling)
            for run, x in zip(drawn, places, strict=True)
        ]
        ends = [float(np.nanmax(x)) if np.isfinite(x).any() else math.nan for x in places]
        known = [(cost, end) for cost, end in zip(costs, ends, strict=True) if math.isfinite(end)]
        if not known:
            return Estimate(0, math.nan, math.nan)
        censored = [end for cost, end in known if not math.isfinite(cost)]
        horizon = min(censored, default=max(end for _, end in known))
        return restricted_mean([cost for cost, _ in known], [end for _, end in known], horizon)

    reached = sum(
        math.isfinite(
            first_crossing(run.curves[study.metric].steps, run.curves[study.metric].values, level, falling)
        )
        for run in drawn
    )
    return Cost(reached, len(drawn), {axis: spent(axis) for axis in AXES})


def control_means(group: Group, control: Control) -> Estimate:
    """A control beside the runs of a group."""
    return mean_interval([control.of(run) for run in group.runs])


def _references(study: Study, groups: Sequence[Group], controls: Sequence[Control]) -> dict[str, float]:
    """Baselines of the held-out text, if all runs have the same text in the same pieces. Only losses have them.
    The controls of an instrument are means over all runs."""
    target = {} if study.target is None else {TARGET: study.target}
    if study.metric != "eval/loss":
        means = {
            each.title: mean_interval([each.of(run) for group in groups for run in group.runs])
            for each in controls
        }
        return {title: estimate.mean for title, estimate in means.items() if estimate.n} | target
    titles = {
        "baseline/unigram_entropy": UNIGRAM,
        "baseline/bigram_cross_entropy": BIGRAM,
    }
    found = {}
    for metric, title in titles.items():
        values = [run.final(metric) for run in study.runs if math.isfinite(run.final(metric))]
        if values and math.isclose(min(values), max(values), rel_tol=SAME_TEXT):
            found[title] = values[0]
    return found | target


def _has_curve(study: Study, run: TrackedRun) -> bool:
    return study.metric in run.curves and run.curves[study.metric].steps.size > 1
