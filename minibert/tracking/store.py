"""Where runs are recorded: an MLflow store that any number of processes may open at once.

The default store is one SQLite file, ``<folder>/mlflow.db``, with artifacts under ``<folder>/artifacts/``.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from filelock import FileLock

from minibert.collection import importing
from minibert.config import ROOT
from minibert.errors import MinibertError, unknown_name
from minibert.locks import file_lock, wait_for
from minibert.tracking.addresses import given_folder, is_server, sqlite_address, sqlite_path
from minibert.tracking.databases import HOME, check_database, close_at_exit, prepare_database, set_location
from minibert.tracking.explanations import explain, store_errors
from minibert.tracking.journaled import JournaledClient
from minibert.tracking.overlaid import UNKNOWN
from minibert.tracking.retries import PatientClient, Unopened, at_once, is_transient, patiently
from minibert.tracking.servers import known_experiment, remember_experiment

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
DATABASE = "mlflow.db"
SHOWN = {
    # MLflow opens the page of the runs for this kind; for an experiment without one, that of traces.
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        "Small BERTs, trained by minibert. A run with a plus before it is a sweep: its note lists its runs, and "
        "its artifact `report` answers its question. `eval/loss` is the loss on held-out text in nats per masked "
        "token; `baseline/unigram_entropy` and `baseline/bigram_cross_entropy` are what counting words reaches."
    ),
}
"""What MLflow's pages show of an experiment, as its tags; a text that is there already is kept"""


@dataclass(frozen=True)
class Store:
    """An open MLflow store and the one experiment in it that this process works on."""

    client: PatientClient | JournaledClient
    """MLflow's client, whose calls wait for a store that is away, or are kept until a server is back"""
    experiment_id: str
    """Empty where the store was opened without an experiment."""
    uri: str
    folder: Path
    """Local folder of reports, whatever the ``uri`` is."""
    database: Path | None = None
    """The SQLite file; None where a server or another database keeps the store."""

    @property
    def work(self) -> Path:
        """Folder of working files: states to go on from, and locks.

        They lie beside the database that they belong to, so that all who use it share them. For a server they lie
        in the local folder.
        """
        return (self.database.parent if self.database else self.folder) / "work"

    @property
    def journaled(self) -> JournaledClient | None:
        """The client of a server, which keeps journals; None for a database."""
        return self.client if isinstance(self.client, JournaledClient) else None

    @property
    def is_away(self) -> bool:
        """Whether a server did not answer when it was asked last."""
        return self.journaled is not None and self.journaled.outage.error is not None

    def directly(self, run_id: str) -> tuple[PatientClient, str]:
        """A client that keeps no journal, and the id of a run for it."""
        if isinstance(self.client, JournaledClient):
            return self.client.server, self.client.real_id(run_id)
        return self.client, run_id

    @property
    def scope(self) -> str:
        """What the names of locks begin with. A server may not have been asked for the experiment yet."""
        return self.experiment_id if self.journaled is None else "server"

    def lock(self, name: str) -> FileLock:
        """A lock among all processes that use the database, or, for a server, the local folder."""
        return _lock(self.work, self.database, name)


@dataclass(frozen=True)
class Place:
    """Where the store is that the settings name."""

    address: str
    folder: Path
    database: Path | None

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"


def open_store(
    uri: str | None, folder: Path | str, experiment: str, patient: bool = False, offline: bool = False
) -> Store:
    """Open the store at ``uri`` (None: SQLite under ``folder``); make the database and the experiment if missing.

    ``uri`` may also be a folder with a store in it. A store that is away is an error at once, because the address
    may be wrong. ``patient`` waits for it, where it was there a moment ago. A server that was reached from
    ``folder`` before is opened without it, and with ``offline`` any server.

    Raises :class:`MinibertError` when the store cannot be reached or read, or the experiment was deleted.
    """
    place = find_place(uri, folder)
    with store_errors(place.address, "open it"):
        opened = _open_server if is_server(place.address) else _open
        options = {"offline": offline} if is_server(place.address) else {}
        if patient:
            return patiently(opened, place, experiment, **options)
        with at_once():
            return opened(place, experiment, **options)


def open_existing_store(
    uri: str | None = None, folder: Path | str | None = None, experiment: str | None = None
) -> Store:
    """Open a store to look at what is recorded; nothing is made. Without words for it: the store of this checkout.

    Without ``experiment``, only what is asked for by its id can be read. Raises :class:`MinibertError` when there
    is no such store or experiment.
    """
    place = find_place(uri, folder)
    if place.database is not None and not place.database.exists():
        raise _nothing_there(uri, folder, place.database)
    with store_errors(place.address, "open it"), at_once():
        client = _journaled(place, experiment) if is_server(place.address) else _client(place)
        if experiment is None:
            return Store(client, "", place.address, place.folder, place.database)
        with _without_retries():
            found = client.get_experiment_by_name(experiment)
            if found is None:
                known = sorted(each.name for each in client.search_experiments())
                raise unknown_name("tracking.experiment", experiment, known)
        if isinstance(client, JournaledClient):
            client.experiment_id = found.experiment_id
        return Store(client, found.experiment_id, place.address, place.folder, place.database)


def _nothing_there(uri: str | None, folder: Path | str | None, database: Path) -> MinibertError:
    """The error for a database that is not there, in the words that named it."""
    advice = "Give the folder of a store, or run something first."
    if uri is not None:
        return MinibertError(f"tracking.uri={uri}: there is no {database}. {advice}")
    given = database.parent if folder is None else folder
    return MinibertError(f"tracking.folder={given}: there is no {database.name} in it. {advice}")


def unopened_store(place: "Place", experiment_id: str) -> Store:
    """The store at a place that was looked at. MLflow is imported when its client is first asked for something."""
    return Store(
        PatientClient(Unopened(lambda: _mlflow_client(place))),
        experiment_id,
        place.address,
        place.folder,
        place.database,
    )


def store_address(uri: str | None, folder: Path | str) -> str:
    """The address that MLflow opens the store by."""
    return find_place(uri, folder).address


def find_place(uri: str | None, folder: Path | str | None) -> Place:
    """Where the store is. Raises :class:`MinibertError` for an empty address, and for one that names no file."""
    database = None
    if uri is not None and not urlparse(uri).scheme and (given_folder("tracking.uri", uri) / DATABASE).exists():
        uri, folder = None, uri
    if uri is not None:
        with store_errors(uri, "understand its address"):
            database = sqlite_path(uri)
    if folder is None:
        folder = ROOT / "mlruns" if database is None else database.parent
    folder = given_folder("tracking.folder", folder)
    if uri is None:
        database = (folder / DATABASE).resolve()
    elif database is None or "?" in uri:  # an address with options, such as ?timeout=5, stays as it is given
        return Place(uri, folder, database)
    return Place(sqlite_address(database), folder, database)


def _open_server(place: Place, experiment: str, offline: bool) -> Store:
    work = place.folder / "work"
    client = _journaled(place, experiment)
    try:
        with wait_for(_lock(work, None, "store")), _without_retries():
            experiment_id = client.experiment_id = _experiment_id(client.server, place, experiment)
        remember_experiment(work, place.address, experiment, experiment_id)
        client.outage.end()
    except Exception as error:
        if not is_transient(error):
            raise
        client.experiment_id = known_experiment(work, place.address, experiment)
        if client.experiment_id is None and not offline:
            raise MinibertError(
                f"tracking store {place.address}: could not open it. {explain(place.address, error)} "
                "tracking.offline=true begins without it, and keeps the record here until it answers."
            ) from error
        client.outage.begin(error)
    return Store(client, client.experiment_id or UNKNOWN, place.address, place.folder)


def _journaled(place: Place, experiment: str | None) -> JournaledClient:
    def find(client) -> str:
        return _experiment_id(client, place, experiment or "minibert")

    return JournaledClient(_mlflow_client(place), place.address, place.folder / "work", experiment, find)


def _open(place: Place, experiment: str) -> Store:
    work = (place.database.parent if place.database else place.folder) / "work"
    lock = _lock(work, place.database, "store")
    client = _client(place, lock)
    with wait_for(lock), _without_retries():
        experiment_id = _experiment_id(client, place, experiment)
    return Store(client, experiment_id, place.address, place.folder, place.database)


def _client(place: Place, lock: FileLock | None = None) -> PatientClient:
    """MLflow's client for a store. A missing database is made under ``lock``, where that is given."""
    _quieten()
    if place.database is not None and lock is not None:
        prepare_database(place.database, place.artifacts, lock)
    elif place.database is not None:
        check_database(place.database)
    return PatientClient(_mlflow_client(place))


def _mlflow_client(place: Place):
    _quieten()
    with importing():  # and it imports more when it is made
        from mlflow import MlflowClient

        if place.database is not None:
            close_at_exit()
        return MlflowClient(tracking_uri=place.address)


def _lock(work: Path, database: Path | None, name: str) -> FileLock:
    beside = "" if database is None or database.name == DATABASE else f"{database.name}-"
    return file_lock(work / "locks" / f"{beside}{name}.lock")


def _quieten() -> None:
    """Turn off telemetry and log messages. Whatever MLflow logs as an error, it also raises."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault(RETRIES, "0")  # MLflow's own tries could not be ended, and see one request of a call
    with importing():
        import mlflow  # noqa: F401  (it sets its loggers' levels when it is imported)

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _experiment_id(client: PatientClient, place: Place, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if is_server(place.address) else place.artifacts.as_uri()
        home = {} if place.database is None else {HOME: str(place.database.parent)}
        return client.create_experiment(name, artifact_location=location, tags=SHOWN | home)
    if experiment.lifecycle_stage != "active":
        raise MinibertError(
            f"tracking.experiment={name}: this experiment was deleted in {place.address}. Bring it back with "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}` or choose another name."
        )
    for key, text in SHOWN.items():
        if key not in experiment.tags:
            client.set_experiment_tag(experiment.experiment_id, key, text)
    if place.database is not None and urlparse(experiment.artifact_location).scheme == "mlflow-artifacts":
        _keep_locally(client, place.database, place.artifacts, experiment)
    return experiment.experiment_id


def _keep_locally(client: PatientClient, database: Path, artifacts: Path, experiment) -> None:
    """Let an experiment that was made in MLflow's UI have its artifacts in the folder: no server takes them here.

    Raises :class:`MinibertError` when a server has artifacts of it already.
    """
    from mlflow.entities import ViewType

    for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL):
        if urlparse(run.info.artifact_uri).scheme == "mlflow-artifacts":
            raise MinibertError(
                f"tracking.experiment={experiment.name}: an MLflow server keeps the artifacts of its runs. Give "
                "the address of that server, tracking.uri=http://..., or choose another tracking.experiment."
            )
    set_location(database, experiment.experiment_id, artifacts.as_uri())


@contextmanager
def _without_retries() -> Iterator[None]:
    """An absent server fails the start at once, however often MLflow is told to try."""
    given = os.environ[RETRIES]
    os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        os.environ[RETRIES] = given
