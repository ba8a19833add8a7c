"""All figures of a run, and the page that shows them."""

import base64
import html
import io
from collections.abc import Iterable

from minibert.diagnostics.figures.style import Drawing
from minibert.diagnostics.registry import drawings

DOTS_PER_INCH = 130
FIRST = ("health", "training")
"""Rooms that a reader wants to see before all others"""

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
nav a { margin-right: 1rem; }
figure { margin: 1.5rem 0 2.5rem; }
img { max-width: 100%; height: auto; }
figcaption { max-width: 45rem; color: #555; }
h2 { margin-top: 3rem; border-bottom: 1px solid #ddd; }
"""


def draw(record, rooms: Iterable[str] = ("all",)) -> None:
    """Draw what the record of a run has the numbers for: ``figures/<room>/<name>.png`` and ``figures/index.html``.

    The page holds its pictures itself: MLflow shows an artifact on its own, where it could not fetch others.
    """
    figures: dict[str, dict[str, tuple[Drawing, bytes]]] = {}
    for room, function in sorted(drawings(rooms), key=lambda drawn: drawn[0] not in FIRST):
        for name, drawn in function(record).items():
            png = io.BytesIO()
            drawn.figure.savefig(png, format="png", dpi=DOTS_PER_INCH, facecolor="white")
            figures.setdefault(room, {})[name] = (drawn, png.getvalue())
            record.log_bytes(png.getvalue(), f"figures/{room}/{name}.png")
    record.log_text(_page(figures, record.id if "all" not in rooms else None), "figures/index.html")


def _page(rooms: dict[str, dict[str, tuple[Drawing, bytes]]], more_of: str | None) -> str:
    links = "".join(f'<a href="#{room}">{html.escape(room)}</a>' for room in rooms)
    parts = []
    for room, figures in rooms.items():
        parts.append(f'<h2 id="{room}">{html.escape(room.capitalize())}</h2>')
        for name, (drawn, png) in figures.items():
            image = f"data:image/png;base64,{base64.b64encode(png).decode()}"
            caption = html.escape(drawn.caption)
            parts.append(
                f'<figure id="{room}-{name}"><img src="{image}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
            )
    more = ""
    if more_of:
        command = f"python -m minibert.inspect run={more_of} quantities=[]"
        more = f"<p>There is more to draw of what is recorded: <code>{command}</code></p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Figures of a run</title>'
        f"<style>{STYLE}</style></head><body><h1>Figures of a run</h1><nav>{links}</nav>{more}{''.join(parts)}</body></html>\n"
    )
