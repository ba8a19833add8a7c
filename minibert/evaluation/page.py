"""``evaluation.html``: what every instrument found, beside its controls, with tables, figures and limits."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from html import escape

from minibert.diagnostics.plotting import document
from minibert.diagnostics.plotting.document import Link, Picture
from minibert.evaluation.instruments import Conclusion, Instrument, Table
from minibert.evaluation.overview import ABOUT, ROWS, Asked, over_steps, overview
from minibert.evaluation.results import Result

PAGE = "evaluation.html"
LONG = 20
"""Rows of a table, beyond which it is folded in"""


class Part:
    """One instrument on the page: what was found at the last of its steps, and over all of them."""

    def __init__(self, asked: Instrument, by_step: Mapping[int, Result], conclusion: Conclusion):
        self.asked, self.conclusion = asked, conclusion
        self.results = Asked(asked.name, by_step)

    @property
    def last(self) -> Result:
        return self.results.last

    @property
    def title(self) -> str:
        return self.results.title

    @cached_property
    def pictures(self) -> dict[str, Picture]:
        titles = {name: name.replace("_", " ").capitalize() for name in self.conclusion.figures}
        return {name: document.picture(titles[name], drawn) for name, drawn in self.conclusion.figures.items()}


def page(
    about: Mapping[str, str], parts: Iterable[Part], skipped: Mapping[str, str], failed: Mapping[str, str]
) -> str:
    """The page. ``about`` has ``name`` and ``what`` (one line below it), and an empty ``steps`` for a model whose
    step is not known. ``skipped`` and ``failed`` are named beside the parts."""
    parts = list(parts)
    body = (
        "<h1>What the model knows</h1>",
        f'<p class="soft">{escape(about["name"])}<br>{escape(about["what"])}</p>',
        "" if parts else '<p class="answer">Nothing was found.</p>',
        document.warning("Not everything could be asked.", failed.items()),
        document.warning("Left out:", skipped.items()),
        *_overview(parts),
        *(_part(part, about) for part in parts),
    )
    return document.page(f"What {about['name']} knows", body)


def _overview(parts: list[Part]) -> Iterator[str]:
    """All headlines with their controls, and over the checkpoints."""
    if not parts:
        return
    asked = [part.results for part in parts]
    titles = {each.name: each.title for each in asked}
    rows = [
        [Link(titles[line.instrument], line.instrument) if line.instrument else "", *map(_cell, line.cells)]
        for line in overview(asked)
    ]
    yield f"<h2>Overview</h2>\n{document.table(ROWS, rows, stacked=True)}"
    total = sum(result.seconds for each in asked for result in each.by_step.values())
    quick = (
        " Less data than the settings name was taken, to be quick."
        if any(_is_quick(part) for part in parts)
        else ""
    )
    yield f'<p class="soft">{escape(ABOUT)}{quick} All took {total:,.0f} s.</p>'
    drawn = over_steps(asked)
    if drawn is not None:
        yield document.figure("over-checkpoints", document.picture("Over the checkpoints", drawn))


def _is_quick(part: Part) -> bool:
    return bool(part.last.asked.get("quick"))


def _part(part: Part, about: Mapping[str, str]) -> str:
    findings, conclusion, asked = part.last.findings, part.conclusion, part.asked
    notes = [*findings.notes, *conclusion.notes]
    limits = "".join(f"<li>{escape(note)}</li>" for note in notes)
    steps = when(about, f"{part.last.step:,}")
    if len(part.results.by_step) > 1:
        steps += f", the last of {len(part.results.by_step)} checkpoints"
    return "\n".join(
        (
            f'<h2 id="{asked.name}">{escape(part.title)}</h2>',
            f'<p class="soft">{escape(asked.question)} Measured{steps}{_settings(part.last)}.</p>',
            f'<p class="answer">{escape(findings.summary)}</p>',
            *(document.figure(f"{asked.name}-{name}", shown) for name, shown in part.pictures.items()),
            *map(table_section, (*findings.tables, *conclusion.tables)),
            f'<h3>Limits</h3><ul class="notes">{limits}</ul>' if limits else "",
            f'<p class="soft">{escape("; ".join(asked.sources))}.</p>' if asked.sources else "",
        )
    )


def when(about: Mapping[str, str], step: int | str) -> str:
    """`` at step 64``; empty for a model of which no step is known."""
    return f" at step {step}" if about.get("steps", True) else ""


def _settings(result: Result) -> str:
    """What was used, such as ``, with data blimp, kind within word``. What is null is not told."""
    used = result.asked | result.findings.used
    told = {key: value for key, value in used.items() if value is not None and not isinstance(value, bool)}
    shown = [f"{key.replace('_', ' ')} {_text(value)}" for key, value in told.items() if value != []]
    quick = " (quick: less data)" if result.asked.get("quick") else ""
    return f", with {', '.join(shown)}{quick}" if shown else quick


def _text(value: object) -> str:
    if isinstance(value, list):
        return " and ".join(map(_text, value))
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def table_section(table: Table) -> str:
    """A table with its title and caption; a long one is folded in."""
    shown = document.table(table.columns, ([_cell(value) for value in row] for row in table.rows))
    caption = f'<p class="soft">{escape(table.caption)}</p>' if table.caption else ""
    if len(table.rows) > LONG:
        summary = f"{escape(table.title)} ({len(table.rows)} rows)"
        return f"<details><summary>{summary}</summary>\n{shown}\n{caption}</details>"
    return f"<h3>{escape(table.title)}</h3>\n{shown}\n{caption}"


def _cell(value: str | float | int | None) -> str:
    """Three decimals for a share or a loss, none for a count; a dash for what is not known."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:z.3f}".replace("-", "−")
    return f"{value:,}" if isinstance(value, int) else value
