"""``python -m tests.benchmarks.kept_precision``: what it would cost to keep activations in half precision.

The backward pass needs its operands in float32, for NumPy has no product of half-precision arrays that a BLAS
computes. So what is kept in two bytes is written once by the forward pass, and read and written in float32 by the
backward pass before its use. Beside the cost of this, there and back, stand a product of the network's layers that
makes as many bytes, and a step of the default with what it keeps.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table
from threadpoolctl import threadpool_info, threadpool_limits

from minibert.command_line.terminal import open_console, print_table
from minibert.config import register
from minibert.data.prepared import prepare_data
from minibert.running.assembly import build_diagnostics, build_trainer
from minibert.running.plan import plan
from tests.benchmarks.options import Parser

ROWS, HIDDEN, INNER = 4096, 128, 512
"""Of the array that is kept: the inner activations of the default's layer, in a batch of 64 rows of 64 tokens"""
REPEATS, STEPS, WARM_UP = 41, 24, 4
MEGABYTE = 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    Parser("kept_precision", __doc__).parse_args(arguments)
    console = open_console()
    with threadpool_limits(1, user_api="blas"):
        megabytes, taken = measured()
    step, kept = step_of_the_default()
    kernels = ", ".join(sorted({each.get("architecture", "?") for each in threadpool_info()}))
    title = f"Keeping {megabytes:.1f} MB of float32 in half precision, NumPy {np.__version__}, {kernels}"
    table = Table(title=title)
    for column in ("what", "µs a MB", "there and back, all that a step keeps", "share of a step"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, seconds in taken.items():
        per_megabyte = seconds / megabytes
        whole = [f"{1e3 * per_megabyte * kept:.1f} ms", f"{per_megabyte * kept / step:.0%}"]
        table.add_row(name, f"{1e6 * per_megabyte:.0f}", *(whole if "and back" in name else ["", ""]))
    print_table(console, table)
    console.print(
        f"A step of the default takes {1e3 * step:.1f} ms of processor time and keeps {kept:.1f} MB for its "
        f"backward pass: half precision would save up to {kept / 2:.1f} MB."
    )


def measured() -> tuple[float, dict[str, float]]:
    """Megabytes of the array in float32, and the processor time of each way with it: medians, in turns."""
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, HIDDEN), np.float32)
    weight = random.standard_normal((HIDDEN, INNER), np.float32)
    kept, again = np.empty((ROWS, INNER), np.float32), np.empty((ROWS, INNER), np.float32)
    np.matmul(x, weight, out=kept)
    half, brain = np.empty(kept.shape, np.float16), np.empty(kept.shape, np.uint16)

    def float16():
        np.copyto(half, kept, casting="same_kind")
        np.copyto(again, half)

    def bfloat16():
        # The upper half of a float32 is a bfloat16, rounded towards zero.
        np.copyto(brain, kept.view(np.uint16)[:, 1::2])
        wide = again.view(np.uint32)
        np.copyto(wide, brain)
        np.left_shift(wide, 16, out=wide)

    ways: dict[str, Callable[[], object]] = {
        "to float16 and back": float16,
        "to bfloat16 and back": bfloat16,
        "a copy in float32": lambda: np.copyto(again, kept),
        "the product that makes it": lambda: np.matmul(x, weight, out=kept),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            started = time.process_time()
            way()
            taken[name].append(time.process_time() - started)
    return kept.nbytes / MEGABYTE, {name: statistics.median(seconds) for name, seconds in taken.items()}


def step_of_the_default() -> tuple[float, float]:
    """Seconds of processor time of a step of the default with one lane, and megabytes that it keeps."""
    register()
    words = ["training.lanes=1", "diagnostics=off", f"data.cache={Path('mlruns/cache')}"]
    config = plan(words, multirun=False).jobs[0].config
    data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length)
    taken = []
    with build_trainer(config, data, build_diagnostics(config, (), None)) as trainer:
        for _ in range(STEPS):
            started = time.process_time()
            trainer.step()
            taken.append(time.process_time() - started)
    return statistics.median(taken[WARM_UP:]), trainer.memory_report()["lane_0/caches"]


if __name__ == "__main__":
    main()
