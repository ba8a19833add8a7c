"""Addresses of artifacts that lead nowhere, mended by looking where the folders of the runs are now.

A store that is moved as a whole is followed when it is opened (:mod:`minibert.tracking.databases`). Here is what
that cannot know: artifacts that were moved without their database, and experiments that an MLflow server made,
whose addresses only that server understands. Of a store that was copied, the addresses may still lead to the
artifacts of the former one. A folder is recognised by its name, the id of its run.
"""

import sqlite3
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from minibert.errors import MinibertError, sentence
from minibert.tracking.addresses import local_path
from minibert.tracking.databases import ADDRESSES, HOME, open_to_write, read_only
from minibert.tracking.lookup import short_id
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
    copied: Mapping[Path, int]
    """Folder outside of the store -> how many of the addresses to be written lead there now, and to folders"""
    outside: Mapping[Path, int]
    """Folder outside of the store -> how many addresses lead there, and stay: here is no copy of the artifacts"""

    def told(self) -> Iterator[str]:
        """What is to be written, what was not found, and what stays outside of the store: a line each."""
        for folder, count in self.copied.items():
            yield (
                f"{_counted(count)} to {folder}, outside of this store, though a copy is beside the database. "
                "New addresses, of the copy:"
            )
        for table, identifier, address in self.moved:
            yield f"{table.rstrip('s').replace('_', ' ')} {short_id(identifier)}: {address}"
        for experiment, address in self.locations.items():
            yield f"experiment {experiment}, future runs: {address}"
        for identifier in self.lost:
            yield f"run {short_id(identifier)}: its artifacts are not found. Give their folder: artifacts=FOLDER"
        for folder, count in self.outside.items():
            yield (
                f"{_counted(count)} to {folder}, outside of this store, and no copy is beside the database: left "
                "as it is. To have the artifacts here, copy that folder to "
                f"{self.database.parent / 'artifacts'} and give this command again."
            )

    def carry_out(self) -> None:
        """Write the new addresses, all or none of them. Raises :class:`MinibertError` where it cannot be done."""
        columns = dict(ADDRESSES)
        with _readable(self.database), closing(open_to_write(self.database)) as connection:
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

    An address that leads to a folder outside of the store is to lead to its copy beside the database, if one is
    there, and stays as it is if none is, whatever ``folders`` hold.

    Raises :class:`MinibertError` for a store that is no SQLite file here, and for a folder that is not there.
    """
    if place.database is not None and not place.database.exists():
        raise MinibertError(
            f"tracking.folder={place.database.parent}: there is no {place.database.name} in it, which has the "
            "addresses. Give the folder of a store, or copy its database to where its artifacts are."
        )
    if place.database is None:
        raise MinibertError(
            f"tracking.uri={place.address}: addresses can be mended in a SQLite store on this machine only. A "
            "server has them in its own database."
        )
    for folder in folders:
        if not folder.is_dir():
            raise MinibertError(f"artifacts={folder}: there is no such folder.")
    home = place.database.parent
    beside = _folders([home / "artifacts", home / "mlartifacts"])
    found = beside | _folders(folders)
    moved, lost, experiments = [], [], set()
    copied, outside = Counter[Path](), Counter[Path]()
    with _readable(place.database), closing(read_only(place.database)) as connection:
        for table, identifier, address, experiment in _addresses(connection):
            folder = found.get(identifier)
            if (known := local_path(address or "")) is not None and known.is_dir():
                folder, known = beside.get(identifier), known.resolve()
                if known == folder or known.is_relative_to(home):
                    continue
                (outside if folder is None else copied)[known.parent.parent] += 1
            elif folder is None and table == "runs":
                lost.append(identifier)
            if folder is not None:
                moved.append((table, identifier, folder.as_uri()))
                experiments.add(experiment)
        locations = dict(_locations(connection, experiments, place.artifacts, copied))
    return Relocation(place.database, tuple(moved), tuple(lost), locations, copied, outside)


@contextmanager
def _readable(database: Path) -> Iterator[None]:
    """SQLite's errors, as ours: of a file that is damaged, that is no store, or that cannot be written to."""
    try:
        yield
    except sqlite3.Error as error:
        raise MinibertError(
            f"{database}: {sentence(error)} Nothing was changed. Make it writable if it is not, or take the "
            "database from a copy of the store that is whole."
        ) from error


def _counted(addresses: int) -> str:
    return "1 address leads" if addresses == 1 else f"{addresses} addresses lead"


def _addresses(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str | None, int]]:
    columns = dict(ADDRESSES)
    for table, key in KEYS.items():
        query = f"SELECT {key}, {columns[table]}, experiment_id FROM {table}"
        for identifier, address, experiment in connection.execute(query).fetchall():
            yield table, identifier, address, experiment


def _locations(
    connection: sqlite3.Connection, experiments: Iterable[int], artifacts: Path, copied: Container[Path]
) -> Iterator[tuple[int, str]]:
    """The experiments whose future runs would have their artifacts nowhere, or in a folder whose artifacts were
    ``copied``; and the folder of this store."""
    for experiment in sorted(experiments):
        query = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
        (location,) = connection.execute(query, (experiment,)).fetchone()
        known = local_path(location or "")
        if known is None or not known.parent.is_dir() or known.resolve() in copied:
            yield experiment, artifacts.as_uri()


def _folders(roots: Iterable[Path]) -> dict[str, Path]:
    """Name of the run's, or the model's, folder -> the artifacts in it, under any of the folders."""
    found: dict[str, Path] = {}
    for root in roots:
        for pattern in ("*/artifacts", "*/*/artifacts", "*/*/*/artifacts"):
            for path in root.glob(pattern):
                found.setdefault(path.parent.name, path.resolve())
    return found
