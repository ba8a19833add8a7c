"""The pages of the reference: a page a room, with every public name at the module that it comes from.

A name is described once, on the first page that has it; the lists on other pages link there.
"""

import ast
from collections.abc import Callable
from pathlib import Path

from docstrings import as_markdown, summary
from names import ROOMS, ROOT, Name, file_of, public_names, tree_of


def title_of(room: str) -> str:
    """The package that a page is about."""
    first = ROOMS[room][0]
    file = file_of(first)
    return first if file is not None and file.name == "__init__.py" else first.rpartition(".")[0]


REFERENCE = {
    file.relative_to(ROOT).as_posix(): f"docs/reference/{room}.md"
    for room in ROOMS
    if (file := file_of(title_of(room))) is not None
}
"""File of a room -> its page of the reference"""


def reference_pages() -> dict[str, str]:
    """The text of every page of the reference, by its path."""
    described: set[str] = set()
    return {f"docs/reference/{room}.md": _page(room, described) for room in ROOMS}


def _page(room: str, described: set[str]) -> str:
    title = title_of(room)
    names = {name.path: name for module in ROOMS[room] for name in public_names(module)}
    new = [name for path, name in names.items() if path not in described]
    described |= {name.path for name in new}
    lines = [f"# {title}", "", *_about(title), '<div class="names" markdown="1">', ""]
    lines += [f"* [`{name.short}`][{path}]: {summary(name.docstring)}" for path, name in names.items()]
    lines += ["", "</div>"]
    for home in sorted({name.home for name in new}, key=_placed(room)):
        lines += ["", f"## {home.removeprefix(f'{title}.')} {{ .module }}", ""]
        lines += _about(home) if home != title else []
        lines += [_described(name) for name in new if name.home == home]
    return "\n".join(lines)


def _placed(room: str) -> Callable[[str], tuple[int, str]]:
    """The order of modules on a page: as the room lists them, and others by their names."""
    listed = ROOMS[room]
    return lambda home: (listed.index(home) if home in listed else len(listed), home)


def _about(module: str) -> list[str]:
    """What a module says of itself, and a link to its source."""
    file = file_of(module)
    assert isinstance(file, Path), module
    path = file.relative_to(ROOT).as_posix()
    text = as_markdown(ast.get_docstring(tree_of(module)) or "")
    return [text, "", f"[`{path}`](../../{path})\n{{: .source }}", ""]


def _described(name: Name) -> str:
    return f"::: {name.path}\n"
