"""``python -m tests.benchmarks.short_runs``: what runs cost that hardly train, beside another checkout.

Three parts. ``runs``: processor time of ``python -m minibert.run model=debug training=debugging``, trained again
and found, in a store that has a run of it and the prepared data. The checkouts take turns, round after round.
``found``: a sweep of 100 such runs that are all found, from its first line to its last; they are trained before,
off the clock. ``disk``: what the store of the sweep of ``make sweep`` takes, by kind of file. Its runs have all
their steps, on which checkpoints and metrics depend, but small batches, on which nothing that is stored depends.

    python -m tests.benchmarks.short_runs --beside 37f2d7b --rounds 5 --store mlruns/short_runs
"""

import json
import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from minibert.command_line.terminal import print_table
from tests.benchmarks import disk
from tests.benchmarks.checkouts import ROOT, checkout_of, obstacle
from tests.benchmarks.commands import CommandError, Spent, spend
from tests.benchmarks.kernels import kernels_of
from tests.benchmarks.options import Parser, new_folder, whole
from tests.benchmarks.report import Verdict, machine, machine_line, median_and_range, verdict_table
from tests.benchmarks.turns import console
from tests.benchmarks.worker import PAUSE_SECONDS, QUIET

HERE, BESIDE = "this checkout", "the other"
RUNS, FOUND, DISK = "runs", "found", "disk"
MODULE = ("-m", "minibert.run")
RUN = ("model=debug", "training=debugging")
TRAINED = "trained again"
WAYS = {TRAINED: ("tracking.rerun=true",), "found": ()}
"""What becomes of the run -> words that are added to it"""
SWEEP = ("--multirun", *RUN, "training.steps=5")
STORED = ("+experiment=masking_sweep", "training.batch_size=2", "evaluation.sequences=32")
ATTEMPTS = 3
"""At a turn; a command is many times longer than the turn of a training step"""
LARGEST_SHARE, LARGEST_SECONDS, LARGEST_DISK = 0.6, 5.0, 0.25
"""Targets: processor time of a run and disk of a sweep over the other checkout's; seconds of found runs"""


@dataclass
class Measured:
    """One command of one checkout, round by round."""

    rounds: list[Spent] = field(default_factory=list)
    retaken: int = 0
    """Turns that were taken again because other processes were busy"""

    def of(self, figure: str) -> np.ndarray:
        return np.array([getattr(spent, figure) for spent in self.rounds])

    @property
    def others(self) -> float:
        return max(spent.others for spent in self.rounds)


Runs = dict[tuple[str, str], Measured]
"""(what becomes of the run, checkout) -> what it took"""


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    about = machine() | {"kernels": kernels_of(os.environ)}
    console.print(f"{machine_line(about)}, {about['kernels']} kernels")
    if options.beside is None:
        console.print(f"skipped {BESIDE}: none is given (--beside, a folder or a commit)", style="yellow")
    parts = {RUNS: show_runs, FOUND: show_found, DISK: show_disk}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sides = {HERE: ROOT}
        if options.beside is not None:
            sides[BESIDE] = stack.enter_context(checkout_of(options.beside, folder))
        measured = {part: parts[part](options, sides, folder) for part in options.parts}
    if options.json:
        written = {"machine": about, "beside": options.beside, "measured": measured}
        options.json.write_text(json.dumps(written, indent=1))
        console.print(f"written to {options.json}")


def parse(arguments: Sequence[str] | None) -> Namespace:
    parser = Parser("short_runs", __doc__)
    parts = [RUNS, FOUND, DISK]
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    beside = "another checkout of minibert, or a commit of the repository, which is checked out for the time"
    parser.add_argument("--beside", metavar="FOLDER or COMMIT", help=beside)
    parser.add_argument("--rounds", type=whole(), default=3)
    parser.add_argument("--found", type=whole(), default=100, metavar="RUNS", help="of the sweep that is found")
    parser.add_argument("--store", type=new_folder, metavar="FOLDER", help="keeps the runs of that sweep")
    count = "for the part disk: stores of the sweep that are there already, this checkout's and the other's"
    parser.add_argument("--count", nargs="+", type=Path, metavar="FOLDER", help=count)
    parser.add_json("every figure, with the machine")
    options = parser.parse_args(arguments)
    if options.beside is not None and (reason := obstacle(options.beside)):
        parser.error(f"--beside {reason}")
    if options.count is not None and len(options.count) != (2 if options.beside else 1):
        parser.error(f"--count: {len(options.count)} stores. Give one, and with --beside two.")
    for store in options.count or ():
        if not (store / disk.DATABASE_FILE).is_file():
            parser.error(f"--count {store}: there is no {disk.DATABASE_FILE}. Give the folder of a store.")
    return options


def show_runs(options: Namespace, sides: dict[str, Path], folder: Path) -> dict:
    measured = measure_runs(sides, folder, options.rounds)
    print_table(console, runs_table(measured))
    judge(runs_verdicts(measured), list(measured.values()))
    return {f"{way}, {side}": asdict(one) for (way, side), one in measured.items()}


def show_found(options: Namespace, sides: dict[str, Path], folder: Path) -> dict:
    measured = measure_found(options.store or folder / FOUND, sides[HERE], options.found, options.rounds)
    print_table(console, found_table(measured, options.found))
    seconds = float(np.median(measured.of("printing")))
    judge([Verdict(f"seconds of {options.found} found runs", seconds, LARGEST_SECONDS)], [measured])
    return asdict(measured)


def show_disk(options: Namespace, sides: dict[str, Path], folder: Path) -> dict:
    stores = dict(zip(sides, options.count, strict=True)) if options.count else made_stores(sides, folder)
    used = {side: disk.usage(store) for side, store in stores.items()}
    if used:
        print_table(console, disk.table("Disk of the sweep of make sweep", used))
        judge(disk_verdicts(used), [])
    return used


def judge(verdicts: list[Verdict], measured: list[Measured]) -> None:
    quiet = all(one.others <= QUIET for one in measured)
    if retaken := sum(one.retaken for one in measured):
        console.print(f"{retaken} turns were taken again because other processes were busy")
    if verdicts:
        print_table(console, verdict_table(verdicts, quiet, "Targets"))


def measure_runs(sides: dict[str, Path], folder: Path, rounds: int) -> Runs:
    """The run trained again and found by every checkout, in stores under ``folder``."""
    words, stores = {}, {}
    for number, (side, checkout) in enumerate(sides.items()):
        stores[side] = folder / f"{RUNS}{number}"
        words[side] = [*MODULE, *RUN, f"tracking.folder={stores[side]}"]
        with console.status(f"{side}: preparing the data"):
            spend(words[side], checkout)
    measured = {(way, side): Measured() for way in WAYS for side in sides}
    for number in range(rounds):
        for (way, side), one in measured.items():
            before = trained_runs(stores[side])
            with console.status(f"round {number + 1} of {rounds}: {way}, {side}"):
                spent, attempts = undisturbed([*words[side], *WAYS[way]], sides[side])
            expected = before + (attempts if way == TRAINED else 0)
            check_trained(stores[side], expected, f"{way}, {side}")
            one.rounds.append(spent)
            one.retaken += attempts - 1
    return measured


def measure_found(store: Path, checkout: Path, runs: int, rounds: int) -> Measured:
    """A sweep whose runs are all in the ``store``; those that are not are trained before."""
    words = [*MODULE, *SWEEP, f"seed=range({runs})", f"tracking.folder={store.resolve()}"]
    with console.status(f"{runs} runs that are to be found") as status:
        spend(words, checkout, lambda line: status.update(Text(line.strip()[:100])))
    trained, measured = trained_runs(store), Measured()
    for number in range(rounds):
        with console.status(f"round {number + 1} of {rounds}: {runs} runs are found"):
            spent, attempts = undisturbed(words, checkout)
        check_trained(store, trained, f"{runs} found runs")
        measured.rounds.append(spent)
        measured.retaken += attempts - 1
    return measured


def made_stores(sides: dict[str, Path], folder: Path) -> dict[str, Path]:
    """The stores of the sweep, trained with small batches by every checkout; one that fails is named aloud."""
    stores = {}
    for number, (side, checkout) in enumerate(sides.items()):
        store = folder / f"{DISK}{number}"
        words = [*MODULE, *STORED, f"tracking.folder={store}"]
        try:
            with console.status(f"the sweep, {side}") as status:
                spend(words, checkout, lambda line, side=side: status.update(Text(f"{side}: {line.strip()[:90]}")))
        except CommandError as error:
            console.print(f"{side} failed: {error}", style="red")
        else:
            stores[side] = store
    return stores


def undisturbed(words: Sequence[str], checkout: Path) -> tuple[Spent, int]:
    """A command on a quiet machine, and which attempt it was. The last attempt counts whatever others did."""
    spent, attempt = spend(words, checkout), 1
    while spent.others > QUIET and attempt < ATTEMPTS:
        time.sleep(PAUSE_SECONDS)
        spent, attempt = spend(words, checkout), attempt + 1
    return spent, attempt


def trained_runs(store: Path) -> int:
    """Runs that were trained into a store: those with checkpoints."""
    return len(list(store.glob("artifacts/*/artifacts/checkpoints")))


def check_trained(store: Path, expected: int, what: str) -> None:
    """Raises :class:`SystemExit` when a run was trained that was to be found, or the other way round."""
    if (trained := trained_runs(store)) != expected:
        raise SystemExit(f"{what}: {store} has {trained} trained runs, and should have {expected}.")


def runs_table(measured: Runs) -> Table:
    rows = Table(title=f"python -m minibert.run {' '.join(RUN)}", title_justify="left", caption_justify="left")
    rows.add_column("the run is")
    rows.add_column("by")
    for column in ("processor s", "by round", "seconds", "this / it", "by round", "to others"):
        rows.add_column(column, justify="right")
    for (way, side), one in measured.items():
        compared = median_and_range(shares(measured, way)) if side == BESIDE else ("", "")
        median, extent = _seconds(one.of("processor"))
        whole = _seconds(one.of("seconds"))[0]
        rows.add_row(way, side, median, extent, whole, *compared, f"{one.others:.0%}")
    rows.caption = (
        "Medians of the rounds, and their range. Processor s: user and system, of the whole command. This / it: "
        "processor time of this checkout over the other's, by round. To others: most of the machine in a turn."
    )
    return rows


def shares(measured: Runs, way: str) -> np.ndarray:
    """Processor time of this checkout over the other's, round by round."""
    return measured[way, HERE].of("processor") / measured[way, BESIDE].of("processor")


def runs_verdicts(measured: Runs) -> list[Verdict]:
    return [
        Verdict(f"processor time, {way} / {BESIDE}'s", float(np.median(shares(measured, way))), LARGEST_SHARE)
        for way in WAYS
        if (way, BESIDE) in measured
    ]


def found_table(measured: Measured, runs: int) -> Table:
    rows = Table(title=f"A sweep of {runs} runs that are all found", title_justify="left")
    rows.add_column("seconds")
    for column in ("median", "by round"):
        rows.add_column(column, justify="right")
    rows.add_row("from the first line to the last", *_seconds(measured.of("printing")))
    rows.add_row("of the whole command", *_seconds(measured.of("seconds")))
    rows.add_row("of processor time, of the whole command", *_seconds(measured.of("processor")))
    rows.add_section()
    rows.add_row("most of the machine to others", f"{measured.others:.0%}", "")
    return rows


def _seconds(rounds: np.ndarray) -> tuple[str, str]:
    return f"{np.median(rounds):.2f}", f"{rounds.min():.2f}-{rounds.max():.2f}"


def disk_verdicts(used: dict[str, dict[str, int]]) -> list[Verdict]:
    if len(used) < 2:
        return []
    share = sum(used[HERE].values()) / sum(used[BESIDE].values())
    return [Verdict(f"disk of a sweep / {BESIDE}'s", share, LARGEST_DISK)]


if __name__ == "__main__":
    main()
