"""All sweeps of a store at a glance: how far each of them is."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from minibert.collection import without_collection
from minibert.tracking.records import Record
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors
from minibert.tracking.sweeps import MEMBER, children, member_tag, planned_runs, search
from minibert.tracking.tables import OF_EXPERIMENT, RunRow, read_runs, reading

SWEEPS = (
    "SELECT r.run_uuid, r.name, r.status, r.start_time, r.end_time FROM runs r "
    "JOIN tags k ON k.run_uuid = r.run_uuid AND k.key = 'minibert.kind' AND k.value = 'sweep' "
    "WHERE r.experiment_id = ? AND r.lifecycle_stage = 'active'"
)
TAGS = f"SELECT run_uuid, key, value FROM tags WHERE run_uuid IN ({OF_EXPERIMENT})"
MEMBERS = (
    "SELECT t.key, coalesce(c.value, t.run_uuid), r.status FROM tags t "
    "JOIN runs r ON r.run_uuid = t.run_uuid AND r.lifecycle_stage = 'active' AND r.experiment_id = ? "
    "LEFT JOIN tags c ON c.run_uuid = t.run_uuid AND c.key = 'minibert.config_hash' "
    f"WHERE t.key GLOB '{MEMBER}*' ORDER BY r.start_time"
)


@dataclass(frozen=True)
class Standing:
    """How far a sweep is. Times are in seconds since 1970."""

    id: str
    name: str
    status: Status
    tags: dict[str, str]
    started: float
    ended: float | None
    runs: dict[str, Status]
    """Hash of the configuration -> the status of the run of it that was started last"""

    @property
    def command(self) -> str:
        return self.tags.get("minibert.command", "")

    @property
    def planned(self) -> int:
        """How many runs its commands asked for; a sweep of an early version did not record it."""
        return max(planned_runs(self.tags), len(self.runs))

    def count(self, *statuses: Status) -> int:
        return sum(status in statuses for status in self.runs.values())


def sweeps_of(store: Store) -> list[Standing]:
    """The sweeps of the experiment, the newest first. Raises :class:`MinibertError` if they cannot be read."""
    with store_errors(store.uri, "list the sweeps"), reading(store) as connection:
        found = _from_tables(connection, int(store.experiment_id)) if connection else _from_mlflow(store)
    return sorted(found, key=lambda sweep: sweep.started, reverse=True)


def recorded_runs(store: Store) -> list[RunRow]:
    """All runs of the experiment, whatever their sweeps. Raises :class:`MinibertError` if they cannot be read."""
    with store_errors(store.uri, "read the runs"):
        rows = read_runs(store, "minibert.config_hash")
        if rows is None:
            with without_collection():
                rows = [_row(run) for run in search(store, "tags.`minibert.config_hash` != ''")]
    return rows


def open_sweep_record(store: Store, sweep_id: str) -> Record:
    """The record of a sweep, to read."""
    with store_errors(store.uri, f"read sweep {sweep_id}"):
        address = store.client.get_run(sweep_id).info.artifact_uri or ""
    return Record(store, sweep_id, address, continued=True)


def _from_tables(connection: sqlite3.Connection, experiment: int) -> list[Standing]:
    runs: dict[str, dict[str, Status]] = {}
    for tag, config_hash, status in connection.execute(MEMBERS, (experiment,)):
        runs.setdefault(tag, {})[config_hash] = Status(status)
    tags: dict[str, dict[str, str]] = {}
    for run_id, key, value in connection.execute(TAGS, ("minibert.sweep_hash", experiment)):
        tags.setdefault(run_id, {})[key] = value
    return [
        _standing(run_id, name, status, tags.get(run_id, {}), start, end, runs)
        for run_id, name, status, start, end in connection.execute(SWEEPS, (experiment,))
    ]


def _from_mlflow(store: Store) -> Iterable[Standing]:
    for run in search(store, "tags.`minibert.kind` = 'sweep'"):
        info, tags = run.info, dict(run.data.tags)
        members = sorted(children(store, tags["minibert.sweep_hash"]), key=lambda child: child.started)
        runs = {member_tag(tags["minibert.sweep_hash"]): {child.config_hash: child.status for child in members}}
        yield _standing(info.run_id, info.run_name, info.status, tags, info.start_time, info.end_time, runs)


def _row(run) -> RunRow:
    info, data = run.info, run.data
    ended = info.end_time / 1000 if info.end_time else None
    last = data.to_proto().metrics
    return RunRow(
        id=info.run_id,
        name=info.run_name,
        status=info.status,
        started=info.start_time / 1000,
        ended=ended,
        parameters=dict(data.params),
        tags=dict(data.tags),
        metrics=dict(data.metrics),
        step=max((metric.step for metric in last), default=-1),
        address=info.artifact_uri or "",
    )


def _standing(
    run_id: str,
    name: str,
    status: str,
    tags: dict[str, str],
    start: int | None,
    end: int | None,
    runs: dict[str, dict[str, Status]],
) -> Standing:
    ended = end / 1000 if end and status != Status.RUNNING else None
    members = runs.get(member_tag(tags.get("minibert.sweep_hash", "")), {})
    return Standing(run_id, name, Status(status), tags, (start or 0) / 1000, ended, members)
