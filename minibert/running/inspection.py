"""Diagnostics on the checkpoints that a run kept, computed after the run has ended.

The diagnostics of a checkpoint of step s get the same batch and the same dropout masks that training continued
with from there. So the values are, bit for bit, those that the run would have recorded with the diagnostic on.

Three limits. A diagnostic that needs the optimizer's update cannot be computed afterwards. A run with Lookahead
keeps its slow weights, one with averaging the average, and the diagnostics are of these. Masking and curricula
that change during training are taken as they are at the start of a run.
"""

from dataclasses import dataclass, replace
from typing import cast

from minibert.command_line.arguments import StoreWords, argument
from minibert.command_line.settings import groups
from minibert.command_line.words import names
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.training_batches import build_batches, probe_batch
from minibert.diagnostics.catalogue import choose, drawings, names_of_level
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.engine.page import draw
from minibert.diagnostics.engine.registry import AFTER_UPDATE, NEEDS_HISTORY
from minibert.errors import unknown_name
from minibert.model.bert import MiniBERT
from minibert.running.progress import Display
from minibert.running.recorded import as_steps, kept_steps, recorded_data
from minibert.serving.loading import saved_run
from minibert.tracking.amendments import Amendment
from minibert.tracking.lookup import find_run_id, open_named_store
from minibert.training.trainer import Trainer


def as_level(given: str, key: str, value: str) -> str:
    """An option of the group ``diagnostics``."""
    if value not in groups()["diagnostics"]:
        raise unknown_name("diagnostics", value, groups()["diagnostics"])
    return value


@dataclass(frozen=True)
class Inspection:
    """The words of ``minibert inspect``.

    The modules that the run itself names are not imported: the run of a stranger must not run a stranger's code.
    """

    run: str = argument("id of a run that has ended, its first characters, its name, or last", "RUN_ID")
    diagnostics: str = argument(
        "off, light, standard or full: every diagnostic of this level is computed", "LEVEL", "full", as_level
    )
    quantities: list[str] | None = argument(
        "these diagnostics alone, instead of a level; [] only draws what is recorded", "[A,B]", None, names
    )
    modules: list[str] = argument("modules with diagnostics of your own", "[MODULE]", [], names)
    figures: list[str] = argument(
        "groups of figures to draw: training, attention, spectra, ...", "[A,B]", ["all"], names
    )
    steps: str | list[int] = argument(
        "which kept checkpoints: all, last, or a list such as [0,64,512]", "STEPS", "all", as_steps
    )
    tracking: StoreWords = StoreWords()


def inspect_run(asked: Inspection, display: Display) -> None:
    """Compute diagnostics on the checkpoints of a run, and add them to it.

    Raises :class:`MinibertError` for an unknown run, step or diagnostic, and for another corpus than the run had.
    """
    store = open_named_store(asked.tracking)
    asked = replace(asked, run=find_run_id(store.client, asked.run, experiments=[store.experiment_id]))
    record = Amendment(store, asked.run)
    saved = saved_run(store, asked.run)
    steps = kept_steps(asked.steps, saved)
    whole_level = asked.quantities is None and not asked.modules
    chosen = choose(names_of_level(asked.diagnostics) if whole_level else asked.quantities or [], asked.modules)
    left_out = [each.name for each in chosen if each.asks & (AFTER_UPDATE | NEEDS_HISTORY)]
    if left_out:
        display.note(f"left out, because they need the updates of training: {', '.join(left_out)}")
    chosen = [replace(each, every="log") for each in chosen if each.name not in left_out]
    drawn = drawings(asked.figures)
    config = saved.config
    data = recorded_data(saved, record.corpus_hash, display.note)
    model = MiniBERT(config.model, cast(int, config.seeds.init), log_unigram_frequencies(data.unigram_counts))
    diagnostics = Diagnostics(chosen, steps, config.training.steps, record)
    batches = build_batches(config, data)
    with Trainer(model, batches, config, (), diagnostics, data, probe_batch(config, data)) as trainer:
        for step in display.track(steps, "checkpoint of training step"):
            saved.load_parameters(model, step)
            trainer.progress.step = step
            trainer.examine()
    diagnostics.conclude()
    draw(record, drawn, complete="all" in asked.figures)
    for name, reason in diagnostics.failed.items():
        display.error(f"{name} failed: {reason}")
    display.note(f"added to run {asked.run}: {_computed(len(chosen), len(steps))}figures/index.html")


def _computed(diagnostics: int, steps: int) -> str:
    if not diagnostics:
        return ""
    counts = {"diagnostic": diagnostics, "step": steps}
    return " at ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items()) + ", and "
