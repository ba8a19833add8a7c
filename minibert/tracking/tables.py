"""Runs and points read from the tables of a local store.

MLflow makes several objects of every value: for a thousand runs of three hundred metrics, that takes it half a
minute, and to import it takes longer than most that is read here. So its tables are read directly, where they are
of a revision that is known. Where they are not, the functions here return None, and MLflow is asked.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from minibert.collection import without_collection
from minibert.errors import MinibertError
from minibert.tracking.databases import check_database, read_only
from minibert.tracking.store import SHOWN, Place, Store, find_place, open_existing_store, unopened_store

REVISIONS = ("dc11669786a5",)
"""Revisions of MLflow's tables, as its Alembic migrations count them, that are read here: that of MLflow 3.17"""
EXPERIMENT = "SELECT experiment_id, lifecycle_stage, artifact_location FROM experiments WHERE name = ?"
RUNS = "SELECT run_uuid, name, status, start_time, end_time, artifact_uri FROM runs WHERE run_uuid IN ({})"
LAST = "SELECT run_uuid, key, value, is_nan, step FROM latest_metrics WHERE run_uuid IN ({})"
OF_EXPERIMENT = (
    "SELECT runs.run_uuid FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = ? "
    "WHERE runs.experiment_id = ? AND runs.lifecycle_stage = 'active'"
)
"""The runs of an experiment that have a tag"""
POINTS = (
    "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ? AND key IN ({}) ORDER BY key, step, timestamp"
)


@dataclass
class RunRow:
    """A run as the tables have it. Times are in seconds since 1970."""

    id: str
    name: str
    status: str
    started: float
    ended: float | None
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    """The last value of every metric"""
    step: int = -1
    """The last step of any metric; -1 before the first"""
    address: str = ""
    """Of its artifacts"""


def look_at_store(uri: str | None, folder: Path | str | None, experiment: str | None) -> Store:
    """Open a store to read, as :func:`minibert.tracking.store.open_existing_store` does.

    MLflow is not imported before it is asked for something, if the tables can be read here.
    """
    place = find_place(uri, folder)
    if experiment and (experiment_id := _known_experiment(place, experiment)) is not None:
        return unopened_store(place, str(experiment_id))
    return open_existing_store(uri, folder, experiment)


@contextmanager
def reading(store: Store) -> Iterator[sqlite3.Connection | None]:
    """A connection to the tables, to read; None if only MLflow can tell."""
    if store.database is None:
        yield None
        return
    try:
        connection = read_only(store.database)
        connection.execute("BEGIN")  # all that is read is of one moment, though runs are being written
        known = is_known(connection)
    except sqlite3.Error:
        yield None
        return
    with closing(connection), without_collection():
        yield connection if known else None


def read_runs(store: Store, tag: str) -> list[RunRow] | None:
    """The runs of the experiment that have a tag, with all that is recorded of them but the points."""
    with reading(store) as connection:
        if connection is None or not store.experiment_id.isdecimal():
            return None
        wanted = (tag, int(store.experiment_id))
        rows = {
            run_id: RunRow(
                run_id, name, status, (start or 0) / 1000, end / 1000 if end else None, address=address or ""
            )
            for run_id, name, status, start, end, address in connection.execute(RUNS.format(OF_EXPERIMENT), wanted)
        }
        for table, of_row in (("params", "parameters"), ("tags", "tags")):
            query = f"SELECT run_uuid, key, value FROM {table} WHERE run_uuid IN ({OF_EXPERIMENT})"
            for run_id, key, value in connection.execute(query, wanted):
                getattr(rows[run_id], of_row)[key] = value
        for run_id, key, value, is_nan, step in connection.execute(LAST.format(OF_EXPERIMENT), wanted):
            row = rows[run_id]
            row.metrics[key] = float("nan") if is_nan else value
            row.step = max(row.step, step)
    return list(rows.values())


def read_points(store: Store, run_id: str, metrics: Sequence[str]) -> dict[str, dict[int, float]] | None:
    """Metric -> step -> value, in order of steps. Of several values at one step, the newest."""
    with reading(store) as connection:
        if connection is None:
            return None
        query = POINTS.format(", ".join("?" * len(metrics)))
        found: dict[str, dict[int, float]] = {metric: {} for metric in metrics}
        for key, step, value, is_nan in connection.execute(query, (run_id, *metrics)):
            found[key][step] = float("nan") if is_nan else value
    return found


def is_known(connection: sqlite3.Connection) -> bool:
    """Whether the tables are of a revision that is read here."""
    found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return len(found) == 1 and found[0][0] in REVISIONS


def usable_experiment(connection: sqlite3.Connection, name: str) -> int | None:
    """The id of an experiment that can be used as it is; None if MLflow has to look at it."""
    if not is_known(connection):
        return None
    found = connection.execute(EXPERIMENT, (name,)).fetchall()
    if len(found) != 1:
        return None
    experiment_id, stage, location = found[0]
    query = "SELECT key FROM experiment_tags WHERE experiment_id = ?"
    tags = {key for (key,) in connection.execute(query, (experiment_id,))}
    usable = stage == "active" and not str(location).startswith("mlflow-artifacts:") and tags >= SHOWN.keys()
    return experiment_id if usable else None


def _known_experiment(place: Place, name: str) -> int | None:
    try:
        if place.database is None or not place.database.exists():
            return None
        check_database(place.database)
        with closing(read_only(place.database)) as connection:
            return usable_experiment(connection, name)
    except (MinibertError, sqlite3.Error):
        return None
