"""The report as one HTML file, which contains its styles and figures."""

import base64
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from minibert.command_line.arguments import names_store
from minibert.tracking.lookup import short_id

from ..answers import answer, comparisons
from ..evidence import Evidence
from ..examination import Examination, Section
from ..findings import Findings
from ..further_results import beside, efficiency_in_words
from ..protocol import common_settings, cost, differing, environments, limits, varied_settings
from ..study import Study
from ..tables import Table, costs, insides, rate_grid, results, tuning
from ..values import shown
from . import curves
from .links import Links
from .reading import reading

CAPTIONS = {
    "lr_range.png": "Training loss against the learning rate, which rises from step to step. Lines: means over "
    "seeds of the smoothed losses; dashed: suggested rates; bands: 95 % intervals.",
    "curves.png": "Learning curves against measures of effort. Lines: means over seeds; bands: 95 % intervals.",
    "finals.png": "Where training ended. Bars: means with 95 % intervals over seeds; dots: single seeds.",
    "differences.png": "Differences to the baseline: between runs of one seed, which share initial weights and "
    "data, or between means where fewer than two seeds are shared.",
    "inside.png": "Mean over the matrices, or heads, of a layer at the last measured step. Dots: means over "
    "seeds; bars: 95 % intervals.",
    "slices.png": "Loss of a few held-out sequences, without dropout, along lines through the trained network. "
    "Lines: means over seeds; bands: 95 % intervals. What looks convex along a line need not be convex.",
    "efficiency.png": "What is needed to first reach the same level, by linear interpolation between evaluations. "
    "Triangles: lower bounds, where not all runs get there.",
}


def render(evidence: Evidence, figures: dict[str, bytes], written: datetime, links: Links | None = None) -> str:
    """The page. ``figures``: file name -> PNG. ``links``: to the pages of a tracking server, if there is one."""
    findings, examination = evidence.findings, evidence.examination
    study = findings.study
    explored = curves.curves(findings)
    told = [*(examination.limits if examination else ()), *limits(findings)]
    sections = [
        f"<h1>{escape(study.title)}</h1>",
        f'<p class="soft">Study <code>{escape(study.name)}</code>, {len(_finished(findings))} finished runs, '
        f"report of {written:%d %B %Y, %H:%M}</p>",
        f'<p class="answer">{escape(answer(findings, examination))}</p>',
        _soft(reading(findings)),
        _soft(study.worked_out),
        links.shown() if links else "",
        *_sentences(comparisons(findings, examination)),
        f"<p><strong>Hypothesis.</strong> {escape(study.hypothesis)}</p>" if study.hypothesis else "",
        _missing(findings),
        _warning(study.asked_differently),
        *_examination(examination, figures),
        _section(
            "All combinations" if examination and examination.sections else "Results",
            _table(results(findings)) if findings.groups else "",
            *_sentences(beside(findings)),
            _figures(figures, "finals", "differences"),
        ),
        _section("Tuning", _table(tuned) if (tuned := tuning(findings)) else ""),
        _section("Learning", explored, _figures(figures, "curves", "lr_range", beside=bool(explored))),
        _section(
            "Efficiency",
            *_sentences(efficiency_in_words(findings)),
            *(_table(costs(findings, found)) for found in findings.efficiencies),
            _figures(figures, "efficiency"),
        ),
        _section(
            "Inside the networks",
            _table(inside) if (inside := insides(findings, evidence.inside)) else "",
            _figures(figures, "inside", "slices"),
        ),
        _section("Other masking rates", _table(grid) if (grid := rate_grid(findings)) else ""),
        _section("Limits", "<ul>" + "".join(f"<li>{escape(limit)}</li>" for limit in told) + "</ul>"),
        _protocol(findings, links),
    ]
    body = "\n".join(section for section in sections if section)
    scripts = [_own("tables.js"), *([curves.script()] if explored else [])]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(study.name)}: {escape(study.question or 'report')}</title>\n"
        f"<style>\n{_own('page.css')}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        + "".join(f"<script>\n{script}</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )


def _own(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _section(title: str, *parts: str) -> str:
    content = "\n".join(part for part in parts if part)
    return f"<h2>{title}</h2>\n{content}" if content else ""


def _table(table: Table) -> str:
    return (
        f"<p><strong>{escape(table.title)}</strong></p>\n{_rows(table.columns, table.rows)}\n"
        f'<p class="soft">{escape(table.note)}</p>'
    )


def _rows(columns: Sequence[str], rows: Iterable[Sequence[str]], linked: Mapping[str, str] | None = None) -> str:
    """A table that a click on a title sorts. ``linked``: text of a cell -> address."""

    def cell(text: str) -> str:
        inside = escape(text)
        if linked and text in linked:
            inside = f'<a href="{escape(linked[text])}">{inside}</a>'
        return f"<td>{inside}</td>"

    head = "".join(f'<th scope="col"><button type="button">{escape(column)}</button></th>' for column in columns)
    body = "\n".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="sortable">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n'
        "</tbody></table></div>"
    )


def _examination(examination: Examination | None, figures: dict[str, bytes]) -> list[str]:
    """The study's own question: one section, or those that it has itself."""
    if examination is None:
        return []
    captions = {name: drawing.caption for name, drawing in examination.figures.items()}
    parts = examination.sections or (
        Section(examination.title, tables=examination.tables, figures=tuple(examination.figures)),
    )
    return [_part(part, {name: (figures[name], captions[name]) for name in part.figures}) for part in parts]


def _part(part: Section, figures: Mapping[str, tuple[bytes, str]]) -> str:
    points = "".join(f"<li>{escape(point)}</li>" for point in part.points)
    drawn = [_figure(name, png, caption) for name, (png, caption) in figures.items()]
    content = [
        *_sentences(part.sentences),
        f"<ul>{points}</ul>" if points else "",
        *map(_soft, part.notes),
        _columns(drawn),
        *map(_table, part.tables),
    ]
    if part.folded:
        inside = "\n".join(filter(None, content))
        return f"<details><summary>{escape(part.title)}</summary>\n{inside}</details>"
    return _section(escape(part.title), *content)


def _sentences(sentences: Iterable[str]) -> list[str]:
    return [f"<p>{escape(sentence)}</p>" for sentence in sentences]


def _soft(text: str) -> str:
    return f'<p class="soft">{escape(text)}</p>' if text else ""


def _figures(figures: dict[str, bytes], *names: str, beside: bool = False) -> str:
    """Pictures in columns. ``beside``: they repeat curves to explore, for paper and readers without scripts."""
    present = [f"{name}.png" for name in names if f"{name}.png" in figures]
    return _columns([_figure(name, figures[name], CAPTIONS[name]) for name in present], "still" if beside else "")


def _columns(drawn: Sequence[str], kind: str = "") -> str:
    classes = " ".join(filter(None, ("figures", kind)))
    return f'<div class="{classes}">' + "\n".join(drawn) + "</div>" if drawn else ""


def _figure(name: str, png: bytes, caption: str) -> str:
    source = base64.b64encode(png).decode()
    return (
        f'<figure><div class="picture"><img src="data:image/png;base64,{source}" alt="{escape(caption)}"></div>'
        f"<figcaption>{escape(caption)} (<code>{name}</code>)</figcaption></figure>"
    )


def _warning(text: str) -> str:
    return f'<div class="warning"><p>{escape(text)}</p></div>' if text else ""


def _missing(findings: Findings) -> str:
    missing = findings.study.missing
    if not missing:
        return ""
    rows = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in missing.items())
    total = len(missing) + len(_finished(findings))
    return (
        f'<div class="warning"><p><strong>{len(missing)} of {total} runs are missing.</strong> '
        f"{'This report covers the other runs.' * (len(missing) < total)}</p><ul>{rows}</ul></div>"
    )


def _protocol(findings: Findings, links: Links | None) -> str:
    study = findings.study
    return _section(
        "Protocol",
        f"<p>This command repeats the study and skips finished runs:</p><pre>{escape(study.command)}</pre>",
        "<p>This command writes the report again:</p>"
        f"<pre>python -m minibert.report {escape(shlex.join([_called(study), *_place(study)]))}</pre>",
        _pairs("What it took", cost(study)),
        _pairs("Environment", environments(study)),
        _pairs("Settings that all runs share", common_settings(study)),
        _pairs("Settings that differ", differing(study)),
        _runs(findings, links),
    )


def _called(study: Study) -> str:
    return short_id(study.sweep_id) if study.may_share_its_name else study.name


def _place(study: Study) -> list[str]:
    """The words of the sweep's command that say where it is recorded."""
    return [word for word in shlex.split(study.command) if names_store(word)]


def _pairs(title: str, pairs: dict[str, str]) -> str:
    rows = "".join(
        f'<tr><td>{escape(key)}</td><td class="text">{escape(value)}</td></tr>' for key, value in pairs.items()
    )
    return f'<details><summary>{title}</summary><div class="scroll"><table>{rows}</table></div></details>'


def _runs(findings: Findings, links: Links | None) -> str:
    runs, varied = findings.study.runs, varied_settings(findings.study)
    values = {key: shown(run.parameters.get(key, "–") for run in runs) for key in varied}
    rows = [
        (
            run.name, short_id(run.id), run.status,
            *(values[key][run.parameters.get(key, "–")] for key in varied),
        )
        for run in runs
    ]  # fmt: skip
    linked = {short_id(run.id): links.run(run.id) for run in runs} if links else None
    table = _rows(("run", "MLflow id", "status", *varied), rows, linked)
    return (
        f"<details><summary>Runs, with their seeds and all other settings that differ</summary>{table}</details>"
    )


def _finished(findings: Findings) -> list:
    return [run for run in findings.study.runs if run.finished]
