"""Figures of the loss around a network: slices, planes, paths and sharpness."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.landscape.measures import RISE, LinearPath, LossLandscape, Surface
from minibert.diagnostics.landscape.sharpness import Sharpness
from minibert.diagnostics.plotting.depths import colour_bar, in_depth_order
from minibert.diagnostics.plotting.panels import placed_panels
from minibert.diagnostics.plotting.series import last_value, metric_name, quantities_within
from minibert.diagnostics.plotting.style import COLOURS, SEQUENTIAL, Drawing, finish, new_figure, step_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 6.0, 4.0
"""Inches"""
LOSS = "loss (nats per predicted token)"
RANDOM = "random"
TITLES = {
    RANDOM: "random directions",
    "gradient": "down the gradient",
    "eigenvector": "along the top eigenvector",
    "update": "along the last update",
}
AXES = {
    RANDOM: "distance, normalised by filter\n(1: every filter moved as far as it is from 0)",
    "gradient": "distance in parameter space",
    "eigenvector": "distance in parameter space",
    "update": "multiples of the update",
}
COARSE = {"update_slice": "last update", "random_slice": "random direction"}
"""Diagnostic -> what its direction is called"""


class Curve(NamedTuple):
    """The loss along one direction, and what slope and curvature at 0 predict."""

    distances: np.ndarray
    losses: np.ndarray
    quadratic: np.ndarray


class Bar(NamedTuple):
    """A value, and half the length of its error bar."""

    value: float
    error: float


def plot_loss_slices(landscape: LossLandscape) -> "Figure":
    """The loss against distance for every direction of :func:`minibert.diagnostics.analyze_loss_landscape`."""
    curves = {name: Curve(each.distances, each.losses, each.quadratic) for name, each in landscape.slices.items()}
    return _draw_slices(curves)


def plot_loss_surface(surface: Surface) -> "Figure":
    """The loss over a plane as contours, with a mark at the network."""
    axes = [f"{each.name.replace('_', ' ')} ({each.unit})" for each in surface.directions]
    return _draw_surface(*surface.distances, surface.losses, *axes)


def plot_linear_path(path: LinearPath, start: str = "first network", end: str = "second network") -> "Figure":
    """The loss on the straight line between two networks, with its barrier."""
    figure = new_figure(6, 4)
    panel = figure.subplots()
    panel.plot(path.fractions, path.losses, color=COLOURS[0], marker="o", markersize=3, label="loss")
    panel.plot(path.fractions, path.straight_line, color="0.4", linestyle="--", label="straight between the ends")
    label = f"barrier {path.barrier:.3g} nats"
    if path.barrier > 0:
        top = int(np.argmax(path.losses - path.straight_line))
        panel.plot(
            [path.fractions[top]] * 2, [path.straight_line[top], path.losses[top]], color=COLOURS[1], label=label
        )
    else:
        panel.plot([], [], " ", label=label)
    panel.set_xlim(-0.02, 1.02)
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize=9)
    finish(panel, f"fraction of the way (0: {start}, 1: {end})", LOSS)
    return figure


def plot_sharpness(sharpness: Sharpness) -> "Figure":
    """Top eigenvalue and trace of the Hessian by group, or of the whole where there are no groups."""
    blocks = sharpness.groups or {"all chosen": sharpness.whole}
    eigenvalues = {name: Bar(block.top_eigenvalue, block.residual) for name, block in blocks.items()}
    traces = {name: Bar(block.trace.value, block.trace.standard_error) for name, block in blocks.items()}
    return _draw_bars(eigenvalues, traces)


@drawing("landscape")
def draw_coarse_slices(record) -> dict[str, Drawing]:
    """``coarse_slices``: the loss along the last update and along one random direction, as every run ends."""
    found = {title: _last(record, name) for name, title in COARSE.items()}
    found = {title: arrays for title, arrays in found.items() if arrays and np.isfinite(arrays["losses"]).any()}
    if not found:
        return {}
    missing = [title for title in COARSE.values() if title not in found]
    caption = (
        "Loss on held-out sequences, without dropout, along lines through the network at the end of training. "
        "Distance 1 is as far as the weights are large, along both. Dashed: what slope and curvature between the "
        f"nearest points predict. Dotted: {RISE} nats more than in the middle, to where the width is measured."
        + "".join(f" The {title} is not among what was recorded." for title in missing)
    )
    return {"coarse_slices": Drawing(_draw_coarse_slices(found), caption)}


@drawing("landscape")
def draw_slices(record) -> dict[str, Drawing]:
    """``slices``, as last recorded."""
    drawn = {}
    if arrays := _last(record, "loss_landscape"):
        names = dict.fromkeys(key.split("/")[0] for key in arrays)
        curves = {name: Curve(*(arrays[f"{name}/{part}"] for part in Curve._fields)) for name in names}
        drawn["slices"] = Drawing(
            _draw_slices(curves),
            "Loss on held-out sequences, without dropout, along lines through the trained network. Dashed: what "
            "slope and curvature at 0 predict. These are a few lines of millions: what looks convex need not be.",
        )
    return drawn


@drawing("landscape")
def draw_surface(record) -> dict[str, Drawing]:
    """``surface``, as last recorded."""
    drawn = {}
    if arrays := _last(record, "loss_surface"):
        axes = (f"random direction {number} (size of the weights)" for number in (0, 1))
        drawn["surface"] = Drawing(
            _draw_surface(arrays["across"], arrays["up"], arrays["losses"], *axes),
            "Loss on held-out sequences over the plane of two random directions, normalised by filter. "
            "Star: the trained network; cross: the lowest point found, where that is another.",
        )
    return drawn


@drawing("landscape")
def draw_path(record) -> dict[str, Drawing]:
    """``path``, as last recorded."""
    drawn = {}
    if arrays := _last(record, "initial_to_final_path"):
        path = LinearPath(arrays["fractions"], arrays["losses"])
        drawn["path"] = Drawing(
            plot_linear_path(path, "initialisation", "trained network"),
            "Loss on held-out sequences on the straight line from initialisation to the trained network. "
            f"The largest climb on the way is {path.rise:.3g} nats.",
        )
    return drawn


@drawing("landscape")
def draw_sharpness(record) -> dict[str, Drawing]:
    """``sharpness_by_group`` at the end, and ``sharpness`` over training."""
    drawn = {}
    if groups := in_depth_order(quantities_within(record, "sharpness")):

        def bar(group: str, *parts: str) -> Bar:
            return Bar(*(last_value(record, metric_name("sharpness", group, part)) for part in parts))

        eigenvalues = {group: bar(group, "top_eigenvalue", "residual") for group in groups}
        traces = {group: bar(group, "trace", "trace_standard_error") for group in groups}
        drawn["sharpness_by_group"] = Drawing(
            _draw_bars(eigenvalues, traces),
            "Curvature of the held-out loss in the parameters of each group, the others held where they are: "
            "largest eigenvalue and trace of that block of the Hessian.",
        )
    steps, values = record.history("sharpness/top_eigenvalue")
    if len(steps) > 1:
        trace_steps, traces = record.history("sharpness/trace")
        errors = record.history("sharpness/trace_standard_error")[1]
        drawn["sharpness"] = Drawing(
            _draw_sharpness_history(steps, values, trace_steps, traces, errors),
            "Largest eigenvalue and trace of the Hessian of the held-out loss over training; bars are two "
            "standard errors of the trace to either side, dashed lines the values at the first measured step.",
        )
    return drawn


@drawing("landscape")
def draw_updates(record) -> dict[str, Drawing]:
    """``updates``: the loss along each measured update, at multiples of it."""
    recorded = record.arrays("loss_along_update")
    if not recorded:
        return {}
    from matplotlib.colors import SymLogNorm

    figure = new_figure(7, 4.2)
    panel = figure.subplots()
    norm = SymLogNorm(1, vmin=0, vmax=max(max(recorded), 1))
    changes = {step: arrays["losses"] - arrays["losses"][0] for step, arrays in recorded.items()}
    for step, change in changes.items():
        panel.plot(change, color=_step_colour(norm(step)))
    for step, change in changes.items():
        lowest = int(np.argmin(change))
        star = {"color": _step_colour(norm(step)), "markeredgecolor": "black", "markersize": 10}
        panel.plot(lowest, change[lowest], "*", **star)
    panel.axhline(0, color="0.4", linestyle="--", linewidth=1)
    panel.set_yscale("symlog", linthresh=1e-3, linscale=0.5)
    multiples = next(iter(recorded.values()))["multiples"]
    panel.set_xticks(range(len(multiples)), [f"{multiple:g}" for multiple in multiples])
    ticks = {step: f"{step:,}" for step in (0, 1, 10, 100, 1000, 10000, 100000) if step <= max(recorded)}
    colour_bar(figure, panel, norm, "optimizer step", ticks)
    change_label = "change of loss (nats per predicted token)"
    finish(panel, "multiples of the update (1: the step that was taken)", change_label)
    caption = (
        "Change of the held-out loss, without dropout, along the measured updates. Stars: the lowest "
        "of each. To the right of 1: more of the same step would have been better, on these sequences."
    )
    return {"updates": Drawing(figure, caption)}


def _draw_slices(curves: Mapping[str, Curve]) -> "Figure":
    """A panel for all random directions, and one for each other: their distances mean different things."""
    panels: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        panels.setdefault(RANDOM if name.startswith(RANDOM) else name, {})[name] = curve
    figure = new_figure(3.6 * len(panels) + 0.4, 3.8)
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (kind, lines) in zip(row, panels.items(), strict=True):
        for (name, curve), colour in zip(lines.items(), _cycle(len(lines)), strict=True):
            panel.plot(curve.distances, curve.losses, color=colour, label=name.replace("_", " "))
            panel.plot(curve.distances, curve.quadratic, color=colour, linestyle="--", linewidth=1)
        losses = np.concatenate([curve.losses for curve in lines.values()])
        margin = 0.08 * (losses.max() - losses.min() or 1)
        panel.set_ylim(losses.min() - margin, losses.max() + margin)
        panel.axvline(0, color="0.4", linewidth=1, linestyle=":")
        if len(lines) > 1:
            panel.legend(frameon=False, fontsize=8)
        finish(panel, AXES[kind], LOSS if panel.get_subplotspec().is_first_col() else "", TITLES[kind])
    return figure


def _draw_coarse_slices(found: Mapping[str, Mapping[str, np.ndarray]]) -> "Figure":
    figure = new_figure(*SIZE, placed=True)
    (panel,) = placed_panels(figure, *SIZE)
    finite = np.concatenate([arrays["losses"][np.isfinite(arrays["losses"])] for arrays in found.values()])
    for title, arrays in found.items():
        colour = COLOURS[list(COARSE.values()).index(title)]
        panel.plot(arrays["distances"], arrays["losses"], color=colour, marker="o", markersize=4, label=title)
        panel.plot(arrays["distances"], arrays["quadratic"], color=colour, linestyle="--", linewidth=1)
    distances = arrays["distances"]
    here = arrays["losses"][len(distances) // 2]
    if np.isfinite(here):
        panel.axhline(here + RISE, color="0.4", linestyle=":", linewidth=1)
    nearest = distances[distances > 0].min()
    panel.set_xscale("symlog", linthresh=nearest, base=3, linscale=0.6)
    panel.set_xticks(distances, [_fraction(distance) for distance in distances])
    panel.minorticks_off()
    margin = 0.08 * (finite.max() - finite.min() or 1)
    panel.set_ylim(finite.min() - margin, finite.max() + margin)
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize=10)
    finish(panel, "distance, as a share of the size of the weights", LOSS)
    return figure


def _fraction(distance: float) -> str:
    """``-1/27``: the distances are powers of three."""
    share = abs(distance)
    text = f"{share:g}" if share in (0, 1) else f"1/{round(1 / share)}"
    return text if distance >= 0 else f"−{text}"


def _draw_surface(across, up, losses, across_label: str, up_label: str) -> "Figure":
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(6, 5)
    panel = figure.subplots()
    levels = MaxNLocator(16).tick_values(losses.min(), losses.max())
    filled = panel.contourf(across, up, losses, levels, cmap=SEQUENTIAL)
    lines = panel.contour(across, up, losses, levels[::2], colors="white", linewidths=0.6)
    panel.clabel(lines, fontsize=7)
    panel.plot(0, 0, "*", color="white", markeredgecolor="black", markersize=16, label="the network")
    row, column = np.unravel_index(np.argmin(losses), losses.shape)
    if (up[row], across[column]) != (0, 0):
        cross = {"color": COLOURS[4], "markeredgecolor": "black", "markersize": 10, "label": "lowest"}
        panel.plot(across[column], up[row], "X", **cross)
    panel.legend(loc="upper right", fontsize=8)
    figure.colorbar(filled, ax=panel, label=LOSS)
    finish(panel, across_label, up_label)
    panel.grid(False)
    return figure


def _draw_bars(eigenvalues: Mapping[str, Bar], traces: Mapping[str, Bar]) -> "Figure":
    figure = new_figure(9, 1.5 + 0.32 * len(eigenvalues))
    kinds = (
        (eigenvalues, "largest eigenvalue (nats per unit²)", "error bar: residual of the eigenvector"),
        (traces, "trace (nats per unit²)", "error bar: standard error over probes"),
    )
    for panel, (bars, label, title) in zip(figure.subplots(1, 2, sharey=True), kinds, strict=True):
        values, errors = zip(*bars.values(), strict=True)
        places = np.arange(len(bars))
        panel.barh(places, values, xerr=errors, color=COLOURS[0], ecolor="black", capsize=2)
        farthest = [max(value, 0) + error for value, error in bars.values()]
        room = 0.02 * (max(farthest) or 1)
        for place, value, end in zip(places, values, farthest, strict=True):
            panel.text(end + room, place, f"{value:.3g}", va="center", fontsize=8)
        panel.axvline(0, color="0.4", linewidth=1)
        panel.set_xlim(right=max(farthest) * 1.15 or 1)
        panel.set_yticks(places, [name.replace("_", " ") for name in bars])
        finish(panel, label, "", title)
        panel.grid(False, axis="y")
        panel.tick_params(axis="y", length=0)
    panel.set_ylim(len(bars) - 0.4, -0.6)
    return figure


def _draw_sharpness_history(steps, values, trace_steps, traces, errors) -> "Figure":
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    style = {"color": COLOURS[0], "marker": "o", "markersize": 4}
    left.plot(steps, values, **style)
    right.errorbar(trace_steps, traces, 2 * np.array(errors), capsize=2, **style)
    for panel, first, label in ((left, values[0], "largest eigenvalue"), (right, traces[0], "trace")):
        panel.axhline(first, color="0.4", linestyle="--", linewidth=1)
        finish(panel, "", f"{label} (nats per unit²)")
        step_axis(panel, steps)
        panel.set_xlim(-0.15, max(steps) * 1.2)
    return figure


def _cycle(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _step_colour(share: float):
    from matplotlib import colormaps

    return colormaps[SEQUENTIAL](float(share))


def _last(record, diagnostic: str) -> Mapping[str, np.ndarray]:
    recorded = record.arrays(diagnostic)
    return recorded[max(recorded)] if recorded else {}
