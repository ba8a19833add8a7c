"""``python -m tests.benchmarks.train_step``: one full training step of minibert beside those of others.

Forward, backward, clipping to global norm 1 and AdamW, float32, on the same batches; whole recipes of minibert
stand beside them. The contenders take turns (:mod:`tests.benchmarks.turns`), under each choice of kernels: where
the environment names none, NumPy's own choice and AVX2 ones; else those named and NumPy's own choice
(:mod:`tests.benchmarks.kernels`).

    python -m tests.benchmarks.train_step --shape all --dropout 0 0.1 --json results.json
"""

import json
from argparse import Namespace
from itertools import product

from minibert.command_line.terminal import print_table
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.kernels import CHOICES, WITHOUT_AVX512, kernel_choices, processor_has_avx2
from tests.benchmarks.options import Parser, rate, whole
from tests.benchmarks.report import (
    Measurement,
    as_json,
    comparison_table,
    machine,
    machine_line,
    verdict_table,
    verdicts,
)
from tests.benchmarks.turns import available, console, take_turns, tell_of_disturbance, title_of
from tests.benchmarks.workload import SHAPES


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    shapes = list(SHAPES) if "all" in options.shape else options.shape
    about = machine()
    console.print(machine_line(about))
    choices = kernel_choices(options.kernels)
    for kernels in choices:
        console.print(f"{kernels.name} kernels: {kernels.origin}")
    entries = available({name: CONTENDERS[name] for name in options.contenders})
    comparisons = []
    for kernels, shape, dropout in product(choices, shapes, options.dropout):
        title = f"{kernels.name} kernels, {shape}, dropout {dropout:g}"
        measured = take_turns(
            title, entries, SHAPES[shape], dropout, options.steps, options.rounds, kernels.environment
        )
        if measured:
            show(shape, dropout, measured, kernels.name)
            comparisons.append(as_json(shape, dropout, measured, kernels.name))
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "comparisons": comparisons}, indent=1))
        console.print(f"written to {options.json}")


def parse(arguments: list[str] | None) -> Namespace:
    parser = Parser("train_step", __doc__)
    parser.add_argument("--shape", nargs="+", default=["base"], choices=[*SHAPES, "all"])
    parser.add_argument("--dropout", nargs="+", type=rate, default=[0.0], help="rates, one comparison each")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument(
        "--kernels", nargs="+", choices=list(CHOICES), help="whose choice; by default two, where they differ"
    )
    parser.add_argument("--rounds", type=whole(), default=5)
    parser.add_argument(
        "--steps", type=whole(), help="in a turn; by default what fits in two seconds, but 5 at least"
    )
    parser.add_json()
    options = parser.parse_args(arguments)
    if WITHOUT_AVX512 in (options.kernels or ()) and not processor_has_avx2():
        parser.error(f"--kernels {WITHOUT_AVX512}: this processor is not known to have AVX2. Allowed: the others.")
    return options


def show(shape: str, dropout: float, measured: dict[str, Measurement], kernels: str) -> None:
    title = f"{kernels} kernels, {title_of(shape, SHAPES[shape], dropout)}"
    print_table(console, comparison_table(title, SHAPES[shape], measured))
    quiet = tell_of_disturbance(measured)
    found = verdicts(shape, measured, kernels)
    if found:
        print_table(console, verdict_table(found, quiet, f"Targets, {kernels} kernels"))


if __name__ == "__main__":
    main()
