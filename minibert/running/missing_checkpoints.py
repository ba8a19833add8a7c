"""Checkpoints that a run did not keep, made by its second training."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from minibert.errors import MinibertError
from minibert.files import clear_unfinished, may_write
from minibert.serving.loading import SavedRun
from minibert.tracking.artifacts import Artifacts
from minibert.tracking.lookup import short_id
from minibert.training.observers import keep_parameters

FOLDER = "checkpoints"


class MissingCheckpoints:
    """An observer of the second training: sets the parameters of the wanted steps aside, in a temporary folder.
    They are added to the run by :meth:`add`, once it is known that the training was the same.
    """

    def __init__(self, saved: SavedRun, artifacts: Artifacts, wanted: Sequence[int], last: int):
        """``last``: the last step whose parameters are those that a checkpoint holds.

        Raises :class:`MinibertError`, before anything is trained, for a step that the run does not have, for a run
        that has not ended, and for artifacts that cannot be written to.
        """
        self.kept = sorted(set(wanted) & set(saved.checkpoints))
        """Those that need not be made"""
        self.steps = sorted(set(wanted) - set(saved.checkpoints))
        self.made: list[int] = []
        self._saved, self._artifacts = saved, artifacts
        given = f"keep=[{','.join(map(str, wanted))}]"
        if self.steps and saved.is_running:
            raise MinibertError(
                f"{given}: run {short_id(saved.id)} is still being trained, or was ended by force. Wait for its "
                "end, or give its command again to continue it from its checkpoint. Of a run that shall not go "
                "on, python -m minibert.sweeps reap closes the record."
            )
        if outside := [step for step in self.steps if step > last]:
            raise MinibertError(
                f"{given}: step {outside[0]} is not trained again here, or the run failed before its parameters "
                f"were right. Allowed: steps from 0 to {last}."
            )
        if self.steps and artifacts.folder is not None:
            _require_writable(artifacts.folder / FOLDER, given)
        self._temporary = tempfile.TemporaryDirectory()

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self._temporary.cleanup()

    def __call__(self, trainer, _step) -> None:
        step = trainer.progress.step
        if step in self.steps:
            self.made.append(step)
            place = Path(self._temporary.name)
            keep_parameters(
                lambda name, write: write(place / name), trainer.model, step, self._saved.tokenizer_hash
            )

    def add(self) -> None:
        """Add them to the run. Raises :class:`MinibertError` when the store does not take them."""
        if self._artifacts.folder is not None:
            clear_unfinished(self._artifacts.folder / FOLDER)  # of a command that was killed here
        self._artifacts.add(Path(self._temporary.name), FOLDER)


def _require_writable(folder: Path, given: str) -> None:
    if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
        raise MinibertError(f"{given}: {folder} is no folder. Move it away, or use a copy of the store.")
    if not all(map(may_write, (folder.parent, folder))):
        raise MinibertError(
            f"{given}: {folder} cannot be written to, so that no checkpoint can be added. Make it writable, or "
            "copy the store and give the copy: tracking.folder=FOLDER."
        )
