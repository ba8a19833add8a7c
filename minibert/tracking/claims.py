"""At most one process trains a configuration at a time.

A run that the store calls RUNNING may be long dead: nothing tells the store about a kill -9. A file lock does
not outlive its process, because the kernel lets go of it, so the lock and not the status says who is alive.
"""

from collections.abc import Callable

from filelock import FileLock, Timeout

from minibert.errors import MinibertError
from minibert.tracking.store import Store, lock_path, store_errors

POLL_SECONDS = 0.2


class Claim:
    """The right to train one configuration, held until :meth:`release`, the end of ``with`` or of the process."""

    def __init__(self, store: Store, config_hash: str, lock: FileLock):
        self.store = store
        self.config_hash = config_hash
        self._lock = lock

    def finished_run(self) -> str | None:
        """Id of the newest finished run of this configuration, if there is one."""
        return find_finished(self.store, self.config_hash)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_) -> None:
        self.release()


def claim(store: Store, config_hash: str, on_wait: Callable[[str], None] | None = None) -> Claim:
    """Wait until no other process trains this configuration, then hold the right to it.

    ``on_wait`` is called once with a sentence for the user if there is something to wait for. The lock lies
    under the store's local folder: it keeps apart processes of one machine, or of a shared file system with flock.
    """
    path = lock_path(store.folder, f"{store.experiment_id}-{config_hash[:16]}")
    # thread_local off: a claim may be released by another thread than the one that took it.
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait is not None:
                on_wait(f"another process is training {_running_name(store, config_hash)}; waiting for it to end")
            lock.acquire(poll_interval=POLL_SECONDS)
    except OSError as error:
        raise MinibertError(
            f"{path}: this file cannot be locked ({error}). Set tracking.folder to a file system that knows flock."
        ) from error
    return Claim(store, config_hash, lock)


def find_finished(store: Store, config_hash: str) -> str | None:
    """Id of the newest FINISHED run of this configuration in the experiment, or None."""
    found = _runs_of(store, config_hash, "attributes.status = 'FINISHED'")
    return found[0].info.run_id if found else None


def find_unfinished(store: Store, config_hash: str):
    """The newest run of this configuration that did not finish, as MLflow's entity, or None."""
    found = _runs_of(store, config_hash, "attributes.status != 'FINISHED'")
    return found[0] if found else None


def _runs_of(store: Store, config_hash: str, condition: str) -> list:
    with store_errors(store.uri, "look for earlier runs"):
        return store.client.search_runs(
            [store.experiment_id],
            filter_string=f"tags.`minibert.config_hash` = '{config_hash}' and {condition}",
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )


def _running_name(store: Store, config_hash: str) -> str:
    found = _runs_of(store, config_hash, "attributes.status = 'RUNNING'")
    return f"'{found[0].info.run_name}' (run {found[0].info.run_id})" if found else "this configuration"
