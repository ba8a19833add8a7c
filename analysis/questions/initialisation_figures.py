"""Figures of several starts: when the plateau is left, how training ends, and the curves between."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.style import Drawing, distinct_colours, finish, new_figure

from ..quantities import AXES, Quantity, quantity
from ..statistics import Estimate, mean_curve
from .initialisation_runs import LOSS, UNIGRAM, Start, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART = 0.05
"""Decades between the marks of neighbouring strategies at one gain"""
COLUMNS = 3
"""Most panels in a row"""
BAND = 0.15
"""Opacity of an interval around a curve"""


def draw(starts: Sequence[Start]) -> dict[str, Drawing]:
    """File name -> figure."""
    drawn = {
        "starts.png": Drawing(
            summary(starts),
            "Strategy and gain of the initial weights: when the plateau is left and how training ends. Means with "
            "95 % intervals over seeds; a run that stays on the plateau, or diverges, counts with all steps.",
        )
    }
    if any(LOSS in run.run.curves for start in starts for run in start.runs):
        drawn["curves_by_gain.png"] = Drawing(
            curves(starts),
            "Held-out loss in training, a panel for each gain and a line for each strategy. Lines: means over "
            "seeds; bands: 95 % intervals; dashed: the unigram entropy, which is the level of word frequencies.",
        )
    return drawn


def summary(starts: Sequence[Start]) -> "Figure":
    """Step at which the plateau is left and final loss against gain; the share that diverged, if any run did."""
    some = any(start.diverged for start in starts)
    figure = new_figure(4.6 * (3 if some else 2), 4.4)
    panels = figure.subplots(1, 3 if some else 2)
    _lines(panels[0], starts, lambda start: start.leaves, AXES["step"])
    finish(panels[0], "gain", "optimizer step", "The loss leaves the plateau")
    _lines(panels[1], starts, lambda start: start.final, quantity(LOSS))
    finish(panels[1], "gain", quantity(LOSS).axis_label, "After all steps")
    if some:
        _shares(panels[2], starts)
        finish(panels[2], "gain", "share of runs", "Diverged")
        panels[2].set_ylim(0, 1)
    panels[0].set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    figure.suptitle(f"Initial weights, {_seeds(starts)}", fontsize=11)
    return figure


def curves(starts: Sequence[Start]) -> "Figure":
    """A panel a gain."""
    gains = sorted({start.gain for start in starts})
    columns = min(COLUMNS, len(gains))
    rows = math.ceil(len(gains) / columns)
    figure = new_figure(3.9 * columns, 3.6 * rows + 0.6)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    colours = _colours(starts)
    for panel, gain in zip(panels, gains, strict=False):
        for start in (start for start in starts if start.gain == gain):
            found = [run.run.curves[LOSS] for run in start.runs if LOSS in run.run.curves]
            steps, means = mean_curve([curve.steps for curve in found], [curve.values for curve in found])
            heights = np.array([mean.mean for mean in means])
            panel.plot(steps, heights, color=colours[start.strategy], linewidth=1.6, label=start.strategy)
            low, high = ([getattr(mean, end) for mean in means] for end in ("low", "high"))
            panel.fill_between(steps, low, high, color=colours[start.strategy], alpha=BAND, linewidth=0)
        finish(
            panel,
            "optimizer step",
            quantity(LOSS).axis_label if panel in panels[::columns] else "",
            f"gain {gain:g}",
        )
        panel.set_xlim(left=0)
    levels = [value for start in starts for run in start.runs if math.isfinite(value := run.run.final(UNIGRAM))]
    for panel in panels[: len(gains)]:
        if levels:
            panel.axhline(levels[0], color="0.35", linewidth=1, linestyle="--", label="unigram entropy")
    for empty in panels[len(gains) :]:
        empty.set_axis_off()
    _limit(panels[0], starts, levels)
    entries = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=7, frameon=False, fontsize=9
    )
    figure.suptitle(f"Held-out loss, {_seeds(starts)}", fontsize=11)
    return figure


def _lines(
    panel: "Axes", starts: Sequence[Start], estimate: Callable[[Start], Estimate], described: Quantity
) -> None:
    """A line a strategy over the gains, the strategies slightly beside each other."""
    colours = _colours(starts)
    for place, strategy in enumerate(colours):
        found = [(start, estimate(start)) for start in starts if start.strategy == strategy]
        found = [(start, value) for start, value in found if value.n]
        if not found:
            continue
        shift = 10 ** (APART * (place - (len(colours) - 1) / 2))
        means = np.array([value.mean for _, value in found])
        ends = np.array([described.ends(value.low, value.high) for _, value in found])
        bars = np.nan_to_num(
            np.abs(ends.T - means)
        )  # one seed, or one run that leaves the plateau, has no interval
        panel.errorbar(
            [start.gain * shift for start, _ in found], means, bars, color=colours[strategy], marker="o",
            markersize=4.5, capsize=3, linewidth=1, label=strategy,
        )  # fmt: skip
    _gains(panel, starts)


def _shares(panel: "Axes", starts: Sequence[Start]) -> None:
    colours = _colours(starts)
    for place, strategy in enumerate(colours):
        found = [start for start in starts if start.strategy == strategy]
        shift = 10 ** (APART * (place - (len(colours) - 1) / 2))
        shares = np.array([share(start.diverged, len(start.runs)) for start in found])
        bars = np.abs(shares[:, 1:].T - shares[:, 0])
        panel.errorbar(
            [start.gain * shift for start in found], shares[:, 0], bars, color=colours[strategy], marker="o",
            markersize=4.5, capsize=3, linewidth=1,
        )  # fmt: skip
    _gains(panel, starts)


def _gains(panel: "Axes", starts: Sequence[Start]) -> None:
    gains = sorted({start.gain for start in starts})
    panel.set_xscale("log")
    panel.set_xticks(gains, [f"{gain:g}" for gain in gains])
    panel.minorticks_off()


def _limit(panel: "Axes", starts: Sequence[Start], levels: Sequence[float]) -> None:
    """From the lowest mean to a little above the plateau: a start with large weights begins far above it."""
    finals = [start.final.mean for start in starts if start.final.n]
    if finals and levels:
        low, high = min(finals), max(*finals, levels[0])
        panel.set_ylim(low - 0.1 * (high - low), high + 0.25 * (high - low))


def _colours(starts: Sequence[Start]) -> dict[str, str]:
    strategies = list(dict.fromkeys(start.strategy for start in starts))
    return dict(zip(strategies, distinct_colours(len(strategies)), strict=True))


def _seeds(starts: Sequence[Start]) -> str:
    counts = sorted({len(start.runs) for start in starts})
    if counts == [1]:
        return "one seed: no interval, no claim"
    return f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} seeds"
