"""Figures of the measurements inside a study's networks: groups side by side, by layer and along lines."""

from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.style import as_label, finish, new_figure

from .figure_parts import band, colours, seeds_drawn
from .findings import Findings
from .inside import SLICES, Inside
from .quantities import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPREAD = 0.6
"""Of the distance between two layers: how far groups stand apart"""


def layers(findings: Findings, inside: Inside) -> "Figure":
    """Effective rank and attention entropy at the end, by layer: a colour a group."""
    shown = inside.layers
    figure = new_figure(3.6 * len(shown) + 0.4, 4.2)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, (name, by_group) in zip(panels, shown.items(), strict=True):
        described = quantity(name)
        places = np.linspace(-SPREAD / 2, SPREAD / 2, len(findings.groups)) if len(findings.groups) > 1 else [0.0]
        for group, colour, place in zip(findings.groups, colours(findings), places, strict=True):
            found = [(layer, estimate) for layer, estimate in by_group[group.shown].items() if estimate.n]
            means = np.array([estimate.mean for _, estimate in found])
            ends = np.array([described.ends(estimate.low, estimate.high) for _, estimate in found]).reshape(-1, 2)
            error = np.nan_to_num(np.abs(ends.T - means))  # a single seed has no interval
            panel.errorbar(
                [layer + place for layer, _ in found],
                means,
                yerr=error,
                color=colour,
                fmt="o",
                markersize=5,
                elinewidth=1.6,
                capsize=3,
                label=as_label(group.shown),
            )
        last = max(layer for found in by_group.values() for layer in found)
        panel.set_xticks(range(last + 1))
        panel.set_xlim(-0.5, last + 0.5)
        finish(panel, "layer", described.axis_label)
        panel.grid(visible=False, axis="x")
    _legend(figure, findings)
    figure.suptitle(f"Inside the networks at the end, {seeds_drawn(findings, 'dot: mean, bar: 95 % interval')}")
    return figure


def slices(findings: Findings, inside: Inside) -> "Figure":
    """The loss along lines through the trained networks: a colour a group."""
    shown = inside.slices
    figure = new_figure(4.6 * len(shown) + 1.0, 4.2)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    described = quantity("eval/loss")
    for panel, (name, by_group) in zip(panels, shown.items(), strict=True):
        means = []
        for group, colour in zip(findings.groups, colours(findings), strict=True):
            if curve := by_group.get(group.shown):
                means.append(np.array([estimate.mean for estimate in curve.losses]))
                panel.plot(
                    curve.distances, means[-1], color=colour, marker="o", markersize=4, label=as_label(group.shown)
                )
                band(panel, curve.distances, list(curve.losses), colour, described)
        distance = "distance, as a share of the size of the weights"
        finish(panel, distance, described.axis_label, f"along {SLICES[name]}")
        _scale(panel, next(iter(by_group.values())).distances, np.concatenate(means))
    _legend(figure, findings)
    drawn = "line: mean, band: 95 % interval"
    figure.suptitle(f"Loss around the trained networks, {seeds_drawn(findings, drawn)}")
    return figure


def _scale(panel: "Axes", distances: np.ndarray, means: np.ndarray) -> None:
    """Distances that are powers of three at equal steps, and limits around the means."""
    nearest = distances[distances > 0].min(initial=np.inf)
    if np.isfinite(nearest):
        panel.set_xscale("symlog", linthresh=nearest, base=3, linscale=0.6)
        panel.set_xticks(distances, [_share(distance) for distance in distances], rotation=45)
        panel.minorticks_off()
    finite = means[np.isfinite(means)]
    if finite.size:
        room = 0.08 * (np.ptp(finite) or 1)
        panel.set_ylim(finite.min() - room, finite.max() + room)


def _share(distance: float) -> str:
    """``−1/27``"""
    share = abs(distance)
    text = f"{share:g}" if share in (0, 1) else f"1/{round(1 / share)}"
    return text if distance >= 0 else f"−{text}"


def _legend(figure: "Figure", findings: Findings) -> None:
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", title=findings.study.label, frameon=False)
