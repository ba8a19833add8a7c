"""A tracked run as a folder that ``transformers`` reads."""

from dataclasses import dataclass
from pathlib import Path

from minibert.command_line.arguments import StoreWords, argument
from minibert.errors import MinibertError
from minibert.serving.loading import load_saved, saved_run
from minibert.tracking.lookup import find_run_id, open_named_store, short_id


def as_step(given: str, key: str, value: str) -> int:
    """The number of an optimizer step."""
    if not (value.isascii() and value.isdecimal()):
        raise MinibertError(f"{given}: is not a step. Allowed: the number of a kept checkpoint.")
    return int(value)


@dataclass(frozen=True)
class Export:
    """The words of ``minibert export``."""

    run: str = argument("id of the run, its first characters, its name, or last", "RUN_ID")
    folder: str = argument("folder to write to: a new or an empty one", "FOLDER")
    step: int | None = argument(
        "step of the kept checkpoint; the last one if not given", "STEP", default=None, read=as_step
    )
    tracking: StoreWords = StoreWords(experiment=None)


def export(asked: Export) -> str:
    """Write the network and the tokenizer of a run to a folder. Returns what was written, as one line.

    Raises :class:`MinibertError` if there is no such run, if the folder is not empty, or if ``transformers`` has
    no such network.
    """
    target = Path(asked.folder).expanduser()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise MinibertError(f"folder={asked.folder}: exists already. Allowed: a new or an empty folder.")
    store = open_named_store(asked.tracking)
    experiments = [store.experiment_id] if store.experiment_id else None
    saved = saved_run(store, find_run_id(store.client, asked.run, experiments=experiments))
    loaded = load_saved(saved, asked.step)
    loaded.model.save_pretrained(target, loaded.tokenizer)
    return f"run {short_id(loaded.id)} at step {loaded.step} -> {target}"
