"""What all figures of a report have in common.

Figures are drawn without a display and without pyplot's global state. Colours can be told apart by the
colour-blind: viridis for a factor of numbers, whose order then shows, the set of Okabe and Ito for names. More
names than it has colours are given those of turbo.
"""

from typing import TYPE_CHECKING

import numpy as np

from .findings import Findings
from .quantities import Quantity
from .runs import is_number
from .statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
BAND = 0.18
"""Opacity of the interval around a curve"""


def save(figure: "Figure", path) -> None:
    """Write a PNG."""
    figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white")


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches, that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def colours(findings: Findings) -> list:
    """A colour for each group."""
    if all(is_number(group.value) for group in findings.groups):
        from matplotlib import colormaps

        # Viridis ends in a yellow that is lost on white.
        return [colormaps["viridis"](place) for place in np.linspace(0.0, 0.88, len(findings.groups))]
    if len(findings.groups) <= len(OKABE_ITO):
        return list(OKABE_ITO[: len(findings.groups)])
    from matplotlib import colormaps

    return [colormaps["turbo"](place) for place in np.linspace(0.05, 0.95, len(findings.groups))]


def band(panel: "Axes", x, estimates: list[Estimate], colour, described: Quantity) -> None:
    """The interval around a curve."""
    ends = np.array([described.ends(estimate.low, estimate.high) for estimate in estimates])
    panel.fill_between(x, ends[:, 0], ends[:, 1], color=colour, alpha=BAND, linewidth=0)


def finish(panel: "Axes", x_label: str, y_label: str) -> None:
    """Labels, a light grid and no frame above or to the right."""
    panel.set_xlabel(x_label)
    if y_label:
        panel.set_ylabel(y_label)
    panel.grid(True, color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    if panel.get_xlim()[1] >= 1e4:
        panel.xaxis.set_major_formatter(engineering())


def engineering():
    """Ticks such as 20k."""
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def seeds_drawn(findings: Findings, drawn: str) -> str:
    """How many seeds a figure is of, and how they are drawn."""
    counts = sorted({group.final.n for group in findings.groups})
    if counts[-1] == 0:
        return "no run ended with a finite value"
    if counts[-1] == 1:
        return "one seed: no interval, no claim"
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{seeds} seeds\n({drawn})"
