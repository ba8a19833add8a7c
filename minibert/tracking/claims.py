"""At most one process trains a configuration at a time.

The process of a run that the store calls RUNNING may have ended: nothing tells the store of a kill -9. The kernel
releases a file lock when its process ends. So the lock, not the status, says whether a process trains the run.
Processes that share a server may share no file system; for these, a lease says it.
"""

from collections.abc import Callable, Iterable

from filelock import FileLock

from minibert.locks import acquire
from minibert.tracking.finished import read_finished
from minibert.tracking.leases import Lease
from minibert.tracking.store import Store, store_errors


class Claim:
    """The right to train one configuration, held until :meth:`release`, the end of ``with`` or of the process."""

    def __init__(self, store: Store, config_hash: str, lock: FileLock, lease: Lease | None = None):
        self.store = store
        self.config_hash = config_hash
        self.lease = lease
        """None if the lock is beside the database, which is enough"""
        self._lock = lock

    def finished_run(self) -> str | None:
        """Id of the newest finished run of this configuration, if there is one."""
        return find_all_finished(self.store, [self.config_hash]).get(self.config_hash)

    def release(self) -> None:
        if self.lease is not None:
            self.lease.release()
        self._lock.release()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_) -> None:
        self.release()


def claim(store: Store, config_hash: str, on_wait: Callable[[str], None] | None = None) -> Claim:
    """Wait until no other process trains this configuration, then hold the right to it.

    ``on_wait`` gets a sentence that says for which process this one waits. The lock is beside the database. It
    holds among all processes of a machine, or of a shared file system with flock. For a server it is in the local
    folder and holds among the processes that use that folder; a lease holds among all others.

    Raises :class:`Interrupted` if this process is asked to end while it waits.
    """
    say = on_wait or (lambda sentence: None)
    lock = store.lock(f"{store.scope}-{config_hash[:16]}")

    def say_so() -> None:
        say(f"another process is training {_running_name(store, config_hash)}; waiting for it to end")

    acquire(lock, say_so)
    claimed = Claim(store, config_hash, lock, Lease(store, config_hash) if store.database is None else None)
    try:
        if claimed.lease is not None:
            claimed.lease.wait(say)
    except BaseException:
        claimed.release()
        raise
    return claimed


def find_finished(store: Store, config_hash: str) -> str | None:
    """Id of the newest FINISHED run of this configuration in the experiment, or None."""
    found = _runs_of(store, config_hash, "attributes.status = 'FINISHED'")
    return found[0].info.run_id if found else None


def find_all_finished(store: Store, hashes: Iterable[str]) -> dict[str, str]:
    """The same for several configurations: hash -> id of the newest FINISHED run, of those that have one."""
    known = read_finished(store, hashes)
    if known is not None:
        return known
    found = {each: find_finished(store, each) for each in hashes}
    return {each: run_id for each, run_id in found.items() if run_id}


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
