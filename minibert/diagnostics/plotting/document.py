"""Pages of HTML that hold their styles and pictures themselves, so that each can be opened and sent alone."""

import base64
import io
import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

from minibert.diagnostics.plotting.style import Drawing

DOTS_PER_INCH = 130


class Link(NamedTuple):
    """A cell of a table that leads to a place of the page."""

    text: str
    anchor: str


class Picture(NamedTuple):
    """A drawing as a page shows it."""

    title: str
    caption: str
    png: bytes
    inches: float
    """Its width"""


def picture(title: str, drawn: Drawing, software: str | None = None) -> Picture:
    """A drawing as PNG; its beginning names the software that made it, Matplotlib if not given."""
    png = io.BytesIO()
    metadata = {} if software is None else {"Software": software}
    drawn.figure.savefig(png, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata=metadata)
    width = float(drawn.figure.get_size_inches()[0])
    return Picture(title, drawn.caption, png.getvalue(), width)


def page(title: str, body: Iterable[str]) -> str:
    """A whole page."""
    style = files("minibert.diagnostics.plotting").joinpath("page.css").read_text(encoding="utf-8")
    text = "\n".join(part for part in body if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{text}\n</main>\n</body>\n</html>\n"
    )


def figure(identity: str, shown: Picture) -> str:
    """A picture with its title above and its caption below; wide ones scroll on a narrow screen."""
    source = base64.b64encode(shown.png).decode()
    return (
        f'<figure id="{escape(identity)}"><h3>{escape(shown.title)}</h3>'
        f'<div class="scroll" tabindex="0"><img src="data:image/png;base64,{source}" '
        f'style="--inches: {shown.inches:g}" '
        f'alt="{escape(_alternative(shown))}"></div><figcaption>{escape(shown.caption)}</figcaption></figure>'
    )


def _alternative(shown: Picture) -> str:
    """What a reader without the picture is told: its title, and the first sentence of its caption."""
    first, stop, _ = shown.caption.partition(". ")
    return f"{shown.title}: {first}{stop.strip()}" if first else shown.title


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Link]], stacked: bool = False) -> str:
    """A table with a heading. Cells that are numbers stand to the right.

    On a narrow screen, a table scrolls. One that is ``stacked`` shows each row there as a list of its cells.
    """
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(map(_cell, row, columns if stacked else [''] * len(columns)))}</tr>" for row in rows
    )
    kind = "numbers stacked" if stacked else "numbers"
    return (
        f'<div class="scroll plain" tabindex="0"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def warning(what: str, reasons: Iterable[tuple[str, str]]) -> str:
    """A box with what went wrong, and why; empty without reasons."""
    rows = "".join(f"<li><code>{escape(name)}</code>: {escape(reason)}</li>" for name, reason in reasons)
    return f'<div class="warning"><p><strong>{escape(what)}</strong></p><ul>{rows}</ul></div>' if rows else ""


def json_data(data: Any) -> str:
    """JSON for an element of HTML, which no text in it can end. Raises :class:`ValueError` for NaN or infinity."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _cell(content: str | Link, column: str) -> str:
    """A cell; with the name of its column where the table is stacked."""
    label = f' data-label="{escape(column)}"' if column else ""
    if isinstance(content, Link):
        return f'<td{label}><a href="#{escape(content.anchor)}">{escape(content.text)}</a></td>'
    number = content[:1] in "0123456789+−–" or content.startswith(".")
    kind = ' class="number"' if number else ""
    return f"<td{kind}{label}>{escape(content)}</td>"
