"""The SQLite file of a local store: made, checked, and corrected if it was moved.

MLflow records absolute addresses of artifacts. So that a store can be moved and copied, every experiment has the
tag ``minibert.home``, the folder of the database when the addresses were written. If the database is elsewhere
now, the addresses below that folder are rewritten to the present folder.
"""

import atexit
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from urllib.parse import quote
from weakref import WeakSet

from filelock import FileLock

from minibert.collection import importing
from minibert.errors import MinibertError
from minibert.locks import wait_for
from minibert.tracking.addresses import local_path, sqlite_address

HOME = "minibert.home"
BUSY_SECONDS = 20.0
"""How long a writer waits for another; as long as MLflow does."""
ADDRESSES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
)  # fmt: skip


def prepare_database(path: Path, artifacts: Path, lock: FileLock) -> None:
    """Make the SQLite file of a store if it is missing, and check it if it is there."""
    if not path.exists():
        with wait_for(lock):
            if not path.exists():
                _make(path, artifacts)
    check_database(path)


def check_database(path: Path) -> None:
    """Prepare an existing store for several processes, and correct its addresses if it was moved.

    Raises :class:`MinibertError` when it is not the database of a store, ``sqlite3.Error`` when it cannot be read.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise MinibertError(
            f"{path}: this database is empty (0 bytes), so its records are lost or were never written. "
            "Put back a copy, or delete the file to begin a new store."
        )
    with closing(open_to_write(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"alembic_version", "experiments"} <= tables:
            raise MinibertError(
                f"{path}: this SQLite database is no MLflow store (its tables: "
                f"{', '.join(sorted(tables)) or 'none'}). Give another tracking.folder or tracking.uri."
            )
        _let_read_while_writing(connection)
        _follow_move(connection, path)


def read_only(path: Path) -> sqlite3.Connection:
    """A connection to an existing file that cannot change it."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )


def set_location(path: Path, experiment_id: str, location: str) -> None:
    """Set the folder for the artifacts of the future runs of an experiment."""
    with closing(open_to_write(path)) as connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (location, int(experiment_id))
        )


def _make(path: Path, artifacts: Path) -> None:
    """Make the tables in a file of another name, and rename it.

    MLflow creates them by about 60 migrations, in more than two seconds, and cannot continue with an incomplete
    database. So a process that is killed meanwhile leaves none.
    """
    with importing():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch()  # if this is not allowed, MLflow would try for a minute and a half
    with importing():  # of its migrations
        SqlAlchemyStore(sqlite_address(unfinished), str(artifacts)).engine.dispose()
    with closing(open_to_write(unfinished)) as connection:
        _let_read_while_writing(connection)
    unfinished.rename(path)


@cache
def close_at_exit() -> None:
    """Let the connections that MLflow opens from now on be closed when the process ends.

    The last one that is closed brings all that was written from the write-ahead log into the file of the store,
    which is then whole if it is copied alone. The collector, which would close them, passes over what holds them.
    """
    from sqlalchemy import Engine, event

    engines: WeakSet[Engine] = WeakSet()
    event.listen(Engine, "engine_connect", lambda connection: engines.add(connection.engine))
    atexit.register(lambda: [engine.dispose() for engine in engines])


def open_to_write(path: Path) -> sqlite3.Connection:
    """A connection to an existing file, in which every statement is a transaction unless one is begun."""
    address = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _let_read_while_writing(connection: sqlite3.Connection) -> None:
    """Set the mode in which readers, such as the MLflow UI, never block a writer. The file keeps it."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        connection.execute("PRAGMA journal_mode = WAL")


def _follow_move(connection: sqlite3.Connection, database: Path) -> None:
    home = database.parent
    if not _moved(connection, database):
        return
    connection.execute("BEGIN IMMEDIATE")
    for experiment, former in _moved(connection, database):
        for old, new in ((former.as_uri(), home.as_uri()), (str(former), str(home))):
            for table, column in ADDRESSES:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE experiment_id = ? AND substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, experiment, len(old) + 1, f"{old}/"),
                )
        connection.execute(
            "INSERT OR REPLACE INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)",
            (HOME, str(home), experiment),
        )
    connection.execute("COMMIT")


def _moved(connection: sqlite3.Connection, database: Path) -> list[tuple[int, Path]]:
    """Experiments whose addresses are of another folder, or of this one and do not say so yet, and that folder."""
    query = (
        "SELECT e.experiment_id, e.artifact_location, t.value FROM experiments e "
        "LEFT JOIN experiment_tags t ON t.experiment_id = e.experiment_id AND t.key = ?"
    )
    homes = [
        (experiment, Path(tag) if tag else _former_home(location, database), tag)
        for experiment, location, tag in connection.execute(query, (HOME,))
    ]
    return [(experiment, home) for experiment, home, tag in homes if home and tag != str(database.parent)]


def _former_home(location: str | None, database: Path) -> Path | None:
    """Where the database was when an experiment without the tag was made.

    None where its artifacts do not lie with the database. Without a tag, this is concluded from a folder
    ``artifacts`` that is gone, or that lies beside another database of the same name.
    """
    home, place = database.parent, local_path(location or "")
    if place is None or not place.is_absolute():
        return None
    if place.name == "artifacts" and place.parent != home:
        here = (home / "artifacts").is_dir()
        was_home = not place.exists() or (place.parent / database.name).exists()
        if not place.parent.exists() or (here and was_home):
            return place.parent
    return home if place.is_relative_to(home) else None
