"""``python -m tests.benchmarks.step_profile``: where the time of a training step goes, function by function.

The bare step of the benchmark ``train_step``, in one lane with the share of the batch that it has with one lane a
core. Processor time of the lane's thread, so that other work on the machine counts little; waiting for the other
lanes is left out. Time within NumPy and BLAS is that of the function that calls them, but for matrix products,
which have a row of their own.

    python -m tests.benchmarks.step_profile --shape base --steps 30
"""

import cProfile
import os
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.table import Table

from minibert.command_line.terminal import print_table
from tests.benchmarks.contenders.bare_and_tracked import Bare
from tests.benchmarks.kernels import kernels_of
from tests.benchmarks.options import Parser, whole
from tests.benchmarks.report import machine, machine_line
from tests.benchmarks.turns import console
from tests.benchmarks.workload import SHAPES, Shape, Workload, draw_batches, physical_cores

WARM_UP = 3
PRODUCTS = "matrix products"
multiply = np.matmul


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    console.print(f"{machine_line(machine())}, {kernels_of(os.environ)} kernels")
    shape, lanes = SHAPES[options.shape], physical_cores()
    share = replace(shape, sequences=shape.sequences // lanes)
    with console.status(f"{options.steps} steps of {options.shape}"):
        seconds = profile(share, options.steps)
    print_table(console, table(f"A step of {options.shape}, one lane of {lanes}", seconds, options.rows))


def parse(arguments: Sequence[str] | None) -> Namespace:
    parser = Parser("step_profile", __doc__)
    parser.add_argument("--shape", default="base", choices=list(SHAPES))
    parser.add_argument("--steps", type=whole(), default=30)
    parser.add_argument(
        "--rows", type=whole(), default=16, help="functions that are named; the others are one row"
    )
    return parser.parse_args(arguments)


def matmul(*arguments, **options):
    """NumPy's product, as a function that the profile sees."""
    return multiply(*arguments, **options)


def profile(shape: Shape, steps: int) -> dict[str, float]:
    """Function -> seconds of a step of one lane, without those of the functions that it calls."""
    contender = Bare(Workload(shape, 0.0, 1, draw_batches(shape), parameters=None))
    lane, profiler = contender.trainer.lanes, cProfile.Profile(time.thread_time, builtins=False)
    for _ in range(WARM_UP):
        contender.step()
    np.matmul = matmul
    try:
        list(lane.map(lambda _: profiler.enable(), [0]))  # a profile sees the thread that enables it
        for _ in range(steps):
            contender.step()
        list(lane.map(lambda _: profiler.disable(), [0]))
    finally:
        np.matmul = multiply
        contender.trainer.__exit__(None, None, None)
    return by_function(profiler, steps)


def by_function(profiler: cProfile.Profile, steps: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for entry in profiler.getstats():
        code = entry.code
        function = f"{Path(code.co_filename).stem}.{code.co_name}" if code is not matmul.__code__ else PRODUCTS
        found[function] = found.get(function, 0.0) + entry.inlinetime / steps
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def table(title: str, seconds: dict[str, float], count: int) -> Table:
    rows = Table(title=title, title_justify="left", caption_justify="left")
    rows.add_column("function")
    for column in ("ms a step", "of the step"):
        rows.add_column(column, justify="right")
    total, named = sum(seconds.values()), dict(list(seconds.items())[:count])
    others = total - sum(named.values())
    for function, own in {**named, f"{len(seconds) - len(named)} others": others}.items():
        rows.add_row(function, f"{1000 * own:.2f}", f"{own / total:.1%}")
    rows.add_section()
    rows.add_row("all", f"{1000 * total:.1f}", "")
    rows.caption = "Processor time of the lane, without that of the functions that a function calls."
    return rows


if __name__ == "__main__":
    main()
