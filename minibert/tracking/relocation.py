"""Addresses of artifacts that lead nowhere, mended by looking where the folders of the runs are now.

A store that is moved as a whole is followed when it is opened (:mod:`minibert.tracking.databases`). Here is what
that cannot know: artifacts that were moved without their database, and experiments that an MLflow server made,
whose addresses only that server understands. A folder is recognised by its name, the id of its run.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from minibert.errors import MinibertError
from minibert.tracking.addresses import local_path
from minibert.tracking.databases import ADDRESSES, HOME, open_to_write, read_only
from minibert.tracking.store import Place

KEYS = {"runs": "run_uuid", "logged_models": "model_id"}
"""Table -> the column whose value names the folder"""


@dataclass(frozen=True)
class Relocation:
    """What is to be written, and what was not found."""

    database: Path
    moved: tuple[tuple[str, str, str], ...]
    """(table, id, new address)"""
    lost: tuple[str, ...]
    """Ids of runs whose artifacts were not found"""
    locations: dict[int, str]
    """Experiment -> the folder for the artifacts of its future runs"""

    def carry_out(self) -> None:
        """Write the new addresses, all or none of them."""
        columns = dict(ADDRESSES)
        with closing(open_to_write(self.database)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for table, identifier, address in self.moved:
                query = f"UPDATE {table} SET {columns[table]} = ? WHERE {KEYS[table]} = ?"
                connection.execute(query, (address, identifier))
            for experiment, address in self.locations.items():
                query = "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?"
                connection.execute(query, (address, experiment))
                connection.execute(
                    "INSERT OR REPLACE INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)",
                    (HOME, str(self.database.parent), experiment),
                )
            connection.execute("COMMIT")


def plan_relocation(place: Place, folders: Sequence[Path] = ()) -> Relocation:
    """Look for the artifacts of all runs whose address leads nowhere, in ``folders`` and beside the database.

    Raises :class:`MinibertError` for a store that is no SQLite file here, and for a folder that is not there.
    """
    if place.database is None or not place.database.exists():
        raise MinibertError(
            f"tracking.uri={place.address}: addresses can be mended in a SQLite store on this machine only. A "
            "server has them in its own database."
        )
    for folder in folders:
        if not folder.is_dir():
            raise MinibertError(f"artifacts={folder}: there is no such folder.")
    home = place.database.parent
    found = _folders([*folders, home / "artifacts", home / "mlartifacts"])
    moved, lost, experiments = [], [], set()
    with closing(read_only(place.database)) as connection:
        for table, identifier, address, experiment in _addresses(connection):
            if (known := local_path(address or "")) is not None and known.is_dir():
                continue
            if (folder := found.get(identifier)) is not None:
                moved.append((table, identifier, folder.as_uri()))
                experiments.add(experiment)
            elif table == "runs":
                lost.append(identifier)
        locations = dict(_locations(connection, experiments, place.artifacts))
    return Relocation(place.database, tuple(moved), tuple(lost), locations)


def _addresses(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str | None, int]]:
    columns = dict(ADDRESSES)
    for table, key in KEYS.items():
        query = f"SELECT {key}, {columns[table]}, experiment_id FROM {table}"
        for identifier, address, experiment in connection.execute(query).fetchall():
            yield table, identifier, address, experiment


def _locations(
    connection: sqlite3.Connection, experiments: Iterable[int], artifacts: Path
) -> Iterator[tuple[int, str]]:
    """The experiments whose future runs would have their artifacts nowhere, and a folder that is there."""
    for experiment in sorted(experiments):
        query = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
        (location,) = connection.execute(query, (experiment,)).fetchone()
        known = local_path(location or "")
        if known is None or not known.parent.is_dir():
            yield experiment, artifacts.as_uri()


def _folders(roots: Iterable[Path]) -> dict[str, Path]:
    """Name of the run's, or the model's, folder -> the artifacts in it, under any of the folders."""
    found: dict[str, Path] = {}
    for root in roots:
        for pattern in ("*/artifacts", "*/*/artifacts", "*/*/*/artifacts"):
            for path in root.glob(pattern):
                found.setdefault(path.parent.name, path.resolve())
    return found
