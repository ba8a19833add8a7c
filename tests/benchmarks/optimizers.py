"""``python -m tests.benchmarks.optimizers``: what each optimizer's part of a step takes, beside ``torch.optim``.

From the gradient to new parameters, on the network's own parameters, float32, all cores. Both sides have the same
gradient, the same settings, and empty caches, as after a backward pass. Clipping is left out but for one row,
which has it with all that belongs to it. The optimizers take turns (:mod:`tests.benchmarks.turns`), and so does a
whole training step of minibert, of which each has its share.

    python -m tests.benchmarks.optimizers --optimizers adamw muon --json optimizers.json
"""

import json
from argparse import Namespace
from dataclasses import asdict
from importlib.util import find_spec

import numpy as np
from rich.table import Table

from minibert.command_line.terminal import print_table
from minibert.config.optimizers import LookaheadConfig
from tests.benchmarks.contenders import CONTENDERS, Entry
from tests.benchmarks.options import Parser, whole
from tests.benchmarks.report import (
    Measurement,
    machine,
    machine_line,
    measurement_as_json,
    median_and_range,
    ratios,
)
from tests.benchmarks.turns import available, console, take_turns, tell_of_disturbance, title_of
from tests.benchmarks.workload import SHAPES

CLIPPED = "adamw_clipped"
NAMES = ("adamw", "lion", "sgd", "sgd_nesterov", "lamb", "adafactor", "muon", "muon_short", "lookahead", CLIPPED)
IN_TORCH = ("adamw", "sgd", "sgd_nesterov", "adafactor", "muon", CLIPPED)
"""The others have no counterpart in ``torch.optim``"""
STEP, TORCH = "training step", "torch "
PERIOD = LookaheadConfig().period
"""Steps after which Lookahead's costs repeat"""


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    about, shape = machine(), SHAPES[options.shape]
    console.print(machine_line(about))
    entries = available(entries_of(options.optimizers))
    measured = take_turns("optimizers", entries, shape, 0.0, options.steps, options.rounds)
    print_table(console, table(title_of(options.shape, shape, 0.0), options.optimizers, measured))
    tell_of_disturbance(measured)
    if options.json:
        found = {"machine": about, "shape": options.shape, "sizes": asdict(shape)}
        found["optimizers"] = [as_json(name, measured) for name in options.optimizers if name in measured]
        found["contenders"] = [measurement_as_json(measurement) for measurement in measured.values()]
        options.json.write_text(json.dumps(found, indent=1))
        console.print(f"written to {options.json}")


def parse(arguments: list[str] | None) -> Namespace:
    parser = Parser("optimizers", __doc__)
    parser.add_argument("--shape", default="base", choices=list(SHAPES))
    parser.add_argument("--optimizers", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--rounds", type=whole(), default=5)
    steps = f"in a turn; multiples of {PERIOD}, Lookahead's period, suit it"
    parser.add_argument("--steps", type=whole(PERIOD), default=30, help=steps)
    parser.add_json()
    return parser.parse_args(arguments)


def entries_of(names: list[str]) -> dict[str, Entry]:
    """The training step, and every optimizer with its counterpart next to it."""
    entries = {STEP: CONTENDERS["minibert"]}
    for name in names:
        options = {"optimizer": name.removesuffix("_clipped"), "clipped": name == CLIPPED}
        entries[name] = Entry("optimizer_steps", "OptimizerStep", options=options)
        if name in IN_TORCH:
            entries[TORCH + name] = Entry("torch_optimizers", "TorchOptimizerStep", ("torch",), options=options)
    return entries


def typical(seconds: np.ndarray, period: int = PERIOD) -> float:
    """The mean, over the steps of a period, of the median of each: what a period does once has its share."""
    return float(np.mean([np.median(seconds[start::period]) for start in range(period)]))


def typical_of(measurement: Measurement) -> float:
    """Seconds of a step, the median of the rounds."""
    return float(np.median([typical(np.array(seconds)) for seconds in measurement.rounds]))


def share_of_step(optimizer: float, adamw: float, step: float) -> float:
    """Of a training step that has this optimizer in AdamW's place: t / (step - adamw + t), all in seconds."""
    return optimizer / (step - adamw + optimizer)


def share(name: str, measured: dict[str, Measurement]) -> float | None:
    """The optimizer's share of a training step; None where the step, or AdamW, was not measured."""
    in_step = CLIPPED if name == CLIPPED else "adamw"
    if STEP not in measured or in_step not in measured:
        return None
    return share_of_step(*(typical_of(measured[each]) for each in (name, in_step, STEP)))


def to_torch(name: str, measured: dict[str, Measurement]) -> np.ndarray | None:
    """minibert's time over torch's, round by round; None where there is no counterpart, or no torch."""
    if TORCH + name not in measured:
        return None
    return ratios(measured[name], measured[TORCH + name], typical)


def as_json(name: str, measured: dict[str, Measurement]) -> dict:
    by_round = to_torch(name, measured)
    return {
        "optimizer": name,
        "seconds": typical_of(measured[name]),
        "share_of_step": share(name, measured),
        "torch_seconds": None if by_round is None else typical_of(measured[TORCH + name]),
        "to_torch_by_round": None if by_round is None else list(by_round),
    }


def table(title: str, names: list[str], measured: dict[str, Measurement]) -> Table:
    rows = Table(title=title, title_justify="left", caption_justify="left")
    rows.add_column("optimizer")
    for column in ("ms", "10-90 %", "of a step", "torch ms", "10-90 %", "minibert / torch", "by round", "others"):
        rows.add_column(column, justify="right")
    for name in names:
        if name not in measured:
            continue
        ours, theirs = measured[name], measured.get(TORCH + name)
        of_step, by_round = share(name, measured), to_torch(name, measured)
        rows.add_row(
            name,
            *_milliseconds(ours),
            "" if of_step is None else f"{of_step:.1%}",
            *(_milliseconds(theirs) if theirs else (_absence(name), "")),
            *(("", "") if by_round is None else median_and_range(by_round)),
            f"{max(max(each.others) for each in (ours, theirs) if each):.0%}",
        )
    if STEP in measured:
        rows.add_section()
        rows.add_row(STEP, *_milliseconds(measured[STEP]), *[""] * 5, f"{max(measured[STEP].others):.0%}")
    rows.caption = (
        f"ms: with its share of what is done every {PERIOD} steps. Of a step: share of a training step that has "
        f"this optimizer in AdamW's place. {CLIPPED}: AdamW with the sum over lanes, which gives the norm, and "
        "with clipping; in torch, clip_grad_norm_ and AdamW. muon_short: polar_express, 4 iterations, heads apart."
        " torch: AdamW and SGD fused, Adafactor as by default, "
        "Muon for the same matrices as minibert's, in bfloat16, with fused AdamW for the rest. Others: most that "
        "other processes took of the machine in a turn."
    )
    return rows


def _milliseconds(measurement: Measurement) -> tuple[str, str]:
    low, _, high = measurement.quantiles
    return f"{1000 * typical_of(measurement):.2f}", f"{low:.1f}-{high:.1f}"


def _absence(name: str) -> str:
    if name not in IN_TORCH:
        return "has none"
    return "not measured" if find_spec("torch") else "not installed"


if __name__ == "__main__":
    main()
