"""The operations of a journal, carried out at its server: each once, in their order, however often they are tried.

An answer may be lost after the server did what it was asked. So a run is looked for by its session before it is
made again; MLflow keeps one of two equal points; tags, parameters, artifacts and the end are the same when written
twice. An error that says that the server is away is raised as it is, and what comes later waits.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from filelock import Timeout

from minibert.errors import MinibertError
from minibert.tracking.journal import ARTIFACTS, JOURNAL, Journal, Operation
from minibert.tracking.recollection import SESSION
from minibert.tracking.retries import is_refusal, is_transient
from minibert.tracking.sending import send
from minibert.tracking.status import Status

SAME_AS = "minibert.same_as"
"""The tag of two runs of one configuration that finished, the second while the server was away"""
OUTDATED = "minibert.outdated"
"""What the tags begin with that name artifacts which should be gone"""
MODEL = "model"
PARENT = "mlflow.parentRunId"
"""MLflow's tag of the run that a run is shown under"""

Tell = Callable[[Mapping[str, str]], None]
"""Gets what is left out: name -> reason"""


class SupersededError(MinibertError):
    """The run was continued elsewhere: its record is that of the other process."""


class Replay:
    """Sends what waits in one journal. ``server`` is MLflow's own client, ``experiment`` the id of the experiment.

    ``real(text, needed)`` replaces the ids of runs that began while the server was away by those that it gave
    them. Where one is ``needed`` and not known yet, it raises an error that says that the server is away.
    """

    def __init__(self, server, journal: Journal, experiment: str, real: Callable[[str, bool], str], tell: Tell):
        self.server = server
        self.journal = journal
        self.experiment = experiment
        self.real = real
        self.tell = tell

    def send(self, check: bool = True) -> bool:
        """Send all that waits; False if another process is sending it at this moment.

        ``check`` asks first whether the run is still there and still that of this journal. Raises
        :class:`SupersededError` if it is another's, and :class:`MinibertError` if it was deleted.
        """
        lock = self.journal.lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        try:
            waiting = list(self.journal.operations(self.journal.sent["to"]))
            if waiting and check and (run := self.journal.sent["run"]):
                self._check(run)
            # Of an artifact that was replaced, only the last copy is there.
            newest = {each["path"]: each for each, _ in waiting if each and each["do"] == "artifact"}
            for operation, end in waiting:
                run = self.journal.sent["run"]
                if operation is None:
                    self.tell({JOURNAL: f"a damaged line is passed over, which ends at byte {end}"})
                elif operation["do"] != "artifact" or newest[operation["path"]] is operation:
                    run = self._carry_out(operation, run)
                self.journal.mark_sent(end, run)
        finally:
            lock.release()
        return True

    def _check(self, run: str) -> None:
        entity = self.server.get_run(run)
        if entity.info.lifecycle_stage != "active":
            raise MinibertError(
                f"The run was deleted: bring it back by `mlflow runs restore --run-id {run}`, or remove "
                f"{self.journal.folder}."
            )
        sessions = [each["session"] for each in self.journal.beginnings(self.journal.sent["to"])]
        # A sweep may be written from several machines.
        is_sweep = entity.data.tags.get("minibert.kind") == "sweep"
        if sessions and not is_sweep and entity.data.tags.get(SESSION, sessions[-1]) != sessions[-1]:
            raise SupersededError(
                f"Run {run} was continued by another process while the server did not hear from this one. What it "
                f"did not send is left in {self.journal.folder}."
            )

    def _carry_out(self, operation: Operation, run: str | None) -> str | None:
        """Returns the id of the run at the server."""
        kind = operation["do"]
        if kind == "begin":
            if operation.get("base"):  # it goes on with a run of another journal
                self.server.set_tag(operation["run"], SESSION, operation["session"])
            return operation["run"] or run
        if kind == "create":
            return self._create(operation)
        if run is None:
            self.tell({JOURNAL: "its beginning is damaged, so nothing of it can be sent"})
            return None
        if kind == "batch":
            self._log(operation, run)
        elif kind == "untag":
            if operation["key"] in self.server.get_run(run).data.tags:
                self.server.delete_tag(run, operation["key"])
        elif kind == "status":
            if operation["status"] == Status.RUNNING:
                self.server.update_run(run, status=operation["status"])
            else:
                self.server.set_terminated(run, operation["status"], operation["end"])
        elif kind == "dataset":
            self._log_dataset(operation, run)
        elif kind == "artifact":
            self._upload(operation["path"], run)
        elif kind == "remove":
            self._remove(operation["path"], run)
        elif kind == "model":
            self._register(operation, run)
        return run

    def _create(self, operation: Operation) -> str:
        tags = self._translated(operation["tags"])
        if found := self._search(f"tags.`{SESSION}` = '{tags[SESSION]}'"):
            return found[0].info.run_id
        if known := self._search(f"tags.`minibert.sweep_hash` = '{tags.get('minibert.sweep_hash')}'"):
            return self._join(known[0], tags)
        config_hash = tags.get("minibert.config_hash")
        same = operation.get("offline") and self._search(
            f"tags.`minibert.config_hash` = '{config_hash}' and attributes.status = 'FINISHED'"
        )
        run = self.server.create_run(self.experiment, operation["at"], tags, operation["name"]).info.run_id
        if same:
            self.server.set_tag(run, SAME_AS, same[0].info.run_id)
            self.server.set_tag(same[0].info.run_id, SAME_AS, run)
        return run

    def _join(self, sweep, tags: Mapping[str, str]) -> str:
        """Go on with a sweep that the server knew already, though it could not be asked."""
        from mlflow.entities import RunTag

        run = sweep.info.run_id
        self.server.update_run(run, status=Status.RUNNING)
        self.server.log_batch(run, tags=[RunTag(*item) for item in tags.items()])
        for path in {each["path"] for each in self.journal.waiting() if each["do"] == "artifact"}:
            self._unite(run, path)
        return run

    def _unite(self, run: str, path: str) -> None:
        """Add to the copy of a list here what the sweep has in it at the server."""
        place = self.journal.artifact(path)
        folder = str(PurePosixPath(path).parent)
        if path not in [item.path for item in self.server.list_artifacts(run, None if folder == "." else folder)]:
            return
        try:
            with tempfile.TemporaryDirectory() as temporary:
                theirs = json.loads(Path(self.server.download_artifacts(run, path, temporary)).read_bytes())
            ours = json.loads(place.read_bytes())
        except (ValueError, RecursionError):  # no JSON, or none that anything here wrote
            return
        if isinstance(theirs, list) and isinstance(ours, list):
            place.unlink()  # it may be a link
            place.write_text(json.dumps([*theirs, *(each for each in ours if each not in theirs)], indent=2))

    def _search(self, condition: str) -> Sequence:
        return self.server.search_runs([self.experiment], condition, max_results=1)

    def _log(self, operation: Operation, run: str) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(*point) for point in operation["metrics"]]
        parameters = [Param(*item) for item in operation["params"].items()]
        tags = [RunTag(*item) for item in self._translated(operation["tags"]).items()]
        for name, entities in (("metrics", metrics), ("params", parameters), ("tags", tags)):

            def log(batch: Sequence, name: str = name) -> None:
                try:
                    self.server.log_batch(run, **{name: batch})
                except Exception as error:
                    if is_refusal(error):  # a deleted run refuses everything, whatever it is
                        self._check(run)
                    raise

            if entities:
                self.tell({entity.key: reason for entity, reason in send(entities, log)})

    def _log_dataset(self, operation: Operation, run: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        tags = [InputTag("mlflow.data.context", operation["context"])]
        self.server.log_inputs(run, [DatasetInput(Dataset(**operation["dataset"]), tags)])

    def _upload(self, path: str, run: str) -> None:
        place, folder = self.journal.artifact(path), PurePosixPath(path).parent
        if place.exists():
            try:
                self.server.log_artifact(run, str(place), None if str(folder) == "." else str(folder))
            except Exception as error:
                if not is_refusal(error):
                    raise
                self.tell({path: str(error)})

    def _remove(self, path: str, run: str) -> None:
        """Delete artifacts, or mark them where the server cannot."""
        try:
            remove_remote(self.server, run, path)
        except Exception as error:
            if is_transient(error):
                raise
            self.server.set_tag(run, f"{OUTDATED}.{path}", "it is of an earlier time, and could not be deleted")

    def _register(self, operation: Operation, run: str) -> None:
        """Upload the model, and enter it among MLflow's models, if the server has such a list."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric

        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / MODEL
            model = self._model(operation, run)
            _copy_model(self.journal.folder / ARTIFACTS / MODEL, folder, run, model and model.model_id)
            self.server.log_artifacts(run, str(folder), MODEL)
            if model is None:
                return
            outputs = self.server.get_run(run).outputs
            if not any(each.model_id == model.model_id for each in (outputs.model_outputs if outputs else [])):
                self.server.log_outputs(run, [LoggedModelOutput(model.model_id, step=0)])  # refused when repeated
            self.server.set_logged_model_tags(model.model_id, self._translated(operation["tags"]))
            scores = [Metric(*point, model_id=model.model_id, run_id=run) for point in operation["points"]]
            if scores:
                self.server.log_batch(run, metrics=scores)
            self.server.log_model_artifacts(model.model_id, str(folder))
            self.server.finalize_logged_model(model.model_id, LoggedModelStatus.READY)

    def _model(self, operation: Operation, run: str):
        from mlflow.exceptions import MlflowException

        try:
            known = self.server.search_logged_models([self.experiment], f"source_run_id = '{run}'")
            if known:
                return known[0]
            return self.server.create_logged_model(
                self.experiment,
                name=MODEL,
                source_run_id=run,
                params=operation["params"],
                model_type=operation["kind"],
            )
        except MlflowException as error:
            if error.error_code != "ENDPOINT_NOT_FOUND":
                raise
            self.tell({MODEL: "the server keeps no models; it is an artifact only"})
            return None

    def _translated(self, tags: Mapping[str, str]) -> dict[str, str]:
        # A session is named as the run was here: by it the run is found, whatever id the server has given it.
        return {key: text if key == SESSION else self.real(text, key == PARENT) for key, text in tags.items()}


def remove_remote(server, run: str, path: str) -> None:
    """Delete a file or a folder among the artifacts of a run. Not every store can; its exception is raised."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    address = server.get_run(run).info.artifact_uri
    get_artifact_repository(address, tracking_uri=server.tracking_uri).delete_artifacts(path)


def _copy_model(source: Path, target: Path, run: str, model_id: str | None) -> None:
    """The folder of a model, with the ids of its run and of itself that the server has for them."""
    from mlflow.models import Model

    shutil.copytree(source, target)
    model = Model.load(str(target / "MLmodel"))
    model.run_id, model.model_id = run, model_id
    model.save(str(target / "MLmodel"))
