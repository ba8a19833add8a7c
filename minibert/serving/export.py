"""``python -m minibert.export``: a tracked run as a folder that ``transformers`` reads.

python -m minibert.export run=<run id> folder=<new folder> [step=<step>] [uri=<store, or its folder>]
"""

import sys
from pathlib import Path

from minibert.command_line.help import asks_for_help
from minibert.errors import MinibertError, unknown_name
from minibert.serving.loading import load_run
from minibert.tracking.lookup import short_id

KEYS = ("run", "folder", "step", "uri")
HELP = """\
Write a tracked run as a folder that `transformers` reads, as bert or (pre-norm) esm.

  python -m minibert.export run=RUN_ID folder=FOLDER [step=STEP] [uri=STORE]

  run=RUN_ID      id of the run, its first characters, its name, or last
  folder=FOLDER   a new or an empty folder
  step=STEP       the kept checkpoint of this step; the last one if not given
  uri=STORE       the MLflow store that the run is in, or its folder; that of this checkout if not given

  python -m minibert.export run=last folder=my_bert
"""
USAGE = "python -m minibert.export run=<run id> folder=<new folder> [step=<step>] [uri=<store, or its folder>]"


def main(arguments: list[str] | None = None) -> int:
    """Export what the command line names. Returns the exit code: 2 when it cannot be done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, HELP):
        return 0
    try:
        print(export(**_read(arguments)))
    except MinibertError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def export(run: str, folder: str, step: str | None = None, uri: str | None = None) -> str:
    """Write network and tokenizer of a run to ``folder``; says what was written.

    Raises :class:`MinibertError` when there is no such run, the folder holds something, or ``transformers`` has
    no such network.
    """
    if step is not None and not step.isdecimal():
        raise MinibertError(f"step={step}: is not a step. Allowed: the number of a kept checkpoint.")
    target = Path(folder).expanduser()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise MinibertError(f"folder={folder}: is there already. Allowed: a new or an empty folder.")
    loaded = load_run(run, None if step is None else int(step), uri)
    loaded.model.save_pretrained(target, loaded.tokenizer)
    return f"run {short_id(loaded.id)} at step {loaded.step} -> {target}"


def _read(arguments: list[str]) -> dict[str, str]:
    """``key=value`` words as a dictionary."""
    given = {}
    for word in arguments:
        key, equals, text = word.partition("=")
        if key not in KEYS:
            raise unknown_name("argument", key, KEYS)
        if not equals or not text:
            raise MinibertError(f"{word}: has no value. Write {key}=...")
        given[key] = text
    missing = [key for key in ("run", "folder") if key not in given]
    if missing:
        raise MinibertError(f"{' and '.join(missing)} must be given: {USAGE}")
    return given
