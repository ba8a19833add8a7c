"""The figure of a check going red: what the wrong code gives beside what it should give, and its errors."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.style import COLOURS, Drawing, as_label, finish, new_figure
from minibert.mistakes.mistake import Mistake
from minibert.mistakes.trial import GradientTrial, Trial, allowed, largest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 12
"""Arrays whose errors are drawn, those of the wrong gradients first"""
LEAST = 1e-17
"""Where an error of 0 is drawn"""
RIGHT, WRONG = COLOURS[0], COLOURS[1]


def draw(mistake: Mistake, trial: Trial) -> Drawing:
    """Left, points: on the line where the numbers are right. Right, the error of every array."""
    rows = _rows(trial)
    figure = new_figure(8.4, max(2.9, 0.2 * len(rows) + 1.2))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    if isinstance(trial, GradientTrial):
        _scatter(left, _slope_first(trial.right_points), _slope_first(trial.wrong_points), line=1)
        finish(left, "slope of the loss (central differences)", "gradient", "entries of the wrong gradients")
    else:
        names = trial.caught[:MOST_ROWS]
        off = {name: np.stack([trial.right[name], trial.wrong[name] - trial.right[name]]) for name in names}
        pairs = {name: both.reshape(2, -1).T for name, both in off.items()}
        _scatter(left, {name: pair * (1, 0) for name, pair in pairs.items()}, pairs, line=0)
        finish(left, "what the right code computes", "difference from it", "entries of what is computed")
    _errors(right, rows, trial)
    return Drawing(figure, caption(mistake, trial))


def caption(mistake: Mistake, trial: Trial) -> str:
    """What the figure shows, in words."""
    name, error = largest(trial)
    others = len(trial.caught) - 1
    also = f" and {others} more" if others else ""
    if isinstance(trial, GradientTrial):
        what = "With the right code, each entry of a gradient is the slope of the loss: points on the diagonal"
        where = f"With the mistake, those of {name}{also} leave it, and the check is red"
        beyond = f"relative error {error:.2g} along a random direction, where {allowed(trial):.0e} is allowed"
    else:
        what = "With the right code, what is computed is what the test expects: points on the line at 0"
        where = f"With the mistake, entries of {name}{also} leave it, and the test is red"
        beyond = f"largest difference {error:.2g} of the largest entry"
    return f"{what}. {where}: {beyond}."


def _scatter(panel: "Axes", right: Mapping[str, np.ndarray], wrong: Mapping[str, np.ndarray], line: float) -> None:
    """Points (n, 2) of every array, and the line of this slope that right ones lie on."""
    for colour, marker, label, arrays in (
        (RIGHT, "o", "right code", right),
        (WRONG, "x", "with the mistake", wrong),
    ):
        drawn = np.concatenate([*arrays.values(), np.empty((0, 2))])
        panel.scatter(
            drawn[:, 0], drawn[:, 1], s=14, marker=marker, color=colour, label=label, linewidths=1, alpha=0.8
        )
    panel.axline((0, 0), slope=line, color="0.6", linewidth=1, zorder=0)
    panel.legend(fontsize=8, frameon=False)


def _errors(panel: "Axes", rows: list[str], trial: Trial) -> None:
    places = np.arange(len(rows))
    for index, (colour, marker, label) in enumerate(((RIGHT, "o", "right"), (WRONG, "x", "wrong"))):
        errors = [max(trial.errors[name][index], LEAST) for name in rows]
        panel.scatter(errors, places, s=26, marker=marker, color=colour, label=label)
    panel.axvline(allowed(trial), color="0.4", linestyle="--", linewidth=1)
    panel.set_xscale("log")
    panel.set_xlim(LEAST / 3, 30)
    panel.set_yticks(places, [as_label(name) for name in rows], fontsize=8)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    what = "relative error" if isinstance(trial, GradientTrial) else "relative difference"
    finish(panel, f"{what} (dashed: allowed)", "")


def _rows(trial: Trial) -> list[str]:
    """The wrong ones first, the most wrong at the top."""
    wrong = sorted(set(trial.caught) & set(trial.errors), key=lambda name: -trial.errors[name][1])
    return [*wrong, *(name for name in trial.errors if name not in wrong)][:MOST_ROWS]


def _slope_first(points: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: pairs[:, ::-1] for name, pairs in points.items()}
