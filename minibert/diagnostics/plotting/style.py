"""The style of all figures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minibert.collection import importing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's palette, which colour-blind readers can tell apart"""
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"


LONGEST_LABEL = 48
"""Characters"""
HAIR_SPACE = "\u200a"


@dataclass(frozen=True)
class Drawing:
    """A figure and the sentence that says what it shows."""

    figure: "Figure"
    caption: str


def new_figure(width: float, height: float, placed: bool = False) -> "Figure":
    """An empty figure, in inches, that belongs to no window. Its texts are shown as they stand.

    matplotlib arranges the panels so that no text lies on another, unless they are ``placed`` by who draws them:
    to arrange them takes as long as to draw them.
    """
    with importing():
        from minibert.diagnostics.plotting.literal import LiteralFigure

    layout: Any = "none" if placed else "constrained"
    return LiteralFigure(figsize=(width, height), layout=layout)


def as_label(name: str) -> str:
    """A name from a user's data as the label of a tick, a panel or a line: on one line, cut where it is long.

    matplotlib leaves out of a legend what begins with ``_``; a hair space in front keeps it there.

    >>> as_label("the  subject\\nand " + 40 * "x")
    'the subject and xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'
    """
    shown = " ".join(name.split())
    if len(shown) > LONGEST_LABEL:
        shown = shown[: LONGEST_LABEL - 1] + "…"
    return HAIR_SPACE + shown if shown.startswith("_") else shown


def distinct_colours(count: int) -> list:
    """A colour for each of so many things without an order: more than :data:`COLOURS` has are those of turbo."""
    from matplotlib import colormaps

    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return [colormaps["turbo"](0.05 + 0.9 * index / (count - 1)) for index in range(count)]


def finish(panel, x_label: str, y_label: str, title: str = "") -> None:
    """Labels, a light grid and no frame above or to the right."""
    panel.set(xlabel=x_label, ylabel=y_label)
    panel.set_title(title, fontsize=10)
    panel.grid(True, color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def step_axis(panel, steps) -> None:
    """Optimizer steps on a scale that shows step 0 and the log-spaced ones after it alike."""
    panel.set_xscale("symlog", linthresh=1, linscale=0.4)
    last = max(steps, default=1)
    ticks = [0] + [10**power for power in range(7) if 10**power <= last]
    panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.set_xlim(left=0)
    panel.set_xlabel("optimizer step")
