"""The headlines of all instruments at one place: of one model, over its checkpoints, over the runs of a sweep."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from minibert.diagnostics.plotting.style import Drawing, distinct_colours, finish, new_figure, step_axis
from minibert.evaluation.headlines import Headline, bounds
from minibert.evaluation.instruments import Table
from minibert.evaluation.results import Result

ROWS = [
    "instrument", "of what", "trained", "95 % interval", "untrained", "other controls", "is it better?", "n",
    "seconds",
]  # fmt: skip
ABOUT = (
    "Trained: the model asked. Untrained: the same network before its first step. No better: the 95 % interval "
    "(where pairs or sentences are compared one by one, that of the difference) reaches the control. n: what the "
    "value is of. Of a loss and of a surprisal, less is better. Word frequencies: each token is predicted by how "
    "often it is in the training text, on the tokens of that row alone, so every row has its own number; the "
    "unigram entropy that a run states is another, of all held-out tokens by their own frequencies."
)
ACROSS = 2
"""Panels beside each other"""


class Asked(NamedTuple):
    """An instrument, and its results in the order of steps."""

    name: str
    by_step: Mapping[int, Result]

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def last(self) -> Result:
        return self.by_step[max(self.by_step)]


class Line(NamedTuple):
    """A row of the overview. ``instrument`` and ``seconds`` are empty where they are those of the row above."""

    instrument: str
    cells: list[str | float | int | None]


def overview(asked: Iterable[Asked]) -> list[Line]:
    """A row for each headline, with the cells of :data:`ROWS` but the first. An instrument without headlines has a
    row too."""
    lines = []
    for each in asked:
        seconds = f"{each.last.seconds:.1f}"
        headlines = each.last.findings.headlines
        if not headlines:
            lines.append(Line(each.name, ["see its part", *[""] * (len(ROWS) - 3), seconds]))
        for number, found in enumerate(headlines):
            lines.append(Line("" if number else each.name, [*_cells(found), "" if number else seconds]))
    return lines


def _cells(found: Headline) -> list[str | float | int | None]:
    others = ", ".join(f"{name} {_number(value)}" for name, value in found.others.items())
    return [
        f"{found.about}: {found.measured}", found.value, bounds(found.low, found.high), found.untrained,
        others or None, found.verdict, f"{found.count:,} {found.counted}",
    ]  # fmt: skip


def over_steps(asked: Iterable[Asked]) -> Drawing | None:
    """A panel for each instrument that was asked at several checkpoints: its headlines over the steps."""
    shown = {each.title: lines for each in asked if (lines := _lines(each))}
    if not shown:
        return None
    rows = -(-len(shown) // ACROSS)
    figure = new_figure(10, 3.3 * rows)
    panels = np.atleast_1d(figure.subplots(rows, ACROSS, squeeze=False)).ravel()
    for panel, (title, lines) in zip(panels, shown.items(), strict=False):
        measured = {found.measured.partition(", layer")[0] for each in lines.values() for found in each.values()}
        for colour, (about, history) in zip(distinct_colours(len(lines)), lines.items(), strict=True):
            steps, found = list(history), list(history.values())
            values = np.array([_or_nan(each.value) for each in found])
            low, high = (np.array([_or_nan(end) for end in ends]) for ends in _ends(found))
            panel.plot(steps, values, "o-", color=colour, markersize=3, linewidth=1.5)
            panel.lines[-1].set_label(about if len(measured) == 1 else f"{about}: {found[-1].measured}")
            panel.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
            if (untrained := found[-1].untrained) is not None:
                panel.axhline(untrained, color=colour, linestyle=":", linewidth=1)
        finish(panel, "optimizer step", measured.pop() if len(measured) == 1 else "", title)
        step_axis(panel, [step for history in lines.values() for step in history])
        panel.legend(frameon=False, fontsize=7)
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    return Drawing(
        figure,
        "What the overview states, at each checkpoint that was asked. Bands: 95 % intervals. Dotted: the "
        "untrained network, in the colour of what it is asked.",
    )


def _lines(asked: Asked) -> dict[str, dict[int, Headline]]:
    """What it is of -> step -> headline, of those that are there at several steps."""
    found: dict[str, dict[int, Headline]] = {}
    for step, result in sorted(asked.by_step.items()):
        for each in result.findings.headlines:
            found.setdefault(each.about, {})[step] = each
    return {about: history for about, history in found.items() if len(history) > 1}


def runs_tables(runs: Mapping[str, Sequence[Asked]]) -> list[Table]:
    """A table for each instrument: a row a run, a column a headline of its last step, with a control.

    ``runs``: name -> its results
    """
    names = dict.fromkeys(each.name for found in runs.values() for each in found)
    tables = []
    for name in names:
        own = {run: each.last for run, found in runs.items() for each in found if each.name == name}
        headlines = {run: {each.about: each for each in last.findings.headlines} for run, last in own.items()}
        abouts = list(dict.fromkeys(about for found in headlines.values() for about in found))
        if not abouts:
            continue
        rows: list[list[str | float | int | None]] = [
            [run, own[run].step, *(_summary(found[about]) if about in found else None for about in abouts)]
            for run, found in headlines.items()
        ]
        columns = ["run", "step", *(_heading(about, headlines.values()) for about in abouts)]
        tables.append(Table(name.replace("_", " ").capitalize(), _caption(own, headlines), columns, rows))
    return tables


def _summary(found: Headline) -> str:
    """``0.612 (untrained 0.503) ✓``: the tick where every control is beaten."""
    beside = found.controls if found.untrained is None else {"untrained": found.untrained}
    controls = ", ".join(f"{name} {_number(value)}" for name, value in beside.items())
    tick = " ✓" if found.controls and not found.not_better_than else ""
    return f"{_number(found.value)} ({controls}){tick}" if controls else f"{_number(found.value)}{tick}"


def _heading(about: str, headlines: Iterable[Mapping[str, Headline]]) -> str:
    measured = {found[about].measured.partition(", layer")[0] for found in headlines if about in found}
    return f"{about}: {measured.pop()}" if len(measured) == 1 else about


def _caption(own: Mapping[str, Result], headlines: Mapping[str, Mapping[str, Headline]]) -> str:
    caption = "✓: better than every control, by the 95 % interval."
    if any(not each.higher_is_better for found in headlines.values() for each in found.values()):
        caption += " Less is better."
    if len({str(sorted(result.asked.items())) for result in own.values()}) > 1:
        caption += " The runs were asked with different settings: their values are not comparable."
    return caption


def _ends(found: Sequence[Headline]) -> tuple[list[float | None], list[float | None]]:
    return [each.low for each in found], [each.high for each in found]


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:z.3f}".replace("-", "−")
