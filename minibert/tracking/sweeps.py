"""A sweep in the store: a parent run, and the runs that belong to it.

Every child carries the tag ``minibert.sweep.<first 12 of the sweep's hash>`` with its name in the sweep. MLflow
shows a run under one parent only, but a run that finished for one sweep may answer for another as well. A run is
known by the hash of its configuration; names are for people.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from minibert.collection import without_collection
from minibert.locks import wait_for
from minibert.tracking.consumption import seconds_taken
from minibert.tracking.history import Command, add_to_plan, read_commands
from minibert.tracking.lookup import find_run_id
from minibert.tracking.processes import process_tags
from minibert.tracking.records import Record, closed_on_error, create, flatten, reopen, write_tags
from minibert.tracking.replay import PARENT
from minibert.tracking.retries import patiently
from minibert.tracking.settling import settle
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors
from minibert.tracking.tables import RunRow, read_runs

MEMBER = "minibert.sweep."
"""What the tags begin with that make a run count in a sweep"""

PLANNED_RUNS = "minibert.planned"
"""The tag of a sweep that says how many runs its commands asked for"""

TITLE = "minibert.sweep_name"
"""The name of the sweep that a run is shown under: MLflow's page groups runs by it"""


@dataclass(frozen=True)
class Child:
    """The state of one run of a sweep in the store. Times are in seconds since 1970."""

    id: str
    name: str
    status: Status
    reason: str | None
    step: int
    """Last step that any metric was recorded at; -1 before the first."""
    metrics: dict[str, float]
    parameters: dict[str, str]
    tags: dict[str, str]
    started: float
    ended: float | None
    address: str = ""
    """Of its artifacts"""

    @property
    def config_hash(self) -> str:
        """The hash that identifies the run."""
        return self.tags.get("minibert.config_hash", self.id)

    @property
    def seconds(self) -> float | None:
        """See :func:`minibert.tracking.consumption.seconds_taken`."""
        return seconds_taken(self.tags, self.started, self.ended)


def planned_runs(tags: Mapping[str, str]) -> int:
    """How many runs the commands of a sweep asked for; 0 where its record does not tell."""
    told = tags.get(PLANNED_RUNS, "")
    return int(told) if told.isdecimal() else 0


class Sweep(Record):
    """An open sweep."""

    def __init__(self, store: Store, id: str, artifact_uri: str, continued: bool, sweep_hash: str):
        super().__init__(store, id, artifact_uri, continued)
        self.sweep_hash = sweep_hash
        self.planned: dict[str, str] = {}
        """Hash of the configuration -> name, of all runs that its commands asked for"""

    def plan(self, runs: Mapping[str, str], command: Command | None = None) -> None:
        """Add runs (hash of the configuration -> name), and the command that asks for them, to the whole plan."""
        with wait_for(_plan_lock(self.store, self.sweep_hash)):
            self.planned = add_to_plan(self, runs, command)

    def commands(self) -> list[Command]:
        """All commands of this sweep, in their order."""
        return read_commands(self)

    def keys(self) -> list[str]:
        """What the runs of its first command differ in."""
        return json.loads(self.entity().data.params.get("sweep.keys", "[]"))

    def children(self) -> list[Child]:
        """The runs of this sweep and their states, by name: one query, cheap enough for every second."""
        if self.store.journaled is not None:  # its runs wait for it, if it began while the server was away
            with store_errors(self.store.uri, f"send sweep {self.id}"):
                self.store.journaled.send(self.id)
        return children(self.store, self.sweep_hash)

    def newest(self) -> dict[str, Child]:
        """Hash of the configuration -> the run of it that was started last."""
        return {child.config_hash: child for child in sorted(self.children(), key=lambda child: child.started)}

    def join(self, runs: Mapping[str, str]) -> None:
        """Let runs that have finished, perhaps under other parents, count in this sweep: id -> name in it."""
        active: dict[str | None, bool] = {}
        with store_errors(self.store.uri, f"add runs to sweep {self.id}"):
            for run_id, name in runs.items():
                parent = self.store.client.get_run(run_id).data.tags.get(PARENT)
                if parent not in active:
                    active[parent] = _is_active(self.store, parent)
                tags = {member_tag(self.sweep_hash): name}
                write_tags(self.store, run_id, tags if active[parent] else {PARENT: self.id, **tags})

    def finish(self, status: Status | str, reason: str | None = None) -> None:
        super().finish(status, reason)
        if self.store.journaled is not None:
            settle(self, folder_goes=True)

    def close(self, child: Child, status: Status, reason: str) -> None:
        """Close a run whose own process has ended without doing so."""
        Record(self.store, child.id, "", continued=True).finish(status, reason)


def open_sweep(
    store: Store,
    name: str,
    sweep_hash: str,
    planned: Mapping[str, str],
    tags: Mapping[str, Any],
    parameters: Mapping[str, Any],
    command: Command | None = None,
) -> Sweep:
    """Continue the sweep of this hash, whatever its status, or begin one.

    ``planned`` are the runs that ``command`` asks for: hash of the configuration -> name. They join those that it
    has planned before.

    Raises :class:`MinibertError` when the store cannot be written. What is begun by then is closed.
    """
    tags = {
        **tags,
        **process_tags(),
        "minibert.kind": "sweep",
        "minibert.sweep_hash": sweep_hash,
        "minibert.opened": datetime.now(UTC).isoformat(),
    }
    # Under a lock, so that the same command given twice at once makes one parent and not two.
    lock = store.lock(f"{store.scope}-sweep-{sweep_hash[:16]}")
    with wait_for(lock), store_errors(store.uri, f"open sweep '{name}'"):
        entity, continued = patiently(_continue_or_begin, store, name, sweep_hash, tags, parameters, len(planned))
        with closed_on_error(store, entity.info.run_id):
            _adopt(store, entity.info.run_id, sweep_hash)
    with closed_on_error(store, entity.info.run_id):
        sweep = Sweep(store, entity.info.run_id, entity.info.artifact_uri, continued, sweep_hash)
        sweep.plan(dict(planned), command)
        sweep.set_tags({PLANNED_RUNS: len(sweep.planned)})
    return sweep


def _continue_or_begin(store: Store, name: str, sweep_hash: str, tags: Mapping, parameters: Mapping, planned: int):
    entity = _find(store, sweep_hash)
    if entity is None:  # with its number of runs, so that it is known of a sweep that is killed right after it
        return create(store, name, parameters, {**tags, PLANNED_RUNS: planned or None}), False
    if store.journaled is not None:
        store.journaled.adopt(entity)
    reopen(store, entity, parameters, {**tags, **_restated(entity, parameters)})
    return entity, True


def join_sweep(store: Store, parent: str, run_id: str, name: str) -> None:
    """Let a run that has finished, perhaps under another parent, count as ``name`` in the sweep ``parent``."""
    with store_errors(store.uri, f"add run {run_id} to sweep {parent}"):
        tags = membership(store, parent, name)
        if _is_active(store, store.client.get_run(run_id).data.tags.get(PARENT)):
            del tags[PARENT], tags[TITLE]
        write_tags(store, run_id, tags)


def membership(store: Store, parent: str, name: str) -> dict[str, str]:
    """The tags that make a run a child of the sweep ``parent``."""
    parent = find_run_id(store.client, parent, "tracking.parent_run", "sweep", [store.experiment_id])
    sweep = store.client.get_run(parent)
    return {PARENT: parent, TITLE: sweep.info.run_name, member_tag(sweep.data.tags["minibert.sweep_hash"]): name}


def children(store: Store, sweep_hash: str) -> list[Child]:
    """See :meth:`Sweep.children`; for readers that did not open the sweep."""
    tag = member_tag(sweep_hash)
    with store_errors(store.uri, "read the runs of the sweep"):
        rows = read_runs(store, tag)
        if rows is None:
            with without_collection():
                found = [_child(run, run.data.tags[tag]) for run in search(store, f"tags.`{tag}` != ''")]
        else:
            found = [_child_of_row(row, tag) for row in rows]
    return sorted(found, key=lambda child: (child.name, child.started))


def single(store: Store, run_id: str) -> Child:
    """A run by itself, read as the runs of a sweep are. Raises :class:`MinibertError` if there is none."""
    with store_errors(store.uri, f"read run {run_id}"):
        run = store.client.get_run(run_id)
    return _child(run, run.info.run_name)


def search(store: Store, condition: str) -> list:
    """All runs of the experiment that meet an MLflow filter, as MLflow's entities, through all pages."""
    found, token = [], None
    while True:
        page = store.client.search_runs([store.experiment_id], condition, max_results=1000, page_token=token)
        found.extend(page)
        if not (token := page.token):
            return found


def _adopt(store: Store, parent: str, sweep_hash: str) -> None:
    """Show under ``parent`` the runs of the sweep whose own parent was deleted: MLflow shows them under none."""
    found = children(store, sweep_hash)
    others = {child.tags.get(PARENT) for child in found} - {None, parent}
    deleted = {other for other in others if not _is_active(store, other)}
    for child in found:
        if child.tags.get(PARENT) in deleted:
            write_tags(store, child.id, {PARENT: parent})


def _is_active(store: Store, run_id: str | None) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return run_id is not None and store.client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # deleted for good, by `mlflow gc`
            return False
        raise


def _restated(entity, parameters: Mapping[str, Any]) -> dict[str, str]:
    """What a command states of its study otherwise than the first one: MLflow never changes a parameter."""
    recorded, tags = entity.data.params, entity.data.tags
    stated = flatten({"study": parameters.get("study", {})})
    return {key: text for key, text in stated.items() if key in tags or recorded.get(key, text) != text}


def _plan_lock(store: Store, sweep_hash: str):
    return store.lock(f"{store.scope}-plan-{sweep_hash[:16]}")


def member_tag(sweep_hash: str) -> str:
    """The tag of the runs of a sweep, whose value is the name of the run in it."""
    return f"{MEMBER}{sweep_hash[:12]}"


def _find(store: Store, sweep_hash: str):
    condition = f"tags.`minibert.kind` = 'sweep' and tags.`minibert.sweep_hash` = '{sweep_hash}'"
    return max(search(store, condition), key=lambda run: run.info.start_time, default=None)


def _child_of_row(row: RunRow, tag: str) -> Child:
    return Child(
        id=row.id,
        name=row.tags[tag],
        status=Status(row.status),
        reason=row.tags.get("minibert.reason"),
        step=row.step,
        metrics=row.metrics,
        parameters=row.parameters,
        tags=row.tags,
        started=row.started,
        ended=row.ended if row.status != Status.RUNNING else None,
        address=row.address,
    )


def _child(run, name: str) -> Child:
    recorded = run.data.to_proto().metrics
    return Child(
        id=run.info.run_id,
        name=name,
        status=Status(run.info.status),
        reason=run.data.tags.get("minibert.reason"),
        step=max((metric.step for metric in recorded), default=-1),
        metrics={metric.key: metric.value for metric in recorded},
        parameters=run.data.params,
        tags=run.data.tags,
        started=run.info.start_time / 1000,
        ended=run.info.end_time / 1000 if run.info.end_time and run.info.status != Status.RUNNING else None,
        address=run.info.artifact_uri or "",
    )
