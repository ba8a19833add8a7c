"""What a run has recorded so far, read again and again while it trains.

Of a database, only what is new is read, by a connection that cannot write and is closed at once. In the store's
mode (write-ahead log), a reader neither waits for a writer nor keeps one waiting. A server is asked for the last
value of every metric, and for the history only of a metric that is looked at and has new points. No lock is taken.
"""

import math
import re
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from minibert.command_line.arguments import StoreWords
from minibert.errors import MinibertError, Refused
from minibert.tracking.infinities import restored
from minibert.tracking.lookup import FEWEST, LAST, find_run_id
from minibert.tracking.retries import at_once
from minibert.tracking.status import Status
from minibert.tracking.store import Store, find_place, open_existing_store, store_errors, unopened_store
from minibert.tracking.tables import reading

RUN = (
    "SELECT name, status, start_time, end_time, experiment_id FROM runs "
    "WHERE run_uuid = ? AND lifecycle_stage = 'active'"
)
TEXTS = "SELECT key, value FROM {} WHERE run_uuid = ?"
NEW = (
    "SELECT rowid, key, step, value, is_nan, timestamp FROM metrics "
    "WHERE run_uuid = ? AND rowid > ? ORDER BY rowid"
)
"""Points in the order in which they were stored: SQLite counts rows up"""
OF_KIND = (
    "SELECT r.run_uuid, r.start_time FROM runs r JOIN tags k ON k.run_uuid = r.run_uuid "
    "AND k.key = 'minibert.kind' AND k.value = ? "
    "WHERE r.lifecycle_stage = 'active' AND (? = '' OR r.experiment_id = ?) AND {} "
    "ORDER BY r.start_time DESC LIMIT 2"
)


@dataclass
class About:
    """A run besides its points. Times are in seconds since 1970."""

    name: str
    status: str
    started: float
    ended: float | None
    experiment_id: str
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class LiveRecord:
    """The record of a run, to read. :meth:`look` reads what is new; all else is of the moment of the last look."""

    about: About

    def __init__(self, store: Store, run_id: str):
        """Raises :class:`MinibertError` if there is no such run, or if the store cannot be read."""
        self.store, self.id = store, run_id
        self._points: dict[str, dict[int, tuple[float, float]]] = {}
        self._newest: dict[str, tuple[int, int]] = {}
        self._fetched: dict[str, tuple[int, int]] = {}
        self._row = 0
        self._direct = False
        with reading(store) as connection:
            self._direct = connection is not None
        self.look()

    @property
    def is_running(self) -> bool:
        """As the store has it: nothing tells a store of a kill -9."""
        return self.about.status == Status.RUNNING

    def look(self) -> None:
        """Read what is new.

        Raises :class:`Refused` if the store has no such run any more, :class:`MinibertError` if it cannot be read.
        """
        with store_errors(self.store.uri, f"read run {self.id}"):
            if not self._direct:
                with at_once():
                    self._ask()
                return
            with reading(self.store) as connection:
                if connection is None:
                    raise MinibertError(f"{self.store.uri}: cannot be read at the moment.")
                self._read(connection)

    def points(self, metric: str) -> tuple[list[int], list[float], list[float]]:
        """Steps, values and times of recording, in order of steps. Of several values at a step, the newest."""
        if not self._direct and self._fetched.get(metric) != self._newest.get(metric):
            self._fetch(metric)
        found = sorted(self._points.get(metric, {}).items())
        return [step for step, _ in found], [value for _, (value, _) in found], [time for _, (_, time) in found]

    def history(self, metric: str) -> tuple[list[int], list[float]]:
        """Steps and values of a metric, in order of steps; empty if it is not recorded."""
        steps, values, _ = self.points(metric)
        return steps, values

    def metric_names(self, prefix: str = "") -> list[str]:
        """The names of all metrics that begin with ``prefix``, sorted."""
        return sorted(name for name in (self._points if self._direct else self._newest) if name.startswith(prefix))

    def _read(self, connection: sqlite3.Connection) -> None:
        found = connection.execute(RUN, (self.id,)).fetchone()
        if found is None:
            raise self._gone()
        name, status, start, end, experiment = found
        texts = [dict(connection.execute(TEXTS.format(table), (self.id,))) for table in ("params", "tags")]
        self.about = About(
            name or "", Status(status), (start or 0) / 1000, end / 1000 if end else None, str(experiment), *texts
        )
        for row, key, step, value, is_nan, time in connection.execute(NEW, (self.id, self._row)):
            number = math.nan if is_nan else restored(value)
            self._points.setdefault(key, {})[step] = (number, time / 1000)
            self._row = row

    def _ask(self) -> None:
        run = self.store.client.get_run(self.id)
        if run.info.lifecycle_stage != "active":
            raise self._gone()
        info, ended = run.info, run.info.end_time
        self.about = About(
            info.run_name,
            info.status,
            (info.start_time or 0) / 1000,
            ended / 1000 if ended else None,
            info.experiment_id,
            dict(run.data.params),
            dict(run.data.tags),
        )
        self._newest = {last.key: (last.step, last.timestamp) for last in run.data.to_proto().metrics}

    def _gone(self) -> Refused:
        return Refused(f"run={self.id}: no such run in {self.store.uri}. It may have been deleted.")

    def _fetch(self, metric: str) -> None:
        with store_errors(self.store.uri, f"read {metric}"), at_once():
            points = self.store.client.get_metric_history(self.id, metric)
        ordered = sorted(points, key=lambda each: (each.step, each.timestamp))
        self._points[metric] = {each.step: (restored(each.value), each.timestamp / 1000) for each in ordered}
        self._fetched[metric] = self._newest[metric]


def open_to_read(words: StoreWords) -> Store:
    """The store that a command line names; MLflow is imported only if the tables cannot be read here.

    Raises :class:`MinibertError` if there is no such store or experiment.
    """
    place = find_place(words.uri, words.folder)
    if words.experiment is None and place.database is not None and place.database.exists():
        store = unopened_store(place, "")
        with reading(store) as connection:
            if connection is not None:
                return store
    return open_existing_store(words.uri, words.folder, words.experiment)


def find_to_read(store: Store, word: str, kind: str = "run") -> str:
    """The id that ``word`` stands for, as :func:`minibert.tracking.lookup.find_run_id` finds it.

    Where there is no such run, it is the id of the sweep called so, and the other way round: what it is, the
    reader of the record tells, as for a whole id.
    """
    word = word.strip()
    if re.fullmatch("[0-9a-f]{32}", word.lower()):
        return word.lower()
    conditions = {"r.name = ?": (word,)}
    if word == LAST:
        conditions = {"? = ?": (word, word)}
    elif re.fullmatch(f"[0-9a-f]{{{FEWEST},31}}", word.lower()):
        conditions["r.run_uuid LIKE ?"] = (f"{word.lower()}%",)
    for condition, given in conditions.items():
        found = _search(store, kind, condition, given)
        if found is None:
            break
        if len(found) == 1 or (found and word == LAST):
            return found[0][0]
        if found:
            break
    experiments = [store.experiment_id] if store.experiment_id else None
    try:
        return find_run_id(store.client, word, kind, kind, experiments)
    except MinibertError:
        other = "run" if kind == "sweep" else "sweep"
        if word != LAST:
            with suppress(MinibertError):
                return find_run_id(store.client, word, other, other, experiments)
        raise


def newest_run(store: Store) -> tuple[str, float] | None:
    """Id and time of the beginning, in seconds since 1970, of the run that began last; None if there is none."""
    found = _search(store, "run", "1", ())
    if found is not None:
        return (found[0][0], (found[0][1] or 0) / 1000) if found else None
    with store_errors(store.uri, "look for runs"):
        client = store.client
        experiments = [store.experiment_id] if store.experiment_id else None
        experiments = experiments or [each.experiment_id for each in client.search_experiments()]
        newest = ["attributes.start_time DESC"]
        runs = client.search_runs(experiments, "tags.`minibert.kind` = 'run'", max_results=1, order_by=newest)
    return (runs[0].info.run_id, runs[0].info.start_time / 1000) if runs else None


def _search(store: Store, kind: str, condition: str, given: Sequence[str]) -> list[tuple[str, int]] | None:
    """Id and beginning of at most two runs, the newest first; None if only MLflow can tell."""
    with reading(store) as connection:
        if connection is None:
            return None
        experiment = store.experiment_id
        return connection.execute(OF_KIND.format(condition), (kind, experiment, experiment, *given)).fetchall()
