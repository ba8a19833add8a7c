"""Whether effects depend on each other, drawn: means of the combinations, and effects beside each other."""

from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.panels import colours_of
from minibert.diagnostics.plotting.style import Drawing, as_label, distinct_colours, finish, new_figure

from .formatting import capital
from .grid import Grid
from .quantities import quantity
from .statistics import Estimate, main_effect, mean_of
from .values import is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPREAD, MOST_SPREAD = 0.1, 0.6
"""Of the distance between two values on an axis: how far two lines, and all of them, stand apart"""
MOST_LETTERS = 36
"""Of all names under an axis that are not turned"""
CAPTION = (
    "Means of all combinations, and what a change of one setting does at each value of the other. Left: lines in "
    "parallel mean that the effects add up. Right: the change from the value that the others are compared with; "
    "equal heights mean the same. Bars: 95 % intervals over seeds. Those on the right are paired by seed where "
    "seeds are shared, and so are often narrower."
)


def draw(grid: Grid) -> Drawing:
    """A row for each pair of factors: the one with more values on the axis, a line for each value of the other."""
    pairs = [pair for pair in grid.pairs if grid.of_pair(pair)]
    figure = new_figure(10.5, 0.5 + 3.9 * len(pairs))
    rows = figure.subplots(len(pairs), 2, squeeze=False)
    for (means, effects), pair in zip(rows, pairs, strict=True):
        _row(grid, means, effects, *pair)
    described = quantity(grid.study.metric)
    title = f"{capital(described.title)} at the end of training, by two settings at a time"
    figure.suptitle(f"{title}\n(bars: 95 % intervals over {_seeds(grid)})")
    return Drawing(figure, CAPTION)


def _row(grid: Grid, means: "Axes", effects: "Axes", along: str, lines: str) -> None:
    described = quantity(grid.study.metric)
    values, others, first = grid.values_of(along), grid.values_of(lines), grid.firsts[along]
    places = (grid.factors.index(along), grid.factors.index(lines))
    numbers = all(is_number(value) for value in others)
    colours = list(colours_of(others).values()) if numbers else distinct_colours(len(others))
    spread = min(SPREAD * (len(others) - 1), MOST_SPREAD)
    offsets = np.linspace(-spread / 2, spread / 2, len(others))
    effects.axhline(0, color="0.35", linewidth=1)
    means.set_yscale("log" if described.logarithmic else "linear")
    for other, colour, offset in zip(others, colours, offsets, strict=True):
        at_this = {cell: by_seed for cell, by_seed in grid.cells.items() if cell[places[1]] == other}
        drawn = [mean_of(grid.cells, places, (value, other)).difference for value in values]
        _line(means, drawn, offset, colour, as_label(grid.shown(lines, other)), described)
        compared = grid.compared_of(along)
        changes = [main_effect(at_this, places[0], value, first).difference for value in compared]
        _line(effects, changes, offset, colour, None, None)
    measured_in = "decades" if described.logarithmic else described.unit
    finish(means, along, described.axis_label)
    below = f"\n({measured_in})" if measured_in else ""
    finish(effects, along, f"change from {along} {grid.shown(along, first)}{below}")
    turned = sum(map(len, values)) > MOST_LETTERS
    for panel, on_axis in ((means, values), (effects, grid.compared_of(along))):
        names = [as_label(grid.shown(along, value)) for value in on_axis]
        panel.set_xticks(range(len(names)), names)
        panel.set_xlim(-0.5, len(names) - 0.5)
        panel.grid(visible=False, axis="x")
        if turned:
            panel.tick_params("x", labelrotation=40)
            for label in panel.get_xticklabels():
                label.set(horizontalalignment="right", rotation_mode="anchor")
    handles, labels = means.get_legend_handles_labels()
    effects.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(1.02, 1.0), title=lines, frameon=False, fontsize=9
    )


def _line(panel: "Axes", estimates: list, offset: float, colour, label, described) -> None:
    """Means with intervals. ``described``, if they are values and not differences: these are joined by a line."""
    known = [(place + offset, each) for place, each in enumerate(estimates) if each.n]
    points = np.array([[x, *_ends(each, described)] for x, each in known]).reshape(-1, 4)
    x, middle, low, high = points.T
    panel.errorbar(
        x,
        middle,
        yerr=np.nan_to_num(np.array([middle - low, high - middle])),
        color=colour,
        fmt="o-" if described else "o",
        markersize=5,
        linewidth=1.4,
        elinewidth=1.6,
        capsize=3,
        label=label,
    )


def _ends(estimate: Estimate, described) -> tuple[float, float, float]:
    """The mean and both ends of the interval as the panel shows them."""
    if described is None:
        return estimate.mean, estimate.low, estimate.high
    ends = described.ends(estimate.low, estimate.high)
    mean, low, high = (described.unscale(each) for each in (estimate.mean, *ends))
    return mean, low, high


def _seeds(grid: Grid) -> str:
    counts = sorted({sum(value == value for value in by_seed.values()) for by_seed in grid.cells.values()} - {0})
    if not counts:
        return "no finished runs"
    if counts[-1] == 1:
        return "one seed: none"
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
