"""What a run and a sweep have in common: an id in MLflow, parameters, tags, artifacts and an end."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from minibert import interruption
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.tracking.artifacts import Artifacts
from minibert.tracking.infinities import restored
from minibert.tracking.provenance import before_continuation, changed
from minibert.tracking.refusals import LEFT_OUT, LeftOut, as_number
from minibert.tracking.replay import SupersededError
from minibert.tracking.retries import at_once
from minibert.tracking.sending import send
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors

MOST_PER_CALL = 100
"""MLflow takes at most this many parameters, or tags, in one call."""
MOST_POINTS = 1000
"""Points in one call; also MLflow's own limit."""
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000


class Record:
    """An open record in the store. Opening one again sets it back to RUNNING."""

    def __init__(self, store: Store, id: str, artifact_uri: str, continued: bool, left_out: str = ""):
        """``left_out`` is what was left out of the record before (:class:`LeftOut`)."""
        self.store = store
        self.id = id
        self.continued = continued
        self.left_out = LeftOut(store, id, left_out)
        self._artifacts = Artifacts(store, id, artifact_uri)
        if store.journaled is not None:
            store.journaled.listen(id, self.left_out.add)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Record texts by name. What MLflow does not take is left out and reported."""
        with store_errors(self.store.uri, f"tag run {self.id}"):
            self.left_out.add(write_tags(self.store, self.id, tags))

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """The values as floats. What is no number, or has no name, is left out and reported."""
        found, refused = {}, {}
        for name, value in metrics.items():
            try:
                if not isinstance(name, str):
                    raise TypeError("the name of a metric is a text")
                found[name] = as_number(value)
            except (TypeError, ValueError, OverflowError) as error:
                refused[str(name)] = f"{type(error).__name__}: {error}"
        self.left_out.add(refused)
        return found

    def artifact_folder(self, name: str) -> Path | None:
        """The local folder of the artifacts under ``name``, to write in place; None if they are remote."""
        if self._artifacts.folder is None:
            return None
        folder = self._artifacts.folder / name
        with store_errors(self.store.uri, f"make {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or everything in a folder, to the artifacts under ``folder``."""
        self._artifacts.add(path, folder)

    def log_text(self, text: str, path: str) -> None:
        self._artifacts.write(path, text.encode())

    def log_dict(self, content: Mapping[str, Any] | list, path: str) -> None:
        """Store ``content`` as JSON. Raises :class:`TypeError` or :class:`ValueError` for what is no JSON data."""
        self.log_text(json.dumps(content, indent=2, default=_plain), path)

    def log_figure(self, figure, path: str) -> None:
        """Store a matplotlib figure as PNG. What goes wrong in drawing is raised as it is."""
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=150)
        self.log_bytes(png.getvalue(), path)

    def log_bytes(self, content: bytes, path: str) -> None:
        """Store ``content`` as the artifact ``path``."""
        self._artifacts.write(path, content)

    def log_arrays(self, name: str, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Store named arrays as the artifact ``arrays/<name>/step_<step>.npz``; names may hold slashes."""
        self.log_npz(f"arrays/{name}/step_{step:07d}.npz", arrays)

    def log_npz(self, path: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store named arrays as the artifact ``path``, compressed. Raises :class:`ValueError` for objects."""
        file = io.BytesIO()
        # Not np.savez: it takes the names "file" and "allow_pickle" for its own arguments, and pickles objects.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
        self.log_bytes(file.getvalue(), path)

    def arrays(self, name: str) -> dict[int, dict[str, np.ndarray]]:
        """Step -> what :meth:`log_arrays` stored under ``name``, in order of steps; empty where nothing was."""
        found = {}
        for path in self.artifacts(f"arrays/{name}"):
            with self._artifacts.opened(path) as file:
                step, arrays = read_arrays(file)
            found[step] = arrays
        return found

    def read(self, path: str) -> bytes:
        """The content of the artifact ``path``."""
        return self._artifacts.read(path)

    def log_results(self, metrics: Mapping[str, float], step: int) -> None:
        """Record what was computed from a checkpoint, at once. Of two values at one step, the newer counts."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._add_points([Metric(name, value, now, step) for name, value in self.numbers(metrics).items()])

    def _add_points(self, points: Sequence) -> None:
        """Points, as MLflow's entities, to the store. Those that it refuses are left out and reported."""
        with store_errors(self.store.uri, f"add to run {self.id}"):
            for start in range(0, len(points), MOST_POINTS):
                refused = send(points[start : start + MOST_POINTS], self._log_entities)
                self.left_out.add({point.key: reason for point, reason in refused})

    def _log_entities(self, points: Sequence) -> None:
        self.store.client.log_batch(self.id, metrics=points)

    def artifacts(self, folder: str) -> list[str]:
        """The paths of the artifacts in a folder, sorted; none where there is no such folder."""
        return self._artifacts.list(folder)

    def remove_artifacts(self, path: str) -> None:
        """Delete the artifact ``path``, a file or a folder. Not every remote store can do it."""
        self._artifacts.remove(path)

    def history(self, metric: str) -> tuple[list[int], list[float]]:
        """Steps and values of a metric, in order of steps. Of several values at one step, the newest. An infinity,
        for which MLflow stores the largest float64, is one again."""
        with store_errors(self.store.uri, f"read {metric}"):
            points = self.store.client.get_metric_history(self.id, metric)
        newest = {
            point.step: restored(point.value)
            for point in sorted(points, key=lambda each: (each.step, each.timestamp))
        }
        return list(newest), list(newest.values())

    def metric_names(self, prefix: str = "") -> list[str]:
        """The names of all metrics stored that begin with ``prefix``, sorted."""
        with store_errors(self.store.uri, "list the metrics"):
            names = self.store.client.get_run(self.id).data.metrics
        return sorted(name for name in names if name.startswith(prefix))

    def entity(self):
        """The run as MLflow has it: its ``info``, and in ``data`` its parameters, tags and last metrics."""
        with store_errors(self.store.uri, f"read run {self.id}"):
            return self.store.client.get_run(self.id)

    def finish(self, status: Status | str, reason: str | None = None) -> None:
        """Close the record as FINISHED, FAILED or KILLED; ``reason`` is kept as the tag ``minibert.reason``."""
        status = Status(status)
        if not status.is_end:
            raise ValueError(f"a record cannot be closed as {status}. Allowed: FINISHED, FAILED, KILLED")
        with store_errors(self.store.uri, f"close run {self.id} as {status}"):
            if reason is not None:
                write_tags(self.store, self.id, {"minibert.reason": reason})
            self.left_out.tell()
            self.store.client.set_terminated(self.id, status)


def read_arrays(path: Path) -> tuple[int, dict[str, np.ndarray]]:
    """Step and arrays of a file of :meth:`Record.log_arrays`, whose format holds a checksum of each array.

    Raises :class:`MinibertError` for a file that is damaged or another's.
    """
    try:
        step = int(path.stem.removeprefix("step_"))
        with np.load(path) as file:
            if any(entry.comment for entry in file.zip.infolist()):
                raise ValueError("a comment stands where the next entry should")
            return step, dict(file)
    except Exception as error:  # zipfile, zlib and NumPy have a dozen types for damage
        raise MinibertError(
            f"{path}: is damaged, or holds no recorded arrays ({error}). Allowed: step_<number>.npz. "
            "Move it out of its folder; the diagnostic that wrote it can be computed again: "
            "python -m minibert.inspect run=ID."
        ) from error


def create(store: Store, name: str, parameters: Mapping[str, Any], tags: Mapping[str, Any]):
    """A new MLflow run, as MLflow's entity."""
    # Tags go in with the creation: a run that is killed right after it is still found by its hash.
    run = store.client.create_run(store.experiment_id, run_name=name, tags=_texts(tags))
    with closed_on_error(store, run.info.run_id):
        LeftOut(store, run.info.run_id).add(_write_parameters(store, run.info.run_id, flatten(parameters)))
    return run


def reopen(
    store: Store, run, parameters: Mapping[str, Any], tags: Mapping[str, Any]
) -> dict[str, tuple[str, str]]:
    """Set an MLflow run back to RUNNING. Recorded parameters stay as they are: MLflow never changes one.

    Tags are overwritten; where the kernel, a version, the code or the number of lanes is another than before,
    ``before_continuation.<tag>`` keeps the old value, since the record then is the work of both. Returns these
    changes (:func:`minibert.tracking.provenance.changed`).
    """
    store.client.update_run(run.info.run_id, status=Status.RUNNING)
    with closed_on_error(store, run.info.run_id):
        if "minibert.reason" in run.data.tags:
            store.client.delete_tag(run.info.run_id, "minibert.reason")
        new, old = _texts(tags), run.data.tags
        changes = changed(old, new)
        write_tags(store, run.info.run_id, new | before_continuation(old, changes))
        missing = {key: value for key, value in flatten(parameters).items() if key not in run.data.params}
        refused = _write_parameters(store, run.info.run_id, missing)
        LeftOut(store, run.info.run_id, old.get(LEFT_OUT, "")).add(refused)
    return changes


@contextmanager
def closed_on_error(store: Store, run_id: str) -> Iterator[None]:
    """Within this context, whatever ends it early closes a record that nobody else would close.

    It is KILLED if this process was asked to end, and FAILED otherwise. A record that another process has taken
    over stays as it is. If the store does not take the end either, its tags tell that its process is gone.
    """
    try:
        yield
    except SupersededError:
        raise
    except BaseException as error:
        status, reason = how_it_ended(error)
        with suppress(Exception), interruption.deferred(), at_once():
            Record(store, run_id, "", continued=True).finish(status, reason)
        raise


def how_it_ended(error: BaseException) -> tuple[Status, str]:
    """(status, reason) of a record whose process was ended by an exception."""
    if asked := interruption.reason():
        return Status.KILLED, asked
    if isinstance(error, Interrupted):
        return Status.KILLED, str(error)
    return Status.FAILED, str(error) if isinstance(error, MinibertError) else f"{type(error).__name__}: {error}"


def write_tags(store: Store, run_id: str, tags: Mapping[str, Any]) -> dict[str, str]:
    """Record tags. Returns the names that MLflow does not take, with its reasons."""
    from mlflow.entities import RunTag

    entities = [RunTag(key, text) for key, text in _texts(tags).items()]
    return _in_batches(entities, lambda batch: store.client.log_batch(run_id, tags=batch))


def flatten(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and texts: ``{"model": {"layers": 3}}`` is ``{"model.layers": "3"}``."""
    flat = {}
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = _text(value)
    return flat


def _write_parameters(store: Store, run_id: str, parameters: Mapping[str, str]) -> dict[str, str]:
    from mlflow.entities import Param

    entities = [Param(key, value[:LONGEST_PARAMETER]) for key, value in parameters.items()]
    return _in_batches(entities, lambda batch: store.client.log_batch(run_id, params=batch))


def _in_batches(entities: list, call: Callable[[Sequence], Any]) -> dict[str, str]:
    refused = {}
    for start in range(0, len(entities), MOST_PER_CALL):
        refused |= {entity.key: reason for entity, reason in send(entities[start : start + MOST_PER_CALL], call)}
    return refused


def _texts(tags: Mapping[str, Any]) -> dict[str, str]:
    return {key: _text(value)[:LONGEST_TAG] for key, value in tags.items() if value is not None}


def _text(value: Any) -> str:
    """A string as it is; anything else as JSON, so that null, true and lists read as in a config file."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _plain(value: Any) -> Any:
    """What JSON has no word for: NumPy's numbers and arrays as numbers and lists, all else as its text."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
