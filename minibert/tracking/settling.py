"""The end of a record at a server: what waits is sent, or stays in its journal until ``minibert sweeps sync``."""

import logging
from dataclasses import dataclass

from minibert import interruption
from minibert.errors import MinibertError
from minibert.tracking import retries
from minibert.tracking.explanations import explain, store_errors
from minibert.tracking.journal import Journal
from minibert.tracking.lookup import short_id
from minibert.tracking.records import Record
from minibert.tracking.refusals import LEFT_OUT, LeftOut
from minibert.tracking.status import Status
from minibert.tracking.store import Store

SYNC = "python -m minibert.sweeps sync"

_logger = logging.getLogger(__name__)


def settle(record: Record, folder_goes: bool) -> None:
    """Send what waits of a record that was closed. Waits for a server that went away a moment ago.

    The working folder is removed when all is sent, if it ``goes``.
    """
    client = record.store.journaled
    assert client is not None
    with store_errors(record.store.uri, f"send run {record.id}"):
        for seconds in (*retries.WAITS_SECONDS, None):
            if client.send(record.id, force=True):
                if folder_goes:
                    client.release(record.id)
                return
            if seconds is None or client.outage.is_long or interruption.reason():
                break
            retries.pause(seconds)
    _logger.warning(
        "run %s is recorded in %s, because the server does not answer. When it does: %s tracking.uri=%s "
        "tracking.folder=%s",
        short_id(record.id), client.work / record.id, SYNC, record.store.uri, record.store.folder,
    )  # fmt: skip


@dataclass(frozen=True)
class Settled:
    """What became of one journal."""

    id: str
    """At the server, if it has the run"""
    name: str
    sent: int
    """Operations"""
    left: int
    why: str = ""
    """Why some are left"""


def send_all(store: Store) -> list[Settled]:
    """Send the journals of all runs and sweeps that wait in the working folder, those of living processes too.

    Working folders of which nothing is needed any more are removed.
    """
    client = store.journaled
    if client is None:
        return []
    found, away = [], None
    for journal in client.waiting():
        before, why = len(journal.waiting()), ""
        if away is not None:  # each try may take long to fail
            found.append(_settled(store, journal, before, away))
            continue
        _listen(store, journal)
        try:
            with store_errors(store.uri, f"send run {journal.folder.name}"):
                if not client.send(journal.folder.name, force=True):
                    why = "another process is sending it"
                    if client.outage.error is not None:
                        why = away = explain(store.uri, client.outage.error)
        except MinibertError as error:
            why = str(error)
        found.append(_settled(store, journal, before, why))
        entity = client.get_run(journal.folder.name)
        ended = entity.info.status == Status.FINISHED
        if (
            journal.is_sent
            and (ended or entity.data.tags.get("minibert.kind") == "sweep")
            and entity.info.end_time
        ):
            client.release(journal.folder.name)
    return found


def _listen(store: Store, journal: Journal) -> None:
    client, run = store.journaled, journal.folder.name
    assert client is not None
    client.listen(run, LeftOut(store, run, client.get_run(run).data.tags.get(LEFT_OUT, "")).add)


def _settled(store: Store, journal: Journal, before: int, why: str) -> Settled:
    client, left = store.journaled, len(journal.waiting())
    assert client is not None
    run = journal.folder.name
    return Settled(
        client.real_id(run), client.get_run(run).info.run_name or "", before - left, left, why if left else ""
    )
