"""Which parts of the network bring the loss of a step down."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.gradients.loss_components import LossComponents
from minibert.diagnostics.plotting.depths import group_colours, in_depth_order
from minibert.diagnostics.plotting.style import Drawing, finish, new_figure
from minibert.errors import MinibertError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TICKS = 24


def plot_loss_components(components: Sequence[LossComponents], steps: Sequence[int]) -> "Figure":
    """The loss change of every step as bars stacked from its parts, in nats, and the measured one as a marker.

    Above: the first-order part of each group, the curvature of all of them and the remainder. Below: each group's
    share of what the first-order parts promise together; below zero, a group moved against its gradient.

    Raises :class:`MinibertError` for other than as many components as steps.
    """
    if len(components) != len(steps) or not len(steps):
        raise MinibertError(
            f"plot_loss_components: {len(components)} components and {len(steps)} steps were given. "
            "Allowed: as many of one as of the other, and at least one."
        )
    figure = new_figure(max(8.0, 4 + 0.28 * len(steps)), 6.5)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    stack_loss_components(top, bottom, components, steps)
    handles, labels = top.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    return figure


def stack_loss_components(top, bottom, components: Sequence[LossComponents], steps: Sequence[int]) -> None:
    """Draw what :func:`plot_loss_components` shows into two panels, one above the other."""
    groups = in_depth_order(components[0].first_order)
    colours = group_colours(groups)
    parts = {group: np.array([each.first_order[group] for each in components]) for group in groups}
    others = {
        "curvature": np.array([sum(each.curvature.values()) for each in components]),
        "remainder": np.array([each.remainder for each in components]),
    }
    styles = {group: {"color": colours[group], "label": group.replace("_", " ")} for group in groups}
    styles["curvature"] = {"facecolor": "0.9", "edgecolor": "0.45", "hatch": "////", "linewidth": 0}
    styles["curvature"]["label"] = "curvature, all groups"
    styles["remainder"] = {"color": "black", "label": "remainder"}
    places = np.arange(len(steps))
    _stack(top, places, parts | others, styles)
    top.plot(
        places,
        [each.measured for each in components],
        linestyle="",
        marker="D",
        markersize=5,
        color="black",
        markerfacecolor="white",
        label="measured change",
    )
    total = np.maximum(sum(np.abs(values) for values in parts.values()), np.finfo(float).tiny)
    _stack(bottom, places, {group: -values / total for group, values in parts.items()}, styles)
    for panel in (top, bottom):
        panel.axhline(0, color="black", linewidth=0.8)
    finish(top, "", "loss change of a step (nats)")
    finish(bottom, "optimizer step", "share of first order")
    shown = places[:: 1 + (len(places) - 1) // MOST_TICKS]
    bottom.set_xticks(shown, [f"{steps[place]:,}" for place in shown], rotation=45 if len(shown) > 8 else 0)


@drawing("gradients")
def draw_loss_components(record) -> dict[str, Drawing]:
    """``loss_components`` over the steps."""
    steps, measured = record.history("loss_change/measured")
    found = record.arrays("loss_components") if steps else {}
    changes = dict(zip(steps, measured, strict=True))
    components = {
        step: LossComponents(_named(arrays, "first_order"), _named(arrays, "curvature"), changes[step])
        for step, arrays in found.items()
        if step in changes
    }
    if not components:
        return {}
    figure = plot_loss_components(list(components.values()), list(components))
    return {
        "loss_components": Drawing(
            figure,
            "The change of the loss on the step's own batch, by cause. Bars: the first-order change of each part "
            "of the network, the second-order change by curvature, and the remainder. Marker: the measured "
            "change. Below: each part's share of the first-order change.",
        )
    }


def _named(arrays: Mapping[str, np.ndarray], key: str) -> dict[str, float]:
    return dict(zip(arrays["groups"].tolist(), arrays[key].tolist(), strict=True))


def _stack(panel, places: np.ndarray, parts: Mapping[str, np.ndarray], styles: Mapping[str, dict]) -> None:
    """Bars of the parts: what is above zero upwards from zero, what is below downwards."""
    above, below = np.zeros(len(places)), np.zeros(len(places))
    for name, values in parts.items():
        panel.bar(places, values, 0.8, bottom=np.where(values > 0, above, below), **styles[name])
        above += np.maximum(values, 0)
        below += np.minimum(values, 0)
