"""Where runs are recorded: an MLflow store, opened so that any number of processes may do so at once.

The default store is one SQLite file, ``<folder>/mlflow.db``, with artifacts under ``<folder>/artifacts/``.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from filelock import FileLock

from minibert.errors import MinibertError, Refused
from minibert.tracking.retries import PatientClient, at_once, is_refusal, patiently

if TYPE_CHECKING:
    from mlflow import MlflowClient

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


@dataclass(frozen=True)
class Store:
    """An open MLflow store and the one experiment in it that this process works on."""

    client: "MlflowClient"
    experiment_id: str
    uri: str
    folder: Path
    """Local folder of working files, locks and reports, whatever the ``uri`` is."""


def open_store(uri: str | None, folder: Path, experiment: str, patient: bool = False) -> Store:
    """Open the store at ``uri`` (None: SQLite under ``folder``); make the database and the experiment if missing.

    A store that is away is an error at once, because the address may be wrong. ``patient`` waits for it, where it
    was there a moment ago.

    Raises :class:`MinibertError` when the store cannot be reached or read, or the experiment was deleted.
    """
    folder = Path(folder).resolve()
    uri = uri or f"sqlite:///{folder / 'mlflow.db'}"
    with store_errors(uri, "open it"):
        if patient:
            return patiently(_open, uri, folder, experiment)
        with at_once():
            return _open(uri, folder, experiment)


def _open(uri: str, folder: Path, experiment: str) -> Store:
    with FileLock(lock_path(folder, "store"), fallback_to_soft=False):
        _quieten()
        from mlflow import MlflowClient

        if uri.startswith("sqlite:///"):
            _prepare_database(Path(uri.removeprefix("sqlite:///").split("?")[0]), folder / "artifacts")
        client = PatientClient(MlflowClient(tracking_uri=uri))
        with _without_retries():
            experiment_id = _experiment_id(client, uri, folder / "artifacts", experiment)
    return Store(client, experiment_id, uri, folder)


def lock_path(folder: Path, name: str) -> Path:
    """``<folder>/work/locks/<name>.lock``, its folder made. Lock files are kept: removing one is a race."""
    path = folder / "work" / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def local_path(uri: str) -> Path | None:
    """The folder that an artifact URI names on this machine, or None when the artifacts are elsewhere."""
    parsed = urlparse(uri)
    if parsed.scheme in ("", "file") and parsed.netloc in ("", "localhost"):
        return Path(unquote(parsed.path) if parsed.scheme else uri)
    return None


@contextmanager
def store_errors(uri: str, action: str) -> Iterator[None]:
    """Whatever goes wrong inside while talking to MLflow becomes one :class:`MinibertError`."""
    try:
        yield
    except MinibertError:
        raise
    except Exception as error:
        kind = Refused if is_refusal(error) else MinibertError
        raise kind(f"tracking store {uri}: could not {action}. {explain(uri, error)}") from error


def explain(uri: str, error: Exception) -> str:
    """What an exception of MLflow means for its user, in a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # SQLAlchemy puts hints before, and the statement after, the line that says what happened.
    text = next((line for line in lines if line.startswith("(sqlite3.")), lines[0])
    if "out-of-date database schema" in text or "Can't locate revision" in text:
        return f"It was written by another version of MLflow: back it up, then run `mlflow db upgrade {uri}`."
    if urlparse(uri).scheme in ("http", "https") and "Max retries exceeded" in text:
        return "No server answers there. Start it, or correct tracking.uri (null is a local SQLite store)."
    return text


def _quieten() -> None:
    """No telemetry, no chatter. Everything that MLflow logs as an error it also raises."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault(RETRIES, "0")  # MLflow's own tries could not be ended, and see one request of a call
    import mlflow  # noqa: F401  (it sets its loggers' levels when it is imported)

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _prepare_database(path: Path, artifacts: Path) -> None:
    """Make the SQLite file if it is missing. Call it under the store's lock.

    MLflow creates its tables in some 60 migrations, over two seconds, and cannot pick up a half-made database.
    So the tables are made in a file of another name, and a kill in between leaves nothing behind that matters.
    """
    if path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    SqlAlchemyStore(f"sqlite:///{unfinished}", str(artifacts)).engine.dispose()
    with closing(sqlite3.connect(unfinished)) as connection:
        # Readers (the MLflow UI, a progress display) then never block a writer. The mode is kept in the file;
        # how long a writer waits for another is up to the connection, and MLflow asks for 20 s.
        connection.execute("PRAGMA journal_mode = WAL")
    unfinished.rename(path)


def _experiment_id(client: "MlflowClient", uri: str, artifacts: Path, name: str) -> str:
    remote = urlparse(uri).scheme in ("http", "https", "databricks")
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return client.create_experiment(name, artifact_location=None if remote else artifacts.as_uri())
    if experiment.lifecycle_stage != "active":
        raise MinibertError(
            f"tracking.experiment={name}: this experiment was deleted in {uri}. Bring it back with "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}` or choose another name."
        )
    location = local_path(experiment.artifact_location)
    if location is not None and not location.parent.is_dir():
        raise MinibertError(
            f"tracking.experiment={name}: its artifacts belong in {location}, but there is no {location.parent}. "
            "If the folder was moved, move it back; otherwise choose another tracking.experiment."
        )
    return experiment.experiment_id


@contextmanager
def _without_retries() -> Iterator[None]:
    """An absent server fails the start at once, however often MLflow is told to try."""
    given = os.environ[RETRIES]
    os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        os.environ[RETRIES] = given
