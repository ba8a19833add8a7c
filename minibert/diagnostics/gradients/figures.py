"""How gradients flow, how noisy they are, and how often they are clipped."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.gradients.measures import (
    analyze_gradient_magnitudes_by_layer,
    compute_gradient_rms,
    compute_noise_scale,
    group_of,
)
from minibert.diagnostics.plotting.depths import (
    colour_bar,
    depth_axis,
    group_colours,
    in_depth_order,
    weights_by_kind,
)
from minibert.diagnostics.plotting.series import OUTSIDE, read
from minibert.diagnostics.plotting.style import COLOURS, SEQUENTIAL, Drawing, finish, new_figure, step_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW = 11
"""Measured steps over which noisy quantities are averaged before they are drawn"""
MARKERS = "sD^v<>Pp"


def plot_gradient_flow(gradients: Mapping[str, np.ndarray], step: int) -> "Figure":
    """The gradient by depth: of every part of the network, and of every kind of weight in the layers.

    Drawn are root mean squares, and the largest elements of the parts. ``gradients`` are named arrays, such as
    what :meth:`MiniBERT.backward` returns; ``step`` is for the title.

    Raises :class:`MinibertError` without any gradient.
    """
    magnitudes, rms = analyze_gradient_magnitudes_by_layer(gradients), compute_gradient_rms(gradients)
    groups = in_depth_order(magnitudes)
    places = {group: place for place, group in enumerate(groups)}
    figure = new_figure(max(7.5, 4.5 + 0.4 * len(groups)), 4.4)
    panel = figure.subplots()
    largest = [magnitudes[group].largest for group in groups]
    panel.plot(range(len(groups)), largest, color="0.6", linestyle=":", marker="_", label="largest element")
    values = [magnitudes[group].root_mean_square for group in groups]
    panel.plot(range(len(groups)), values, color="black", linewidth=2, marker="o", label="whole part")
    kinds = weights_by_kind(name for name in gradients if name.endswith(".weight"))
    kinds.pop(OUTSIDE, None)
    for number, (kind, names) in enumerate(kinds.items()):
        panel.plot(
            [places[group_of(name)] for name in names],
            [rms[name] for name in names],
            linewidth=1,
            markersize=4,
            marker=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % 6],
            label=kind,
        )
    panel.set_yscale("log")
    finish(panel, "", "gradient (nats per unit)", f"gradient by depth at step {step:,}, root mean squares")
    depth_axis(panel, groups)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


@drawing("gradients")
def draw_gradients(record) -> dict[str, Drawing]:
    """``gradient_flow``, ``gradient_noise``, ``gradient_cosine`` and ``clipped_share``."""
    drawn = {
        "gradient_flow": _draw_gradient_flow(record),
        "clipped_share": _draw_clipped_share(record),
        "gradient_noise": _draw_gradient_noise(record),
        "gradient_cosine": _draw_gradient_cosine(record),
    }
    return {name: each for name, each in drawn.items() if each is not None}


def _draw_gradient_flow(record) -> Drawing | None:
    groups_alone = read(record, "gradient_rms", lambda part: "." not in part and part != "global")
    found = {each.part: each.history for each in groups_alone}
    if not found:
        return None
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    groups = in_depth_order(found)
    at = {group: dict(zip(*found[group], strict=True)) for group in groups}
    steps = sorted(set().union(*at.values()))
    norm = LogNorm(1, max(steps[-1] + 1, 2))
    figure = new_figure(max(6.5, 3.5 + 0.4 * len(groups)), 4.4)
    panel = figure.subplots()
    for step in steps:
        values = [at[group].get(step, np.nan) for group in groups]
        colour = colormaps[SEQUENTIAL](norm(step + 1))
        panel.plot(range(len(groups)), values, marker="o", markersize=3, linewidth=1.2, color=colour)
    panel.set_yscale("log")
    finish(panel, "", "root mean square gradient\n(nats per unit)")
    depth_axis(panel, groups)
    ticks = {1.0: "0"} | {10.0**power + 1: f"{10**power:,}" for power in range(7) if 10**power <= steps[-1]}
    colour_bar(figure, panel, norm, "optimizer step", ticks)
    return Drawing(
        figure,
        "The gradient of every part of the network before clipping, as the root mean square over its "
        "parameters, at the measured steps. A slope over the layers is a gradient that vanishes or "
        "explodes.",
    )


def _draw_clipped_share(record) -> Drawing | None:
    steps, values = record.history("train/clipped_share")
    if not steps:
        return None
    figure = new_figure(6, 3)
    panel = figure.subplots()
    panel.step([0, *steps], [values[0], *values], where="pre", color=COLOURS[0])
    panel.set_ylim(-0.03, 1.03)
    finish(panel, "optimizer step", "share clipped")
    return Drawing(
        figure,
        "The share of the steps since the last point whose gradient was clipped; with adaptive clipping, "
        "the mean share of units. Always near 1, clipping sets the gradient's size; always 0, it does nothing.",
    )


def _draw_gradient_noise(record) -> Drawing | None:
    steps, traces = record.history("gradient_noise/trace")
    if not steps:
        return None
    _, norms = record.history("gradient_noise/squared_norm")
    _, sizes = record.history("gradient_noise/batch_size")
    batch_size = sizes[-1]
    signal, noise = _running_means(norms), _running_means(traces) / batch_size
    scales = [compute_noise_scale(*means) for means in zip(signal, noise * batch_size, strict=True)]
    figure = new_figure(9, 3.8)
    left, right = figure.subplots(1, 2)
    left.plot(steps, noise, color=COLOURS[1], label="noise, tr Σ / B")
    left.plot(steps, np.where(signal > 0, signal, np.nan), color=COLOURS[0], marker=".", label="signal, |G|²")
    right.plot(*record.history("gradient_noise/scale"), ".", color="0.75", markersize=4, label="a single step")
    right.plot(steps, scales, color=COLOURS[0], marker=".", label=f"mean of {WINDOW} steps")
    right.axhline(batch_size, color="grey", linestyle="--", label=f"batch size, B = {batch_size:.0f}")
    for panel, label in ((left, "squared gradient norm (nats² per unit²)"), (right, "noise scale (sequences)")):
        panel.set_yscale("log")
        finish(panel, "", label)
        step_axis(panel, steps)
        panel.legend(frameon=False, fontsize=8)
    return Drawing(
        figure,
        "Left: what of a batch's squared gradient norm is signal, and what is noise. Right: the batch "
        "size at which they would be equal. Both are from the differences between the lanes' gradients. A single "
        f"step says little, so means over {WINDOW} measured steps are divided. No point is drawn where the signal "
        "is lost in the noise.",
    )


def _draw_gradient_cosine(record) -> Drawing | None:
    found = {each.part: each.history for each in read(record, "gradient_cosine")}
    if "successive" not in found:
        return None
    whole = found.pop("successive")
    groups = in_depth_order(found)
    colours = group_colours(groups)
    figure = new_figure(7.5, 3.8)
    panel = figure.subplots()
    panel.plot(*whole, ".", color="0.75", markersize=4, label="all, a single step")
    for group in groups:
        steps, values = found[group]
        label = group.replace("_", " ")
        panel.plot(steps, _running_means(values), color=colours[group], linewidth=0.9, label=label)
    panel.plot(whole[0], _running_means(whole[1]), color="black", linewidth=2, label="all")
    panel.axhline(0, color="grey", linestyle="--", linewidth=0.8)
    finish(panel, "", "cosine of successive gradients")
    step_axis(panel, whole[0])
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return Drawing(
        figure,
        "The cosine between the gradient of a step and that of the step before, of another batch, as "
        f"means over {WINDOW} measured steps. Without noise it would be near 1; where the noise scale is the "
        "batch size, it is about a half.",
    )


def _running_means(values) -> np.ndarray:
    """Of each value and its neighbours, ``WINDOW`` together; fewer at the ends."""
    windows = (slice(max(place - WINDOW // 2, 0), place + WINDOW // 2 + 1) for place in range(len(values)))
    return np.array([np.mean(values[window]) for window in windows])
