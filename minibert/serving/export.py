"""A tracked run as a folder that ``transformers`` reads, or as a folder for each of its checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minibert.command_line.arguments import StoreWords, argument
from minibert.errors import MinibertError, sentence
from minibert.files import expanded
from minibert.serving.loading import SavedRun, load_saved, saved_run
from minibert.serving.revisions import revision_names, words_read
from minibert.tracking.lookup import find_run_id, open_named_store, short_id
from minibert.tracking.store import Store

ALL = "all"


def as_step(given: str, key: str, value: str) -> int:
    """The number of an optimizer step."""
    if not (value.isascii() and value.isdecimal()):
        raise MinibertError(f"{given}: is not a step. Allowed: the number of a kept checkpoint.")
    return int(value)


def as_checkpoints(given: str, key: str, value: str) -> str | list[int]:
    """``all``, or steps with commas between them, with or without brackets around them."""
    if value == ALL:
        return value
    parts = [part.strip() for part in value.removeprefix("[").removesuffix("]").split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise MinibertError(f"{given}: names no checkpoints. Allowed: all, or steps such as 0,512,1000.")
    return sorted(set(map(int, parts)))


@dataclass(frozen=True)
class Export:
    """The words of ``minibert export``."""

    run: str = argument("id of the run, its first characters, its name, or last", "RUN_ID")
    folder: str = argument("folder to write to: a new or an empty one", "FOLDER")
    step: int | None = argument(
        "step of the kept checkpoint; the last one if not given", "STEP", default=None, read=as_step
    )
    checkpoints: str | list[int] | None = argument(
        "all, or steps such as 0,512,1000: a folder in FOLDER for each, named as a revision by the words read",
        "STEPS",
        default=None,
        read=as_checkpoints,
    )
    tracking: StoreWords = StoreWords(experiment=None)


def export(asked: Export) -> str:
    """Write network and tokenizer of a run to a folder, or to one for each checkpoint. Returns what was written, a
    line for each folder.

    Raises :class:`MinibertError` if there is no such run, if the folder is not empty, or if ``transformers`` has
    no such network.
    """
    target = expanded(asked.folder, "folder")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise MinibertError(f"folder={asked.folder}: exists already. Allowed: a new or an empty folder.")
    if asked.step is not None and asked.checkpoints is not None:
        raise MinibertError(f"step={asked.step}: says the same as checkpoints=. Allowed: one of the two.")
    store = open_named_store(asked.tracking)
    experiments = [store.experiment_id] if store.experiment_id else None
    saved = saved_run(store, find_run_id(store.client, asked.run, experiments=experiments))
    if asked.checkpoints is None:
        return _write(saved, asked.step, target)
    steps = list(saved.checkpoints) if isinstance(asked.checkpoints, str) else asked.checkpoints
    names, remark = _names(saved, store, steps)
    return "\n".join([*(_write(saved, step, target / names[step]) for step in steps), *remark])


def _write(saved: SavedRun, step: int | None, folder: Path) -> str:
    loaded = load_saved(saved, step)
    loaded.model.save_pretrained(folder, loaded.tokenizer)
    return f"run {short_id(loaded.id)} at step {loaded.step} -> {folder}"


def _names(saved: SavedRun, store: Store, steps: Sequence[int]) -> tuple[dict[int, str], list[str]]:
    """Step -> name of its folder; where the words are not known, by the step, and a remark that says why."""
    missing = [step for step in steps if step not in saved.checkpoints]
    if missing:
        raise MinibertError(saved.not_kept(missing))
    try:
        return revision_names(words_read(saved, store, steps)), []
    except MinibertError as error:
        reason = sentence(error)
        return {step: f"step_{step}" for step in steps}, [
            f"Named by steps, since the words are not known: {reason}"
        ]
