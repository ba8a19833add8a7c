"""Accuracies as figures: by field, by paradigm, and over the steps of training."""

from collections.abc import Mapping, Sequence
from typing import Any

from minibert.diagnostics.plotting.style import (
    COLOURS,
    Drawing,
    as_label,
    distinct_colours,
    finish,
    new_figure,
    step_axis,
)
from minibert.evaluation.minimal_pairs.measures import Preference, above_paradigms

Found = Mapping[str, Mapping[str, list[Preference]]]
"""Data set -> model or control -> preferences"""
MARKERS = {
    "untrained": ("o", COLOURS[1], "untrained network"), "length": ("|", COLOURS[2], "fewer word pieces"),
    "unigram": ("x", COLOURS[3], "more frequent pieces"),
}  # fmt: skip
"""Control -> marker, colour and label"""
ROW, MARGINS, WIDTH = 0.2, 1.0, 7.2
"""Inches of a row, of what is above and below all rows, and of a figure"""
ABOUT = (
    "Bars: 95 % interval over pairs. Controls: the same network before training, always the sentence of fewer "
    "word pieces, always the sentence of more frequent pieces. Dashed: chance."
)


def draw(by_step: Mapping[int, Found]) -> dict[str, Drawing]:
    """The last step by field and by paradigm; with several steps, all of them."""
    last = max(by_step)
    found = by_step[last]
    drawn = {"accuracy_by_field": _by_field(found)}
    drawn |= {f"accuracy_by_paradigm_{name}": _by_paradigm(name, parts) for name, parts in found.items()}
    if len(by_step) > 1:
        drawn["accuracy_over_training"] = _over_training(by_step)
    return drawn


def _by_field(found: Found) -> Drawing:
    rows, groups = [], []
    for name, parts in found.items():
        for place in above_paradigms(parts["model"]):
            each = parts["model"][place]
            field = "all" if each.level == "all" else _words(each.name)
            rows.append((f"{as_label(name)}: {field}", {who: own[place] for who, own in parts.items()}))
            groups.append(name)
    figure = _dots(rows, groups)
    return Drawing(
        figure, f"Share of pairs whose grammatical sentence is preferred, the mean over paradigms. {ABOUT}"
    )


def _by_paradigm(name: str, parts: Mapping[str, list[Preference]]) -> Drawing:
    """Grouped by field, the best paradigm of each first."""
    model = parts["model"]
    places = [place for place, each in enumerate(model) if each.level == "paradigm"]
    fields = list(dict.fromkeys(model[place].field for place in places))
    places.sort(key=lambda place: (fields.index(model[place].field), -model[place].accuracy))
    rows = [(_words(model[place].name), {who: own[place] for who, own in parts.items()}) for place in places]
    figure = _dots(rows, [model[place].field for place in places], named=True)
    return Drawing(figure, f"Share of pairs of {name} whose grammatical sentence is preferred. {ABOUT}")


def _dots(rows: Sequence[tuple[str, Mapping[str, Preference]]], groups: Sequence[str], named: bool = False):
    """A row for each label: the model with its interval, the controls beside it. ``groups`` of rows have a line
    between them, and where ``named`` their names beside them."""
    figure = new_figure(WIDTH, MARGINS + ROW * len(rows))
    panel = figure.subplots()
    heights = range(len(rows))
    model = [parts["model"] for _, parts in rows]
    for who, (marker, colour, label) in MARKERS.items():
        if who in rows[0][1]:
            values = [parts[who].accuracy for _, parts in rows]
            filled: dict[str, Any] = {"c": colour}
            if marker == "o":
                filled = {"facecolors": "none", "edgecolors": colour}
            panel.scatter(values, heights, marker=marker, s=28, linewidths=1.3, label=label, zorder=3, **filled)
    lengths = [
        [each.accuracy - each.low for each in model],
        [each.high - each.accuracy for each in model],
    ]
    accuracies = [each.accuracy for each in model]
    panel.errorbar(
        accuracies,
        heights,
        xerr=lengths,
        fmt="o",
        color=COLOURS[0],
        markersize=4,
        linewidth=1.3,
        label="model",
        zorder=4,
    )
    panel.axvline(0.5, color="0.4", linestyle="--", linewidth=1, zorder=1)
    _mark_groups(panel, groups, named)
    panel.set_yticks(heights, [label for label, _ in rows], fontsize=8)
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.set_xlim(-0.02, 1.02)
    finish(panel, "accuracy", "")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _mark_groups(panel, groups: Sequence[str], named: bool) -> None:
    """A line between groups of rows, and their names on the right."""
    starts = [place for place, group in enumerate(groups) if not place or group != groups[place - 1]]
    for start, end in zip(starts, [*starts[1:], len(groups)], strict=True):
        if start:
            panel.axhline(start - 0.5, color="0.75", linewidth=0.8)
        if named:
            panel.text(
                1.01, (start + end - 1) / 2, _words(groups[start]), va="center", fontsize=7, color="0.35",
                transform=panel.get_yaxis_transform(),
            )  # fmt: skip


def _over_training(by_step: Mapping[int, Found]) -> Drawing:
    steps = sorted(by_step)
    names = list(dict.fromkeys(name for step in steps for name in by_step[step]))
    figure = new_figure(WIDTH, 3.6)
    panel = figure.subplots()
    for name, colour in zip(names, distinct_colours(len(names)), strict=True):
        there = [step for step in steps if name in by_step[step]]
        model = [by_step[step][name]["model"][-1] for step in there]
        panel.plot(
            there, [each.accuracy for each in model], color=colour, marker="o", markersize=3, label=as_label(name)
        )
        panel.fill_between(
            there,
            [each.low for each in model],
            [each.high for each in model],
            color=colour,
            alpha=0.2,
            linewidth=0,
        )
        untrained = by_step[there[-1]][name]["untrained"][-1].accuracy
        panel.axhline(untrained, color=colour, linestyle=":", linewidth=1.2)
    panel.axhline(0.5, color="0.4", linestyle="--", linewidth=1, zorder=1)
    finish(panel, "optimizer step", "accuracy")
    step_axis(panel, steps)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return Drawing(
        figure,
        "Share of pairs whose grammatical sentence is preferred, the mean over the paradigms of each data set, at "
        "the kept checkpoints. Bands: 95 % interval over pairs, not over seeds. Dotted: the untrained network. "
        "Dashed: chance.",
    )


def _words(name: str) -> str:
    return as_label(name.replace("_", " "))
