"""The code on the pages of derivations: what is shown of the source, and what is run.

A marker names a file and functions of it, and the block below it is taken from there, without docstrings:

    <!-- code: minibert/model/ops.py linear linear_backward -->

A method is ``Class.method``, a function inside another ``outer.inner``. Of a long function, two texts choose the
lines, from the one with the first to the next with the second: ``attention "scores = " "weights = softmax"``.

``python -m tests.support.derivations`` writes these blocks anew, wherever the source has changed.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path for path in sorted((ROOT / "docs" / "mathematics").glob("*.md")) if path.stem != "README"}
"""Name -> file of every derivation"""
MARKER = re.compile(r"^<!-- code: (\S+) (.+?) -->\n```python\n(?:.*?\n)??```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r'^".*"$')


def filled(page: str) -> str:
    """The text of a page with every marked block as the source has it now."""

    def fill(found: re.Match) -> str:
        code = "\n".join(_shown(ROOT / found[1], shlex.split(found[2], posix=False)))
        return f"<!-- code: {found[1]} {found[2]} -->\n```python\n{code}\n```"

    return MARKER.sub(fill, page)


def examples(page: str) -> list[str]:
    """The blocks of Python that are run: those without a marker."""
    return BLOCK.findall(MARKER.sub("", page))


def _shown(file: Path, words: list[str]) -> Iterator[str]:
    """The lines of every function named; a name may be followed by two quoted texts. A class is named once."""
    text = file.read_text(encoding="utf-8")
    owner = None
    for place, name in enumerate(words):
        if QUOTED.match(name):
            continue
        *classes, function = _found(ast.parse(text), name, file.name)
        same = bool(classes) and classes[-1].name == owner
        if place:
            yield from [""] if same else ["", ""]
        if classes and not same:
            yield from _signature(text, classes[-1])
        owner = classes[-1].name if classes else None
        yield from _lines(text, function, words[place + 1 : place + 3], f"{file.name} {name}")


def _found(node: ast.AST, name: str, file: str) -> list[ast.FunctionDef | ast.ClassDef]:
    """The class, if any, and the function or class itself. Raises LookupError where there is none."""
    found = []
    for part in name.split("."):
        inside = [each for each in ast.iter_child_nodes(node) if getattr(each, "name", None) == part]
        if len(inside) != 1:
            raise LookupError(f"{file} has no {name}")
        node = inside[0]
        assert isinstance(node, ast.FunctionDef | ast.ClassDef)
        found.append(node)
    return found


def _signature(text: str, node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    return text.splitlines()[node.lineno - 1 : node.body[0].lineno - 1]


def _lines(text: str, node: ast.FunctionDef | ast.ClassDef, limits: list[str], where: str) -> list[str]:
    """The lines without docstrings; between the two limits, if these are quoted texts, behind the signature."""
    source, hidden = text.splitlines(), set()
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(each) is not None:
            first, last = each.body[0].lineno, each.body[0].end_lineno or each.body[0].lineno
            hidden |= set(range(first, last + (1 if source[last].strip() else 2)))
    numbers = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    lines = [source[number - 1] for number in numbers if number not in hidden]
    if not (limits and QUOTED.match(limits[0])):
        return lines
    begin, end = (limit[1:-1] for limit in limits)
    starts = [number for number, line in enumerate(lines) if begin in line]
    ends = [number for number, line in enumerate(lines) if end in line and starts and number >= starts[0]]
    if len(starts) != 1 or not ends:
        raise LookupError(f"{where}: {len(starts)} lines contain {begin!r}, {len(ends)} after it {end!r}")
    indent = " " * node.body[0].col_offset
    return [*_signature(text, node), f"{indent}...", *lines[starts[0] : ends[0] + 1]]


def main() -> None:
    for path in PAGES.values():
        page = path.read_text(encoding="utf-8")
        if filled(page) != page:
            path.write_text(filled(page), encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: code written anew")


if __name__ == "__main__":
    main()
