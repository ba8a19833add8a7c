"""A recorded run as a model."""

import hashlib
import json
import re
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tokenizers import Tokenizer
from yaml import YAMLError

from minibert.config import Config, restore
from minibert.config.checks import validate
from minibert.config.evaluation import ASKED_AFTERWARDS
from minibert.data.batches import Batch, frozen_batches
from minibert.data.prepared import PreparedData, prepare_data
from minibert.data.tokenizer import load_tokenizer
from minibert.errors import LONGEST, MinibertError, listed, shortened
from minibert.model.bert import MiniBERT
from minibert.model.saved import copy_parameters, load_checkpoint
from minibert.tracking.addresses import without_passwords
from minibert.tracking.artifacts import artifacts_of
from minibert.tracking.lookup import find_run_id
from minibert.tracking.records import LONGEST_PARAMETER, flatten
from minibert.tracking.status import Status
from minibert.tracking.store import Store, open_existing_store, store_errors

MAY_CHANGE = ("data.path", "data.cache", *ASKED_AFTERWARDS)
"""What the keys of settings begin with that may be others than a run was begun with, and change nothing in it"""
LEAD = 20
"""Letters before the first that differs, of two long values in a message"""


@dataclass(frozen=True)
class LoadedRun:
    """What :func:`load_run` returns."""

    model: MiniBERT
    tokenizer: Tokenizer
    config: Config
    step: int
    """The optimizer step that the parameters are of"""
    saved: "SavedRun"
    """What the store has of the run"""

    @property
    def id(self) -> str:
        return self.saved.id

    @property
    def kept_steps(self) -> list[int]:
        """The optimizer steps whose checkpoints were kept, in order: :meth:`at` loads them."""
        return list(self.saved.checkpoints)

    def at(self, step: int) -> "LoadedRun":
        """The same run at another kept step. Raises :class:`MinibertError` for a step that was not kept.

        >>> losses = {step: loss_of(run.at(step).model) for step in run.kept_steps}          # doctest: +SKIP
        """
        return load_saved(self.saved, step)

    def data(self) -> PreparedData:
        """The text that the run was trained on, and the held-out text, as rows of ids, from the cache or anew.

        ``run.data().train.input_ids`` is (S, T). Raises :class:`MinibertError` if the corpus has changed since.
        """
        config, data = self.config, self.saved.prepared_data()
        if data.tokenizer.to_str() != self.tokenizer.to_str():
            raise MinibertError(
                f"run {self.id}: the text of data.{config.data.name} is not what the run was trained on any more. "
                "Put the former text back."
            )
        return data

    def held_out(self, sequences: int = 16, rate: float | None = None) -> Batch:
        """Masked held-out text: so many sequences, evenly spaced over all, as one batch.

        ``rate`` is the share of tokens that is masked and predicted, by default that of the run's evaluation,
        whose frozen masks these are. A lower rate masks a part of what a higher one does. If there are fewer
        sequences, all are taken.

        >>> batch = run.held_out(64)                                                        # doctest: +SKIP
        >>> loss, grads = run.model.loss_and_gradients(batch.input_ids, batch.labels, batch.attention_mask,
        ...     position_ids=batch.position_ids)                                            # doctest: +SKIP

        Raises :class:`MinibertError` for fewer than one sequence, for a rate outside of 0 to 1, and if the corpus
        has changed since the run was trained.
        """
        rate = self.config.evaluation.rate if rate is None else rate
        if sequences < 1:
            raise MinibertError(f"sequences={sequences}: out of range. Allowed: at least 1.")
        if not 0 < rate < 1:
            raise MinibertError(f"rate={rate}: out of range. Allowed: above 0 and below 1.")
        size, seed = self.tokenizer.get_vocab_size(), self.config.evaluation.mask_seed
        return frozen_batches(self.data().evaluation, rate, sequences, sequences, seed, size)[0]


@dataclass(frozen=True)
class SavedRun:
    """What the store has of a run. Its parameters are not read yet."""

    id: str
    config: Config
    folder: Path
    """Its artifacts"""
    checkpoints: dict[int, Path]
    """Step -> file, in order of steps"""
    tokenizer_hash: str | None = None
    """SHA-256 of its tokenizer.json, as the store has it"""
    is_running: bool = False
    """As the store has it: nothing tells a store of a kill -9"""
    store: tuple[str, ...] = ()
    """The words of a command that name the store"""

    @property
    def tokenizer(self) -> Tokenizer:
        path = self.folder / "tokenizer.json"
        tokenizer = load_tokenizer(path)
        if self.tokenizer_hash not in (None, hashlib.sha256(path.read_bytes()).hexdigest()):
            raise MinibertError(f"{path}: is damaged, or not the tokenizer that run {self.id} was trained with.")
        return tokenizer

    def not_kept(self, steps: Sequence[int]) -> str:
        """What is said to someone who asks for steps whose checkpoints were not kept."""
        kept, missing = (", ".join(map(str, each)) or "none" for each in (self.checkpoints, steps))
        words = [f"run={self.id}", f"keep=[{','.join(map(str, steps))}]", *self.store]
        return (
            f"Run {self.id} has no checkpoint of step {missing}. Kept steps: {kept}. Steps that were not kept are "
            f"had by training again: python -m minibert.reproduce {shlex.join(words)}"
        )

    def prepared_data(self, report: Callable[[str], None] | None = None) -> PreparedData:
        """The text that its configuration names, from the cache or anew (:func:`prepare_data`).

        Raises :class:`MinibertError` for a configuration that no run can have, and where there is no text; for
        files, with the way to say that they lie elsewhere.
        """
        config = self.config
        validate(config, f"{self.folder / 'config.yaml'}: ")
        try:
            return prepare_data(config.data, config.model.vocab_size, config.training.sequence_length, report)
        except MinibertError as error:
            if config.data.name != "text":
                raise
            raise MinibertError(
                f"{error} If the files of run {self.id} lie elsewhere now, write their place into "
                f"{self.folder / 'config.yaml'}, as path under data: it may change where the text is the same."
            ) from error

    def load_parameters(self, model: MiniBERT, step: int) -> None:
        """Copy the parameters of a kept step into ``model``. Raises :class:`MinibertError` if it was not kept."""
        if step not in self.checkpoints:
            raise MinibertError(self.not_kept([step]))
        tensors, _ = load_checkpoint(self.checkpoints[step])
        copy_parameters(model.params, tensors, self.checkpoints[step])


def find_run(run_id: str, uri: str | None = None, folder: Path | str | None = None) -> SavedRun:
    """The recorded run of this id, in the store at ``uri`` or in ``folder``; by default in that of this checkout.

    ``run_id`` may be the first characters of the id, a name, or ``last``. Raises :class:`MinibertError` if there
    is no such run, or if it kept no checkpoint.
    """
    store = open_existing_store(uri, folder)
    return saved_run(store, find_run_id(store.client, run_id))


def saved_run(store: Store, run_id: str, config: Config | None = None, needs_checkpoint: bool = True) -> SavedRun:
    """The same, in a store that is open. ``config``: that of the run, where it is known and need not be read.

    Raises :class:`MinibertError` for a configuration that is not the one that the store recorded, and, if one is
    needed, where no checkpoint is kept.
    """
    folder = artifacts_of(store, run_id).fetch()
    checkpoints = checkpoints_in(folder / "checkpoints")
    if needs_checkpoint and not checkpoints:
        raise MinibertError(f"Run {run_id} has kept no checkpoint: there is none in {folder / 'checkpoints'}.")
    with store_errors(store.uri, f"read run {run_id}"):
        run = store.client.get_run(run_id)
    tokenizer_hash, is_running = run.data.tags.get("tokenizer.hash"), run.info.status == Status.RUNNING
    if config is None:
        config = _read_config(folder / "config.yaml", run.data.params)
        _require_recorded(config, run.data.params, folder / "config.yaml", run_id)
        if Path(config.data.cache) == Path(config.tracking.folder) / "cache":  # the store may have moved since
            config.data.cache = str(store.folder / "cache")
    words = (f"tracking.folder={store.folder}",)
    if store.database is None:
        words = (*words, f"tracking.uri={without_passwords(store.uri)}")
    return SavedRun(run_id, config, folder, checkpoints, tokenizer_hash, is_running, words)


def checkpoints_in(folder: Path) -> dict[int, Path]:
    """Step -> file of each checkpoint in a folder, in order of steps. Raises :class:`MinibertError` for one whose
    name gives no step."""
    return dict(sorted((_step(path), path) for path in folder.glob("step_*.safetensors")))


def load_run(
    run_id: str, step: int | None = None, uri: str | None = None, folder: Path | str | None = None
) -> LoadedRun:
    """Model, tokenizer and configuration of a recorded run, at the kept checkpoint of ``step`` or at the last one.

    ``run_id`` may be the first characters of the id, a name, or ``last``. ``uri`` is the address of the MLflow
    store, ``folder`` that of a local one; the default is the store of this checkout. Raises
    :class:`MinibertError` if there is no such run, or no checkpoint of that step.

    Of a run that is still being trained, the last checkpoint is the newest so far: a warning says so.
    """
    saved = find_run(run_id, uri, folder)
    if saved.is_running and step is None:
        warnings.warn(
            f"run {saved.id}: it is still being trained, or was ended by force. This is its newest checkpoint, of "
            f"step {max(saved.checkpoints):,} of {saved.config.training.steps:,}. step= takes one that stays.",
            stacklevel=2,
        )
    return load_saved(saved, step)


def load_saved(saved: SavedRun, step: int | None = None) -> LoadedRun:
    """The same, of a run that was found."""
    step = max(saved.checkpoints) if step is None else step
    model = MiniBERT(saved.config.model)
    saved.load_parameters(model, step)
    return LoadedRun(model, saved.tokenizer, saved.config, step, saved)


def _step(path: Path) -> int:
    number = path.stem.removeprefix("step_")
    if not (number.isascii() and number.isdecimal()):
        raise MinibertError(
            f"{path}: its name gives no step. Allowed: step_<number>.safetensors. Move it out of that folder."
        )
    return int(number)


def _require_recorded(config: Config, parameters: Mapping[str, str], path: Path, run_id: str) -> None:
    """Refuse a configuration whose values are not those that the store has as the parameters of the run.

    Where its text is read and cached may be another place now; that it is the same text, its hash tells.
    """
    values = flatten(asdict(config))
    edited = [
        _beside(key, values[key], recorded)
        for key, recorded in parameters.items()
        if key in values and not key.startswith(MAY_CHANGE) and not _alike(values[key], recorded)
    ]
    if edited:
        raise MinibertError(
            f"{path}: {'; '.join(listed(edited))}. So it is not the configuration that run {run_id} was trained "
            "with: the file was changed afterwards, or is of another run. Put the recorded values back."
        )


def _alike(value: str, recorded: str) -> bool:
    """Whether a setting is the recorded one, which is cut off where it is long. 1 and 1.0 are the same number."""
    recorded = without_passwords(recorded)
    if value[:LONGEST_PARAMETER] == recorded:
        return True
    try:
        return json.loads(value) == json.loads(recorded)
    except (ValueError, RecursionError):
        return False


def _beside(key: str, value: str, recorded: str) -> str:
    """``key=value, but another was recorded``; of long ones, the part around the first letter that differs."""
    recorded = without_passwords(recorded)
    alike = next((at for at, letter in enumerate(recorded) if value[at : at + 1] != letter), len(recorded))
    begin = max(alike - LEAD, 0) if len(value + recorded) > LONGEST else 0
    shown = ["…" * (begin > 0) + shortened(text[begin:]) for text in (value, recorded)]
    return f"{key}={shown[0]}, but {shown[1]} was recorded"


def _read_config(path: Path, recorded: Mapping[str, str]) -> Config:
    """The config.yaml of a run. Its last entry is ``seeds.dropout``; a file without it is incomplete.

    ``recorded``: the parameters of the run in the store, told where a value in the file cannot be used.
    """
    try:
        plain = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException, RecursionError) as error:
        reason = shortened(" ".join(str(error).split()), 300)
        raise MinibertError(f"{path}: cannot be read as the configuration of a run ({reason}).") from error
    seeds = plain.get("seeds") if isinstance(plain, dict) else None
    if not isinstance(plain, dict) or not isinstance(seeds, dict) or "dropout" not in seeds:
        raise MinibertError(
            f"{path}: is not the configuration of a run, or is incomplete: it lacks seeds.dropout."
        )
    try:
        return cast(Config, restore(plain, source=str(path)))
    except MinibertError as error:
        named = [key for key in recorded if re.search(rf"[ (]{re.escape(key)}(\[\d+\])?: ", str(error))]
        if not named:
            raise
        value = shortened(without_passwords(recorded[named[0]]))
        raise MinibertError(f"{error} {value} was recorded: put it back.") from error
