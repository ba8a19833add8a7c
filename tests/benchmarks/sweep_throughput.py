"""``python -m tests.benchmarks.sweep_throughput``: runs of a sweep a minute, on all cores and one after the other.

The same runs of the model tiny, several seeds, by the launcher ``cores`` with one lane, and by the launcher
``basic`` with one lane and with two. They take turns, round after round. On the clock is the whole command, which
imports the packages, trains, and prints the table and the report; the tables of the store and the prepared data
are there before. A round takes about twenty minutes on two cores. In a shorter sweep, the start and the report
count for more, and they are work for one core.

    python -m tests.benchmarks.sweep_throughput --rounds 3 --json sweep_throughput.json
"""

import json
import os
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from minibert.command_line.terminal import print_table
from minibert.config import register
from minibert.data.corpora import load_corpus
from minibert.running.plan import plan
from minibert.tracking import open_store
from tests.benchmarks.commands import spend
from tests.benchmarks.kernels import kernels_of
from tests.benchmarks.options import Parser, one_line_errors, whole
from tests.benchmarks.report import machine, machine_line
from tests.benchmarks.turns import console
from tests.benchmarks.worker import QUIET

CORES, ONE_LANE, TWO_LANES = "all cores, one lane a process", "one after the other, one lane", "…, two lanes"
CONTENDERS = {
    CORES: ["hydra/launcher=cores", "training.lanes=1"],
    ONE_LANE: ["hydra/launcher=basic", "training.lanes=1"],
    TWO_LANES: ["hydra/launcher=basic", "training.lanes=2"],
}
TARGETS = {ONE_LANE: 1.7, TWO_LANES: 1.1}
"""Throughput on all cores, at least in multiples of these"""


@dataclass
class Measured:
    """The sweeps of one contender, by round."""

    seconds: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    """Share of the machine that went to other processes"""


@one_line_errors()
def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    require_runs(options)
    about = machine() | {"kernels": kernels_of(dict(os.environ))}
    console.print(f"{machine_line(about)}, {about['kernels']} kernels")
    measured = {name: Measured() for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        shared = words(options, Path(folder) / "cache")
        empty = Path(folder) / "empty"
        open_store(None, empty, "minibert")
        prepare = [*shared, *CONTENDERS[ONE_LANE], "seed=0", "training.steps=1", "evaluation.every=1"]
        sweep(prepare, empty, Path(folder) / "turn", "preparing the data")
        asked = [*shared, *measured_words(options)]
        for number in range(options.rounds):
            for name, own in CONTENDERS.items():
                doing = f"round {number + 1} of {options.rounds}, {name}"
                seconds, others = sweep([*asked, *own], empty, Path(folder) / "turn", doing)
                measured[name].seconds.append(seconds)
                measured[name].others.append(others)
    print_table(console, table(measured, options.seeds))
    if options.json:
        written = {
            "machine": about,
            "options": vars(options) | {"json": str(options.json)},
            "measured": {k: asdict(v) for k, v in measured.items()},
        }
        options.json.write_text(json.dumps(written, indent=1))
        console.print(f"written to {options.json}")


def parse(arguments: Sequence[str] | None) -> Namespace:
    parser = Parser("sweep_throughput", __doc__)
    parser.add_argument("--steps", type=whole(), default=400, help="of each run")
    parser.add_argument("--seeds", type=whole(), default=8, help="runs of a sweep")
    parser.add_argument("--rounds", type=whole(), default=1)
    parser.add_json("every time, with the machine")
    parser.add_argument("overrides", nargs="*", help="further settings, as minibert.run takes them")
    return parser.parse_args(arguments)


def words(options: Namespace, cache: Path) -> list[str]:
    return [
        "model=tiny", "diagnostics=off", "tracking.progress=false", f"data.cache={cache}",
        *options.overrides,
    ]  # fmt: skip


def measured_words(options: Namespace) -> list[str]:
    steps = [f"training.steps={options.steps}", f"evaluation.every={options.steps}"]
    return [f"seed=range({options.seeds})", *steps]


def require_runs(options: Namespace) -> None:
    """Raise :class:`MinibertError` for settings that no run takes, and for text that is not there."""
    register()
    shared = [*words(options, Path("cache")), *measured_words(options), "tracking.folder=turn"]
    planned = [plan([*shared, *own], multirun=True) for own in CONTENDERS.values()]
    for data in {str(job.config.data): job.config.data for job in planned[0].jobs}.values():
        load_corpus(data)


def sweep(words: Sequence[str], empty: Path, folder: Path, doing: str) -> tuple[float, float]:
    """Run a sweep in a copy of an empty store: its seconds, and the share of the machine that others had.

    A line tells how far it is, and one how long it took.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(empty, folder)
    with console.status(doing) as status:
        lines = []

        def told(line: str) -> None:
            lines.append(line)
            status.update(f"{doing}: {sum(': finished' in each for each in lines)} runs finished")

        spent = spend(["-m", "minibert.run", "--multirun", *words, f"tracking.folder={folder}"], told=told)
    console.print(f"{doing}: {spent.seconds:.1f} s, {spent.others:.0%} of the machine to others")
    return spent.seconds, spent.others


def table(measured: dict[str, Measured], runs: int) -> Table:
    """Medians over the rounds, and the throughput on all cores in multiples of each other contender's."""
    found = Table(title=f"A sweep of {runs} runs", title_justify="left")
    for column in ("runs", "median s", "by round", "runs a minute", "cores against it", "target", "", "to others"):
        found.add_column(column, justify="left" if column == "runs" else "right")
    for name, one in measured.items():
        ratio = float(np.median(np.divide(one.seconds, measured[CORES].seconds)))
        disturbed = max(one.others + measured[CORES].others)
        judgement = Text("met") if ratio >= TARGETS.get(name, 0) else Text("missed", style="bold red")
        if disturbed > QUIET:
            judgement = Text("void", style="yellow")
        seconds = float(np.median(one.seconds))
        found.add_row(
            name,
            f"{seconds:.1f}",
            f"{min(one.seconds):.1f}-{max(one.seconds):.1f}",
            f"{60 * runs / seconds:.1f}",
            f"{ratio:.2f}" if name in TARGETS else "",
            f"≥ {TARGETS[name]:g}" if name in TARGETS else "",
            judgement if name in TARGETS else "",
            f"{max(one.others):.0%}",
        )
    return found


if __name__ == "__main__":
    main()
