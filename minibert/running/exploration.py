"""What the explorer is opened on, and how: as a page on this machine, or written to a file."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from minibert.command_line.arguments import StoreWords, argument, as_switch
from minibert.data.annotated.lines import as_path, numbered_lines
from minibert.data.tokenizer import load_tokenizer
from minibert.errors import MinibertError, sentence
from minibert.exploration import MathematicalExplorer
from minibert.exploration.answers import Answers
from minibert.exploration.checkpoints import Checkpoints
from minibert.exploration.page.render import GENERATOR
from minibert.exploration.recording import recorded_page
from minibert.exploration.server import create_app
from minibert.files import replacing
from minibert.model.factory import load_model
from minibert.running.folders import load_folder
from minibert.running.local_pages import as_port, serve
from minibert.running.progress import Display
from minibert.serving.loading import checkpoints_in, load_saved, saved_run
from minibert.tracking.lookup import find_run_id, open_named_store, short_id

FIRST = "the [MASK] of the union"
HEAD = 1000
"""Bytes at the beginning of a page that hold what it was made by"""


@dataclass(frozen=True)
class Exploration:
    """The words of ``minibert explore``."""

    run: str | None = argument("id of a run, its first characters, its name, or last", "RUN_ID", None)
    checkpoint: str | None = argument(
        "instead of a run: a folder of transformers, or the artifacts of a run (tokenizer.json, checkpoints/)",
        "FOLDER",
        None,
    )
    text: str = argument("the first sentence; [MASK] in it is a mask", "SENTENCE", FIRST)
    html: str | None = argument(
        "write the page to this file, with what its sentences need, instead of opening it", "FILE", None
    )
    sentences: str | None = argument("for html=: a file of sentences, one a line, instead of text=", "FILE", None)
    port: int = argument("port on this machine; 0 takes any that is free", "8765", 8765, as_port)
    browser: bool = argument("open the page in a browser, where there is a screen", "true", True, as_switch)
    tracking: StoreWords = StoreWords(experiment=None)


def explore(asked: Exploration, display: Display) -> None:
    """Open the page until it is ended by Ctrl-C, or write it.

    Raises :class:`MinibertError` if there is no such run, folder, file or port.
    """
    if (asked.run is None) == (asked.checkpoint is None):
        given = f"run={asked.run} and checkpoint={asked.checkpoint}" if asked.run else "nothing"
        raise MinibertError(f"{given}: what is to be explored? Give one of run=RUN_ID, checkpoint=FOLDER.")
    if asked.sentences and not asked.html:
        raise MinibertError(f"sentences={asked.sentences}: is for html=FILE. An open page is asked by hand.")
    target = as_path(asked.html) if asked.html else None
    answers = Answers(_of_folder(asked.checkpoint, display.note) if asked.checkpoint else _of_run(asked))
    if target:
        _write(answers, asked, target, display)
    else:
        serve(create_app(answers, asked.text), answers.checkpoints.name, asked.port, asked.browser, display)


def _of_run(asked: Exploration) -> Checkpoints:
    store = open_named_store(asked.tracking)
    experiments = [store.experiment_id] if store.experiment_id else None
    saved = saved_run(store, find_run_id(store.client, cast(str, asked.run), experiments=experiments))

    def load(step: int) -> MathematicalExplorer:
        return MathematicalExplorer(load_saved(saved, step))

    return Checkpoints(f"run {short_id(saved.id)}", list(saved.checkpoints), load)


def _of_folder(given: str, note: Callable[[str], None]) -> Checkpoints:
    folder = as_path(given)
    kept = checkpoints_in(folder / "checkpoints")
    if not kept:
        return Checkpoints.of_model(folder.resolve().name, MathematicalExplorer(*load_folder(folder, note)))
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    return Checkpoints(
        folder.resolve().name, list(kept), lambda step: MathematicalExplorer(load_model(kept[step]), tokenizer)
    )


def _write(answers: Answers, asked: Exploration, target: Path, display: Display) -> None:
    refuse_other_files(target)
    texts = [asked.text]
    if asked.sentences:
        texts = [line.strip() for _, line in numbered_lines(as_path(asked.sentences), "sentence")]
    with display.stage("computing what the page shows"):
        content = recorded_page(answers, texts).encode()
    try:
        with replacing(target, durable=False) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise MinibertError(f"html={target}: cannot be written ({sentence(error)})") from error
    display.note(f"written to {target} ({len(content) / 1e6:.1f} MB): it needs no network")


def refuse_other_files(target: Path) -> None:
    """Raises :class:`MinibertError` for a path where something else than a page of the explorer is."""
    if target.is_dir():
        raise MinibertError(f"html={target}: is a folder. Give the name of a file in it: html={target}/page.html.")
    with suppress(OSError):
        if GENERATOR.encode() not in target.read_bytes()[:HEAD]:
            raise MinibertError(f"html={target}: is there, and is no page of the explorer. Give another name.")
