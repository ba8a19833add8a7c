"""The figure of several sizes at several masking ratios."""

from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.panels import colours_of
from minibert.diagnostics.plotting.style import Drawing, finish, new_figure

from ..statistics import mean_interval
from .masking_by_size_runs import HIGH, LOW, BySize, SizeRuns
from .representation_scaling_runs import in_millions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART = 0.012
"""Decades between the marks of neighbouring sizes at one ratio"""


def draw(found: BySize) -> dict[str, Drawing]:
    """File name -> figure."""
    return {
        "ratios_by_size.png": Drawing(
            ratios_by_size(found),
            "Loss against masking ratio at each size. Left: above the mean of the size's best ratio; dots: seeds, "
            f"lines: means. Right: loss at {HIGH:.2f} less that at {LOW:.2f}, seed by seed; below 0, more masking "
            "is better. Bars: 95 % intervals over seeds.",
        )
    }


def ratios_by_size(found: BySize) -> "Figure":
    """A line a size; beside it, the difference between two ratios against size."""
    figure = new_figure(10.5, 4.3)
    panels = figure.subplots(1, 2)
    colours = colours_of(size.weights for size in found.sizes)
    for place, size in enumerate(found.sizes):
        shift = 10 ** (APART * (place - (len(found.sizes) - 1) / 2))
        _above_best(panels[0], size, colours[size.weights], shift)
        _gain(panels[1], size, colours[size.weights])
    ratios = sorted({ratio for size in found.sizes for ratio in size.losses})
    panels[0].set_xscale("log")
    panels[0].set_xticks(ratios, [f"{ratio:.2f}" for ratio in ratios])
    panels[0].minorticks_off()
    finish(panels[0], "masking ratio in training", "held-out loss above the best ratio's (nats)")
    panels[0].legend(title="weights in the layers", frameon=False, fontsize=9)
    panels[1].axhline(0, color="0.35", linewidth=1)
    panels[1].set_xscale("log")
    sizes = [size.weights for size in found.sizes]
    panels[1].set_xticks(sizes, [in_millions(size) for size in sizes])
    panels[1].minorticks_off()
    panels[1].set_xlim(sizes[0] / 2, sizes[-1] * 2)
    finish(panels[1], "weights in the layers", f"loss at {HIGH:.2f} less that at {LOW:.2f} (nats)")
    figure.suptitle(f"Masking ratio and size, {_seeds(found)}", fontsize=11)
    return figure


def _above_best(panel: "Axes", size: SizeRuns, colour, shift: float) -> None:
    if not size.means:
        return
    level = size.means[size.best].mean
    ratios = np.array([*size.means]) * shift
    means = np.array([mean.mean for mean in size.means.values()]) - level
    bars = np.nan_to_num([mean.half_width for mean in size.means.values()])
    panel.errorbar(
        ratios, means, bars, color=colour, marker="o", markersize=4.5, capsize=3, linewidth=1.2,
        label=in_millions(size.weights),
    )  # fmt: skip
    for ratio, losses in zip(ratios, (size.losses[ratio] for ratio in size.means), strict=True):
        heights = np.array([*losses.values()]) - level
        panel.plot(np.full(heights.size, ratio * 1.012), heights, ".", color=colour, markersize=4, alpha=0.6)


def _gain(panel: "Axes", size: SizeRuns, colour) -> None:
    if not size.gain.n:
        return
    estimate = mean_interval([*size.gain.by_seed.values()])
    bar = np.nan_to_num([[estimate.half_width], [estimate.half_width]])
    panel.errorbar([size.weights], [estimate.mean], bar, color=colour, marker="o", markersize=5, capsize=4)
    heights = [*size.gain.by_seed.values()]
    panel.plot([size.weights * 1.12] * len(heights), heights, ".", color=colour, markersize=5, alpha=0.7)


def _seeds(found: BySize) -> str:
    counts = sorted({mean.n for size in found.sizes for mean in size.means.values()})
    if counts == [1]:
        return "one seed: no interval, no claim"
    return f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} seeds"
