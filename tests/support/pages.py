"""The pages as someone works through them: the commands to type, the blocks of Python, the files to write.

=========================================  ====================================================================
on a page                                  is
=========================================  ====================================================================
a block ``sh``                             commands, one a line
a command within a sentence                a command, if it has words behind the name of its program
a block ``python`` or ``py``               run; all of a page share one namespace
"Write `FILE`:" and a block                a file that is written; a module beside the reader's work is imported
"Add at the end of `FILE`:" and a block    lines behind those that the file has
"In the same file:" and a block            the same, to the file before
"In `FILE`:" and a block ``diff``          a change of the file
any other block                            only shown
=========================================  ====================================================================
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
SHELL, PYTHON = ("sh", "bash", "shell"), ("python", "py")
WITHIN_SENTENCES = ("python -m ", "python docs/", "make ", "pip install ")
"""What a command within a sentence begins with"""
GENERATED = re.compile(r"<!-- (\w+): begin\b.*?<!-- \1: end", re.DOTALL)
"""What is written by a command: the results in the lab book tell by which command they were made"""
TO_WRITE = re.compile(
    r"\b(Write|Add\s+at\s+the\s+end\s+of|In)\s+(?:`([^`\s]+\.\w+)`|the\s+same\s+file)[^.`]*:\W*$"
)
HERE_DOCUMENT = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")


@dataclass(frozen=True)
class Part:
    """Something on a page that a reader does."""

    kind: str
    """``command``, ``python``, ``file``, ``added`` (lines at the end of a file) or ``change`` (of a file)"""
    text: str
    page: str
    line: int
    file: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> dict[str, Path]:
    """Name -> file, of every page that is worked through."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found += sorted((ROOT / "experiments").glob("*/README.md"))
    return {path.relative_to(ROOT).as_posix(): path for path in found}


def parts_of(name: str, text: str) -> list[Part]:
    """What a reader of a page does, in the order of the page."""
    text = GENERATED.sub(lambda found: re.sub(r"[^\n]", "", found[0]), text)
    tokens, file, found = MarkdownIt("commonmark").enable("table").parse(text), "", []
    for index, token in enumerate(tokens):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "inline":
            found += [Part("command", each, name, line) for each in _within(token)]
        elif token.type == "fence":
            how, file = _file(tokens, index, file)
            found += _block(token, how, file, name, line + 1)
    return found


def languages(text: str) -> list[tuple[int, str]]:
    """Line and language of every block; the language is empty where a block names none."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [(token.map[0] + 1, token.info) for token in tokens if token.type == "fence" and token.map]


def _within(paragraph: Token) -> Iterator[str]:
    """Commands within a sentence or a table. A name alone is no command, nor is one with an ellipsis."""
    for child in paragraph.children or []:
        if child.type == "code_inline" and child.content.startswith(WITHIN_SENTENCES):
            words = child.content.split()
            named = 3 if words[:2] == ["python", "-m"] else 1
            if len(words) > named and "…" not in child.content:
                yield child.content


def _file(tokens: list[Token], index: int, last: str) -> tuple[str, str]:
    """What becomes of a block by the sentence before it, and the file that is meant: (kind, file)."""
    before = tokens[index - 2].content if index and tokens[index - 1].type == "paragraph_close" else ""
    told = TO_WRITE.search(before)
    if told is None or (told[1] == "In" and told[2] and tokens[index].info != "diff"):
        return "", last
    kinds = {"Write": "file", "Add": "added", "In": "change" if told[2] else "added"}
    return kinds[told[1].split()[0]], told[2] or last


def _block(token: Token, how: str, file: str, name: str, line: int) -> list[Part]:
    language = (token.info.split() or [""])[0]
    if how:
        return [Part(how, token.content, name, line, file)]
    if language in PYTHON:
        return [Part("python", token.content, name, line)]
    if language in SHELL:
        return [Part("command", text, name, line + offset) for offset, text in _lines(token.content)]
    return []


def _lines(block: str) -> Iterator[tuple[int, str]]:
    """The commands of a block, each with its line. A backslash continues a line; ``<<EOF`` takes all up to EOF."""
    rest = list(enumerate(textwrap.dedent(block).splitlines()))
    while rest:
        offset, text = rest.pop(0)
        while text.endswith("\\") and rest:
            text = text[:-1].rstrip() + " " + rest.pop(0)[1].strip()
        if here := HERE_DOCUMENT.search(text):
            while rest:
                _, line = rest.pop(0)
                text += f"\n{line}"
                if line.strip() == here[2]:
                    break
        if text.strip() and not text.lstrip().startswith("#"):
            yield offset, text.strip()


def changed(text: str, diff: str) -> str:
    """A text with the changes of a diff without line numbers: of each part, the old lines are in the text once.

    Raises LookupError where they are not.
    """
    for part in re.split(r"^@@.*\n", diff, flags=re.MULTILINE):
        lines = part.splitlines()
        old = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        new = "\n".join(line[1:] for line in lines if not line.startswith("-"))
        if old != new:
            if text.count(old) != 1:
                raise LookupError(f"{text.count(old)} places in the file have these lines, not one:\n{old}")
            text = text.replace(old, new)
    return text
