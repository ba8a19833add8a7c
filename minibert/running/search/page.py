"""The page of a search: its table of trials, and Optuna's figures of what they show."""

import warnings
from collections.abc import Callable, Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from minibert.config.search import SearchConfig
from minibert.diagnostics.plotting.document import figure, page, picture, table, warning
from minibert.diagnostics.plotting.style import Drawing
from minibert.running.search.reading import Asked
from minibert.running.search.results import best_words, columns, command_of, counted, front, row

if TYPE_CHECKING:
    from optuna import Study

FEWEST_FOR_IMPORTANCES = 4
"""Finished trials"""
MOST_IN_LEGEND = 10
PARALLEL = "Parallel coordinates"
WIDTH, HEIGHT, PANEL = 8.0, 4.2, 2.2
"""Of a figure, and the least width of each of its panels, in inches"""


def search_page(asked: Asked, study: "Study") -> str:
    """One page of HTML that holds all its figures. A figure that Optuna cannot draw is named, with the reason."""
    search = asked.search
    body = [
        f"<h1>Search {escape(search.name)}</h1>",
        f"<p>{escape(search.question)}</p>" if search.question else "",
    ]
    counts = ", ".join(f"{count} {word}" for word, count in counted(study).items() if count)
    order = "; ".join(f"{direction} {metric}" for metric, direction in search.objectives.items())
    body.append(f"<p>{escape(counts or 'No trial yet')}. Objective: {escape(order)}. Seed {search.seed}.</p>")
    best = front(study, search)
    if best:
        body.append("<h2>Best</h2>" if len(best) == 1 else "<h2>Pareto front</h2>")
        body.append(table(columns(search), [row(trial, search) for trial in best]))
        command = escape(command_of(best_words(asked, best[0])))
        body.append(f"<p>{'This one' if len(best) == 1 else 'The first one'} again: <code>{command}</code></p>")
    failed: list[tuple[str, str]] = []
    body += ["<h2>Figures</h2>", *_figures(study, search, failed)]
    body.append(warning("Not drawn:", failed))
    trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    body += ["<h2>All trials</h2>", table(columns(search), [row(trial, search) for trial in trials])]
    return page(f"Search {search.name}", body)


def _figures(study: "Study", search: SearchConfig, failed: list[tuple[str, str]]) -> Iterator[str]:
    for title, caption, draw in _planned(study, search):
        layout = "tight" if title.startswith(PARALLEL) else "constrained"  # of axes that lie on one another
        try:
            yield figure(title.lower().replace(" ", "-"), picture(title, Drawing(_drawn(draw, layout), caption)))
        except Exception as error:  # the others are drawn
            failed.append((title, f"{type(error).__name__}: {error}"))


def _planned(study: "Study", search: SearchConfig) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Title, caption and drawing of each figure that these trials allow."""
    from optuna.visualization import matplotlib as plots

    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if len(done) < 2:
        return
    if 1 < len(search.objectives) <= 3:
        caption = "Each dot is a trial. Of those of the front, no other trial is better in every objective."
        yield "Pareto front", caption, lambda: plots.plot_pareto_front(study, target_names=list(search.metrics))
    so_far = ", and the best one so far" if len(search.objectives) == 1 else ""
    for index, metric in enumerate(search.metrics):
        one: dict[str, Any] = {"target_name": metric}
        if len(search.objectives) > 1:
            one["target"] = lambda trial, at=index: trial.values[at]
        apart = f" of {metric}" if len(search.objectives) > 1 else ""
        yield (
            f"History{apart}",
            f"The value of every trial that finished, in the order of the trials{so_far}.",
            lambda one=one: plots.plot_optimization_history(study, **one),
        )
        if len(done) >= FEWEST_FOR_IMPORTANCES:
            yield (
                f"Importance of the parameters{apart}",
                "How much each parameter decides whether a trial is among the best, as shares of one, by "
                "PED-ANOVA (Watanabe et al., 2023). With few trials, a guess.",
                lambda one=one: plots.plot_param_importances(study, **one),
            )
        yield (
            f"{PARALLEL}{apart}",
            "Each line is a trial, through its values; dark is best.",
            lambda one=one: plots.plot_parallel_coordinate(study, **one),
        )
        yield (
            f"Slices{apart}",
            "The value of each trial against each parameter. In each panel, late trials are dark.",
            lambda one=one: _without_scale(plots.plot_slice(study, **one)),
        )
    if any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        caption = "The values at the evaluations of every trial, by step; lines that end early were pruned."
        yield "Learning curves", caption, lambda: plots.plot_intermediate_values(study)


def _drawn(draw: Callable[[], Any], layout: str) -> Any:
    """The figure that Optuna draws, without a window, and without its changes of matplotlib's style elsewhere."""
    import matplotlib
    import numpy as np

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with warnings.catch_warnings(), pyplot.rc_context():
        warnings.simplefilter("ignore")
        panels = np.ravel(draw())
        drawn = panels[0].figure
        pyplot.close(drawn)
    _tidy(drawn, layout)
    return drawn


def _without_scale(panels: Any) -> Any:
    """Slices without their colour bar: it holds for the last panel only, which may have fewer trials."""
    import numpy as np

    first = np.ravel(panels)[0]
    for other in set(first.figure.axes) - set(np.ravel(panels)):
        other.remove()
    return panels


def _tidy(drawn: Any, layout: str) -> None:
    """Room for all labels; no title, since the page has one; no legend of more lines than can be told apart."""
    drawn.suptitle("")
    for panel in drawn.axes:
        panel.set_title("")
        panel.set_title("", loc="left")
        panel.set_facecolor("white")
        panel.grid(False)
        if layout == "constrained":
            panel.grid(color="0.9")
            panel.spines[["left", "bottom"]].set_color("0.6")
        panel.xaxis.label.set_size(9)
        legend = panel.get_legend()
        if legend is not None and len(legend.get_texts()) > MOST_IN_LEGEND:
            legend.remove()
    width = max(WIDTH, PANEL * len(drawn.axes))
    drawn.set_size_inches(width, HEIGHT)
    drawn.set_layout_engine(layout)
