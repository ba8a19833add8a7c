"""At most one process trains a configuration at a time.

A run that the store calls RUNNING may be long dead: nothing tells the store about a kill -9. A file lock does
not outlive its process, because the kernel lets go of it, so the lock and not the status says who is alive.
"""

from collections.abc import Callable

from filelock import FileLock

from minibert.tracking.locks import acquire
from minibert.tracking.store import Store, store_errors


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

    ``on_wait`` is called once with a sentence for the user if there is something to wait for. The lock lies beside
    the database: it keeps apart processes of one machine, or of a shared file system with flock.
    """
    lock = store.lock(f"{store.experiment_id}-{config_hash[:16]}")

    def say() -> None:
        if on_wait is not None:
            on_wait(f"another process is training {_running_name(store, config_hash)}; waiting for it to end")

    acquire(lock, say)
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
