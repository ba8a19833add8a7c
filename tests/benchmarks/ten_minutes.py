"""``python -m tests.benchmarks.ten_minutes``: how low the held-out loss gets in equal time, here and elsewhere.

minibert's default recipe and its ``+recipe=bert2018`` beside BERT and ModernBERT of ``transformers`` under its
``Trainer``: at the base sizes, ModernBERT also at those of minibert's default, each at the best of three learning
rates. First all take turns for their pace, seconds a step. Then each trains for as many steps as fit into the
minutes at its pace, with a schedule of that length, and the default also for a tenth of them (``--shares``). The
seconds of a curve are steps times pace. So other work on the machine during a training does not count; while the
pace is measured it does, and is told.

    python -m tests.benchmarks.ten_minutes --minutes 1

What is done is kept in ``--folder``; the same command goes on where it was stopped. What was measured with other
options, kernels, versions or code is not taken, and stays. ``--lab-book FOLDER`` also writes the table and the
figure into the README.md of that folder, between the two markers of the comparison. With minibert alone, those of
the scaling with time; with several seeds, those of the seeds; with no others but sparse ones, those of sparse
prediction:

    python -m tests.benchmarks.ten_minutes --minutes 60 --shares 1 1/6 1/60 --contenders minibert
    python -m tests.benchmarks.ten_minutes --seeds 3 --rates 2e-3 --shares 1/10 \\
        --contenders minibert "transformers ModernBERT"
    python -m tests.benchmarks.ten_minutes --contenders minibert "ModernBERT, sparse prediction" \\
        "ModernBERT, minibert's sizes, sparse prediction"
"""

import hashlib
import json
import statistics
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psutil
from rich.table import Table

from analysis.lab_book import markdown, write_between
from analysis.tables import Table as LabBookTable
from minibert.command_line.terminal import print_table
from minibert.config import config_hash, register
from minibert.errors import MinibertError
from minibert.files import replacing
from minibert.running.capacity import usable_cores
from minibert.running.plan import plan
from tests.benchmarks.options import (
    Parser,
    lab_book,
    measured_before,
    new_folder,
    one_line_errors,
    positive,
    share,
    whole,
)  # fmt: skip
from tests.benchmarks.trainings import Trained, Training, run
from tests.benchmarks.trainings.comparison import Curve, alone, best_rates, draw, first_below, own, summary
from tests.benchmarks.trainings.conditions import PEERS, conditions
from tests.benchmarks.turns import console
from tests.benchmarks.workload import physical_cores

WARM_UP, TURN = 4, 16
"""Steps of a turn off the clock, and in all"""
QUIET = 0.1
"""Share of the machine that other processes may take while the pace is measured"""
BEGIN = "<!-- {}: begin. By `python -m tests.benchmarks.ten_minutes`; changes in here are lost. -->"
END = "<!-- {}: end -->"
RATES, SEEDS = "Faint: the other rates. ", "Faint: the other seeds. "
FAINT = {"scaling": "", "comparison": RATES, "sparse": RATES, "seeds": SEEDS}
"""Part of the page -> what its figure shows faintly"""
CAPTION = "Dashed: shorter trainings of minibert, with schedules of their length."
CONTENDERS = {
    "minibert": Training("minibert", 0),
    "minibert bert2018": Training(
        "minibert", 0, words=("+recipe=bert2018", "model=base", "training.batch_size=32")
    ),
    "transformers BERT": Training("bert", 0),
    "transformers ModernBERT": Training("modernbert", 0),
    "ModernBERT, sparse prediction": Training("modernbert sparse", 0),
    "ModernBERT, minibert's sizes": Training("modernbert", 0, model=None),
    "ModernBERT, minibert's sizes, sparse prediction": Training("modernbert sparse", 0, model=None),
}


@one_line_errors()
def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    require_packages(options.contenders)
    options.folder.mkdir(parents=True, exist_ok=True)
    prepared = str(options.folder / "cache")
    contenders = {name: replace(CONTENDERS[name], cache=prepared) for name in options.contenders}
    paces = pace(contenders, options.folder / "pace.json", options.rounds)
    curves = []
    for name, training in contenders.items():
        shares = [float(share) for share in options.shares] if name == "minibert" else [1.0]
        rates = options.rates if training.kind != "minibert" else [0.0]
        for fraction in shares:
            for rate in rates:
                for seed in range(options.seeds):
                    steps = max(round(options.minutes * fraction * 60 / paces[name]), 1)
                    every = max(steps // options.points, 1)
                    wanted = replace(
                        training, steps=steps, every=every, learning_rate=rate, seed=seed, lanes=options.threads
                    )
                    title = f"{name}, {options.minutes * fraction:g} min" + (f", rate {rate:g}" if rate else "")
                    with console.status(f"{title}, seed {seed}: {steps} steps"):
                        trained = remembered(wanted, options.folder)
                    curves.append(Curve(name, fraction, rate, seed, paces[name], trained))
    by_itself = alone(curves)
    rows = summary(curves)
    title = f"Held-out loss after {options.minutes:g} minutes" + (
        "" if by_itself else ", and how soon minibert is there"
    )
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "trained" else "right")
    for row in rows:
        table.add_row(*row.values())
    print_table(console, table)
    target(curves)
    draw(curves, options.folder / "curves.png")
    console.print(f"written to {options.folder}: results.json, curves.png")
    store(options.folder / "results.json", [asdict(curve) for curve in curves])
    if options.lab_book:
        name = part_of_the_page(options)
        path = options.lab_book / "README.md"
        figure = f"![Held-out loss against seconds]({name}.png)"
        cells = tuple(tuple(row.values()) for row in rows)
        table = LabBookTable(title, tuple(rows[0]), cells, environment(curves))
        part = f"{markdown(table)}\n\n{figure}\n\n{FAINT[name]}{CAPTION}\n"
        write_between(path, path.read_text(encoding="utf-8"), BEGIN.format(name), END.format(name), part)
        draw(curves, options.lab_book / f"{name}.png")


def parse(arguments: Sequence[str] | None) -> Namespace:
    parser = Parser("ten_minutes", __doc__)
    parser.add_argument("--minutes", type=positive, default=10.0)
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--rates", nargs="+", type=positive, default=[1e-3, 2e-3, 4e-3], help="of the others")
    shares = "of the minutes, a training of minibert for each"
    parser.add_argument("--shares", nargs="+", type=share, default=[Fraction(1), Fraction(1, 10)], help=shares)
    parser.add_argument("--seeds", type=whole(), default=1, help="of every training")
    threads = "of a training, at most those of this machine; its pace is always that on all cores"
    parser.add_argument("--threads", type=whole(at_most=usable_cores()), default=physical_cores(), help=threads)
    parser.add_argument("--rounds", type=whole(), default=5, help="turns in which the pace is measured")
    parser.add_argument("--points", type=whole(), default=40, help="of a curve")
    parser.add_argument("--lab-book", type=lab_book, help="folder whose README.md has the markers")
    parser.add_argument("--folder", type=new_folder, default=Path("mlruns/ten_minutes"))
    options = parser.parse_args(arguments)
    name = part_of_the_page(options)
    parser.require_markers(options.lab_book, BEGIN.format(name), END.format(name))
    return options


def require_packages(contenders: Sequence[str]) -> None:
    lacking = [package for package in PEERS if find_spec(package) is None]
    if lacking and any(CONTENDERS[name].kind != "minibert" for name in contenders):
        raise MinibertError(
            f"{', '.join(lacking)}: not installed, and the models of transformers are trained with it. Do "
            f"pip install {' '.join(lacking)}, or compare minibert alone: --contenders minibert."
        )


def part_of_the_page(options: Namespace) -> str:
    """The name of the comparison, in its markers and of its figure."""
    others = set(options.contenders) - {"minibert"}
    if not others:
        return "scaling"
    if all("sparse" in name for name in others):
        return "sparse"
    return "seeds" if options.seeds > 1 else "comparison"


def pace(contenders: dict[str, Training], file: Path, rounds: int) -> dict[str, float]:
    """Seconds a step of each contender: medians over turns, or what an earlier call measured (:func:`identity`).

    Contenders that come later take turns with one that is known, and count by their ratio to it: a machine is not
    equally fast from day to day.
    """
    stored: dict[str, dict] = measured_before(file)
    turns = {name: replace(training, steps=TURN, every=0) for name, training in contenders.items()}
    keys = {name: f"{name}, {identity(turn)}" for name, turn in turns.items()}
    known = {
        name: entry
        for name, key in keys.items()
        if isinstance(entry := stored.get(key), dict) and {"seconds", "others"} <= set(entry)
    }
    missing = [name for name in contenders if name not in known]
    unit = next((name for name in contenders if missing and name in known), None)
    taking_turns = {name: turn for name, turn in turns.items() if name in (unit, *missing)}
    seconds: dict[str, list[float]] = {name: [] for name in taking_turns}
    others: dict[str, list[float]] = {name: [] for name in taking_turns}
    for number in range(rounds):
        for name, turn in taking_turns.items():
            with console.status(f"pace, round {number + 1} of {rounds}: {name}"):
                before = psutil.cpu_times_percent(interval=1.0)
                others[name].append(1 - before.idle / 100)
                seconds[name] += run(turn).seconds[WARM_UP:]
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    scale = known[unit]["seconds"] / medians[unit] if unit else 1.0
    measured_beside = max((share for shares in others.values() for share in shares), default=0.0)
    for name in missing:
        known[name] = {"seconds": scale * medians[name], "others": measured_beside}
    if missing:
        store(file, stored | {keys[name]: known[name] for name in missing})
    busiest = max(known[name]["others"] for name in contenders)
    if busiest > QUIET:
        console.print(f"not a quiet machine: up to {busiest:.0%} busy when the pace was measured", style="yellow")
    return {name: known[name]["seconds"] for name in contenders}


@cache
def recipe(own: bool, words: tuple[str, ...]) -> dict:
    """What the words of a minibert compose today; of a peer, what of minibert's settings it is trained with."""
    register()
    config = plan(list(words), multirun=False).jobs[0].config
    if own:
        return {"config": config_hash(config, "")}
    scored = config.evaluation.rate, config.evaluation.batch_size, config.evaluation.mask_seed
    parts = {"model": asdict(config.model), "data": asdict(config.data) | {"cache": ""}}
    return parts | {"evaluation": scored, "tokens": config.training.sequence_length}


def identity(training: Training) -> str:
    """Twelve digits that identify all that the numbers of a training depend on: settings and conditions."""
    own = training.kind == "minibert"
    words = training.words if own else (f"model={training.model}",) if training.model else ()
    about = asdict(training) | {"cache": "", "recipe": recipe(own, words)} | conditions(training.kind)
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]


def remembered(training: Training, folder: Path) -> Trained:
    """What the training gave, now or in an earlier call (:func:`identity`)."""
    about = asdict(training)
    named = [str(about[name]) for name in ("kind", "model", "steps", "learning_rate", "seed")]
    file = folder / f"{'-'.join([*named, identity(training)])}.json"
    if found := measured_before(file).get("trained"):
        return Trained(**found)
    trained = run(training)
    store(file, {"training": about, "conditions": conditions(training.kind), "trained": vars(trained)})
    return trained


def environment(curves: list[Curve]) -> str:
    """What was compared, from the records of the trainings."""
    own = [curve.trained.about for curve in curves if curve.trained.about.get("numpy")]
    peers = [curve.trained.about for curve in curves if curve.trained.about.get("torch")]
    parts = [f"Written on {datetime.now():%d %B %Y}"]
    if own:
        kernels = {library["architecture"] for library in own[0]["blas"] if "architecture" in library}
        parts.append(f"NumPy {own[0]['numpy']} on {', '.join(sorted(kernels))} kernels")
    if peers:
        parts.append(f"torch {peers[0]['torch']}, transformers {peers[0]['transformers']}")
    return "; ".join(parts) + ". Seconds are steps times the seconds a step of both cores, measured in turns."


def store(file: Path, content) -> None:
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(content))


def target(curves: list[Curve]) -> None:
    """The ratio in time to every other contender: its minutes over minibert's to the same loss, seed by seed."""
    for curve in best_rates(curves):
        soonest = first_below(own(curves, curve.seed), curve.final)
        loss = f"{curve.final:.3f} nats, {curve.final * curve.trained.bits_of_a_nat:.3f} bits a byte"
        if soonest is None:
            console.print(f"{curve.name}, seed {curve.seed}: minibert does not get to its {loss}")
        else:
            sooner = f"{curve.seconds[-1] / soonest:.1f} times sooner"
            console.print(f"{curve.name}, seed {curve.seed}: minibert gets {sooner} to its {loss}")


if __name__ == "__main__":
    main()
