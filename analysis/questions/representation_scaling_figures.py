"""Figures of networks of several sizes: loss and laws, quality by size and by loss, and effective rank."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.panels import colours_of
from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, new_figure

from ..quantities import Quantity, quantity
from ..statistics import mean_interval
from .representation_scaling_laws import Laws
from .representation_scaling_runs import LOSS, Budget, SizedRun, in_millions
from .representation_scaling_tables import RANK, SCORE, SHARE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
"""Most panels in a row"""
SIZE = "weights in the layers"
BUDGETS = {"equal tokens": (COLOURS[0], "o"), "equal compute": (COLOURS[1], "s")}
"""Name -> colour and mark"""
POINTS = 200
"""Of a drawn law"""


def draw(laws: Sequence[Laws], runs: Sequence[SizedRun], names: Sequence[str]) -> dict[str, Drawing]:
    """File name -> figure. ``names``: of the scores"""
    budgets = [law.budget for law in laws]
    drawn = {
        "loss_by_size.png": Drawing(
            loss_by_size(laws),
            "Held-out loss against size. Dots: seeds; marks with bars: means with 95 % intervals over seeds; "
            "line: the fitted law, if it holds. A law that is not identified is fitted without its floor.",
        )
    }
    if names:
        drawn["quality_by_size.png"] = Drawing(
            quality_by_size(budgets, names),
            "Accuracy of probes and minimal pairs against size. Means with 95 % intervals over seeds; dashed: "
            "the same networks before training.",
        )
        drawn["quality_by_loss.png"] = Drawing(
            quality_by_loss(budgets, runs, names),
            "Accuracy of probes and minimal pairs against the held-out loss, a dot a run. Colours: size; "
            "circles: equal tokens, squares: equal compute; a run of both is a circle. The axis of the loss "
            "points to the left: the better, the further to the right.",
        )
    if any(np.isfinite(run.rank) for run in runs):
        drawn["rank_by_size.png"] = Drawing(
            rank_by_size(budgets),
            "Effective rank of the hidden states after the last layer, and its share of the largest possible "
            "one, the width. Means with 95 % intervals over seeds.",
        )
    return drawn


def loss_by_size(laws: Sequence[Laws]) -> "Figure":
    """A panel a budget."""
    figure = new_figure(5.2 * len(laws), 4.2)
    panels = figure.subplots(1, len(laws), squeeze=False, sharey=True)[0]
    for panel, law in zip(panels, laws, strict=True):
        budget = law.budget
        colour = BUDGETS[budget.name][0]
        for run in budget.runs:
            panel.plot(run.weights * 1.06, run.loss, ".", color=colour, markersize=4, alpha=0.6)
        _means(panel, budget, lambda run: run.loss, quantity(LOSS), label="mean", linestyle="none")
        _fitted(panel, law)
        finish(panel, SIZE, "held-out loss (nats)" if panel is panels[0] else "", budget.name)
        _sizes(panel, budget.sizes)
        panel.legend(frameon=False, fontsize=9)
    figure.suptitle(f"Loss and size, {_seeds([law.budget for law in laws])}", fontsize=11)
    return figure


def _fitted(panel: "Axes", law: Laws) -> None:
    """The identified law; at equal compute, the parabola where it has a lowest point; else the pure law. One that
    misses the means, or of which that is not known, is named in the legend alone."""
    if law.floored is not None and law.floored.identified:
        fitted, style, label = law.floored, "-", f"{law.floored.a:.2f} + b / N^{law.floored.c:.2f}"
    elif law.budget.name == "equal compute" and law.lowest.n:
        fitted, style, label = law.parabola, ":", "parabola in log N"
    else:
        fitted, style, label = law.pure, "--", "" if law.pure is None else f"b / N^{law.pure.c:.3f}"
    if fitted is None:
        return
    if fitted.holds:
        sizes = np.geomspace(law.budget.sizes[0], law.budget.sizes[-1], POINTS)
        panel.plot(sizes, fitted.at(sizes), color="0.35", linewidth=1.3, linestyle=style, label=label)
    else:
        why = "fit unknown" if np.isnan(fitted.lack_of_fit) else "misses the means"
        panel.plot([], [], " ", label=f"not drawn: {label} ({why})")


def quality_by_size(budgets: Sequence[Budget], names: Sequence[str]) -> "Figure":
    """A panel a score."""
    figure, panels = _panels(len(names))
    for panel, name in zip(panels, names, strict=True):
        for budget in budgets:
            _means(panel, budget, partial(_value, name=name), SCORE, label=budget.name)
        _untrained(panel, budgets, name)
        finish(panel, SIZE, "accuracy", name)
        _sizes(panel, sorted({size for budget in budgets for size in budget.sizes}))
    _legend(figure, *panels[0].get_legend_handles_labels())
    figure.suptitle(f"Quality and size, {_seeds(budgets)}", fontsize=11)
    return figure


def quality_by_loss(budgets: Sequence[Budget], runs: Sequence[SizedRun], names: Sequence[str]) -> "Figure":
    """A panel a score, a dot a run."""
    figure, panels = _panels(len(names))
    colours = colours_of(sorted({run.weights for run in runs}))
    tokens = {run.run.id for budget in budgets if budget.name == "equal tokens" for run in budget.runs}
    for panel, name in zip(panels, names, strict=True):
        for run in runs:
            mark = BUDGETS["equal tokens" if run.run.id in tokens else "equal compute"][1]
            panel.plot(
                run.loss, _value(run, name), mark, color=colours[run.weights], markersize=5,
                label=in_millions(run.weights),
            )  # fmt: skip
        finish(panel, "held-out loss (nats)", "accuracy", name)
        panel.invert_xaxis()
    entries = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
    _legend(figure, list(entries.values()), list(entries))
    figure.suptitle(f"Quality and loss, {len(runs)} runs", fontsize=11)
    return figure


def rank_by_size(budgets: Sequence[Budget]) -> "Figure":
    """The rank, and its share of the width."""
    figure = new_figure(9.5, 4)
    panels = figure.subplots(1, 2)
    drawn: tuple[tuple[Callable[[SizedRun], float], Quantity], ...] = (
        (lambda run: run.rank, RANK),
        (lambda run: run.rank_share, SHARE),
    )
    for panel, (value, described) in zip(panels, drawn, strict=True):
        for budget in budgets:
            _means(panel, budget, value, described, label=budget.name)
        finish(panel, SIZE, described.title)
        _sizes(panel, sorted({size for budget in budgets for size in budget.sizes}))
        panel.set_ylim(bottom=0)
    panels[0].set_ylim(bottom=1)
    figure.suptitle(f"Directions that hidden states use, {_seeds(budgets)}", fontsize=11)
    _legend(figure, *panels[0].get_legend_handles_labels())
    return figure


def _value(run: SizedRun, name: str) -> float:
    return run.qualities[name].value if name in run.qualities else np.nan


def _means(
    panel: "Axes",
    budget: Budget,
    value: Callable[[SizedRun], float],
    described: Quantity,
    label: str,
    linestyle: str = "-",
) -> None:
    """Means over seeds with their intervals, which end at what is possible."""
    found = {size: mean_interval([value(run) for run in budget.of_size(size)]) for size in budget.sizes}
    found = {size: estimate for size, estimate in found.items() if estimate.n}
    colour, mark = BUDGETS[budget.name]
    means = np.array([estimate.mean for estimate in found.values()])
    ends = np.array([described.ends(estimate.low, estimate.high) for estimate in found.values()]).reshape(-1, 2)
    bars = np.nan_to_num(np.abs(ends.T - means))  # a single seed has no interval
    panel.errorbar(
        list(found),
        means,
        bars,
        color=colour,
        marker=mark,
        markersize=5,
        capsize=3,
        linewidth=1,
        label=label,
        linestyle=linestyle,
    )


def _untrained(panel: "Axes", budgets: Sequence[Budget], name: str) -> None:
    """Networks of one size and seed are the same before training, whatever their budget."""
    levels: dict[int, list[float]] = {}
    for run in (run for budget in budgets for run in budget.runs if name in run.qualities):
        levels.setdefault(run.weights, []).append(run.qualities[name].untrained)
    sizes = sorted(levels)
    means = [mean_interval(levels[size]).mean for size in sizes]
    panel.plot(sizes, means, "--", color="0.45", linewidth=1.3, label="untrained")


def _sizes(panel: "Axes", sizes: Sequence[int]) -> None:
    panel.set_xscale("log")
    panel.set_xticks(sizes, [in_millions(size) for size in sizes], fontsize=8)
    panel.minorticks_off()


def _panels(count: int) -> tuple["Figure", list["Axes"]]:
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = new_figure(3.3 * columns + 0.4, 2.6 * rows + 0.8)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for empty in panels[count:]:
        empty.set_axis_off()
    return figure, list(panels[:count])


def _seeds(budgets: Sequence[Budget]) -> str:
    counts = sorted({len(budget.of_size(size)) for budget in budgets for size in budget.sizes})
    if counts == [1]:
        return "one seed: no interval, no claim"
    return f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} seeds"


def _legend(figure: "Figure", handles, labels) -> None:
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=9)
