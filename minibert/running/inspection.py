"""``python -m minibert.inspect run=ID``: look inside a run afterwards, at the checkpoints it kept.

A checkpoint of step s is shown the very batch, with the very dropout, that training went on with there: what is
recorded is, to the bit, what the run would have recorded had the diagnostic been on. Not to be had afterwards is what
needs the optimizer's update. A run under Lookahead keeps its slow weights, and these are what is looked at; masking or a
curriculum that follow the course of training are taken as they are at the start of a run.
"""

import sys
from dataclasses import dataclass, field, replace
from typing import Any, get_type_hints

from omegaconf import OmegaConf

from minibert.command_line.help import asks_for_help
from minibert.command_line.words import names, plain
from minibert.config import CONF
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.prepared import prepare_data
from minibert.data.training_batches import build_batches, probe_batch
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.engine.page import draw
from minibert.diagnostics.engine.registry import AFTER_UPDATE, NEEDS_HISTORY, choose, drawings
from minibert.errors import MinibertError, nearest, unknown_name
from minibert.model.bert import MiniBERT
from minibert.running.plan import groups
from minibert.running.progress import Display
from minibert.serving.loading import SavedRun, saved_run
from minibert.tracking.amendments import Amendment
from minibert.tracking.lookup import find_run_id
from minibert.tracking.store import open_existing_store
from minibert.training.trainer import Trainer


@dataclass
class Inspection:
    """The words of the command line."""

    run: str = ""
    """Id of a run that has ended, the first eight characters of it, its name, or ``last``"""
    diagnostics: str = "full"
    """An option of the group ``diagnostics``: all that it names is computed"""
    quantities: list[str] | None = None
    """Instead: these diagnostics alone; ``[]`` draws anew what is recorded"""
    modules: list[str] = field(default_factory=list)
    """Modules with diagnostics of one's own. Those that the run names are not imported, unless they are named here:
    a stranger's run must not run a stranger's code"""
    figures: list[str] = field(default_factory=lambda: ["all"])
    """Rooms whose figures are drawn"""
    steps: Any = "all"
    """``all`` that were kept, ``last``, or a list such as ``[0,64,512]``"""
    uri: str | None = None
    folder: str | None = None
    """The folder of a local store; that of this checkout if neither it nor ``uri`` is given"""
    experiment: str = "minibert"


HELP = """\
Look inside a run that has ended, at the checkpoints that it kept. What is found is added to the run.

  python -m minibert.inspect run=RUN_ID [KEY=VALUE ...]

  run=RUN_ID              id of the run, its first characters, its name, or last
  diagnostics=full        off, light, standard or full: all that the level names is computed
  quantities=[A,B]        these diagnostics alone, instead; [] draws anew what is recorded
  modules=[MODULE]        modules with diagnostics of your own
  figures=[all]           rooms whose figures are drawn: training, attention, spectra, ...
  steps=all               of the kept checkpoints: all, last, or a list such as [0,64,512]
  folder=FOLDER uri=URI   where the run is recorded, if not in this checkout
  experiment=minibert     the MLflow experiment that it is recorded in

  python -m minibert.inspect run=last steps=[0,64,512] quantities=[head_distances,representation_geometry]
"""


def main(arguments: list[str] | None = None) -> int:
    """Inspect what the command line names. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, HELP):
        return 0
    display = Display()
    try:
        inspect_run(_parse(arguments), display)
        return 0
    except MinibertError as error:
        display.error(str(error))
        return 2
    except KeyboardInterrupt:
        display.error("ended; what was computed is recorded")
        return 130


def inspect_run(asked: Inspection, display: Display) -> None:
    """Compute diagnostics on the checkpoints of a run, and add them to it.

    Raises :class:`MinibertError` for an unknown run, step or diagnostic, and where the corpus is not that of the run.
    """
    store = open_existing_store(asked.uri, asked.folder, asked.experiment)
    asked = replace(asked, run=find_run_id(store.client, asked.run, experiments=[store.experiment_id]))
    record = Amendment(store, asked.run)
    saved = saved_run(store, asked.run)
    steps = _steps(asked.steps, saved)
    level = OmegaConf.load(CONF / "diagnostics" / f"{asked.diagnostics}.yaml")
    chosen = choose(
        level.quantities if asked.quantities is None and not asked.modules else asked.quantities or [],
        asked.modules,
    )
    left_out = [each.name for each in chosen if each.asks & (AFTER_UPDATE | NEEDS_HISTORY)]
    if left_out:
        display.note(f"left out, for they need the course of training: {', '.join(left_out)}")
    chosen = [replace(each, every="log") for each in chosen if each.name not in left_out]
    drawings(asked.figures)
    config = saved.config
    data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length, display.note)
    if record.corpus_hash not in (None, data.corpus_hash):
        raise MinibertError(
            f"run={asked.run}: it was trained on another corpus than data.{config.data.name} gives now "
            f"(hash {record.corpus_hash[:12]}, not {data.corpus_hash[:12]}). Put the old text back to inspect it."
        )
    model = MiniBERT(config.model, config.seeds.init, log_unigram_frequencies(data.unigram_counts))
    diagnostics = Diagnostics(chosen, steps, config.training.steps, record)
    batches = build_batches(config, data)
    with Trainer(model, batches, config, (), diagnostics, data, probe_batch(config, data)) as trainer:
        for step in display.track(steps, "step"):
            saved.load_parameters(model, step)
            trainer.progress.step = step
            trainer.examine()
    diagnostics.conclude()
    draw(record, asked.figures)
    for name, reason in diagnostics.failed.items():
        display.error(f"{name} failed: {reason}")
    display.note(
        f"added to run {asked.run}: {len(chosen)} diagnostics at {len(steps)} steps, and figures/index.html"
    )


def _parse(words: list[str]) -> Inspection:
    """The words as they stand: an id such as ``7e912345`` is text, ``steps`` alone holds numbers."""
    kinds, given = get_type_hints(Inspection), {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or key not in kinds:
            allowed = ", ".join(f"{name}=..." for name in kinds)
            raise MinibertError(f"{word}: unknown{nearest(key, list(kinds))}. Allowed: {allowed}.")
        if not value:
            raise MinibertError(f"{word}: has no value. Write {key}=..., with a value behind the sign.")
        if key == "steps":
            given[key] = value if value in ("all", "last") else _numbers(word, value)
        elif kinds[key] in (str, str | None):
            given[key] = None if value == "null" and kinds[key] is not str else plain(value)
        else:
            given[key] = None if value == "null" and kinds[key] != list[str] else names(word, key, value)
    asked = Inspection(**given)
    if not asked.run:
        raise MinibertError("run=: missing. Give the id of a run: python -m minibert.inspect run=ID.")
    if asked.diagnostics not in groups()["diagnostics"]:
        raise unknown_name("diagnostics", asked.diagnostics, groups()["diagnostics"])
    return asked


def _numbers(word: str, value: str) -> list[int]:
    parts = [part for part in value.removeprefix("[").removesuffix("]").split(",") if part.strip()]
    try:
        return [int(part) for part in parts]
    except ValueError as error:
        raise MinibertError(f"{word}: no steps. Allowed: steps=all, steps=last, or steps=[0,64,512].") from error


def _steps(asked: Any, saved: SavedRun) -> list[int]:
    kept = list(saved.checkpoints)
    if asked == "all":
        return kept
    if asked == "last":
        return kept[-1:]
    steps = asked if isinstance(asked, list) else [asked]
    missing = [step for step in steps if step not in kept]
    if missing or not steps:
        raise MinibertError(
            f"steps={asked}: run {saved.id} has no checkpoint of {', '.join(map(str, missing)) or 'no step'}. "
            f"Allowed: all, last, or a list of {', '.join(map(str, kept))}."
        )
    return sorted(set(steps))
