"""A finished run, found in the SQLite file of a local store by reading alone.

To import MLflow takes longer than everything else that is done for a run that was trained before. So some of its
tables are read directly: ``experiments`` and ``runs``, with their tags, and ``latest_metrics``. Where anything is
not as expected (another revision of the tables, an experiment that needs a change, a damaged file), nothing is
found here, and MLflow is asked, whose answers and errors count.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from minibert.errors import MinibertError
from minibert.tracking.databases import check_database, read_only
from minibert.tracking.results import Result, make_result
from minibert.tracking.status import Status
from minibert.tracking.store import Store, find_place, unopened_store
from minibert.tracking.tables import is_known, usable_experiment

FINISHED = (
    "FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'minibert.config_hash' "
    "WHERE runs.experiment_id = ? AND runs.status = 'FINISHED' AND runs.lifecycle_stage = 'active'"
)
NEWEST = (
    f"SELECT runs.run_uuid, runs.name, runs.artifact_uri {FINISHED} AND tags.value = ? "
    "ORDER BY runs.start_time DESC, runs.run_uuid LIMIT 1"
)
ALL = f"SELECT tags.value, runs.run_uuid {FINISHED} ORDER BY runs.start_time, runs.run_uuid DESC"


def look_up_finished(
    uri: str | None, folder: Path | str, experiment: str, config_hash: str
) -> tuple[Store, Result] | None:
    """The newest FINISHED run of this configuration, and the store that it is in.

    None if there is none, or if only MLflow can tell.
    """
    try:
        place = find_place(uri, folder)
        if place.database is None or not place.database.exists():
            return None
        check_database(place.database)
        with closing(read_only(place.database)) as connection:
            experiment_id = usable_experiment(connection, experiment)
            row = experiment_id and connection.execute(NEWEST, (experiment_id, config_hash)).fetchone()
            if not row:
                return None
            run_id, name, address = row
            store = unopened_store(place, str(experiment_id))
            return store, make_result(store, run_id, name, Status.FINISHED, _metrics(connection, run_id), address)
    except (MinibertError, sqlite3.Error):
        return None


def read_finished(store: Store, hashes: Iterable[str]) -> dict[str, str] | None:
    """Hash of a configuration -> id of its newest FINISHED run, in an open store; None if only MLflow can tell."""
    wanted = set(hashes)
    if store.database is None or not wanted:
        return None if wanted else {}
    try:
        with closing(read_only(store.database)) as connection:
            if not is_known(connection):
                return None
            rows = connection.execute(ALL, (int(store.experiment_id),)).fetchall()
    except (ValueError, sqlite3.Error):
        return None
    return {config_hash: run_id for config_hash, run_id in rows if config_hash in wanted}  # the newest is the last


def _metrics(connection: sqlite3.Connection, run_id: str) -> dict[str, float]:
    """The last value of every metric."""
    query = "SELECT key, value, is_nan FROM latest_metrics WHERE run_uuid = ?"
    return {key: float("nan") if is_nan else value for key, value, is_nan in connection.execute(query, (run_id,))}
