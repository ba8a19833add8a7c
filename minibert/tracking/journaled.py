"""MLflow's client of a server that may go away: what runs record is kept in journals until the server has it.

Each run that is created or continued here has a journal in its working folder. What is recorded of it goes there
first, and from there to the server, in order. A run that is created while the server is away has an id of its own
here, and gets another by the server. Runs without a journal are written as they are without this module.
"""

import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minibert.files import replacing
from minibert.tracking.addresses import without_passwords
from minibert.tracking.journal import Journal, Operation
from minibert.tracking.overlaid import IDS, OverlaidClient
from minibert.tracking.recollection import SESSION, of_entity
from minibert.tracking.replay import PARENT, Replay, Tell, remove_remote

ID = re.compile(r"\b[0-9a-f]{32}\b")
DATASET = ("name", "digest", "source_type", "source", "profile")
ROUNDS = 3
"""To report what is left out is an operation too, and comes last"""


class JournaledClient(OverlaidClient):
    """Offers what is used of MLflow's client to write; what is used to read, its base offers."""

    def __init__(
        self, server, uri: str, work: Path, experiment: str | None, find_experiment: Callable[[Any], str]
    ):
        super().__init__(server, uri, work, experiment, find_experiment)
        self._listeners: dict[str, Tell] = {}
        self._untold: dict[str, dict[str, str]] = {}
        self._checked: dict[str, int] = {}
        """Run -> the number of the outage after which the server was asked whether the run is still ours"""
        self._busy = threading.local()

    def create_run(
        self, experiment_id: str, start_time: int | None = None, tags: Any = None, run_name: str | None = None
    ):
        at, session = start_time or int(time.time() * 1000), secrets.token_hex(16)
        tags = {**(tags or {}), SESSION: session}
        made = self._try(lambda: self.server.create_run(self._asked(), at, self._all_real(tags), run_name))
        run = session if made is None else made.info.run_id
        create = {"do": "create", "name": run_name or "", "tags": tags, "at": at, "offline": made is None}
        journal = Journal(self.work / run)
        real = None if made is None else run
        journal.append(self._beginning(session, real, at, tags.get("minibert.kind")), create, durable=True)
        if made is None:
            return self.get_run(run)
        journal.mark_sent(journal.path.stat().st_size, run)
        return made

    def adopt(self, entity) -> bool:
        """Keep a journal of a run that is there already, which this process continues.

        Returns whether another journal was the last to write it.
        """
        run = entity.info.run_id
        journal, former = Journal(self.work / run), entity.data.tags.get(SESSION)
        sessions = [each["session"] for each in journal.beginnings()]
        if sessions and former in (None, sessions[-1]):
            return False
        # Another process went on with it meanwhile: what was not sent before is of no use any more.
        session, at = secrets.token_hex(16), int(time.time() * 1000)
        journal.append()
        journal.mark_sent(journal.path.stat().st_size, run)
        shutil.rmtree(journal.artifacts, ignore_errors=True)
        kind = entity.data.tags.get("minibert.kind")
        self._record(journal, self._beginning(session, run, at, kind) | {"base": of_entity(entity, run).plain()})
        return former is not None

    def listen(self, run: str, tell: Tell) -> None:
        """Let ``tell`` report what the server refuses of a run, and has refused of it."""
        self._listeners[run] = tell
        tell(self._untold.pop(run, {}))

    def log_batch(self, run_id: str, metrics: Sequence = (), params: Sequence = (), tags: Sequence = ()) -> None:
        if (journal := self._journal(run_id)) is None:
            return self.server.log_batch(self.real_id(run_id), metrics=metrics, params=params, tags=tags)
        points = [[each.key, each.value, each.timestamp, each.step] for each in metrics]
        texts = ({each.key: str(each.value) for each in items} for items in (params, tags))
        self._record(journal, _batch(points, *texts))

    def set_tag(self, run_id: str, key: str, value: Any) -> None:
        if (journal := self._journal(run_id)) is None:
            return self.server.set_tag(self.real_id(run_id), key, value)
        self._record(journal, _batch(tags={key: str(value)}))

    def delete_tag(self, run_id: str, key: str) -> None:
        if (journal := self._journal(run_id)) is None:
            return self.server.delete_tag(self.real_id(run_id), key)
        self._record(journal, {"do": "untag", "key": key})

    def update_run(self, run_id: str, status: str) -> None:
        if (journal := self._journal(run_id)) is None:
            return self.server.update_run(self.real_id(run_id), status=status)
        self._record(journal, {"do": "status", "status": str(status), "end": None})

    def set_terminated(self, run_id: str, status: str) -> None:
        if (journal := self._journal(run_id)) is None:
            return self.server.set_terminated(self.real_id(run_id), status)
        self._record(journal, {"do": "status", "status": str(status), "end": int(time.time() * 1000)})

    def log_inputs(self, run_id: str, datasets: Sequence) -> None:
        if (journal := self._journal(run_id)) is None:
            return self.server.log_inputs(self.real_id(run_id), datasets)
        for used in datasets:
            about = {
                key: getattr(used.dataset, key) for key in ("name", "digest", "source_type", "source", "profile")
            }
            self._record(journal, {"do": "dataset", "dataset": about, "context": used.tags[0].value})

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        if (journal := self._journal(run_id)) is None:
            return self.server.log_artifact(self.real_id(run_id), local_path, artifact_path)
        self._keep(journal, local_path, artifact_path)

    def log_artifacts(self, run_id: str, local_dir: str, artifact_path: str | None = None) -> None:
        """All that is in a folder; of a folder, MLflow's ``log_artifact`` makes one of its name."""
        if (journal := self._journal(run_id)) is None:
            return self.server.log_artifacts(self.real_id(run_id), local_dir, artifact_path)
        self._keep(journal, local_dir, artifact_path)

    def _keep(self, journal: Journal, path: str, artifact_path: str | None) -> None:
        kept = journal.keep_artifact(Path(path), artifact_path)
        self._record(journal, *({"do": "artifact", "path": each} for each in kept))

    def log_model(self, run_id: str, folder: Path, about: Operation) -> None:
        """Enter the model in ``folder`` among MLflow's models; ``about``: its kind, params, tags and points."""
        journal = Journal(self.work / run_id)
        journal.keep_artifact(folder, "model")
        self._record(journal, about | {"do": "model"})

    def remove_artifacts(self, run_id: str, path: str) -> None:
        """Delete a file or a folder."""
        if (journal := self._journal(run_id)) is None:
            return remove_remote(self.server, self.real_id(run_id), path)
        shutil.rmtree(journal.artifact(path), ignore_errors=True)
        journal.artifact(path).unlink(missing_ok=True)
        self._record(journal, {"do": "remove", "path": path})

    def delete_run(self, run_id: str) -> None:
        self.server.delete_run(self.real_id(run_id))
        Journal(self.work / run_id).remove()

    def send(self, run_id: str, force: bool = False) -> bool:
        """Send what waits of a run, if the server is to be asked now. Returns whether nothing waits any more.

        Raises what the server says against it: that the run was deleted, or was continued elsewhere.
        """
        journal = Journal(self.work / run_id)
        busy = self._busy.__dict__.setdefault("runs", set())
        if journal.is_sent or run_id in busy:
            return journal.is_sent
        if not (force or self.outage.is_due):
            return False
        busy.add(run_id)
        try:
            for _ in range(ROUNDS):
                if not journal.is_sent and self._try(lambda: self._replay(journal), force=True) is None:
                    return False
        finally:
            busy.discard(run_id)
        return journal.is_sent

    def waiting(self) -> list[Journal]:
        """The journals of which something is not sent yet, sweeps before their runs."""
        return [journal for journal in self._journals() if not journal.is_sent]

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Within this context nothing is sent: all that is recorded waits in the journals."""
        before, self._busy.held = getattr(self._busy, "held", False), True
        try:
            yield
        finally:
            self._busy.held = before

    def secure(self, run_id: str) -> None:
        """Wait until the journal of a run is on disk."""
        Journal(self.work / run_id).append(durable=True)

    def release(self, run_id: str) -> None:
        """Remove the working folder of a run of which everything is sent."""
        journal = Journal(self.work / run_id)
        real = journal.sent["run"]
        if journal.exists and journal.is_sent and real:
            if real != run_id:
                with replacing(self.work / IDS / run_id) as temporary:
                    temporary.write_text(real)
            journal.remove()

    def _replay(self, journal: Journal) -> bool:
        run, number = journal.folder.name, self.outage.number
        tell = self._listeners.get(run, self._untold.setdefault(run, {}).update)
        done = Replay(self.server, journal, self._asked(), self._real, tell).send(self._checked.get(run) != number)
        self._checked[run] = number
        return done

    def _record(self, journal: Journal, *operations: Operation) -> None:
        journal.append(*operations)
        if not getattr(self._busy, "held", False):
            self.send(journal.folder.name)

    def _real(self, text: str, needed: bool) -> str:
        return ID.sub(lambda found: self._real_of(found[0], needed), text)

    def _real_of(self, run: str, needed: bool) -> str:
        journal = Journal(self.work / run)
        if journal.exists and journal.sent["run"] is None and needed:
            self._replay(journal)
            if journal.sent["run"] is None:
                raise ConnectionError(f"its sweep {run} is not sent yet")
        return self.real_id(run)

    def _all_real(self, tags: Mapping[str, str]) -> dict[str, str]:
        return {key: self._real(text, key == PARENT) for key, text in tags.items()}

    def _beginning(self, session: str, run: str | None, at: int, kind: str | None) -> Operation:
        return {
            "do": "begin", "at": at, "session": session, "run": run, "kind": kind,
            "uri": without_passwords(self.tracking_uri), "experiment": self._experiment,
        }  # fmt: skip


def _batch(metrics: Sequence = (), params: Any = None, tags: Any = None) -> Operation:
    return {"do": "batch", "metrics": list(metrics), "params": params or {}, "tags": tags or {}}
