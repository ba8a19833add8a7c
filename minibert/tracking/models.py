"""A trained network among MLflow's models: its files, and what its page shows."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from minibert.files import replacing
from minibert.tracking.addresses import local_path
from minibert.tracking.pages import NOTE
from minibert.tracking.records import Record
from minibert.tracking.results import BIGRAM, LOSS, UNIGRAM, beside, losses
from minibert.tracking.shared_files import copy_code, link_folder, share_code
from minibert.tracking.store import store_errors

MODEL = "model"
"""Name of the model and of the run's artifact: MLflow takes ``runs:/<run id>/model`` for either"""
CODE = "code"
"""Folder of a model with minibert's own modules, which are the same for many runs"""
PARAMETERS = ("model.", "optimizer.", "masking.", "objective.", "data.", "training.", "seed")
"""The settings that the page of a model shows"""

SCORES = (LOSS, UNIGRAM, BIGRAM, "eval/masked_accuracy")
"""The metrics of the run that are also the model's"""

_logger = logging.getLogger(__name__)

Write = Callable[[Path, str | None], None]
"""(folder that is not there yet, id of the model or None) -> writes all files of a model but its code"""


def log_model(run: Record, kind: str, note: str, write: Write, code: Path) -> None:
    """Store what ``write(folder, model id)`` writes as the model of a run, once even where that was resumed.

    The modules in ``code`` are added to it, as ``code/<their package>``.
    The files are the artifact ``model`` of the run; the model has them too, with its settings and final scores.
    On this machine both are the same files, and the code in them is stored once for all runs. The folder is
    written beside its place and renamed, so that it is whole or not there.
    A server that knows no models keeps the artifact only, and one that is away gets it later.
    """
    journaled = run.store.journaled is not None
    artifacts = None if journaled else run.artifact_folder("")
    model = None if journaled else _registered(run, kind)
    with _written(run, artifacts, write, model.model_id if model else None, code) as folder:
        if journaled:
            _keep_model(run, kind, note, folder)
        elif artifacts is None:
            run.log_artifact(folder, MODEL)
        if model is not None:
            with store_errors(run.store.uri, f"describe the model of run {run.id}"):
                _describe(run, model, note, folder)


@contextmanager
def _written(
    run: Record, artifacts: Path | None, write: Write, model_id: str | None, code: Path
) -> Iterator[Path]:
    """The folder with all files of a model: among the ``artifacts`` of its run, else one that goes at the end."""
    if artifacts is None:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / MODEL
            write(folder, model_id)
            copy_code(code, folder / CODE / code.name)
            yield folder
        return
    place = artifacts / MODEL
    with replacing(place, durable=False) as folder:
        write(folder, model_id)
        share_code(code, folder / CODE / code.name, run.store.work / "code")
        shutil.rmtree(place, ignore_errors=True)
    yield place


def _keep_model(run: Record, kind: str, note: str, folder: Path) -> None:
    client = run.store.journaled
    assert client is not None
    with store_errors(run.store.uri, f"store the model of run {run.id}"):
        entity = client.get_run(run.id)
        points = [
            [each.key, each.value, each.timestamp, each.step]
            for each in entity.data.to_proto().metrics
            if each.key in SCORES
        ]
        about = {"kind": kind, "params": _shown(entity), "tags": _tags(entity, note), "points": points}
        client.log_model(run.id, folder, about)


def _shown(entity) -> dict[str, str]:
    return {key: value for key, value in entity.data.params.items() if key.startswith(PARAMETERS)}


def _tags(entity, note: str) -> dict[str, str]:
    found = losses(entity.data.metrics)
    if found["loss"] is not None:
        note = f"**Held-out loss {found['loss']:.3f}{beside(found['unigram'], found['bigram'])}**\n\n{note}"
    return {NOTE: note, "minibert.run": entity.info.run_name}


def _registered(run: Record, kind: str):
    """The run's entry among MLflow's models, made if it is missing; None where the server has no such list."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    client = run.store.client
    with store_errors(run.store.uri, f"register the model of run {run.id}"):
        entity = client.get_run(run.id)
        if entity.outputs and entity.outputs.model_outputs:
            return client.get_logged_model(entity.outputs.model_outputs[0].model_id)
        try:
            made = _made_before(run) if run.continued else None  # and killed before the run knew of it
            model = made or client.create_logged_model(
                run.store.experiment_id, name=MODEL, source_run_id=run.id, params=_shown(entity), model_type=kind
            )
        except MlflowException as error:
            if error.error_code != "ENDPOINT_NOT_FOUND":
                raise
            _logger.warning("%s keeps no models; that of run %s is an artifact only", run.store.uri, run.id)
            return None
        client.log_outputs(run.id, [LoggedModelOutput(model.model_id, step=0)])
        return model


def _made_before(run: Record):
    """The entry among MLflow's models that names this run as its source, or None."""
    condition = f"source_run_id = '{run.id}'"
    return next(iter(run.store.client.search_logged_models([run.store.experiment_id], condition)), None)


def _describe(run: Record, model, note: str, folder: Path) -> None:
    from mlflow.entities import LoggedModelStatus, Metric

    client = run.store.client
    entity = client.get_run(run.id)
    client.set_logged_model_tags(model.model_id, _tags(entity, note))
    # The run's own points once more, now of the model too: MLflow keeps one of two equal ones.
    points = [
        Metric(each.key, each.value, each.timestamp, each.step, model_id=model.model_id, run_id=run.id)
        for each in entity.data.to_proto().metrics
        if each.key in SCORES
    ]
    if points:
        client.log_batch(run.id, metrics=points)
    place = local_path(model.artifact_location)
    if place is None:
        client.log_model_artifacts(model.model_id, str(folder))
    else:
        link_folder(folder, place)
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
