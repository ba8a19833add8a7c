"""The figures of a report. Every figure states its units and its seeds, and draws its interval."""

import math
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.style import COLOURS, as_label, finish, new_figure

from . import inside_figures
from .evidence import Evidence
from .figure_parts import BAND, after_the_start, band, colours, engineering, limits, seeds_drawn
from .findings import BIGRAM, TARGET, UNIGRAM, Efficiency, Findings, axis_values
from .formatting import at_the_end, capital, with_unit
from .quantities import AXES, Quantity, quantity
from .statistics import Estimate, mean_curve
from .tracked_runs import SMOOTHED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REACH = 0.5
"""A reference line is drawn if it is at most this share of the axis' height beyond the axis"""
REFERENCE_STYLES = {UNIGRAM: "--", BIGRAM: ":", TARGET: "-."}
CONTROL_STYLES = ("--", ":", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
"""Of the controls of an instrument, in their order"""
SPENT = ("step", "tokens_predicted", "flops")
"""The costs that are drawn"""
LINEAR = Quantity("")
MOST_BESIDE_EACH_OTHER = 90
"""Characters of all names under an axis that stand side by side without being turned, on :data:`WIDTH` inches"""
MOST_SIDE_BY_SIDE = 10
"""Groups for which several panels stand beside each other"""
MOST_IN_A_PANEL = 12
"""Names of a legend that fit in the place of a panel"""
WIDTH, PER_GROUP = 7.2, 0.52
"""Inches of a figure with the groups side by side: at least, and for each group"""
PANEL = 5
"""Inches of one of several panels beside each other"""
MANY = 1e4
"""Numbers on an axis from which it has ticks such as 20k"""


def draw(evidence: Evidence) -> dict[str, "Figure"]:
    """File name -> figure, for all figures whose numbers are recorded; empty without a finished run."""
    findings, inside, examination = evidence.findings, evidence.inside, evidence.examination
    drawn = {}
    runs = [run for group in findings.groups for run in group.runs]
    if findings.study.is_range_test and any(SMOOTHED in run.curves for run in runs):
        drawn["lr_range.png"] = range_test(findings)
    elif findings.has_curves:
        drawn["curves.png"] = curves(findings)
    if findings.most_seeds:
        drawn["finals.png"] = finals(findings)
    if any(group.difference for group in findings.groups):
        drawn["differences.png"] = differences(findings)
    if findings.efficiencies and len(findings.groups) > 1:
        drawn["efficiency.png"] = efficiency(findings, findings.efficiencies[0])
    if inside and inside.layers:
        drawn["inside.png"] = inside_figures.layers(findings, inside)
    if inside and inside.slices:
        drawn["slices.png"] = inside_figures.slices(findings, inside)
    if examination:
        drawn |= {name: drawing.figure for name, drawing in examination.figures.items()}
    return drawn


def curves(findings: Findings) -> "Figure":
    """The metric against steps, tokens, seconds and, if recorded, operations: one line a group, over its seeds."""
    metric = findings.study.metric
    recorded = {axis for group in findings.groups for run in group.runs for axis in run.curves}
    axes = [axis for axis in AXES if axis != "flops" or axis in recorded]
    figure = new_figure(10 if len(axes) == 4 else 12.4, 7.4)
    panels = figure.subplots(2, math.ceil(len(axes) / 2), sharey=True)
    described, drawn, late = quantity(metric), [], []
    spare = panels.flat[len(axes) :]
    for panel in spare:
        panel.set_axis_off()
    banded = len(findings.groups) <= len(COLOURS)  # the bands of more would cover each other
    for panel, axis in zip(panels.flat, axes, strict=False):
        for group, colour in zip(findings.groups, colours(findings), strict=True):
            runs = [run for run in group.runs if metric in run.curves]
            if not runs:
                continue
            steps = [run.curves[metric].steps for run in runs]
            common, values = mean_curve(steps, [run.curves[metric].values for run in runs])
            _, positions = mean_curve(steps, [axis_values(run, metric, axis) for run in runs])
            x = np.array([estimate.mean for estimate in positions])
            means = np.array([estimate.mean for estimate in values])
            drawn.append(means)
            late.append(after_the_start(common, means))
            is_baseline = group is findings.baseline
            label = as_label(group.shown) + (" (baseline)" if is_baseline else "")
            width = 2.4 if is_baseline else 1.6
            panel.plot(x, means, color=colour, linewidth=width, label=label)
            if banded:
                band(panel, x, values, colour, described)
        finish(panel, AXES[axis].axis_label, described.axis_label if panel in panels[:, 0] else "")
        panel.set_xlim(left=0)
        if panel.get_xlim()[1] >= MANY:
            panel.xaxis.set_major_formatter(engineering())
    _limit(panels[0, 0], np.concatenate(drawn), np.concatenate(late))
    for panel in panels.flat[: len(axes)]:
        _reference_lines(panel, findings)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    if len(spare) and len(labels) <= MOST_IN_A_PANEL:
        spare[0].legend(handles, labels, loc="upper left", title=findings.study.label, frameon=False)
    else:
        figure.legend(handles, labels, loc="outside right upper", title=findings.study.label, frameon=False)
    drawn_as = "line: mean, band: 95 % interval" if banded else "line: mean; intervals are in the table"
    figure.suptitle(f"{capital(described.title)}, {seeds_drawn(findings, drawn_as)}")
    return figure


def range_test(findings: Findings) -> "Figure":
    """Smoothed training loss against the learning rate: one line a group, its suggested rate marked."""
    figure = new_figure(8.4, 4.8)
    panel = figure.subplots()
    panel.set_xscale("log")
    suggested, drawn = quantity(findings.study.metric), []
    for group, colour in zip(findings.groups, colours(findings), strict=True):
        runs = [run for run in group.runs if SMOOTHED in run.curves]
        if not runs:
            continue
        steps = [run.curves[SMOOTHED].steps for run in runs]
        _, losses = mean_curve(steps, [run.curves[SMOOTHED].values for run in runs])
        _, rates = mean_curve(steps, [axis_values(run, SMOOTHED, "train/learning_rate") for run in runs])
        x = [estimate.mean for estimate in rates]
        drawn.append(np.array([estimate.mean for estimate in losses]))
        panel.plot(x, drawn[-1], color=colour, linewidth=2, label=as_label(group.shown))
        band(panel, x, losses, colour, quantity(SMOOTHED))
        if group.final.n:
            label = f"suggested {suggested.show(group.final.mean)}"
            rate = suggested.unscale(group.final.mean)
            panel.axvline(rate, color=colour, linestyle="--", linewidth=1.4, label=label)
        if group.final.n > 1:
            low, high = suggested.unscale(group.final.low), suggested.unscale(group.final.high)
            panel.axvspan(low, high, color=colour, alpha=BAND / 2, linewidth=0)
    finish(panel, "learning rate", quantity(SMOOTHED).axis_label)
    _limit(panel, np.concatenate(drawn), np.concatenate(drawn))
    figure.legend(loc="outside right center", title=findings.study.label, frameon=False)
    drawn_as = "line: mean, dashed: suggested rate, bands: 95 % intervals"
    figure.suptitle(f"Training loss while the learning rate rises, {seeds_drawn(findings, drawn_as)}")
    return figure


def finals(findings: Findings) -> "Figure":
    """The metric at the end of training: mean and interval of every group, a dot a seed."""
    figure = _beside_each_other(findings)
    panel = figure.subplots()
    metric = findings.study.metric
    seeds = [{run.replicate: run.scaled(metric) for run in group.runs} for group in findings.groups]
    _dots_and_intervals(panel, findings, [group.final for group in findings.groups], seeds, quantity(metric))
    _reference_lines(panel, findings)
    if panel.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    when = at_the_end(findings.steps)
    drawn = "bar: mean and 95 % interval, dots: seeds"
    figure.suptitle(f"{capital(quantity(metric).title)} {when}, {seeds_drawn(findings, drawn)}")
    finish(panel, findings.study.label, quantity(metric).axis_label)
    return figure


def differences(findings: Findings) -> "Figure":
    """Differences to the baseline: mean and interval of every group, a dot a pair of runs."""
    figure = _beside_each_other(findings)
    panel = figure.subplots()
    described = quantity(findings.study.metric)
    nothing = Estimate(0, np.nan, np.nan)
    estimates = [group.difference or nothing for group in findings.groups]
    seeds = [group.difference.by_seed if group.difference else {} for group in findings.groups]
    panel.axhline(0, color="0.35", linewidth=1)
    _dots_and_intervals(panel, findings, estimates, seeds)
    baseline = findings.baseline.shown if findings.baseline else ""
    which = {True: "; above 0 is better", False: "; below 0 is better", None: ""}[described.higher_is_better]
    drawn = f"bar: mean and 95 % interval, dots: pairs of runs{which}"
    unpaired = any(group.difference and group.difference.unpaired for group in findings.groups)
    opening = f"Difference to {findings.study.label} {baseline}" + ("" if unpaired else " seed by seed")
    figure.suptitle(f"{opening}, {seeds_drawn(findings, drawn)}")
    measured_in = "decades" if described.logarithmic else described.unit
    below = f"\n({measured_in})" if measured_in else ""
    finish(panel, findings.study.label, f"difference in {described.title}{below}")
    return figure


def efficiency(findings: Findings, reached: Efficiency) -> "Figure":
    """The cost of first reaching a level: in steps, predicted tokens and, if recorded, operations."""
    costs = [reached.costs[group.value] for group in findings.groups]
    axes = [axis for axis in SPENT if any(cost.axes[axis].n for cost in costs)]
    metric = quantity(findings.study.metric)
    if len(findings.groups) <= MOST_SIDE_BY_SIDE:
        width = PANEL
        figure = new_figure(PANEL * len(axes), 5.0 if _turned(findings, PANEL) else 4.2)
        panels = figure.subplots(1, len(axes), squeeze=False)
    else:
        width = _width(findings)
        figure = new_figure(width, 3.8 * len(axes))
        panels = figure.subplots(len(axes), 1, squeeze=False)
    for panel, axis in zip(panels.flat, axes, strict=True):
        estimates = [cost.axes[axis] for cost in costs]
        _dots_and_intervals(panel, findings, estimates, [{} for _ in costs], AXES[axis], width)
        bounds = [(place, cost.axes[axis].mean) for place, cost in enumerate(costs) if cost.at_least]
        if bounds:
            panel.scatter(
                *zip(*bounds, strict=True), marker="^", s=60, facecolor="white", edgecolor="0.2", zorder=3
            )
        finish(panel, findings.study.label, f"{AXES[axis].title} needed")
        panel.set_ylim(bottom=0)
        panel.yaxis.set_major_formatter(engineering())
    drawn = "bar: mean and 95 % interval"
    if any(cost.at_least for cost in costs):
        drawn += "; triangle: at least that, as not all runs get there"
    figure.suptitle(f"Cost of first reaching {with_unit(reached.level, metric)}, {seeds_drawn(findings, drawn)}")
    return figure


def _beside_each_other(findings: Findings) -> "Figure":
    """The wider the more groups there are, and higher if their names are turned."""
    return new_figure(_width(findings), 5.2 if _turned(findings) else 4.4)


def _width(findings: Findings) -> float:
    """Inches that the groups side by side need, so that their names do not overlap."""
    return max(WIDTH, PER_GROUP * len(findings.groups))


def _turned(findings: Findings, width: float = WIDTH) -> bool:
    """Whether the names of the groups are too long to stand side by side."""
    most = MOST_BESIDE_EACH_OTHER * min(width / WIDTH, 1)
    return sum(len(group.shown) for group in findings.groups) > most


def _dots_and_intervals(
    panel: "Axes",
    findings: Findings,
    estimates: list[Estimate],
    seeds: list[dict],
    described: Quantity = LINEAR,
    width: float = WIDTH,
) -> None:
    """Groups side by side at even distances, because their values may be names or unevenly spaced."""
    panel.set_yscale("log" if described.logarithmic else "linear")
    for index, (estimate, by_seed) in enumerate(zip(estimates, seeds, strict=True)):
        colour = colours(findings)[index]
        if estimate.n:
            ends = described.ends(estimate.low, estimate.high)
            mean, low, high = (described.unscale(each) for each in (estimate.mean, *ends))
            error = [[mean - low], [high - mean]] if estimate.half_width == estimate.half_width else 0.0
            panel.errorbar(
                index,
                mean,
                yerr=error,
                color=colour,
                fmt="_",
                markersize=22,
                markeredgewidth=2.2,
                elinewidth=1.8,
                capsize=5,
                capthick=1.8,
            )
        beside = 0.2 + np.arange(len(by_seed)) * 0.06
        dots = described.unscale(np.array(list(by_seed.values())))
        panel.scatter(index + beside, dots, color=colour, s=22, alpha=0.85, linewidths=0)
    baseline = findings.baseline
    turned = _turned(findings, width)
    mark = " (baseline)" if turned else "\n(baseline)"
    names = [group.shown + mark if group is baseline else group.shown for group in findings.groups]
    panel.set_xticks(range(len(names)), names)
    if turned:
        panel.tick_params("x", labelrotation=40)
        for label in panel.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    panel.set_xlim(-0.5, len(names) - 0.4)


def _limit(panel: "Axes", values: np.ndarray, late: np.ndarray) -> None:
    """Limits around the means: the interval of two seeds can be many times as wide as the range of the means."""
    if (found := limits(values, late)) is not None:
        bottom, top = panel.get_ylim()
        panel.set_ylim(max(bottom, found[0]), min(top, found[1]))


def _reference_lines(panel: "Axes", findings: Findings) -> None:
    """Lines of the references near the data. Only the legend names a distant one: its line would flatten them."""
    low, high = panel.get_ylim()
    for number, (title, value) in enumerate(findings.references.items()):
        near = low - REACH * (high - low) <= value <= high + REACH * (high - low)
        where = "" if near else f"\n({'below' if value < low else 'above'} the axis)"
        style = {"color": "0.35", "linewidth": 1, "linestyle": _line_style(title, number)}
        label = f"{title} {value:.2f}{where}"
        if near:
            panel.axhline(value, label=label, **style)
            bottom, top = panel.get_ylim()
            room = 0.05 * (high - low)
            panel.set_ylim(min(bottom, value - room), max(top, value + room))
        else:
            panel.plot([], [], label=label, **style)


def _line_style(title: str, number: int):
    return REFERENCE_STYLES.get(title) or CONTROL_STYLES[number % len(CONTROL_STYLES)]
