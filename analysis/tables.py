"""The tables of a report, as text: for the terminal, the page and the lab book."""

import math
from dataclasses import dataclass

from .findings import Cost, Efficiency, Findings, control_means
from .formatting import at_the_end, capital, p_value, unit, with_difference, with_interval
from .inside import Inside
from .quantities import AXES, quantity
from .statistics import Estimate, mean_interval
from .tracked_runs import BELOW_BIGRAM, BELOW_UNIGRAM
from .values import shown as shown_values

RATE_GRID = "eval/loss_at_rate/"
BESIDE = (
    BELOW_BIGRAM, BELOW_UNIGRAM, "eval/masked_accuracy", "eval/perplexity", "train/tokens_per_second",
)  # fmt: skip
BESIDE_RANGE_TEST = (
    "lr_range/divergence_rate", "lr_range/lowest_loss_rate", "lr_range/steepest_rate", "lr_range/learning_decades",
)  # fmt: skip
"""Metrics that the page states beside the study's own; a terminal shows only the first ones."""
LEADS = {BELOW_BIGRAM: "bigram model", BELOW_UNIGRAM: "unigram entropy"}
"""Recorded as how far a loss is below; shown like all differences, so that below is negative"""

NO_RESULT = "no result"
"""In place of a mean where every run failed, diverged, or has not finished"""


@dataclass(frozen=True)
class Table:
    """Rows of texts under column titles. The first column names the row; the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def pairing(findings: Findings) -> str:
    """The test of the comparisons with the baseline."""
    differences = [group.difference for group in findings.groups if group.difference]
    unpaired = [difference.unpaired for difference in differences]
    if not any(unpaired):
        return "paired t test"
    test = "unpaired t test (Welch)"
    return test if all(unpaired) else f"paired t test, {test} where fewer than two seeds are shared"


def results(findings: Findings, most_beside: int | None = None) -> Table:
    """A row a value: final means with intervals, and the difference to the baseline. A value all of whose runs
    failed, or have not finished, has a row without a result; there is none if no run at all has one.

    At most ``most_beside`` controls, and as many further metrics, are shown beside the study's own.
    """
    study = findings.study
    described = quantity(study.metric)
    beside = [
        metric
        for metric in (BESIDE_RANGE_TEST if study.is_range_test else BESIDE)[:most_beside]
        if metric != study.metric and any(group.mean(metric).n for group in findings.groups)
    ]
    controls = [each for each in findings.controls if each.metric is not None][:most_beside]
    columns = [study.label, "seeds", _heading(study.metric), *(control.title for control in controls)]
    compared = any(group.difference for group in findings.groups)
    tested = any(not math.isnan(group.adjusted_p) for group in findings.groups)
    if compared and study.baseline is not None:
        columns += [f"difference to {study.shown(study.baseline)}"] + ["p (Holm)"] * tested
    columns += [_beside_heading(metric) for metric in beside]
    rows, groups = [], {group.value: group for group in findings.groups}
    for value in study.values if groups else ():
        if value not in groups:
            rows.append((study.shown(value), "0", NO_RESULT, *[""] * (len(columns) - 3)))
            continue
        group = groups[value]
        mean = with_interval(group.final, study.metric) if group.final.n else NO_RESULT
        row = [group.shown, str(group.final.n), mean]
        row += [with_interval(control_means(group, control), study.metric) for control in controls]
        if compared and group is findings.baseline:
            row += ["baseline"] + [""] * tested
        elif compared:
            found = group.difference
            difference = "too few seeds" if found is None else with_difference(found, study.metric)
            row += [difference] + [p_value(group.adjusted_p)] * tested
        rows.append((*row, *(_beside(group.mean(metric), metric) for metric in beside)))
    note = "± and [low, high]: 95 % t intervals over seeds, each for its own comparison."
    if findings.most_seeds == 0:
        note = "No run has a result."
    elif findings.most_seeds == 1:
        note = "One seed: no intervals, no claim."
    elif tested:
        note += f" p (Holm): {pairing(findings)}, adjusted for making all comparisons at once."
    if described.logarithmic:
        note += " Means are geometric, intervals and tests are of logarithms, and differences are ratios."
    for control in findings.controls:
        if control.metric is None:
            note += f" {capital(control.title)} is {control.value:g}."
    return Table(f"{described.title} {at_the_end(findings.steps)}".capitalize(), tuple(columns), tuple(rows), note)


def _beside_heading(metric: str) -> str:
    return f"difference to the {LEADS[metric]} (nats)" if metric in LEADS else _heading(metric)


def _beside(estimate: Estimate, metric: str) -> str:
    """``+2.027 ± 0.010`` for a loss above a bigram model."""
    if metric not in LEADS or not estimate.n:
        return with_interval(estimate, metric)
    shown = quantity(metric).show(-estimate.mean, sign=True)
    return shown if estimate.n < 2 else f"{shown} ± {quantity(metric).show(estimate.half_width)}"


def costs(findings: Findings, efficiency: Efficiency) -> Table:
    """A row a group: the cost of first reaching a level, along what the runs recorded."""
    described = quantity(findings.study.metric)
    found = [(group, efficiency.costs[group.value]) for group in findings.groups]
    axes = [axis for axis in AXES if any(cost.axes[axis].n for _, cost in found)]
    columns = (findings.study.label, "runs that get there", *(AXES[axis].axis_label for axis in axes))
    rows = [
        (group.shown, f"{cost.reached} of {cost.runs}", *(cost_in_words(cost, axis) for axis in axes))
        for group, cost in found
    ]
    level = described.show(efficiency.level)
    note = f"{capital(efficiency.meaning)}. Linear between evaluations."
    note += " ± and [low, high]: 95 % t intervals." if findings.most_seeds > 1 else ""
    if any(cost.at_least for _, cost in found):
        note += (
            " ≥: not all runs get there, so the mean is one up to the end of the shortest of those that do not "
            "(Kaplan-Meier, restricted mean), and the whole one is larger. >: no run gets there until then."
        )
    return Table(f"To first reach {level}{unit(described)}", columns, tuple(rows), note)


def cost_in_words(cost: Cost, axis: str) -> str:
    """``261 ± 14``; ``≥ 454 ± 100`` if some runs do not get there, ``> 500`` if none does."""
    estimate = cost.axes[axis]
    if cost.reached == 0 and estimate.n:
        return f"> {AXES[axis].show(estimate.mean)}"
    shown = (
        with_interval(estimate, axis)
        if estimate.half_width == estimate.half_width
        else AXES[axis].show(estimate.mean)
    )
    return f"≥ {shown}" if cost.at_least and estimate.n else shown


def tuning(findings: Findings) -> Table | None:
    """Final means at every setting of the tuned key: a row a value of the factor; None if nothing was tuned."""
    study = findings.study
    if study.tuned is None:
        return None
    settings = list(dict.fromkeys(setting for found in study.settings.values() for setting in found))

    def cell(value: str, setting: str | None) -> str:
        runs = study.settings[value].get(setting, ())
        finals = mean_interval([run.scaled(study.metric) for run in runs])
        shown = with_interval(finals, study.metric) if runs else "–"
        return f"{shown} (best)" if setting == study.best[value] else shown

    rows = tuple((study.shown(value), *(cell(value, setting) for setting in settings)) for value in study.values)
    tied = [study.shown(value) for value in study.values if len(study.as_good(value)) > 1]
    note = (
        "Every value had the same settings to choose from. "
        "The best was chosen on the scores that it is compared by."
    )
    if tied:
        note += f" Several settings are equally good at {', '.join(tied)}: the first of them was taken."
    columns = (study.label, *(shown_values(map(str, settings))[str(setting)] for setting in settings))
    return Table(f"{study.tuned} tuned for each {study.label}", columns, rows, note)


def rate_grid(findings: Findings) -> Table | None:
    """Final loss at other masking rates than the frozen set's: a row a group, a column an evaluation rate."""
    runs = [run for group in findings.groups for run in group.runs]
    metrics = {key for run in runs for key in run.metrics if key.startswith(RATE_GRID)}
    if not metrics:
        return None
    metrics = sorted(metrics, key=lambda metric: float(metric.removeprefix(RATE_GRID)))
    rows = tuple(
        (group.shown, *(with_interval(group.mean(metric), "eval/loss") for metric in metrics))
        for group in findings.groups
    )
    columns = (f"{findings.study.label} in training", *(metric.removeprefix(RATE_GRID) for metric in metrics))
    note = "Nats per masked token, ± 95 %." if findings.most_seeds > 1 else "Nats per masked token."
    return Table("Final loss by the masking rate of the evaluation", columns, rows, note)


def insides(findings: Findings, inside: Inside | None) -> Table | None:
    """Measurements inside the networks at the end of training: a row a group; None if there are none."""
    if not (inside and inside.means):
        return None
    means = inside.means
    rows = tuple(
        (group.shown, *(with_interval(by_group[group.shown], name) for name, by_group in means.items()))
        for group in findings.groups
    )
    note = (
        "Effective rank: exponential of the entropy of the singular values, a mean over matrices. Attention "
        "entropy: a mean over rows, heads and layers. Width: the distance at which the loss has risen by 0.1 "
        "nats, where it does; curvature: that of the nearest points; distance 1 is the size of the weights."
    )
    note += " Means over seeds with 95 % intervals." if findings.most_seeds > 1 else ""
    return Table("At the end of training", (findings.study.label, *map(_heading, means)), rows, note)


def _heading(metric: str) -> str:
    return quantity(metric).axis_label
