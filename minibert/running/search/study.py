"""The study of a search in Optuna: where its trials are kept, and how a process takes one of them.

A process that is killed leaves its trial as RUNNING. So every trial names its process, and the next process that
asks for one takes up those whose process on this machine is gone, before it begins a new one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from filelock import FileLock

from minibert import interruption
from minibert.config.search import SearchConfig
from minibert.errors import MinibertError
from minibert.locks import file_lock, wait_for
from minibert.running.search.space import Values, draw
from minibert.tracking.addresses import without_passwords
from minibert.tracking.processes import is_alive, process_tags

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

OWNER = "process"
"""Attribute of a trial: the process that trains it, as the tags of a run name it"""


@dataclass(frozen=True)
class Place:
    """The files of a search, and the lock under which a trial is taken."""

    folder: Path
    name: str

    @property
    def journal(self) -> Path:
        return self.folder / f"{self.name}.journal"

    @property
    def page(self) -> Path:
        return self.folder / f"{self.name}.html"

    @property
    def best(self) -> Path:
        return self.folder / f"{self.name}_best.yaml"

    @property
    def lock(self) -> FileLock:
        return file_lock(self.folder / f".{self.name}.lock")


@dataclass(frozen=True)
class Taken:
    """A trial that this process trains now."""

    trial: "Trial"
    values: Values
    continued: bool
    """Whether another process began it"""


def optuna() -> Any:
    """The library. Raises :class:`MinibertError` if it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise MinibertError("A search needs Optuna: pip install 'minibert[hpo]', or 'optuna>=5'.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def study_hash(search: SearchConfig, shared: str) -> str:
    """SHA-256 of what the trials of a study have in common. Studies that differ in it are two.

    ``shared`` is the hash of the configuration of a trial. The number of trials and workers do not count: a study
    can be continued with more of them.
    """
    chosen = asdict(search)
    for key in ("question", "settings", "trials", "workers", "storage"):
        del chosen[key]
    return hashlib.sha256(json.dumps([chosen, shared], sort_keys=True).encode()).hexdigest()


def open_study(search: SearchConfig, place: Place, identity: str) -> "Study":
    """Continue the study of this identity, or begin one.

    Raises :class:`MinibertError` when its storage cannot be read or written.
    """
    library = optuna()
    pruner = library.pruners.MedianPruner(n_startup_trials=search.startup) if search.prunes else None
    with storage_errors(search, place), wait_for(place.lock):
        return library.create_study(
            storage=_storage(search, place),
            study_name=f"{search.name} {identity[:8]}",
            directions=list(search.objectives.values()),
            pruner=pruner or library.pruners.NopPruner(),
            load_if_exists=True,
        )


def take(study: "Study", search: SearchConfig, place: Place) -> Taken | None:
    """The next trial: one whose process is gone or, if fewer than ``search.trials`` were begun, a new one.

    The values of a trial depend on the seed, its number and the trials before it, not on when a process began.
    Returns None when there is nothing left to begin.
    """
    from optuna.trial import Trial

    with storage_errors(search, place), wait_for(place.lock):
        trials = study.get_trials(deepcopy=False)
        left = next((each for each in trials if is_abandoned(each)), None)
        if left is None and len(trials) >= search.trials:
            return None
        trial = study.ask() if left is None else Trial(study, left._trial_id)
        trial.set_user_attr(OWNER, process_tags())
        return Taken(trial, _values(study, search, trial), continued=left is not None)


def release(trial: "Trial") -> None:
    """Leave a trial to the next process that asks for one."""
    trial.set_user_attr(OWNER, {})


def is_abandoned(trial: "FrozenTrial") -> bool:
    """Whether a trial is RUNNING although its process is gone. Of other machines, that cannot be told."""
    owner = trial.user_attrs.get(OWNER)
    return trial.state.name == "RUNNING" and (not owner or is_alive(owner) is False)


@contextmanager
def storage_errors(search: SearchConfig, place: Place) -> Iterator[None]:
    """Within this context, signals wait, and whatever fails in Optuna's storage is one :class:`MinibertError`."""
    try:
        with interruption.shielded():
            yield
    except MinibertError:
        raise
    except Exception as error:
        where = without_passwords(search.storage or str(place.journal))
        why = without_passwords(next(iter(str(error).strip().splitlines()), "") or type(error).__name__)
        raise MinibertError(
            f"The study of the search cannot be read or written in {where}: {why.rstrip('.')}. What was trained "
            f"is recorded in the store, and is found again. {_remedy(search, place, error)}"
        ) from error


def _remedy(search: SearchConfig, place: Place, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"Install the driver of that database, {error.name}, or give another search.storage."
    if search.storage is not None:
        return "Is search.storage right, and does the database answer? Then the same command goes on."
    if isinstance(error, ValueError):  # no JSON
        return f"The file is damaged: move {place.journal} away, and the same command begins a new study."
    return "The same command goes on when the study can be read again."


def mend(journal: Path) -> None:
    """Cut off an unfinished last line, which a full disk leaves: what is written after it could not be read."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    if content and not content.endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


class KernelLock:
    """The lock of a journal. Optuna's own is a file, which a killed process leaves behind for half a minute."""

    def __init__(self, lock: FileLock):
        self._lock = lock

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def _storage(search: SearchConfig, place: Place) -> "BaseStorage":
    library = optuna()
    if search.storage:
        _refuse_tables_of_mlflow(search.storage)
        return library.storages.RDBStorage(search.storage)
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    lock = file_lock(place.folder / f".{place.name}.journal.lock")
    with wait_for(lock):
        mend(place.journal)
    return JournalStorage(JournalFileBackend(str(place.journal), lock_obj=cast(Any, KernelLock(lock))))


def _refuse_tables_of_mlflow(storage: str) -> None:
    """Optuna and MLflow number the revisions of their tables in a table of the same name, ``alembic_version``.

    In MLflow's database, Optuna would leave its own tables and fail.
    """
    from sqlalchemy import create_engine, inspect

    engine = create_engine(storage)
    try:
        if {"experiments", "runs"} <= {*inspect(engine).get_table_names()}:
            raise MinibertError(
                f"search.storage={storage}: is a database of MLflow, which Optuna cannot share. Allowed: "
                "another database on the same server, or null for a file in the store."
            )
    finally:
        engine.dispose()


def _values(study: "Study", search: SearchConfig, trial: "Trial") -> Values:
    """Draw what a trial lacks: the same, wherever between its parameters a process left it.

    What it has is not drawn again. So no parameter may share a random stream with those before it, and what TPE
    draws jointly is drawn first.
    """

    def reseed(key: str) -> None:
        study.sampler = _sampler(search, trial.number, key)

    reseed("")
    trial.relative_params  # noqa: B018  (computed when it is read first)
    return draw(trial, search.parameters, reseed)


def _sampler(search: SearchConfig, number: int, key: str) -> "BaseSampler":
    """The sampler of one parameter of a trial, with a seed of its own."""
    samplers = optuna().samplers
    seed = int.from_bytes(hashlib.sha256(f"{search.seed} {number} {key}".encode()).digest()[:4], "little")
    by_name: Mapping[str, Callable] = {
        "tpe": lambda: samplers.TPESampler(seed=seed, n_startup_trials=search.startup),
        "random": lambda: samplers.RandomSampler(seed=seed),
    }
    return by_name[search.sampler]()
