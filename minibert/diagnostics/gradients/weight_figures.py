"""How fast weights change, and how far they go."""

import numpy as np

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.gradients.measures import UPDATE_RATIO_OFTEN_QUOTED
from minibert.diagnostics.plotting.depths import layer_colour, weights_by_kind
from minibert.diagnostics.plotting.series import OUTSIDE, read
from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, new_figure, step_axis


@drawing("gradients")
def draw_weights(record) -> dict[str, Drawing]:
    """``update_ratios``, ``distance_from_initialisation`` and ``angle_from_initialisation`` over the steps."""
    drawn = {
        "update_ratios": _draw_kinds(
            record,
            "update_ratio",
            "‖Δθ‖ / ‖θ‖",
            "log",
            UPDATE_RATIO_OFTEN_QUOTED,
            "The share of its own norm that a step changes every weight by: a panel for each kind of weight, "
            "coloured by depth. Dashed: the 1e-3 that is often called healthy (Karpathy, notes for CS231n, 2015), "
            "a rule of thumb for plain gradient descent at a constant rate.",
        ),
        "distance_from_initialisation": _draw_kinds(
            record,
            "relative_distance_from_initialisation",
            "‖θ - θ₀‖ / ‖θ₀‖",
            "linear",
            1.0,
            "How far every weight is from where it started, as a multiple of its norm there. Dashed: as far as "
            "its start is from zero.",
        ),
        "angle_from_initialisation": _draw_kinds(
            record,
            "angle_from_initialisation",
            "angle to θ₀ (radians)",
            "linear",
            np.pi / 2,
            "The angle between every weight and where it started. Dashed: π/2, the angle of independent "
            "directions, where the weight no longer resembles its start.",
        ),
    }
    return {name: each for name, each in drawn.items() if each is not None}


def _draw_kinds(record, quantity: str, label: str, scale: str, reference: float, caption: str) -> Drawing | None:
    """A panel for every kind of weight: its curves over the steps, coloured by depth."""
    found = {each.part: each for each in read(record, quantity, lambda part: part.endswith(".weight"))}
    if not found:
        return None
    kinds = weights_by_kind(found)
    steps = sorted({step for each in found.values() for step in each.steps})
    layers = 1 + max((each.layer for each in found.values() if each.layer is not None), default=0)
    columns = min(4, len(kinds))
    rows = -(-len(kinds) // columns)
    figure = new_figure(2.5 * columns + 1, 2.3 * rows + 0.5)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel, (kind, names) in zip(panels.flat, kinds.items(), strict=False):
        for number, name in enumerate(names):
            each, values = found[name], np.array(found[name].values)
            colour = COLOURS[number % len(COLOURS)] if each.layer is None else layer_colour(each.layer, layers)
            values = np.where(values > 0, values, np.nan) if scale == "log" else values
            panel.plot(each.steps, values, color=colour, linewidth=1.2, label=name.removesuffix(".weight"))
        panel.axhline(reference, color="grey", linestyle="--", linewidth=0.8)
        panel.set_yscale(scale)
        finish(panel, "", "", kind)
        step_axis(panel, steps)
        panel.set_xlabel("")
        if kind == OUTSIDE:
            panel.legend(frameon=False, fontsize=6.5)
    for place in range(len(kinds), panels.size):
        panels.flat[place].set_visible(False)
        panels.flat[place - columns].tick_params(labelbottom=True)
    figure.supxlabel("optimizer step", fontsize=10)
    figure.supylabel(label, fontsize=10)
    if layers > 1:
        _layer_bar(figure, panels, layers)
    return Drawing(figure, caption)


def _layer_bar(figure, panels, layers: int) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colours = ListedColormap([layer_colour(layer, layers) for layer in range(layers)])
    norm = BoundaryNorm(np.arange(layers + 1) - 0.5, layers)
    shown = range(0, layers, 1 + layers // 16)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=panels, label="layer", aspect=40, pad=0.01)
    bar.set_ticks(list(shown), labels=[str(layer) for layer in shown])
    bar.minorticks_off()
