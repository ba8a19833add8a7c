"""The page as one text, which contains its styles, its scripts and, exported, its answers."""

from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from minibert.diagnostics.plotting import document
from minibert.exploration.checkpoints import Checkpoints
from minibert.loopback import policy

GENERATOR = '<meta name="generator" content="minibert.explore">'
"""By which a page is known to be one of the explorer's"""
NOWHERE = "'none'"
SCRIPTS = ("core.js", "drawing.js", "tokens.js", "attention.js", "steps.js", "heads.js", "gradients.js", "page.js")
"""In this order: each uses only those before it"""

Recorded = Sequence[tuple[dict[str, Any], dict[str, Any]]]
"""Questions with their answers"""


def render(
    checkpoints: Checkpoints, text: str, recorded: Recorded | None = None, steps: Sequence[int] | None = None
) -> str:
    """The page, of all steps or of some. With ``recorded``, it asks no server: it has these answers alone."""
    explorer = checkpoints.at(checkpoints.steps[-1])
    config = explorer.model.config
    about = (
        f"{config.layers} layer{'s' * (config.layers > 1)} of {config.heads} heads, hidden size "
        f"{config.hidden_size}, {len(explorer.model.params.vector):,} parameters; {config.norm}-norm, positions: "
        f"{config.position.name}"
    )
    data = {
        "name": checkpoints.name,
        "steps": checkpoints.steps if steps is None else steps,
        "text": text,
        "layers": config.layers,
        "heads": config.heads,
        "longest": config.max_length,
        "answers": recorded,
    }
    body = _own("page.html").replace("{name}", escape(checkpoints.name)).replace("{about}", escape(about))
    guard = ""
    if recorded is not None:  # nothing is loaded: an exported page says so itself, since no server does
        allowed = policy(script(), NOWHERE)
        guard = f'<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
    head = f"{guard}<title>{escape(checkpoints.name)}: explorer</title>\n<style>\n{_own('page.css')}</style>\n"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{GENERATOR}\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{head}</head>\n<body>\n{body}"
        f'<script type="application/json" id="data">{document.json_data(data)}</script>\n'
        f"<script>{script()}</script>\n</body>\n</html>\n"
    )


@cache
def script() -> str:
    """The script of the page."""
    return '"use strict";\n(() => {\n' + "\n".join(map(_own, SCRIPTS)) + "})();\n"


@cache
def _own(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
