"""Stores with planted runs, and what a report says of them."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from minibert.tracking import Store, claim, open_sweep, start_run
from minibert.tracking.store import open_store


def copied_store(empty_database: Path, folder: Path) -> Store:
    """A new store in a folder, faster than by MLflow's migrations."""
    shutil.copy(empty_database, folder)
    return open_store(None, folder, "minibert")


def plant(
    store: Store, study: Mapping, key: str, runs: Iterable[tuple[str, dict, Callable]], swept: Sequence[str] = ()
) -> None:
    """A finished sweep of the study. ``runs``: the title of each run, its settings, and ``record(run)``, which
    logs its results, and gives the reason if the run failed. Sweeps of one store have different keys.
    ``swept``: the settings that its command went over, if that is recorded."""
    parameters = {"study": study} | ({"sweep": {"keys": list(swept)}} if swept else {})
    sweep = open_sweep(store, study["name"], key.encode().hex().ljust(64, "0")[-64:], {}, {}, parameters)
    for title, settings, record in runs:
        with claim(store, f"{key}{title}".encode().hex()) as held:
            run = start_run(held, title, settings, {}, sweep.id)
            reason = record(run)
            run.finish("FAILED" if reason else "FINISHED", reason)
    sweep.finish("FINISHED")


def cells(report, title: str) -> dict[str, tuple[str, ...]]:
    """First cell -> the others, of the rows of the examination's table of this title."""
    (table,) = [table for table in report.evidence.examination.tables if table.title == title]
    return {row[0]: row[1:] for row in table.rows}
