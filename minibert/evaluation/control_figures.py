"""Figures of what a model knows beside its controls: by kind, by place in the network, over steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.style import COLOURS, as_label, finish, new_figure, step_axis
from minibert.evaluation.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL, MARKERS = "model", "sDv^"
Triple = list[float | None]
"""An interval as JSON has it: value, low, high; None where it is undefined"""


@dataclass(frozen=True)
class Kind:
    """What is drawn in one line of :func:`plot_kinds`."""

    label: str
    value: Triple
    controls: Mapping[str, float | None] = field(default_factory=dict)
    """Name of a control -> its value"""


def as_triple(interval: Interval) -> Triple:
    return [plain(value) for value in interval]


def plain(value: float | None) -> float | None:
    """The number as JSON can have it: None for NaN and the infinite"""
    return None if value is None or not np.isfinite(value) else float(value)


def plot_kinds(kinds: Sequence[Kind], x_label: str, chance: float | None = None) -> "Figure":
    """A line for each kind: the model's value with its interval, and a marker for each control."""
    figure = new_figure(7.2, 1.1 + 0.3 * len(kinds))
    panel = figure.subplots()
    controls = list(dict.fromkeys(name for kind in kinds for name in kind.controls))
    heights = np.arange(len(kinds))[::-1]
    if chance is not None:
        panel.axvline(chance, color="0.6", linestyle=":", linewidth=1, label="chance")
    for number, name in enumerate(controls):
        drawn = [(kind.controls.get(name), height) for kind, height in zip(kinds, heights, strict=True)]
        x, y = zip(*((value, height) for value, height in drawn if value is not None), strict=True) or ((), ())
        panel.plot(
            x, y, MARKERS[number % len(MARKERS)], color=COLOURS[1 + number], markersize=5, markerfacecolor="none",
            label=as_label(name),
        )  # fmt: skip
    for number, (kind, height) in enumerate(zip(kinds, heights, strict=True)):
        value, low, high = kind.value
        if value is None:
            continue
        if low is not None and high is not None:
            panel.plot([low, high], [height, height], color=COLOURS[0], linewidth=1.6)
        panel.plot(value, height, "o", color=COLOURS[0], markersize=5, label=None if number else MODEL)
    panel.set_yticks(heights, [as_label(kind.label) for kind in kinds])
    panel.set_ylim(-0.7, len(kinds) - 0.3)
    finish(panel, x_label, "")
    figure.legend(loc="outside upper left", ncols=6, fontsize=8, frameon=False)
    return figure


def plot_places(
    panels: Mapping[str, Mapping[str, Mapping[str, Triple]]], y_label: str, apart: Sequence[str] = ()
) -> "Figure":
    """A panel for each title, a line for each name, over the places of the network.

    ``panels``: title -> name -> place -> value. Places that are ``apart`` are not joined with the others.
    """
    figure = new_figure(min(1.2 + 3.6 * len(panels), 11), 3.4)
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for panel, (title, lines) in zip(axes, panels.items(), strict=True):
        places = list(dict.fromkeys(place for line in lines.values() for place in line))
        for number, (name, line) in enumerate(lines.items()):
            style = {
                "color": COLOURS[number],
                "marker": "o" if not number else MARKERS[number - 1],
                "markersize": 4,
            }
            for joined in (True, False):
                chosen = [
                    (places.index(place), value)
                    for place, value in line.items()
                    if (place not in apart) == joined and value[0] is not None
                ]
                if chosen:
                    _with_bars(
                        panel, chosen, "-" if joined else "", as_label(name) if joined else None, style, number
                    )
        panel.set_xticks(
            range(len(places)), [place.replace("_", " ") for place in places], rotation=45, ha="right"
        )
        finish(panel, "", y_label if panel is axes[0] else "", as_label(title))
        panel.axhline(0, color="0.6", linewidth=0.8)
    _legend(figure, axes[0])
    return figure


def plot_steps(
    panels: Mapping[str, Mapping[str, Mapping[int, Triple]]], y_label: str, chance: float | None = None
) -> "Figure":
    """A panel for each title, a line for each name, over optimizer steps.

    ``panels``: title -> name -> step -> value
    """
    figure = new_figure(min(2.6 + 3.2 * len(panels), 11), 3.2)
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for panel, (title, lines) in zip(axes, panels.items(), strict=True):
        for number, (name, line) in enumerate(lines.items()):
            chosen = [(step, value) for step, value in line.items() if value[0] is not None]
            if chosen:
                colour = COLOURS[number % len(COLOURS)]
                style = {"color": colour, "marker": "o", "markersize": 3, "clip_on": False}
                _with_bars(panel, chosen, "-", as_label(name), style, 0)
        if chance is not None:
            panel.axhline(chance, color="0.4", linestyle=":", linewidth=1, label="chance")
        finish(panel, "", y_label if panel is axes[0] else "", as_label(title))
        step_axis(panel, [step for line in lines.values() for step in line])
    _legend(figure, axes[0])
    return figure


def _with_bars(panel, points: list, line: str, label: str | None, style: dict, shift: int) -> None:
    """Points and their intervals; ``shift`` moves them a little, so that they do not hide each other."""
    x = np.array([at for at, _ in points], float) + 0.08 * shift
    values = np.array([[np.nan if part is None else part for part in value] for _, value in points])
    bars = np.abs(values[:, 1:] - values[:, :1]).T
    panel.errorbar(x, values[:, 0], bars, linestyle=line, label=label, linewidth=1.4, elinewidth=1, **style)


def _legend(figure, panel) -> None:
    handles, labels = panel.get_legend_handles_labels()
    columns = 3 if figure.get_figwidth() < 6 else 6
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, fontsize=8, frameon=False)
