"""``python -m minibert.inspect run=ID``: look inside a run afterwards, at the checkpoints it kept.

A checkpoint of step s is shown the very batch, with the very dropout, that training went on with there: what is
recorded is, to the bit, what the run would have recorded had the diagnostic been on. Not to be had afterwards is what
needs the optimizer's update. A run under Lookahead keeps its slow weights, and these are what is looked at; masking or a
curriculum that follow the course of training are taken as they are at the start of a run.
"""

if __name__ == "__main__":
    from minibert.door import enter

    enter("minibert.inspect")

import sys
from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minibert.composing import groups
from minibert.config import CONF
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.prepared import prepare_data
from minibert.data.training_batches import build_batches, probe_batch
from minibert.diagnostics.page import draw
from minibert.diagnostics.registry import AFTER_UPDATE, NEEDS_HISTORY, choose, drawings
from minibert.diagnostics.schedule import Diagnostics
from minibert.display import Display
from minibert.errors import MinibertError, nearest, unknown_name
from minibert.loading import SavedRun, saved_run
from minibert.model.bert import MiniBERT
from minibert.tracking.amendments import Amendment
from minibert.tracking.store import open_existing_store
from minibert.training.trainer import Trainer


@dataclass
class Inspection:
    """The words of the command line."""

    run: str = ""
    """MLflow id of a run that has ended"""
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


def main(arguments: list[str] | None = None) -> int:
    """Inspect what the command line names. Returns the exit code."""
    display = Display()
    try:
        inspect_run(_parse(sys.argv[1:] if arguments is None else arguments), display)
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
    record = Amendment(store, asked.run)
    saved = saved_run(store, asked.run)
    steps = _steps(asked.steps, saved)
    level = OmegaConf.load(CONF / "diagnostics" / f"{asked.diagnostics}.yaml")
    chosen = choose(level.quantities if asked.quantities is None and not asked.modules else asked.quantities or [], asked.modules)
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
    display.note(f"added to run {asked.run}: {len(chosen)} diagnostics at {len(steps)} steps, and figures/index.html")


def _parse(words: list[str]) -> Inspection:
    schema = OmegaConf.structured(Inspection)
    for word in words:
        key, separator, _ = word.partition("=")
        if not separator or key not in schema:
            raise MinibertError(
                f"{word}: unknown{nearest(key, list(schema))}. Allowed: "
                + ", ".join(f"{name}=..." for name in schema)
                + "."
            )
    try:
        asked = OmegaConf.to_object(OmegaConf.merge(schema, OmegaConf.from_dotlist(words)))
    except OmegaConfBaseException as error:
        raise MinibertError(f"{' '.join(words)}: {str(error).splitlines()[0]}") from error
    if not asked.run:
        raise MinibertError("run=: missing. Give the id of a run: python -m minibert.inspect run=ID.")
    if asked.diagnostics not in groups()["diagnostics"]:
        raise unknown_name("diagnostics", asked.diagnostics, groups()["diagnostics"])
    return asked


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
