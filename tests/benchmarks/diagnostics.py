"""``python -m tests.benchmarks.diagnostics``: what looking at a run costs, diagnostic by diagnostic.

A short training on the default corpus, as ``minibert.run`` sets it up, is looked at every few steps, then ends.
Times are medians over the looks; what is done at the end is done once. Looks are those of a whole run by its own
schedule, shares are of its training time. What is found is kept in memory: writing to a store and drawing are
not counted.

    python -m tests.benchmarks.diagnostics --model base --level full --json diagnostics.json
    python -m tests.benchmarks.diagnostics --level light model.layers=6 tracking.folder=/tmp/mlruns
"""

import json
from argparse import Namespace
from collections import Counter
from dataclasses import asdict, dataclass

import psutil
from rich.table import Table
from rich.text import Text

from minibert.command_line.terminal import print_table
from minibert.config import Config, register
from minibert.data.prepared import prepare_data
from minibert.diagnostics.catalogue import choose, names_of_level
from minibert.diagnostics.engine.registry import Diagnostic
from minibert.running.plan import groups, plan
from minibert.training.checkpoints import log_spaced_steps
from tests.benchmarks.looking import END, LOG, REGULAR, Looked, count_looks, look
from tests.benchmarks.options import Parser, one_line_errors, whole
from tests.benchmarks.report import machine, machine_line
from tests.benchmarks.turns import console
from tests.benchmarks.worker import QUIET, Watch

BUDGET = 0.05
"""Share of the training time that looking may take in the course of it"""


@dataclass(frozen=True)
class Cost:
    """What a diagnostic, or what several share, takes in a run."""

    name: str
    when: str
    seconds: float
    """A look"""
    looks: int
    """In a run"""

    @property
    def total(self) -> float:
        return self.seconds * self.looks


@one_line_errors()
def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    register()
    words = [f"model={options.model}", f"diagnostics={options.level}", *options.overrides]
    config = plan(words, multirun=False).jobs[0].config
    about = machine()
    console.print(machine_line(about))
    data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length, console.print)
    chosen = choose(config.diagnostics.quantities, config.diagnostics.modules)
    with console.status(f"training {options.model} under {len(chosen)} diagnostics"):
        watch = Watch(psutil.Process())
        looked = look(config, data, chosen, options.looks)
        others = watch.others()
    for name, reason in looked.failed.items():
        console.print(f"{name} failed: {reason}", style="red")
    found = costs(chosen, looked, config)
    training = looked.step * config.training.steps
    measured = {each.name for each in chosen} - looked.failed.keys()
    levels = {level: costs(choose(names), looked, config) for level, names in levels_within(measured).items()}
    print_table(console, table(options.model, options.looks, looked, found, config))
    if others > QUIET:
        console.print(f"not a quiet machine: {others:.0%} of it went to other processes", style="yellow")
    print_table(console, level_table(levels, training, quiet=others <= QUIET))
    if options.json:
        written = {
            "machine": about,
            "others": others,
            "words": words,
            "seconds_of_a_step": looked.step,
            "training_seconds": training,
            "costs": [asdict(cost) for cost in found],
            "levels": {level: sums(costs_of_level) for level, costs_of_level in levels.items()},
            "looked": asdict(looked),
        }
        options.json.write_text(json.dumps(written, indent=1))
        console.print(f"written to {options.json}")


def parse(arguments: list[str] | None) -> Namespace:
    parser = Parser("diagnostics", __doc__)
    parser.add_argument("--model", default="base", help="an option of the group model")
    parser.add_argument("--level", default="full", help="an option of the group diagnostics")
    parser.add_argument("--looks", type=whole(), default=7, help="that are measured")
    parser.add_json("every time, with the machine")
    parser.add_argument("overrides", nargs="*", help="further settings, as minibert.run takes them")
    return parser.parse_args(arguments)


def levels_within(measured: set[str]) -> dict[str, list[str]]:
    """The levels of conf/diagnostics whose diagnostics are all measured, smallest first, with their names."""
    levels = {level: names_of_level(level) for level in groups()["diagnostics"]}
    by_size = sorted(levels.items(), key=lambda level: len(level[1]))
    return {level: names for level, names in by_size if measured >= set(names)}


def costs(chosen: list[Diagnostic], looked: Looked, config: Config) -> list[Cost]:
    """Of the chosen diagnostics and what they share, over a run of this configuration, dearest first."""
    settings, last = config.diagnostics, config.training.steps
    looks = count_looks(chosen, log_spaced_steps(last, settings.every, settings.per_doubling), last)
    found = [
        Cost(name, when, seconds, count)
        for (name, when), count in looks.items()
        if (seconds := looked.seconds(name, when)) is not None
    ]
    return sorted(found, key=lambda cost: -cost.total)


def sums(found: list[Cost]) -> dict[str, float]:
    """When -> seconds in a run."""
    total: Counter[str] = Counter({LOG: 0.0, REGULAR: 0.0, END: 0.0})
    for cost in found:
        total[cost.when] += cost.total
    return dict(total)


def table(model: str, looks: int, looked: Looked, found: list[Cost], config: Config) -> Table:
    steps, training = config.training.steps, looked.step * config.training.steps
    title = f"{model}: {steps:,} steps of {1000 * looked.step:.1f} ms are {training:.0f} s of training"
    rows = Table(title=title, title_justify="left", caption_justify="left")
    for column in ("diagnostic", "when"):
        rows.add_column(column)
    for column in ("ms a look", "looks a run", "s a run", "of training"):
        rows.add_column(column, justify="right")
    for cost in found:
        rows.add_row(
            cost.name,
            cost.when,
            f"{1000 * cost.seconds:.1f}",
            str(cost.looks),
            f"{cost.total:.2f}",
            f"{cost.total / training:.2%}",
        )
    rows.caption = (
        f"ms a look: median of {looks}; what is done at the end, once. Shared by several: the probe pass, the "
        "pass after the update, the pass at the end of training, and holding a step still, which is what a look "
        "takes beyond all of these (copies of parameters and gradients)."
    )
    return rows


def level_table(levels: dict[str, list[Cost]], training: float, quiet: bool) -> Table:
    """Without a ``quiet`` machine nothing is met or missed."""
    rows = Table(title="Levels", title_justify="left", caption_justify="left")
    rows.add_column("diagnostics")
    for column in ("log-spaced looks", "regular looks", "in training", "budget", "", "at the end"):
        rows.add_column(column, justify="right")
    for level, found in levels.items():
        seconds = sums(found)
        share = (seconds[LOG] + seconds[REGULAR]) / training
        judgement = Text("met") if share <= BUDGET else Text("missed", style="bold red")
        rows.add_row(
            level,
            f"{seconds[LOG]:.2f} s",
            f"{seconds[REGULAR]:.2f} s",
            f"{share:.2%}",
            f"≤ {BUDGET:.0%}",
            judgement if quiet else Text("void", style="yellow"),
            f"{seconds[END]:.2f} s",
        )
    rows.caption = "In training: both kinds of looks, as a share of training time. Figures and the store aside."
    return rows


if __name__ == "__main__":
    main()
