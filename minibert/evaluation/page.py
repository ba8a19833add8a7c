"""``evaluation.html``: what every instrument found, beside its controls, with tables, figures and limits."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from html import escape

from minibert.diagnostics.plotting import document
from minibert.diagnostics.plotting.document import Picture
from minibert.evaluation.instruments import Conclusion, Instrument, Table
from minibert.evaluation.results import Result

PAGE = "evaluation.html"
LONG = 20
"""Rows of a table, beyond which it is folded in"""


class Part:
    """One instrument on the page: what was found at the last of its steps, and over all of them."""

    def __init__(self, asked: Instrument, last: Result, steps: Sequence[int], conclusion: Conclusion):
        self.asked, self.last, self.steps, self.conclusion = asked, last, steps, conclusion

    @property
    def title(self) -> str:
        return self.asked.name.replace("_", " ").capitalize()

    @cached_property
    def pictures(self) -> dict[str, Picture]:
        titles = {name: name.replace("_", " ").capitalize() for name in self.conclusion.figures}
        return {name: document.picture(titles[name], drawn) for name, drawn in self.conclusion.figures.items()}


def page(
    about: Mapping[str, str], parts: Iterable[Part], skipped: Mapping[str, str], failed: Mapping[str, str]
) -> str:
    """The page. ``about`` has ``name`` and ``what`` (one line below it); the others are named beside the parts."""
    parts = list(parts)
    links = "".join(f'<a href="#{part.asked.name}">{escape(part.title)}</a>' for part in parts)
    body = (
        "<h1>What the model knows</h1>",
        f'<p class="soft">{escape(about["name"])}<br>{escape(about["what"])}</p>',
        f"<nav>{links}</nav>" if parts else '<p class="answer">Nothing was found.</p>',
        document.warning("Not everything could be asked.", failed.items()),
        document.warning("Left out, because their data are not here:", skipped.items()),
        *map(_part, parts),
        _times(parts),
    )
    return document.page(f"What {about['name']} knows", body)


def _part(part: Part) -> str:
    findings, conclusion, asked = part.last.findings, part.conclusion, part.asked
    notes = [*findings.notes, *conclusion.notes]
    limits = "".join(f"<li>{escape(note)}</li>" for note in notes)
    steps = f"at step {part.last.step:,}"
    if len(part.steps) > 1:
        steps += f", the last of {len(part.steps)} checkpoints"
    return "\n".join(
        (
            f'<h2 id="{asked.name}">{escape(part.title)}</h2>',
            f'<p class="soft">{escape(asked.question)} Measured {steps}{_settings(part.last.asked)}.</p>',
            f'<p class="answer">{escape(findings.summary)}</p>',
            *(document.figure(f"{asked.name}-{name}", shown) for name, shown in part.pictures.items()),
            *map(_table, (*findings.tables, *conclusion.tables)),
            f'<h3>Limits</h3><ul class="notes">{limits}</ul>' if limits else "",
            f'<p class="soft">{escape("; ".join(asked.sources))}.</p>' if asked.sources else "",
        )
    )


def _settings(asked: Mapping[str, object]) -> str:
    """What was chosen, such as ``, with data [blimp], kind within_word``. What is null is not told."""
    told = {key: value for key, value in asked.items() if value is not None and not isinstance(value, bool)}
    shown = [f"{key.replace('_', ' ')} {_text(value)}" for key, value in told.items()]
    less = ", but less data than that, to be quick" if asked.get("quick") else ""
    return f", with {', '.join(shown)}{less}" if shown else less


def _text(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "yes" if value is True else str(value)


def _table(table: Table) -> str:
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
        return f"{value:.3f}".replace("-", "−")
    return f"{value:,}" if isinstance(value, int) else value


def _times(parts: Sequence[Part]) -> str:
    if not parts:
        return ""
    rows = [(part.title, f"{part.last.seconds:.1f}") for part in parts]
    return "<h2>Time</h2>\n" + document.table(("asked", "seconds at the last step"), rows)
