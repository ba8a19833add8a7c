"""The page as one text, which contains its styles, its script and how the run stands."""

from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from minibert.diagnostics.plotting import document

SCRIPTS = ("chart.js", "page.js")
"""In this order: each uses only those before it"""


def render(state: dict[str, Any]) -> str:
    """The page. ``state``: what :func:`minibert.watching.state.as_json` gives, and ``pause``."""
    name = escape(state["name"])
    style = files("minibert.diagnostics.plotting").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}: training</title>\n<style>\n{style}{_own('page.css')}</style>\n</head>\n<body>\n"
        f"{_own('page.html').replace('{name}', name).replace('{id}', escape(state['id']))}"
        f'<script type="application/json" id="data">{document.json_data(state)}</script>\n'
        f"<script>{script()}</script>\n</body>\n</html>\n"
    )


@cache
def script() -> str:
    """The script of the page."""
    return '"use strict";\n(() => {\n' + "\n".join(map(_own, SCRIPTS)) + "})();\n"


@cache
def _own(name: str) -> str:
    return files("minibert.watching.page").joinpath(name).read_text(encoding="utf-8")
