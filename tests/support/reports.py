"""Stores with planted runs, and what a report says of them."""

import shutil
from pathlib import Path

from minibert.tracking import Store
from minibert.tracking.store import open_store


def copied_store(empty_database: Path, folder: Path) -> Store:
    """A new store in a folder, faster than by MLflow's migrations."""
    shutil.copy(empty_database, folder)
    return open_store(None, folder, "minibert")


def cells(report, title: str) -> dict[str, tuple[str, ...]]:
    """First cell -> the others, of the rows of the examination's table of this title."""
    (table,) = [table for table in report.evidence.examination.tables if table.title == title]
    return {row[0]: row[1:] for row in table.rows}
