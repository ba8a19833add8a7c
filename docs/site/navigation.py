"""The navigation of mkdocs.yml, where a folder stands for its pages in the order of its README."""

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LINK = re.compile(r"\]\(([^)#\s]+\.md)(?:#[^)\s]*)?\)")
HEADING = re.compile(r"^## (.+)$")


class NoPages(Exception):
    """A folder of the navigation that has no pages."""


def expanded(entries: Sequence[Any], root: Path, written: Sequence[str], pages: Sequence[str]) -> list[Any]:
    """The entries with every folder, such as ``docs/mathematics/``, replaced by its pages.

    Where the README has two headings or more with at least two pages below each, these are sections. Pages that it
    does not link to come last: those of ``pages``, and those that are made while the site is built. Raises
    :class:`NoPages` for a folder that is missing or has none.
    """
    result = []
    for entry in entries:
        title, target = next(iter(entry.items())) if isinstance(entry, dict) else (None, entry)
        if isinstance(target, list):
            target = expanded(target, root, written, pages)
        elif target.endswith("/"):
            target = _folder(target, root, [*pages, *written])
        if title is None and isinstance(target, list):
            result += target
        else:
            result.append(target if title is None else {title: target})
    return result


def _folder(folder: str, root: Path, pages: Sequence[str]) -> list[Any]:
    inside = [page for page in pages if page.startswith(folder) and page != f"{folder}README.md"]
    groups: dict[str | None, list[str]] = {}
    placed, heading = set(), None
    readme = root / folder / "README.md"
    for line in readme.read_text(encoding="utf-8").splitlines() if readme.exists() else ():
        heading = found[1] if (found := HEADING.match(line)) else heading
        for target in LINK.findall(line):
            page = posixpath.normpath(posixpath.join(folder, target))
            if page in inside and page not in placed:
                placed.add(page)
                groups.setdefault(heading, []).append(page)
    groups = _without_single_pages(groups)
    entries: list[Any] = [f"{folder}README.md"] if readme.exists() else []
    for heading, members in groups.items():
        entries += members if heading is None else [{heading: members}]
    entries += [page for page in inside if page not in placed]
    if not entries:
        raise NoPages(f"{folder} {'has no pages' if (root / folder).is_dir() else 'is not there'}.")
    return entries


def _without_single_pages(groups: dict[str | None, list[str]]) -> dict[str | None, list[str]]:
    """The groups, or one without a heading if they are no sections."""
    if len(groups) > 1 and all(len(members) > 1 for members in groups.values()):
        return groups
    return {None: [page for members in groups.values() for page in members]}
