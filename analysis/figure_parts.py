"""Shared parts of the figures of a report: a colour for each group, intervals, seeds.

Figures are drawn without a display and without pyplot's global state.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.panels import colours_of
from minibert.diagnostics.plotting.style import distinct_colours

from .findings import Findings
from .quantities import Quantity
from .statistics import Estimate
from .values import is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
BAND = 0.18
"""Opacity of the interval around a curve"""
EARLY = 0.1
"""Share of the training in which a curve may fall so far that the rest of it would look flat"""


def save(figure: "Figure", path: Path) -> None:
    """Write a PNG or, if the path ends in .svg, an SVG, whose text is drawn as shapes: no font can be missing."""
    figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white")


def colours(findings: Findings) -> list:
    """A colour for each group: in order from dark to bright for a factor of numbers, distinct ones for names."""
    if all(is_number(group.value) for group in findings.groups):
        return list(colours_of(group.value for group in findings.groups).values())
    return distinct_colours(len(findings.groups))


def band(panel: "Axes", x, estimates: list[Estimate], colour, described: Quantity) -> None:
    """The interval around a curve."""
    ends = np.array([described.ends(estimate.low, estimate.high) for estimate in estimates])
    panel.fill_between(x, ends[:, 0], ends[:, 1], color=colour, alpha=BAND, linewidth=0)


def after_the_start(steps: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The means after the first steps, :data:`EARLY` of all, and the one at their end."""
    early = EARLY * steps[-1]
    return np.append(means[steps > early], np.interp(early, steps, means))


def limits(values: np.ndarray, late: np.ndarray) -> tuple[float, float] | None:
    """The ends of an axis for ``values``, of which ``late`` are those after the first steps; None without any.

    If the later ones would take less than half of the height, the axis covers only them.
    """
    values, late = values[np.isfinite(values)], late[np.isfinite(late)]
    if not values.size:
        return None
    if late.size > 1 and 0 < np.ptp(late) < np.ptp(values) / 2:
        values = late
    low, high = float(values.min()), float(values.max())
    room = 0.2 * (high - low) or 0.01 * max(abs(high), 1)
    return low - room, high + room


def engineering():
    """A formatter of ticks such as 20k."""
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")


def seeds_drawn(findings: Findings, drawn: str) -> str:
    """How many seeds a figure is of, and how they are drawn."""
    counts = sorted({group.final.n for group in findings.groups})
    if counts[-1] == 0:
        return "no run ended with a finite value"
    if counts[-1] == 1:
        return "one seed: no interval, no claim"
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{seeds} seeds\n({drawn})"
