"""``python -m tests.benchmarks.scaling``: what a training step of minibert costs, against one size at a time.

Around the base shape, tokens T, hidden size D (with F = 4 D and heads of 48), layers L, vocabulary V and
sequences B are varied alone; then D and L together, for the number of parameters. Each point is a process of
its own, so that its memory is its own. Dropout is off.

    python -m tests.benchmarks.scaling --figure scaling.png --json scaling.json
"""

import json
import math
from dataclasses import asdict, dataclass, replace

import numpy as np
from rich.progress import track
from rich.table import Table

from minibert.command_line.terminal import open_console, print_table
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.options import Parser, new_file
from tests.benchmarks.report import MEGABYTE, machine
from tests.benchmarks.worker import QUIET, Worker
from tests.benchmarks.workload import BASE, SHAPES, Shape, Workload, draw_batches, needed_flops, physical_cores

HEAD_SIZE = 48
WARM_UP = 3
SECONDS = 1.5
"""On the clock for every point, but 3 steps at least"""


def widened(hidden: int, layers: int = BASE.layers) -> Shape:
    return replace(
        BASE, hidden_size=hidden, heads=hidden // HEAD_SIZE, feed_forward_size=4 * hidden, layers=layers
    )


AXES: dict[str, list[tuple[int | None, Shape]]] = {
    "T": [(tokens, replace(BASE, tokens=tokens)) for tokens in (16, 32, 64, 128, 256)],
    "D": [(hidden, widened(hidden)) for hidden in (96, 192, 384, 576)],
    "L": [(layers, replace(BASE, layers=layers)) for layers in (1, 2, 3, 6, 12)],
    "V": [(vocabulary, replace(BASE, vocab_size=vocabulary)) for vocabulary in (2048, 4096, 8192, 16384, 32768)],
    "B": [(sequences, replace(BASE, sequences=sequences)) for sequences in (8, 16, 32, 64, 128)],
    "parameters": [(None, shape) for shape in (SHAPES["tiny"], BASE, widened(288, 4), SHAPES["large"])],
}
"""Axis -> value and shape of its points; the number of parameters is known once the network stands."""
LABELS = {
    "T": "tokens in a sequence, T",
    "D": "hidden size, D",
    "L": "layers, L",
    "V": "vocabulary, V",
    "B": "sequences in a batch, B",
    "parameters": "parameters (millions)",
}


@dataclass(frozen=True)
class Cost:
    shape: Shape
    parameters: int
    milliseconds: float
    """A step, median"""
    memory: float
    """Peak above what the imports hold, MB"""
    others: float
    """Share of the machine that other processes took meanwhile"""

    @property
    def tokens(self) -> int:
        return self.shape.sequences * self.shape.tokens

    @property
    def microseconds_per_token(self) -> float:
        return 1000 * self.milliseconds / self.tokens

    @property
    def kilobytes_per_token(self) -> float:
        return 1024 * self.memory / self.tokens

    @property
    def speed(self) -> float:
        """GFLOP/s of the arithmetic that reaches the loss."""
        return needed_flops(self.shape) / self.milliseconds / 1e6


def main(arguments: list[str] | None = None) -> None:
    parser = Parser("scaling", __doc__)
    parser.add_json("every point, with the machine")
    parser.add_argument(
        "--figure", type=new_file, metavar="FILE", help="draw time and memory a token (PNG, PDF or SVG)"
    )
    options = parser.parse_args(arguments)
    console = open_console()
    shapes = list(dict.fromkeys(shape for points in AXES.values() for _, shape in points))
    costs = {shape: measure(shape) for shape in track(shapes, "measuring", console=console, transient=True)}
    for axis, points in AXES.items():
        print_table(console, table(axis, [(value, costs[shape]) for value, shape in points]))
    disturbed = max(cost.others for cost in costs.values())
    if disturbed > QUIET:
        console.print(f"not a quiet machine: up to {disturbed:.0%} of it went to other processes", style="yellow")
    if options.json:
        axes = {axis: as_json(axis, costs) for axis in AXES}
        options.json.write_text(json.dumps({"machine": machine(), "axes": axes}, indent=1))
    if options.figure:
        figure(costs).savefig(options.figure, dpi=150)


def measure(shape: Shape) -> Cost:
    workload = Workload(shape, 0.0, physical_cores(), draw_batches(shape), parameters=None)
    worker = Worker(CONTENDERS["minibert"], workload)
    try:
        warm = np.median(worker.steps(WARM_UP).seconds)
        turn, _ = worker.undisturbed_steps(max(math.ceil(SECONDS / warm), 3))
        memory = worker.peak_memory() - worker.about["memory_imported"]
    finally:
        worker.close()
    milliseconds = 1000 * float(np.median(turn.seconds))
    return Cost(shape, worker.about["parameters"], milliseconds, memory / MEGABYTE, turn.others)


def table(axis: str, points: list[tuple[int | None, Cost]]) -> Table:
    rows = Table(title=f"against {LABELS[axis]}", title_justify="left")
    columns = ("parameters (M)", "ms a step", "µs a token", "GFLOP/s", "memory (MB)", "kB a token", "others")
    for column in ("sizes" if axis == "parameters" else axis, *columns):
        rows.add_column(column, justify="right")
    for value, cost in points:
        sizes = f"D {cost.shape.hidden_size}, L {cost.shape.layers}"
        rows.add_row(
            sizes if value is None else str(value),
            f"{cost.parameters / 1e6:.2f}",
            f"{cost.milliseconds:.1f}",
            f"{cost.microseconds_per_token:.1f}",
            f"{cost.speed:.0f}",
            f"{cost.memory:.0f}",
            f"{cost.kilobytes_per_token:.0f}",
            f"{cost.others:.0%}",
        )
    return rows


def as_json(axis: str, costs: dict[Shape, Cost]) -> list[dict]:
    return [
        {
            "value": costs[shape].parameters if value is None else value,
            **asdict(costs[shape]),
            "microseconds_per_token": costs[shape].microseconds_per_token,
            "kilobytes_per_token": costs[shape].kilobytes_per_token,
        }
        for value, shape in AXES[axis]
    ]


def figure(costs: dict[Shape, Cost]):
    """Two rows, time and memory a token, and a column for every axis; both scales logarithmic."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, ScalarFormatter

    drawing = Figure(figsize=(15, 5.5), layout="constrained")
    grid = drawing.subplots(2, len(AXES), sharey="row", sharex="col")
    quantities = (
        ("time (µs a token)", lambda cost: cost.microseconds_per_token),
        ("peak memory (kB a token)", lambda cost: cost.kilobytes_per_token),
    )
    for row, (label, quantity) in zip(grid, quantities, strict=True):
        row[0].set_ylabel(label)
        for axes, (axis, points) in zip(row, AXES.items(), strict=True):
            x = [costs[shape].parameters / 1e6 if value is None else value for value, shape in points]
            axes.plot(x, [quantity(costs[shape]) for _, shape in points], marker="o", markersize=4)
            base = x[[shape for _, shape in points].index(BASE)]
            axes.plot(base, quantity(costs[BASE]), "o", markersize=8, fillstyle="none", color="black")
            axes.set(xscale="log", yscale="log")
            axes.grid(alpha=0.3)
            axes.xaxis.set_major_locator(FixedLocator(x))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(ScalarFormatter() if axis != "parameters" else "{x:.1f}")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(ScalarFormatter())
            axes.tick_params(axis="x", rotation=45)
    for axes, axis in zip(grid[-1], AXES, strict=True):
        axes.set_xlabel(LABELS[axis])
    drawing.align_xlabels(grid[-1])
    sizes = f"D {BASE.hidden_size}, L {BASE.layers}, V {BASE.vocab_size}, B {BASE.sequences}, T {BASE.tokens}"
    drawing.suptitle(
        f"One training step of minibert on {physical_cores()} cores, one size varied at a time around base "
        f"(ring: {sizes}); for the parameters, D and L together",
        fontsize="medium",
    )
    return drawing


if __name__ == "__main__":
    main()
