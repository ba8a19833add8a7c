"""``python -m tests.benchmarks.positions``: a training step under every position scheme, beside absolute ones.

The whole step, without dropout unless it is asked for; the schemes take turns (:mod:`tests.benchmarks.turns`).

    python -m tests.benchmarks.positions --schemes absolute rope relative --json positions.json
"""

import json
from argparse import Namespace
from dataclasses import asdict

from rich.table import Table

from minibert.command_line.terminal import print_table
from minibert.config.model import POSITIONS
from tests.benchmarks.contenders import Entry
from tests.benchmarks.options import Parser, rate, whole
from tests.benchmarks.report import (
    Measurement,
    machine,
    machine_line,
    measurement_as_json,
    median_and_range,
    ratios,
)
from tests.benchmarks.turns import console, take_turns, tell_of_disturbance, title_of
from tests.benchmarks.workload import SHAPES

REFERENCE = "absolute"


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    about, shape = machine(), SHAPES[options.shape]
    console.print(machine_line(about))
    schemes = [REFERENCE, *(scheme for scheme in options.schemes if scheme != REFERENCE)]
    entries = {scheme: Entry("bare_and_tracked", "Bare", options={"position": scheme}) for scheme in schemes}
    measured = take_turns("positions", entries, shape, options.dropout, options.steps, options.rounds)
    print_table(console, table(title_of(options.shape, shape, options.dropout), measured))
    tell_of_disturbance(measured)
    if options.json:
        found = {"machine": about, "shape": options.shape, "sizes": asdict(shape), "dropout": options.dropout}
        found["schemes"] = [measurement_as_json(measurement) for measurement in measured.values()]
        if REFERENCE in measured:
            found["to_absolute_by_round"] = {
                name: list(ratios(measurement, measured[REFERENCE])) for name, measurement in measured.items()
            }
        options.json.write_text(json.dumps(found, indent=1))
        console.print(f"written to {options.json}")


def parse(arguments: list[str] | None) -> Namespace:
    parser = Parser("positions", __doc__)
    parser.add_argument("--shape", default="base", choices=list(SHAPES))
    parser.add_argument("--dropout", type=rate, default=0.0)
    parser.add_argument("--schemes", nargs="+", default=list(POSITIONS), choices=list(POSITIONS))
    parser.add_argument("--rounds", type=whole(), default=5)
    parser.add_argument(
        "--steps", type=whole(), help="in a turn; by default what fits in two seconds, but 5 at least"
    )
    parser.add_json()
    return parser.parse_args(arguments)


def table(title: str, measured: dict[str, Measurement]) -> Table:
    rows = Table(title=title, title_justify="left", caption_justify="left")
    rows.add_column("position")
    for column in ("median ms", "10-90 %", "it / absolute", "by round", "parameters", "others", "loss 1"):
        rows.add_column(column, justify="right")
    for name, measurement in measured.items():
        low, median, high = measurement.quantiles
        ratio = rounds = ""
        if REFERENCE in measured:
            ratio, rounds = median_and_range(ratios(measurement, measured[REFERENCE]))
        rows.add_row(
            name,
            f"{median:.1f}",
            f"{low:.1f}-{high:.1f}",
            ratio,
            rounds,
            f"{measurement.about['parameters']:,}",
            f"{max(measurement.others):.0%}",
            f"{measurement.losses[0]:.5f}",
        )
    rows.caption = (
        "It / absolute: time of a step under this scheme over time under absolute positions, median of the rounds "
        "and their range. Others: most that other processes took of the machine in a turn. Loss 1: of the first "
        "step."
    )
    return rows


if __name__ == "__main__":
    main()
