"""One training run in the store: buffered metrics that survive a kill, a lost server and a second start."""

import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from minibert.errors import MinibertError
from minibert.files import clear_unfinished, replacing
from minibert.tracking.claims import Claim, find_unfinished
from minibert.tracking.consumption import lost_time
from minibert.tracking.direct_records import DirectRecord
from minibert.tracking.explanations import explain
from minibert.tracking.journal import JOURNAL, Journal
from minibert.tracking.leases import Lease
from minibert.tracking.points import Point, keep_points, kept_points
from minibert.tracking.records import MOST_POINTS, closed_on_error, create, reopen
from minibert.tracking.refusals import LEFT_OUT
from minibert.tracking.replay import SupersededError
from minibert.tracking.retries import at_once, is_refusal, patiently
from minibert.tracking.sending import send
from minibert.tracking.settling import settle
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors
from minibert.tracking.sweeps import membership

FLUSH_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0
FAILURE = ("traceback.txt", "failure")
"""Artifacts of a run that has failed"""
UNSENT_CHECKPOINTS = "unsent_checkpoints"
RESUME = "resume"
"""Folder of artifacts with the newest state to continue from, for other machines"""
STATE = "resume.safetensors"
"""The state to continue from, in the working folder"""

_logger = logging.getLogger(__name__)


def start_run(
    claim: Claim, name: str, parameters: Mapping[str, Any], tags: Mapping[str, Any], parent: str | None = None
) -> "Run":
    """Continue the unfinished run of the claimed configuration, or begin a new one.

    ``parameters`` may be nested; they are recorded flattened (``model.hidden_size``). ``parent`` is the id of the
    sweep that the run is a child of. Raises :class:`MinibertError` when the store cannot be written.
    """
    store = claim.store
    tags = {**tags, "minibert.kind": "run", "minibert.config_hash": claim.config_hash}
    with store_errors(store.uri, f"start run '{name}'"):
        if parent is not None:
            tags |= membership(store, parent, name)
        return patiently(_continue_or_begin, claim, name, parameters, tags)


def _continue_or_begin(claim: Claim, name: str, parameters: Mapping[str, Any], tags: Mapping[str, Any]) -> "Run":
    store, lease = claim.store, claim.lease
    earlier = find_unfinished(store, claim.config_hash)
    tags = {**tags, **(lease.take() if lease else {})}
    changes, lost, elsewhere = {}, {}, False
    if earlier is not None and store.journaled is not None:
        elsewhere = store.journaled.adopt(earlier)
    if earlier is None:
        entity = create(store, name, parameters, tags)
    else:
        entity, recorded = earlier, [metric.timestamp for metric in earlier.data.to_proto().metrics]
        lost = lost_time(earlier.data.tags, max(recorded, default=0) / 1000)
        changes = reopen(store, earlier, parameters, tags | lost)
    with closed_on_error(store, entity.info.run_id):
        if lease is not None:
            lease.hold(entity.info.run_id, created=earlier is None)
        left_out = "" if earlier is None else earlier.data.tags.get(LEFT_OUT, "")
        run = Run(store, entity.info.run_id, entity.info.artifact_uri, earlier is not None, left_out, lease)
        if earlier is None:
            return run
        run.changes, run.before = changes, dict(earlier.data.tags) | lost
        last = earlier.data.to_proto().metrics
        for folder in filter(None, (run.folder, run.artifact_folder(""))):
            clear_unfinished(folder)
        if store.journaled is not None:
            run.fetch_state(elsewhere)
        run.recover({metric.key: metric.step for metric in last})
        return run


class Run(DirectRecord):
    """An open run. ``folder`` is its local working folder, removed when it finishes."""

    def __init__(
        self,
        store: Store,
        id: str,
        artifact_uri: str,
        continued: bool,
        left_out: str = "",
        lease: Lease | None = None,
    ):
        super().__init__(store, id, artifact_uri, continued, left_out)
        self._lease = lease
        self.changes: Mapping[str, tuple[str, str]] = {}
        """Of a continued run: what is another now, of what its bits depend on: tag -> (before, now)"""
        self.before: Mapping[str, str] = {}
        """Of a continued run: its tags before it was taken up, with the time that was lost by a kill -9"""
        self.folder = store.work / id
        self.folder.mkdir(parents=True, exist_ok=True)
        self._points: list[Point] = []
        self._in_file = 0
        """So many of these points are in the journal of a run in a database"""
        self._refused: set[str] = set()
        self._last_step: dict[str, int] = {}
        self._tried_at = time.monotonic()
        self._wait = FLUSH_SECONDS
        self._trouble: str | None = None

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record values at an optimizer step, stored at the latest with the next call after two seconds.

        A point at or before the last step recorded of its metric is dropped: a resumed run walks again over the
        steps since its checkpoint, and no step is recorded twice. What is no number, and a name that MLflow does
        not take, is left out and reported; everything else is stored.
        """
        now, step = int(time.time() * 1000), int(step)
        for name, value in self.numbers(metrics).items():
            if step > self._last_step.get(name, -1) and name not in self._refused:
                self._last_step[name] = step
                self._points.append((name, value, now, step))
        overdue = time.monotonic() - self._tried_at >= self._wait
        full = len(self._points) >= MOST_POINTS and self._trouble is None
        if self._points and (full or overdue):
            self.flush()

    def flush(self) -> bool:
        """Send what is buffered; True if all of it is stored. What is not stays buffered for the next try.

        Training does not wait for a store that is away: there is one try.
        """
        with at_once():
            return self._send() if self.store.journaled is None else self._hand_over(ask_store=True)

    def secure(self, ask_store: bool = True) -> None:
        """Save all points: in the store or, if it does not take them or is not asked, in the journal.

        To be called before the state to resume from is written: a resumed run does not log again what that state
        supersedes. Raises :class:`MinibertError` when the journal cannot be written.
        """
        if self.store.journaled is not None:
            self._hand_over(ask_store)
            self.store.journaled.secure(self.id)
        elif not (ask_store and self.flush()):
            keep_points(Journal(self.folder), self._points[self._in_file :])
            self._in_file = len(self._points)

    def share_state(self, step: int, ask_store: bool = True) -> None:
        """Keep the state to resume from among the artifacts too, where other machines find it.

        Only the newest is kept. Of a store on this machine, the working folder is enough.
        """
        if self.store.journaled is None or self._artifacts.folder is not None:
            return
        with nullcontext() if ask_store else self.store.journaled.held_back():
            self.log_artifact(self.folder / STATE, RESUME)
            self.set_tags({"minibert.resume_step": step})

    def fetch_state(self, elsewhere: bool) -> None:
        """Get the state to resume from of a run that was last trained ``elsewhere``, or that has none here."""
        path = self.folder / STATE
        if elsewhere:  # that here is older
            path.unlink(missing_ok=True)
        if not path.exists() and f"{RESUME}/{STATE}" in self.artifacts(RESUME):
            with replacing(path) as temporary:
                temporary.write_bytes(self.read(f"{RESUME}/{STATE}"))

    def _hand_over(self, ask_store: bool) -> bool:
        """Move all points to the journal, and send it; True if nothing waits there any more."""
        journaled = self.store.journaled
        assert journaled is not None
        with journaled.held_back():
            while self._points:
                self._log_batch(self._points[:MOST_POINTS])
                del self._points[:MOST_POINTS]
        self._tried_at = time.monotonic()
        if not ask_store:
            return False
        self._check_lease()
        try:
            with store_errors(self.store.uri, f"add to run {self.id}"):
                return journaled.send(self.id)
        except SupersededError:
            raise
        except MinibertError as error:  # training goes on, and the end of the run says it again
            self._postpone(str(error))
            return False

    def _send(self) -> bool:
        self._check_lease()
        while self._points:
            batch = self._points[:MOST_POINTS]
            try:
                refused = send(batch, self._log_batch)
            except Exception as error:
                self._postpone(explain(self.store.uri, error))
                return False
            # Only now: an interrupt in between sends a batch twice, and MLflow keeps one of two equal points.
            del self._points[: len(batch)]
            self._in_file = max(self._in_file - len(batch), 0)
            self._leave_out(refused)
        with suppress(OSError):
            (self.folder / JOURNAL).unlink(missing_ok=True)
        self._in_file = 0
        self._trouble, self._wait, self._tried_at = None, FLUSH_SECONDS, time.monotonic()
        return True

    def _check_lease(self) -> None:
        """Raise :class:`OvertakenError` where another process writes this run now."""
        if self._lease is not None:
            self._lease.check()

    def _log_batch(self, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        try:
            self.store.client.log_batch(self.id, metrics=[Metric(*point) for point in points])
        except Exception as error:
            # A deleted run refuses all points, whatever they are.
            if is_refusal(error) and self.store.client.get_run(self.id).info.lifecycle_stage != "active":
                way_out = f"bring it back by `mlflow runs restore --run-id {self.id}`"
                raise MinibertError(f"The run was deleted: {way_out}.") from None
            raise

    def _leave_out(self, refused: Sequence[tuple[Point, str]]) -> None:
        """Report points that MLflow does not take. The name is to blame where the value is a plain number."""
        self.left_out.add({name: reason for (name, *_), reason in refused})
        self._refused |= {name for (name, value, *_), _ in refused if math.isfinite(value)}
        in_file = [point for point in self._points[: self._in_file] if point[0] not in self._refused]
        new = [point for point in self._points[self._in_file :] if point[0] not in self._refused]
        self._points, self._in_file = in_file + new, len(in_file)

    def keep(self, name: str, write: Callable[[Path], None]) -> None:
        """Store a checkpoint that ``write(path)`` writes, as artifact ``checkpoints/<name>``.

        A local store has it written in place, so that no copy can be cut short by a kill. For another it is kept
        in the working folder until that has taken it: training does not wait, and a resumed run sends it.
        """
        folder = self.artifact_folder("checkpoints")
        write((folder or self.folder / UNSENT_CHECKPOINTS) / name)
        if folder is None:
            try:
                with at_once():
                    self._send_checkpoints()
            except MinibertError as error:
                _logger.warning("%s It is kept in %s and sent later.", error, self.folder / UNSENT_CHECKPOINTS)

    def _send_checkpoints(self) -> None:
        for path in sorted((self.folder / UNSENT_CHECKPOINTS).glob("step_*")):
            self.log_artifact(path, "checkpoints")
            path.unlink()

    def log_dataset(
        self, name: str, digest: str, source: str, profile: Mapping[str, Any], context: str = "training"
    ) -> None:
        """Record the corpus: name, content hash, origin and statistics. MLflow shows it as the run's dataset."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:36],  # as much as MLflow keeps
            source_type="minibert",
            source=json.dumps({"source": source, "content_hash": digest}),
            profile=json.dumps(dict(profile), default=str),
        )
        used = DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
        with store_errors(self.store.uri, f"record dataset {name}"):
            self.store.client.log_inputs(self.id, [used])

    def finish(self, status: Status | str, reason: str | None = None) -> None:
        """Store the rest and close the run as FINISHED, FAILED or KILLED. A finished run's working folder goes.

        Raises :class:`MinibertError` when points could not be stored. They then lie in the working folder, and
        the run is left unfinished, so that starting it again stores them.
        """
        if self.store.journaled is not None:
            self._hand_over(ask_store=True)
        elif not self._send():
            raise MinibertError(self._abandon())
        self._send_checkpoints()
        if self.continued and status == Status.FINISHED:
            self._clear_failure()
        if self.store.journaled is not None and status == Status.FINISHED and self.artifacts(RESUME):
            self.remove_artifacts(RESUME)
        super().finish(status, reason)
        if self.store.journaled is not None:
            settle(self, folder_goes=status == Status.FINISHED)
        elif status == Status.FINISHED:
            shutil.rmtree(self.folder, ignore_errors=True)

    def recover(self, last_steps: Mapping[str, int]) -> None:
        """Take up where the earlier process stopped: what is recorded, and what it could not send.

        Lines of its file that are damaged are passed over and reported.
        """
        self._last_step.update(last_steps)
        if self.store.journaled is not None:  # what the journal says is in what is recorded
            return
        points, damaged = kept_points(Journal(self.folder))
        if damaged:
            numbers = ", ".join(map(str, damaged[:10])) + (" ..." if len(damaged) > 10 else "")
            self.left_out.add({JOURNAL: f"{len(damaged)} damaged lines are passed over: {numbers}"})
        for name, value, timestamp, step in points:
            if step > self._last_step.get(name, -1):
                self._last_step[name] = step
                self._points.append((name, value, timestamp, step))
        self._in_file = len(self._points)
        self.flush()

    def _clear_failure(self) -> None:
        """Remove what an earlier start left behind when it failed, or mark it where it cannot be deleted."""
        for path in set(FAILURE) & set(self.artifacts("")):
            try:
                self.remove_artifacts(path)
            except Exception:
                self.set_tags({f"minibert.outdated.{path}": "of an earlier start that failed"})

    def _postpone(self, trouble: str) -> None:
        if self._trouble is None:
            _logger.warning("tracking store %s takes no metrics; trying again later. %s", self.store.uri, trouble)
        self._trouble = trouble
        # A locked database holds up every try for 20 s, so tries become rarer.
        self._wait = min(2 * self._wait, LONGEST_WAIT_SECONDS)
        self._tried_at = time.monotonic()

    def _abandon(self) -> str:
        keep_points(Journal(self.folder), self._points[self._in_file :])
        self._in_file = len(self._points)
        reason = f"{len(self._points)} metric values could not be stored. {self._trouble}"
        try:
            with at_once():
                super().finish(Status.FAILED, reason)
        except MinibertError:
            pass  # The same trouble once more; the run stays RUNNING in the store, which is unfinished too.
        return (
            f"tracking store {self.store.uri}: could not store the last {len(self._points)} metric values of run "
            f"{self.id}. {self._trouble} They are kept in {self.folder / JOURNAL}. When the store is back, give "
            "the same command again: it stores them and closes the run."
        )
