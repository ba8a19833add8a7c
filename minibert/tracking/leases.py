"""A lease in the tags of a run says which process trains it, if hosts share a server but no file system.

The lease names host and process and has a heartbeat. Tags know no compare-and-set. So who takes a lease writes it,
waits until any other who saw the run free has written too, and holds it only where its own is still there [1]_.
A holder looks before every heartbeat whether the lease is still its own.

A lease is stale if its process on this host is gone, if its heartbeat did not change while a process waited, or if
it is very old. The clocks of two hosts need not agree, because only changes of the heartbeat count.

.. [1] Lamport, L. (1987). A fast mutual exclusion algorithm. ACM TOCS 5(1), where it is ascribed to M. Fischer.
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil

from minibert import interruption
from minibert.interruption import Interrupted
from minibert.tracking import retries
from minibert.tracking.processes import system
from minibert.tracking.replay import SupersededError
from minibert.tracking.retries import at_once
from minibert.tracking.store import Store, store_errors

TAG = "minibert.lease"
HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
"""A lease is stale if its heartbeat did not change for so long while a process waited"""
ABANDONED_SECONDS = 900.0
"""A lease with an older heartbeat is stale at once"""
SETTLE_SECONDS = 2.0
"""Longer than it takes any process from seeing that a run is free to having written its lease."""
POLL_SECONDS = 2.0

_logger = logging.getLogger(__name__)


class OvertakenError(SupersededError):
    """Another process has the lease and writes the run. This process has to wait."""


class Lease:
    """The right to write the run of one configuration, from :meth:`hold` to :meth:`release`."""

    def __init__(self, store: Store, config_hash: str):
        self.store = store
        self.config_hash = config_hash
        self.run_id: str | None = None
        self._token = secrets.token_hex(8)
        self._stale: set[str | None] = set()
        self._watched: dict[str, tuple[str, float]] = {}
        self._confirmed = time.monotonic()
        self._lost = False
        self._ended = threading.Event()

    def wait(self, on_wait: Callable[[str], None]) -> None:
        """Return when no living process holds a run of the configuration; ``on_wait`` is told whom it waits for.

        Raises :class:`Interrupted` when this process is asked to end.
        """
        said = False
        while holders := [run for run in self._running() if not self._is_stale(run)]:
            if not said:
                said = True
                on_wait(f"{_holder(holders[0])} is training {_named(holders[0])}; waiting for it to end")
            retries.pause(POLL_SECONDS)
            if reason := interruption.reason():
                raise Interrupted(reason)

    def take(self) -> dict[str, str]:
        """The tags that a run gets when it is created or opened again, before :meth:`hold`.

        Raises :class:`OvertakenError` where another process holds a run by now.
        """
        for run in self._running():
            if _lease(run) and _lease(run).get("token") not in (self._token, *self._stale):
                raise OvertakenError(f"{_holder(run)} is training {_named(run)} already.")
        return {TAG: self._text()}

    def hold(self, run_id: str, created: bool) -> None:
        """Keep the lease that :meth:`take` gave a run.

        Raises :class:`OvertakenError` where another process was faster. A run ``created`` in vain is deleted.
        """
        retries.pause(SETTLE_SECONDS)
        rivals = [run for run in self._running() if _lease(run).get("token") not in self._stale]
        mine = [run for run in rivals if _lease(run).get("token") == self._token]
        # Two may have created a run each: both see both now, and both choose the same one.
        first = min((run for run in rivals if _lease(run)), key=lambda run: run.info.run_id, default=None)
        if not mine or first is None or first.info.run_id != run_id:
            if created and mine:
                with store_errors(self.store.uri, f"delete run {run_id}"):
                    self.store.client.delete_run(run_id)
            raise OvertakenError(f"Run {run_id} is being trained by another process.")
        self.run_id, self._confirmed = run_id, time.monotonic()
        threading.Thread(target=self._beat, name="lease", daemon=True).start()

    def check(self) -> None:
        """To be called before the run is written: is the lease still ours?

        Where no heartbeat arrived for a while, because the server was away, this asks. Raises
        :class:`OvertakenError` when the lease went to another process.
        """
        silent = time.monotonic() - self._confirmed
        if self.run_id is not None and not self._lost and silent > STALE_SECONDS / 2:
            with suppress(Exception):
                self._renew()
        if self._lost:
            raise OvertakenError(
                f"Run {self.run_id}: another process took it over while the server did not hear from this one. "
                "Nothing more is written to it from here."
            )

    def release(self) -> None:
        """Give the lease back. Where the server does not hear of it, a run that has ended keeps no one waiting."""
        self._ended.set()
        if self.run_id is not None and not self._lost:
            with suppress(Exception), at_once():
                client, run_id = self.store.directly(self.run_id)
                if _token_of(client, run_id) == self._token:
                    client.delete_tag(run_id, TAG)
        self.run_id = None

    def _text(self) -> str:
        lease = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "started": psutil.Process().create_time(),
            "system": system(),
            "token": self._token,
            "heartbeat": time.time(),
        }
        return json.dumps(lease)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS) and not self._lost:
            with suppress(Exception):  # the server is away: the next beat may arrive
                self._renew()

    def _renew(self) -> None:
        run_id = self.run_id
        if run_id is None:
            return
        with at_once():  # a heartbeat that comes late is worth nothing, so it does not go through the journal
            client, run_id = self.store.directly(run_id)
            if _token_of(client, run_id) != self._token:
                self._lost = True
                return
            client.set_tag(run_id, TAG, self._text())
        self._confirmed = time.monotonic()

    def _running(self) -> list:
        """The runs of the configuration that are not closed."""
        with store_errors(self.store.uri, "look for other processes"):
            return list(
                self.store.client.search_runs(
                    [self.store.experiment_id],
                    f"tags.`minibert.config_hash` = '{self.config_hash}' and attributes.status = 'RUNNING'",
                    max_results=100,
                )
            )

    def _is_stale(self, run) -> bool:
        lease, text = _lease(run), run.data.tags.get(TAG, "")
        token = lease.get("token")
        if not lease or token in self._stale:
            return True
        watched, since = self._watched.setdefault(run.info.run_id, (text, time.monotonic()))
        if watched != text:
            self._watched[run.info.run_id] = (text, since := time.monotonic())
        for why in _signs_of_death(lease, time.monotonic() - since):
            # A warning is printed even where the display is silent.
            _logger.warning("taking over %s: %s", _named(run), why)
            self._stale.add(token)
            return True
        return False


def _signs_of_death(lease: dict, unchanged: float) -> Iterator[str]:
    process = _process(lease)
    age = time.time() - lease.get("heartbeat", 0)
    if lease.get("system") == system() != "" and not _is_alive(lease):
        yield f"{process} is gone"
    elif unchanged >= STALE_SECONDS:
        yield f"{process} has given no sign of life for {unchanged:.0f} s"
    elif age > ABANDONED_SECONDS:
        yield f"{process} gave its last sign of life {age / 60:.0f} minutes ago"


def _is_alive(lease: dict) -> bool:
    try:
        return abs(psutil.Process(lease["process"]).create_time() - lease["started"]) < 1
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False


def _lease(run) -> dict:
    try:
        lease = json.loads(run.data.tags.get(TAG, "null"))
    except ValueError:
        return {}
    return lease if isinstance(lease, dict) else {}


def _token_of(client, run_id: str) -> str | None:
    return _lease(client.get_run(run_id)).get("token")


def _holder(run) -> str:
    return _process(_lease(run))


def _process(lease: dict) -> str:
    return f"process {lease.get('process')} on {lease.get('host')}"


def _named(run) -> str:
    return f"'{run.info.run_name}' (run {run.info.run_id})"
