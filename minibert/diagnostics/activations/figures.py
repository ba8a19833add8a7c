"""Sizes of activations, and what feed-forward units do, over training."""

import numpy as np

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.plotting.panels import (
    AT_START,
    colours_of,
    draw_initial,
    explain_colours,
    label_once,
    panels_by_kind,
    scale_together,
    small_panels,
)
from minibert.diagnostics.plotting.series import Histories, by_kind, by_layer, locate, read
from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, step_axis

KINDS = (
    "attention input", "attention query", "attention key", "attention value", "attention weights",
    "attention context", "attention gate", "attention gated context", "feed forward input", "feed forward gate",
    "feed forward value", "feed forward active", "",
)  # fmt: skip
"""The activations of a layer, in the order in which they are computed; the last is the hidden state after it"""

UNITS = {
    "active_share": ("share of unit-position pairs", "active"),
    "dead_units": ("share of units", "dead: active nowhere in the batch"),
    "unit_selectivity": ("lifetime sparseness", "selectivity"),
}
"""Metric -> label of its axis, and title"""


@drawing("activations")
def plot_activation_sizes(record) -> dict[str, Drawing]:
    """``deviation`` and ``range``: a panel for each kind of activation, a line for each layer."""
    drawn = {}
    note = (
        "In batches of training, with dropout if the run has it; the last layer at the positions that are read. "
        f"{AT_START}"
    )
    deviations = by_kind(read(record, "activation_deviation"))
    if deviations:
        figure = _panels_by_kind([deviations], "deviation", True)
        drawn["deviation"] = Drawing(figure, f"Standard deviation of every activation. {note}")
    ranges = [by_kind(read(record, f"activation_{bound}")) for bound in ("minimum", "maximum")]
    if all(ranges):
        figure = _panels_by_kind(ranges, "smallest and largest", False)
        drawn["range"] = Drawing(figure, f"Smallest and largest number of every activation, a line each. {note}")
    return drawn


@drawing("activations")
def plot_units(record) -> dict[str, Drawing]:
    """How many units are active, dead and selective, by layer over steps."""
    found = {metric: by_layer(read(record, metric)) for metric in UNITS}
    found = {metric: histories for metric, histories in found.items() if histories}
    if not found:
        return {}
    colours = colours_of(sorted({layer for histories in found.values() for layer in histories}))
    figure, panels = small_panels(len(found), height=2.4)
    for (metric, histories), panel in zip(found.items(), panels, strict=True):
        for layer, (steps, values) in histories.items():
            panel.plot(steps, values, color=colours[layer], linewidth=1.3)
        draw_initial(panel, histories, colours)
        panel.set_ylim(bottom=0)
        finish(panel, "", *UNITS[metric])
        panel.yaxis.label.set_size(8)
        step_axis(panel, steps)
    explain_colours(figure, colours, "layer")
    caption = (
        "Feed-forward units over a batch of training: active where the activation function gives more than 0. "
        "Selectivity is 0 for the same response everywhere and 1 for a response at one position only; a ReLU of "
        f"normal numbers has 0.68. The last layer is seen at fewer positions, those that are read. {AT_START}"
    )
    return {"units": Drawing(figure, caption)}


@drawing("activations")
def plot_unit_activity(record) -> dict[str, Drawing]:
    """The histogram of how often units are active, by layer, at the first and at the last measured step."""
    recorded = record.arrays("feed_forward_units")
    if not recorded:
        return {}
    first, last = min(recorded), max(recorded)
    names = [name for name in recorded[last] if name.endswith("/share")]
    names.sort(key=lambda name: locate(name).depth)
    figure, panels = small_panels(len(names))
    edges = np.linspace(0, 1, 41)
    for name, panel in zip(names, panels, strict=True):
        panel.hist(recorded[last][name], edges, color=COLOURS[5], label=f"step {last:,}")
        if name in recorded[first]:
            panel.hist(recorded[first][name], edges, color="0.3", histtype="step", label=f"step {first:,}")
        title = name.removesuffix("/share").replace("_", " ")
        finish(panel, "", "", title)
    label_once(figure, panels, "share of positions where active", "units")
    panels[0].legend(frameon=False, fontsize=8)
    caption = (
        "How many feed-forward units are active at which share of the positions of a batch, "
        f"at step {last:,} (filled) and at step {first:,} (outline)."
    )
    return {"unit_activity": Drawing(figure, caption)}


def _panels_by_kind(groups: list[dict[str, Histories]], label: str, by_logarithm: bool):
    """A panel for each kind of activation, each with its own range of y."""
    figure, _, panels = panels_by_kind(groups, KINDS, label, "hidden state after the layer", width=1.2)
    for panel in panels:
        scale_together([panel], by_logarithm)
    return figure
