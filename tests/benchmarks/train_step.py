"""``python -m tests.benchmarks.train_step``: one full training step of minibert beside those of others.

Forward, backward, clipping to global norm 1 and AdamW, float32, on the same batches. The contenders take turns,
round after round, each in a process of its own (A B C A B C ...), so that a change in the machine's speed meets
all of them. Times are taken after a warm-up of five steps and after the first step of every turn. A turn during
which other processes were busy is taken again, a few times at most: threads that wait for each other suffer
from them out of proportion.

    python -m tests.benchmarks.train_step --shape all --dropout 0 0.1 --json results.json
"""

import argparse
import json
import math
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.report import (
    Measurement,
    as_json,
    comparison_table,
    machine,
    most_disturbed,
    verdict_table,
    verdicts,
)
from tests.benchmarks.worker import QUIET, Worker, WorkerError
from tests.benchmarks.workload import (
    SHAPES,
    Workload,
    draw_batches,
    initial_parameters,
    needed_flops,
    physical_cores,
)

WARM_UP = 5
TURN_SECONDS = 2.0
LEAST_STEPS, MOST_STEPS = 5, 100

console = Console(highlight=False)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    shapes = list(SHAPES) if "all" in options.shape else options.shape
    about = machine()
    console.print(f"{about['processor']}, {about['cores']} cores, Python {about['python']}, {about['system']}")
    names = available(options.contenders)
    comparisons = []
    for shape in shapes:
        for dropout in options.dropout:
            measured = compare(shape, dropout, names, options.steps, options.rounds)
            if measured:
                show(shape, dropout, measured)
                comparisons.append(as_json(shape, dropout, measured))
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": about, "comparisons": comparisons}, indent=1))
        console.print(f"written to {options.json}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    summary = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.train_step", description=summary)
    parser.add_argument("--shape", nargs="+", default=["base"], choices=[*SHAPES, "all"])
    parser.add_argument("--dropout", nargs="+", type=float, default=[0.0], help="rates, one comparison each")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="in a turn; by default what fits in two seconds, but 5 at least")
    parser.add_argument("--json", metavar="FILE", help="write every time, with versions, BLAS and machine")
    return parser.parse_args(arguments)


def available(names: list[str]) -> list[str]:
    """Those contenders whose packages are installed; the others are named aloud."""
    present = []
    for name in names:
        missing = CONTENDERS[name].missing()
        if missing:
            reason = f"{', '.join(missing)} not installed (pip install 'minibert[parity]')"
            console.print(f"skipped {name}: {reason}", style="yellow", markup=False)
        else:
            present.append(name)
    return present


def compare(
    shape: str, dropout: float, names: list[str], steps: int | None, rounds: int
) -> dict[str, Measurement]:
    """Let the contenders take turns; one that fails is named aloud and left out."""
    sizes = SHAPES[shape]
    shared = Workload(sizes, dropout, physical_cores(), draw_batches(sizes), parameters=None)
    start = initial_parameters(sizes)
    measured: dict[str, Measurement] = {}
    workers: dict[str, Worker] = {}
    with ExitStack() as stack:
        for name in names:
            workload = replace(shared, parameters=start) if CONTENDERS[name].takes_parameters else shared
            try:
                with console.status(f"{shape}, dropout {dropout:g}: warming {name} up"):
                    worker = Worker(name, workload)
                    stack.callback(worker.close)
                    turn = worker.steps(WARM_UP - 1)
            except WorkerError as error:
                console.print(f"{name} failed: {error}", style="red", markup=False)
                continue
            workers[name] = worker
            measured[name] = Measurement(name, needed_flops(sizes), worker.about, losses=turn.losses)
            if steps is None:
                steps = min(max(math.ceil(TURN_SECONDS / np.median(turn.seconds)), LEAST_STEPS), MOST_STEPS)
        for number in range(rounds):
            for name, worker in workers.items():
                with console.status(f"{shape}, dropout {dropout:g}: round {number + 1} of {rounds}, {name}"):
                    turn, attempts = worker.undisturbed_steps(steps)
                measured[name].retaken += attempts - 1
                measured[name].rounds.append(turn.seconds)
                measured[name].losses += turn.losses
                measured[name].others.append(turn.others)
        for name, worker in workers.items():
            measured[name].peak_memory = worker.peak_memory()
    return measured


def show(shape: str, dropout: float, measured: dict[str, Measurement]) -> None:
    sizes = SHAPES[shape]
    title = (
        f"{shape}, dropout {dropout:g}: D {sizes.hidden_size}, L {sizes.layers}, H {sizes.heads}, "
        f"F {sizes.feed_forward_size}, V {sizes.vocab_size}, B {sizes.sequences}, T {sizes.tokens}, "
        f"{sizes.predictions} predictions a sequence"
    )
    console.print(comparison_table(title, measured))
    disturbed, found = most_disturbed(measured), verdicts(shape, measured)
    retaken = sum(measurement.retaken for measurement in measured.values())
    if retaken:
        console.print(f"{retaken} turns were taken again because other processes were busy")
    if disturbed > QUIET:
        console.print(f"not a quiet machine: up to {disturbed:.0%} of a turn went to others", style="yellow")
    if found:
        console.print(verdict_table(found, quiet=disturbed <= QUIET))


if __name__ == "__main__":
    main()
