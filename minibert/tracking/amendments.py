"""A run that has ended, opened again to add to its record."""

from collections.abc import Mapping

from minibert.errors import MinibertError
from minibert.files import may_write
from minibert.tracking.direct_records import DirectRecord
from minibert.tracking.refusals import LEFT_OUT
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors


class Amendment(DirectRecord):
    """The record of a run that has ended. Its status and what is recorded stay as they are."""

    def __init__(self, store: Store, id: str):
        """Raises :class:`MinibertError` when there is no such run, when it has not ended, and, before anything is
        computed, when its files or the database of the store cannot be written to.
        """
        with store_errors(store.uri, f"find run {id}"):
            run = store.client.get_run(id)
        if run.info.status == Status.RUNNING:
            raise MinibertError(
                f"run={id}: it is still being trained, or was ended by force. "
                "Wait for its end, or give its command again to continue it from its checkpoint."
            )
        left_out = run.data.tags.get(LEFT_OUT, "")
        super().__init__(store, id, run.info.artifact_uri, continued=True, left_out=left_out)
        database = store.database and (store.database, store.database.parent)
        for path in (*(database or ()), *([self._artifacts.folder] if self._artifacts.folder else ())):
            if not may_write(path):
                raise MinibertError(
                    f"run={id}: {path} cannot be written to, so that nothing can be added to the run. Make it "
                    "writable, or copy the store and give the copy: tracking.folder=FOLDER."
                )
        self.corpus_hash = run.data.tags.get("corpus.hash")
        self._steps: dict[str, set[int]] = {}

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record values at an optimizer step; a point that is recorded already stays as it is.

        A value that is no number, and a name that MLflow refuses, are left out and reported.
        """
        from mlflow.entities import Metric

        metrics = self.numbers(metrics)
        known = set(self.metric_names()) if metrics else set()
        for name in metrics:
            if name not in self._steps:
                self._steps[name] = set(self.history(name)[0]) if name in known else set()
        new = {name: value for name, value in metrics.items() if step not in self._steps[name]}
        points = [Metric(name, value, 0, step) for name, value in new.items()]
        self._add_points(points)
        for name in new:
            self._steps[name].add(step)
