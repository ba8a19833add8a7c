"""Docstrings as Markdown: they are plain text with ``code``, roles, sections as NumPy has them, and formulas.

As an extension of Griffe, it gives mkdocstrings the docstrings in this form.
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from names import ROOT, full_name

SPECIAL = re.compile(r"[\\`*_{}\[\]<>$|~^#&]")
CODE = re.compile(r"(``.+?``|:\w+:`[^`]+`|`[^`]+`)", re.DOTALL)
ITEM = re.compile(r"[*-] ")
NAMED = re.compile(r"(\*{0,2}[\w., ]+) : (.*)")
OTHER = re.compile(r"[*-] |    ")
"""Where a paragraph ends besides an empty line: at a list or a formula"""
RULE = re.compile(r"-{3,}$")
GAP = re.compile(r"(?<=\S) {3,}(?=\S)")
"""What stands between an equation and the shapes behind it"""


class Docstrings(griffe.Extension):
    """Gives every object its docstring as Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
            if obj.is_function or obj.is_class:
                obj.docstring.value += f"\n\n{_source(obj)}"


def _source(obj: griffe.Object) -> str:
    """A link to the lines of an object, from a page of the reference."""
    assert isinstance(obj.filepath, Path)
    path = obj.filepath.relative_to(ROOT).as_posix()
    return f"[`{path}`, line {obj.lineno}](../../{path}#L{obj.lineno})\n{{: .source .below }}"


def as_markdown(docstring: str) -> str:
    """Paragraphs, lists, examples and formulas in Markdown that shows them as they are written."""
    return "\n\n".join(_blocks(docstring.splitlines()))


def summary(docstring: str | None) -> str:
    """The first line, without the shapes behind it."""
    return inline(GAP.split((docstring or "").split("\n\n")[0].strip())[0].replace("\n", " "))


def inline(text: str) -> str:
    """A paragraph: names in code are links where the reference has them, and everything else is text.

    >>> inline("x_1 is 2 * ``x``")
    'x&#95;1 is 2 &#42; `x`'
    """
    parts = CODE.split(text)
    for place, part in enumerate(parts):
        if place % 2 == 0:
            parts[place] = SPECIAL.sub(lambda found: f"&#{ord(found[0])};", part)
        else:
            name = re.sub(r"\s+", " ", re.sub(r"^:\w+:", "", part).strip("`"))
            parts[place] = _linked(name)
    return GAP.sub("  \n", "".join(parts))


def _linked(name: str) -> str:
    target = full_name(name)
    if target is None:
        return f"`` {name} ``" if "`" in name else f"`{name}`"
    return f'<autoref optional identifier="{target}"><code>{html.escape(name)}</code></autoref>'


def _blocks(lines: list[str]) -> Iterator[str]:
    place = 0
    while place < len(lines):
        line = lines[place]
        end = place + 1
        if not line.strip():
            pass
        elif line.startswith(">>> "):
            end = _end(lines, place, lambda other: other.strip())
            yield _fenced("pycon", [re.sub(r"\s*# doctest: .*$", "", each) for each in lines[place:end]])
        elif line.startswith("    "):
            end = _end(lines, place, lambda other: other.startswith("    "))
            yield _fenced("text", [each[4:] for each in lines[place:end]])
        elif end < len(lines) and RULE.match(lines[end]):
            end = _end(lines, place, lambda other: other.strip())
            yield f"**{inline(line)}**\n\n" + "\n".join(_named(lines[place + 2 : end]))
        elif ITEM.match(line):
            end = _end(lines, place, lambda other: ITEM.match(other) or other.startswith("  "))
            yield "\n".join(_items(lines[place:end]))
        else:
            end = _end(
                lines, place, lambda other: other.strip() and not (ITEM.match(other) or other[:4] == "    ")
            )
            yield re.sub(r"^(\d+)\. ", r"\1&#46; ", inline("\n".join(lines[place:end])))
        place = end


def _end(lines: list[str], start: int, goes_on) -> int:
    return next((place for place in range(start + 1, len(lines)) if not goes_on(lines[place])), len(lines))


def _fenced(language: str, lines: list[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"])


def _items(lines: list[str]) -> list[str]:
    text = "\n".join(f"\0{line[2:]}" if ITEM.match(line) else line.strip() for line in lines)
    return [f"* {inline(item).strip()}".replace("\n", " ") for item in text.split("\0")[1:]]


def _named(lines: list[str]) -> list[str]:
    """A list of ``name : what it is``, or of what is returned."""
    items: list[str] = []
    for line in lines:
        if line.startswith(" ") and items:
            items[-1] += f" {line.strip()}"
        else:
            items.append(line)
    shown = []
    for item in items:
        found = NAMED.match(item)
        shown.append(f"* `{found[1]}`: {inline(found[2])}" if found else f"* {inline(item)}")
    return shown
