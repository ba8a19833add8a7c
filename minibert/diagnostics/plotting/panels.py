"""Small panels, a kind of thing each, with a line for each layer, coloured by its depth."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.depths import layer_colour
from minibert.diagnostics.plotting.series import OUTSIDE, Histories, History
from minibert.diagnostics.plotting.style import COLOURS, finish, new_figure, step_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4
"""Most panels in a row"""
FEW = 4
"""Layers whose initial values are shown one by one"""
AT_START = (
    "Dashed: at initialisation (of more than four layers, the middle one, and grey, the middle half of them)."
)
LEFT, BETWEEN, RIGHT, BELOW, ABOVE = 0.8, 0.55, 1.1, 0.6, 0.6
"""Inches left of all panels, after each, for the bar of colours, below all panels, and above each"""
AROUND, APART = (0.95, 0.15, 0.55, 0.3), (0.95, 0.85)
"""Inches left, right, below and above all panels that have ticks and labels of their own; beside and above each"""


def in_depth(layer: int | str) -> tuple[int, str]:
    """A key to sort by: what is of no layer first."""
    return (layer, "") if isinstance(layer, int) else (-1, layer)


def in_order(kinds: Iterable[str], order: tuple[str, ...]) -> list[str]:
    """Kinds as ``order`` has them, what it does not name behind them, and what is outside of the layers last."""

    def place(kind: str) -> tuple[bool, int, str]:
        return kind == OUTSIDE, order.index(kind) if kind in order else len(order), kind

    return sorted(kinds, key=place)


def small_panels(count: int, width: float = 2.7, height: float = 1.8) -> tuple["Figure", list]:
    """A figure with ``count`` panels in rows of at most :data:`COLUMNS`, sizes in inches a panel.

    All positions are given.
    """
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    whole_width = LEFT + columns * (width + BETWEEN) + RIGHT
    whole_height = BELOW + rows * (height + ABOVE)
    figure = new_figure(whole_width, whole_height, placed=True)
    panels = []
    for index in range(count):
        row, column = divmod(index, columns)
        left, bottom = LEFT + column * (width + BETWEEN), BELOW + (rows - 1 - row) * (height + ABOVE)
        place = (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
        panels.append(figure.add_axes(place))
    return figure, panels


def placed_panels(figure, width: float, height: float, rows: int = 1, columns: int = 1) -> list:
    """Panels with ticks and labels of their own, one row after the other.

    ``figure`` is one whose panels are placed (:func:`new_figure`), or a part of it, of that size in inches.
    """
    left, right, bottom, top = AROUND
    beside, above = APART
    across = (width - left - right - (columns - 1) * beside) / columns
    down = (height - bottom - top - (rows - 1) * above) / rows
    place = {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - top / height}
    place |= {"wspace": beside / across, "hspace": above / down}
    return list(figure.subplots(rows, columns, squeeze=False, gridspec_kw=place).flat)


def colours_of(things: Iterable) -> dict:
    """A colour for each, from dark to bright, in the order given."""
    things = list(things)
    return {thing: layer_colour(index, len(things)) for index, thing in enumerate(things)}


def explain_colours(figure, colours: Mapping, title: str) -> None:
    """A bar beside the panels of :func:`small_panels` that says which colour stands for what."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    count = len(colours)
    edges = [index - 0.5 for index in range(count + 1)]
    mappable = ScalarMappable(BoundaryNorm(edges, count), ListedColormap(list(colours.values())))
    width, height = figure.get_size_inches()
    place = ((width - RIGHT) / width, BELOW / height, 0.12 / width, (height - BELOW - ABOVE) / height)
    bar = figure.colorbar(mappable, cax=figure.add_axes(place))
    bar.set_ticks(range(count), labels=[str(thing) for thing in colours])
    bar.ax.tick_params(labelsize=8)
    bar.ax.set_title(title, fontsize=9, loc="left")
    bar.minorticks_off()
    bar.outline.set_visible(False)


def label_once(figure, panels, x_label: str, y_label: str) -> None:
    """What all panels have on their axes, said once for the figure."""
    for panel in panels:
        panel.set(xlabel="", ylabel="")
        panel.tick_params(labelsize=8)
    width, height = figure.get_size_inches()
    figure.text(0.5, 0.08 / height, x_label, ha="center", va="bottom", fontsize=10)
    figure.text(0.08 / width, 0.5, y_label, ha="left", va="center", rotation=90, fontsize=10)


def scale_together(panels, by_logarithm: bool, span: float | None = None) -> None:
    """One range of y for all these panels, so that they can be compared.

    By logarithm, with plain numbers on it, where that is wanted and the values span a decade. What is less than
    the largest by the factor ``span`` is cut off.
    """
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    if not panels:
        return
    low, high = zip(*(panel.dataLim.intervaly for panel in panels), strict=True)
    low, high = min(low), max(high)
    low = max(low, high / span) if span else low
    if not (by_logarithm and 0 < 10 * low <= high):
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 1
        for panel in panels:
            panel.set_ylim(low - margin, high + margin)
        return
    margin = (high / low) ** 0.05
    for panel in panels:
        panel.set_yscale("log")
        panel.set_ylim(low / margin, high * margin)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=7))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def name_lines(panel, room_beside: bool) -> None:
    """A legend: beside the panel, where nothing else is, or over the lines."""
    if room_beside:
        panel.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    else:
        panel.legend(fontsize=7, facecolor="white", edgecolor="none", framealpha=0.7)


def draw_initial(panel, histories: Histories | Mapping[int, History], colours: Mapping) -> None:
    """The values at step 0, dashed: of a few layers all; of many the middle one, in a grey band over half."""
    initial = {layer: values[0] for layer, (steps, values) in histories.items() if steps and steps[0] == 0}
    if 0 < len(initial) <= FEW:
        for layer, value in initial.items():
            panel.axhline(value, color=colours[layer], linestyle="--", linewidth=1, alpha=0.6, zorder=1)
    elif initial:
        low, middle, high = np.percentile(list(initial.values()), (25, 50, 75))
        panel.axhspan(low, high, color="0.5", alpha=0.25, linewidth=0, zorder=0)
        panel.axhline(middle, color="0.4", linestyle="--", linewidth=1, zorder=1)


def draw_outside(panel, groups: list[Histories], room_beside: bool) -> None:
    """What is of no layer: a line each with its name, in every group in the same colour; dashed, its value at step
    0."""
    for number, histories in enumerate(groups):
        for index, (name, (steps, values)) in enumerate(histories.items()):
            colour = COLOURS[index % len(COLOURS)]
            panel.plot(steps, values, color=colour, linewidth=1.3, label=None if number else name)
            if steps[0] == 0:
                panel.axhline(values[0], color=colour, linestyle="--", linewidth=1, alpha=0.6)
    name_lines(panel, room_beside)


def has_room_beside(panels) -> bool:
    """Whether the last row of panels ends before the last column."""
    return len(panels) > COLUMNS and len(panels) % COLUMNS > 0


def layer_colours(kinds: Iterable[Mapping]) -> dict:
    """A colour for each layer that any of these kinds has; what is of no layer has none."""
    return colours_of(sorted({layer for each in kinds for layer in each if isinstance(layer, int)}))


def panels_by_kind(
    groups: list[dict[str, Histories]], order: tuple[str, ...], label: str, whole: str = "", width: float = 1.3
) -> tuple["Figure", list[str], list]:
    """A panel for each kind, a line for each layer and group; what is of no layer, by name.

    The kind ``""``, a layer as a whole, has the title ``whole``. ``width`` is that of the lines, in points.
    Returns the figure, the kinds in their order, and their panels, whose values are still to be scaled.
    """
    kinds, colours = in_order(groups[0], order), layer_colours(groups[0].values())
    figure, panels = small_panels(len(kinds))
    for kind, panel in zip(kinds, panels, strict=True):
        found = [group[kind] for group in groups]
        if kind == OUTSIDE:
            draw_outside(panel, found, has_room_beside(panels))
        else:
            for histories in found:
                for layer, (steps, values) in histories.items():
                    panel.plot(steps, values, color=colours[layer], linewidth=width)
                draw_initial(panel, histories, colours)
        finish(panel, "", "", kind or whole)
        step_axis(panel, next(iter(found[0].values()))[0])
    label_once(figure, panels, "optimizer step", label)
    if colours:
        explain_colours(figure, colours, "layer")
    return figure, kinds, panels
