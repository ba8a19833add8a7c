"""The learning curves of a report, to be explored: drawn in the browser by BokehJS, from numbers in the page.

The script of the library is part of the page, so that it needs no network. What is printed, or read without
scripts, is the figure ``curves.png``.
"""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from minibert.diagnostics.plotting import document

from ..figure_parts import after_the_start, colours, limits
from ..findings import Findings, Group, axis_values
from ..formatting import capital
from ..quantities import AXES, quantity
from ..statistics import mean_curve
from ..tracked_runs import TrackedRun

MOST_RUNS = 200
"""Runs that are drawn one by one: with more, the page would grow large, and the lines would hide each other"""
DIGITS = 6
SCRIPTS = ("bokeh.min.js", "bokeh-api.min.js")


def curves(findings: Findings) -> str:
    """The curves as a part of a page; empty if no run has one."""
    data = chart(findings)
    if data is None:
        return ""
    legend = "".join(
        f'<li><button type="button" aria-pressed="true" data-group="{number}">'
        f'<span class="swatch" style="background:{group["colour"]}"></span>{escape(group["name"])}</button></li>'
        for number, group in enumerate(data["groups"])
    )
    axes = "".join(f'<option value="{name}">{escape(label)}</option>' for name, label in data["axes"].items())
    singles = "" if not data["singles"] else _box("singles", "single runs", checked=True)
    return (
        f'<figure class="interactive" id="curves" aria-label="{escape(data["title"])}, to explore">\n'
        f'<div class="controls"><label>against <select name="axis">{axes}</select></label>'
        f"{_box('x_log', 'logarithmic across')}{_box('y_log', 'logarithmic upwards')}{singles}</div>\n"
        f'<ul class="legend" aria-label="{escape(findings.study.label)}: press to hide or show">{legend}</ul>\n'
        '<div class="plot"></div>\n'
        f"<figcaption>{escape(_caption(findings, data))}</figcaption>\n"
        f'<script type="application/json">{document.json_data(data)}</script>\n</figure>'
    )


def chart(findings: Findings) -> dict[str, Any] | None:
    """What the script draws; None if no run has a curve. Texts are texts, and numbers that are none are null."""
    metric = findings.study.metric
    drawn = [
        (group, colour, [run for run in group.runs if metric in run.curves])
        for group, colour in zip(findings.groups, colours(findings), strict=True)
    ]
    if not findings.has_curves:
        return None
    runs = [run for _, _, those in drawn for run in those]
    axes = {
        axis: described.axis_label
        for axis, described in AXES.items()
        if axis == "step" or any(axis in run.curves for run in runs)
    }
    singles = len(runs) <= MOST_RUNS and findings.most_seeds > 1
    groups = [_group(findings, group, colour, those, axes, singles) for group, colour, those in drawn if those]
    described = quantity(metric)
    return {
        "title": capital(described.title),
        "value": described.axis_label,
        "axes": axes,
        "limits": _limits(metric, groups, runs),
        "singles": singles,
        "groups": groups,
        "references": [{"name": name, "value": value} for name, value in findings.references.items()],
    }


def _limits(metric: str, groups: Sequence[dict[str, Any]], runs: Iterable[TrackedRun]) -> list[float | None]:
    """The ends of the axis of values: they cover the means as in ``curves.png`` and, as far as three times their
    range allows, single runs."""
    steps, means = (
        [np.array(values, dtype=np.float64) for values in found]
        for found in ([group["mean"]["x"]["step"] for group in groups], [group["mean"]["y"] for group in groups])
    )
    found = limits(np.concatenate(means), np.concatenate(list(map(after_the_start, steps, means))))
    if found is None:
        return [None, None]
    low, high = found
    curves = [run.curves[metric] for run in runs]
    of_runs = np.concatenate([after_the_start(curve.steps, curve.values) for curve in curves])
    of_runs, room = of_runs[np.isfinite(of_runs)], high - low
    least, most = of_runs.min(initial=low) - 0.05 * room, of_runs.max(initial=high) + 0.05 * room
    return _numbers([min(low, max(least, low - room)), max(high, min(most, high + room))])


@cache
def script() -> str:
    """BokehJS and the script that draws with it, as text between two tags of HTML."""
    import bokeh

    library = Path(bokeh.__file__).parent / "server" / "static" / "js"
    files = [*(library / name for name in SCRIPTS), Path(__file__).with_name("curves.js")]
    return "\n".join(file.read_text(encoding="utf-8").replace("</script", "<\\/script") for file in files)


def _group(
    findings: Findings,
    group: Group,
    colour,
    runs: Sequence[TrackedRun],
    axes: Iterable[str],
    singles: bool,
) -> dict[str, Any]:
    from matplotlib.colors import to_hex

    metric = findings.study.metric
    described = quantity(metric)
    steps = [run.curves[metric].steps for run in runs]
    _, values = mean_curve(steps, [run.curves[metric].values for run in runs])
    ends = [described.ends(value.low, value.high) for value in values]
    places = {axis: mean_curve(steps, [axis_values(run, metric, axis) for run in runs])[1] for axis in axes}
    name = group.shown + (" (baseline)" if group is findings.baseline else "")
    lines = [
        {
            "name": run.name,
            "x": {axis: _numbers(axis_values(run, metric, axis)) for axis in axes},
            "y": _numbers(run.curves[metric].values),
        }
        for run in runs
    ]
    return {
        "name": name,
        "colour": to_hex(colour),
        "seeds": len(runs),
        "mean": {
            "x": {axis: _numbers(place.mean for place in found) for axis, found in places.items()},
            "y": _numbers(value.mean for value in values),
            "low": _numbers(low for low, _ in ends),
            "high": _numbers(high for _, high in ends),
        },
        "runs": lines if singles else [],
    }


def _box(name: str, label: str, checked: bool = False) -> str:
    return f'<label><input type="checkbox" name="{name}"{" checked" * checked}> {label}</label>'


def _caption(findings: Findings, data: dict[str, Any]) -> str:
    parts = [
        f"{data['title']}, to explore: point at a line for its run and value, press a name to hide or show it."
    ]
    if findings.most_seeds > 1:
        parts.append("Thick: means over seeds with 95 % intervals.")
    if data["singles"]:
        parts.append("Thin: single runs.")
    elif findings.most_seeds > 1:
        parts.append(f"There are more than {MOST_RUNS} runs: only their means are drawn.")
    return " ".join(parts)


def _numbers(values: Iterable[float] | np.ndarray) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values]
