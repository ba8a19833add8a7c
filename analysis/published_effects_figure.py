"""The figure of published effects: what was measured for each claim, with its interval."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from minibert.diagnostics.plotting.style import COLOURS, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE_WIDTH = 34
"""Characters of a line of a panel's title"""


class Panel(NamedTuple):
    """What stands for one claim."""

    title: str
    axis: str
    bars: Mapping[str, tuple[float, float, float]]
    """What was compared -> estimate and the two ends of its 95 % interval, from the top"""


def effects(panels: Sequence[Panel]) -> "Figure":
    """A panel a claim, a bar an interval; filled marks where it is on one side of 0."""
    from textwrap import fill

    figure = new_figure(4.2 * len(panels), 3.4)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for place, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
        colour = COLOURS[place]
        axis.axvline(0, color="0.35", linewidth=1)
        for row, (value, low, high) in enumerate(panel.bars.values()):
            filled = colour if low > 0 or high < 0 else "white"
            axis.plot([low, high], [row, row], color=colour, linewidth=1.5)
            axis.plot(value, row, "o", color=colour, markerfacecolor=filled, markersize=6)
        axis.set_yticks(range(len(panel.bars)), list(panel.bars), fontsize=9)
        axis.set_ylim(len(panel.bars) - 0.5, -0.5)
        finish(axis, panel.axis, "", fill(panel.title, TITLE_WIDTH))
    return figure
