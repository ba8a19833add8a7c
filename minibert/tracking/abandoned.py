"""Records that the store calls RUNNING though their process is gone: nothing tells a store of a kill -9."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from filelock import Timeout

from minibert.tracking.leases import ABANDONED_SECONDS, TAG
from minibert.tracking.processes import PROCESS, is_alive
from minibert.tracking.records import Record
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors
from minibert.tracking.sweeps import MEMBER, Child, member_tag, search

UNKNOWN = "its process is on another machine, or was recorded by an early version: it cannot be told from here"

ABANDONED = "ABANDONED"
"""The store says that a record is RUNNING, but its process is gone"""


@dataclass(frozen=True)
class Running:
    """A record that is not closed, and what became of its process."""

    id: str
    name: str
    kind: str
    """``run`` or ``sweep``"""
    why: str
    """Why it is closed, or why it is left as it is"""
    is_gone: bool


def reap(store: Store) -> list[Running]:
    """Close every RUNNING record of the experiment whose process is gone as KILLED. Returns all that were RUNNING.

    A run is closed under its lock, so that a process that takes it up at this moment is not disturbed. Raises
    :class:`MinibertError` when the store cannot be read or written.
    """
    with store_errors(store.uri, "look for running runs"):
        found = search(store, "attributes.status = 'RUNNING'")
    # Runs first: a sweep is alive as long as one of its runs is.
    found.sort(key=lambda run: run.data.tags.get("minibert.kind") == "sweep")
    looked_at: list[Running] = []
    alive: set[str] = set()
    for run in found:
        tags = run.data.tags
        is_sweep = tags.get("minibert.kind") == "sweep"
        members = member_tag(tags.get("minibert.sweep_hash", ""))
        with _locked(store, tags.get("minibert.config_hash")) as free:
            if is_sweep and members in alive:
                why, gone = "a run of it is being trained", False
            else:
                why, gone = judge_process(tags, free)
            if gone:
                Record(store, run.info.run_id, "", continued=True).finish(Status.KILLED, why)
            else:
                alive |= {key for key in tags if key.startswith(MEMBER)}
        looked_at.append(Running(run.info.run_id, run.info.run_name, "sweep" if is_sweep else "run", why, gone))
    return looked_at


@contextmanager
def _locked(store: Store, config_hash: str | None) -> Iterator[bool | None]:
    """Hold the lock of a configuration. Yields whether it was free; None for a record that has none."""
    if config_hash is None or store.database is None:
        yield None
        return
    lock = store.lock(f"{store.scope}-{config_hash[:16]}")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def judge_process(tags: Mapping[str, str], free: bool | None = None) -> tuple[str, bool]:
    """(the reason, whether the process is gone) of a record that is not closed.

    ``free``: whether nobody holds the lock of the run; None if nobody looked.
    """
    named = "process {2} on {0}".format(*tags.get(PROCESS, "an unknown host:?").rpartition(":"))
    if free is False:
        return "it is being trained", False
    alive = is_alive(tags)
    if alive is None and (silent := _silence(tags)) is not None:
        if silent > ABANDONED_SECONDS:
            return f"{named} gave its last sign of life {silent / 60:.0f} minutes ago", True
        return f"{named} gave a sign of life {silent:.0f} s ago", False
    if alive is None:
        return UNKNOWN, False
    return (f"{named} is alive", False) if alive else (f"{named} is gone", True)


def standing(status: str, tags: Mapping[str, str], runs: Iterable[Child] = ()) -> str:
    """The status in the store, or :data:`ABANDONED`. A sweep lives as long as one of its runs."""
    if status != Status.RUNNING or not judge_process(tags)[1]:
        return status
    is_alive = any(run.status == Status.RUNNING and not judge_process(run.tags)[1] for run in runs)
    return status if is_alive else ABANDONED


def _silence(tags: Mapping[str, str]) -> float | None:
    """Seconds since the last heartbeat of the lease, by the clock of its host; None without a lease."""
    try:
        return max(time.time() - json.loads(tags[TAG])["heartbeat"], 0.0)
    except (KeyError, TypeError, ValueError):
        return None
