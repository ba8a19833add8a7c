"""What the folder of a store takes on the disk, by kind of file."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

from rich.table import Table

from tests.benchmarks.report import MEGABYTE

CHECKPOINTS, CODE, MODEL, ARRAYS = "checkpoints", "code of models", "models", "arrays"
PAGES, DATABASE, DATA, REST = "figures and pages", "database", "prepared data", "rest"
KINDS = (CHECKPOINTS, CODE, MODEL, ARRAYS, PAGES, DATABASE, DATA, REST)
"""In this order: a file that is at several places, by hard links, is of the first kind"""
FOLDERS = {
    "cache": DATA, "checkpoints": CHECKPOINTS, "code": CODE, "model": MODEL, "models": MODEL, "arrays": ARRAYS,
    "figures": PAGES, "reports": PAGES,
}  # fmt: skip
"""Name of a folder, anywhere in the path -> kind of what is in it, the first row that fits"""
DATABASE_FILE = "mlflow.db"
SUFFIXES = (".html", ".png", ".svg")
BLOCK = 512
"""Bytes, the unit of ``st_blocks``"""


def kind_of(path: PurePath) -> str:
    """The kind of a file at this path, relative to the folder of its store."""
    for folder, kind in FOLDERS.items():
        if folder in path.parts[:-1]:
            return kind
    if path.name.startswith(DATABASE_FILE):
        return DATABASE
    return PAGES if path.suffix in SUFFIXES else REST


def usage(store: Path) -> dict[str, int]:
    """Kind -> bytes of whole blocks on the disk. A file that has several names counts once."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for folder, _, names in os.walk(store):
        for name in names:
            path = Path(folder, name)
            state = path.lstat()
            blocks = getattr(state, "st_blocks", None)
            size = state.st_size if blocks is None else BLOCK * blocks
            order = KINDS.index(kind_of(path.relative_to(store)))
            file = state.st_dev, state.st_ino
            found[file] = min(found.get(file, (order, size)), (order, size))
    taken = dict.fromkeys(KINDS, 0)
    for order, size in found.values():
        taken[KINDS[order]] += size
    return taken


def table(title: str, by_side: Mapping[str, Mapping[str, int]]) -> Table:
    """A row a kind, a column a side, and where there are two, the first in shares of the second."""
    rows = Table(title=title, title_justify="left", caption_justify="left")
    rows.add_column("kind of file")
    for side in by_side:
        rows.add_column(f"{side}, MB", justify="right")
    compared = len(by_side) == 2
    if compared:
        rows.add_column(" / ".join(by_side), justify="right")

    def add(name: str, sizes: list[int]) -> None:
        share = f"{sizes[0] / sizes[1]:.3f}" if compared and sizes[1] else ""
        rows.add_row(name, *(f"{size / MEGABYTE:.1f}" for size in sizes), *([share] if compared else []))

    for kind in KINDS:
        add(kind, [sizes[kind] for sizes in by_side.values()])
    rows.add_section()
    add("all", [sum(sizes.values()) for sizes in by_side.values()])
    rows.caption = (
        "MB: 1,048,576 bytes of whole blocks. A file at several places counts once, in the first of these rows."
    )
    return rows
