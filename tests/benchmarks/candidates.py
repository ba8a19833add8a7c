"""``python -m tests.benchmarks.candidates``: the default with one thing changed, in equal processor time.

Each candidate takes as many steps as the processor time of ``--steps`` steps of the default allows. What a step of
it costs is measured beside a step of the default, in turns, with one lane and by the clock of the process, so that
other work on the machine hardly counts. Then it is trained at each of its learning rates, as ``python -m
minibert.run`` does, with seed 0, and scored on the development half of the held-out documents. What the store has
finished is not trained again. With ``--lab-book`` the tables are made from the store, the best network of each
candidate scored once more with [MASK] at every predicted token.

    python -m tests.benchmarks.candidates
    python -m tests.benchmarks.candidates --steps 10132 --factors 1 --only "the default" "one layer of 96"
    python -m tests.benchmarks.candidates --only --lab-book experiments/ten_minutes
"""

import json
import math
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.lab_book import markdown, write_between
from minibert.config import register
from minibert.data.batches import batches_of
from minibert.data.masking import UniformMasking
from minibert.data.packing import documents_part
from minibert.data.prepared import prepare_data
from minibert.errors import MinibertError
from minibert.evaluation.intrinsic.held_out import evaluate
from minibert.files import replacing
from minibert.randomness import generator
from minibert.running.assembly import build_diagnostics, build_trainer
from minibert.running.plan import plan
from minibert.serving.loading import load_run
from minibert.tracking.overview import recorded_runs
from minibert.tracking.tables import look_at_store
from minibert.training.lanes import Lanes
from minibert.training.trainer import Trainer
from tests.benchmarks.candidate_list import CANDIDATES, DEFAULT, OPTIMIZERS
from tests.benchmarks.candidate_tables import run_name, tables
from tests.benchmarks.options import Parser, lab_book, measured_before, new_folder, one_line_errors, whole

MINUTE = 1031
"""Steps of the default in one minute of two cores, in the earlier lists of the page"""
PLACES, ROUNDS, TURN = 4, 3, 5
"""Places of the run, evenly spread, at which the cost of a step is measured; turns at each; steps of a turn, the
first off the clock"""
BEGIN = "<!-- candidates: begin. By `python -m tests.benchmarks.candidates`; changes in here are lost. -->"
END = "<!-- candidates: end -->"


@one_line_errors()
def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    register()
    store = [f"tracking.folder={options.folder}", "tracking.progress=false"]
    costs = measured_costs(options.only, options.folder / "costs.json", store)
    not_finished = []
    for title in options.only:
        steps = max(round(options.steps / costs[title]), 1)
        for factor in CANDIDATES[title].factors:
            if factor not in options.factors:
                continue
            words = [*CANDIDATES[title].at(factor), *store, f"training.steps={steps}", *settings(steps)]
            name = run_name(title, options.steps, factor)
            print(f"{time.strftime('%H:%M:%S')} {name}: {steps} steps", flush=True)
            training = [sys.executable, "-m", "minibert.run", *words, f"tracking.run_name='{name}'"]
            ended = subprocess.run(training, stdout=subprocess.DEVNULL)
            if ended.returncode:
                not_finished.append(name)
                print(f"{name}: ended with exit code {ended.returncode}", flush=True)
    if options.lab_book:
        runs = recorded_runs(look_at_store(None, options.folder, "minibert"))
        path = options.lab_book / "README.md"
        found = tables(runs, costs, lambda run_id: loss_behind_masks(run_id, options.folder))
        if not found:
            raise MinibertError(
                f"{options.folder}: has no finished run of {DEFAULT}, beside which all others stand, so {path} "
                f"stays as it is. Train it: --only '{DEFAULT}'."
            )
        part = "\n".join(markdown(table) + "\n" for table in found)
        write_between(path, path.read_text(encoding="utf-8"), BEGIN, END, part)
    if not_finished:
        raise MinibertError(f"{len(not_finished)} trainings did not finish: {'; '.join(not_finished)}.")


def parse(arguments: Sequence[str] | None) -> Namespace:
    parser = Parser("candidates", __doc__)
    parser.add_argument(
        "--steps", type=whole(), default=MINUTE, help="of the default; all have its processor time"
    )
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=list(CANDIDATES), metavar="NAME")
    every = "times each candidate's learning rate, of those it has"
    parser.add_argument("--factors", nargs="+", type=float, default=OPTIMIZERS, choices=OPTIMIZERS, help=every)
    parser.add_argument("--lab-book", type=lab_book, help="folder whose README.md has the markers")
    parser.add_argument("--folder", type=new_folder, default=Path("mlruns/candidates"))
    options = parser.parse_args(arguments)
    parser.require_markers(options.lab_book, BEGIN, END)
    return options


def settings(steps: int) -> list[str]:
    """The words that all trainings share."""
    return [
        "training.lanes=1", "evaluation.documents=development", "evaluation.sequences=100000",
        f"evaluation.every={math.ceil(steps / 10)}", "evaluation.intrinsic.enabled=false", "diagnostics=off",
        "training.checkpoints_per_doubling=0", f"training.checkpoint_every={steps}",
    ]  # fmt: skip


def measured_costs(titles: Sequence[str], file: Path, words: list[str]) -> dict[str, float]:
    """Candidate -> processor time of a step, in that of the default; measured now, or in an earlier call."""
    costs: dict[str, float] = measured_before(file) or {DEFAULT: 1.0}
    if wrong := [title for title, cost in costs.items() if not (isinstance(cost, float) and cost > 0)]:
        raise MinibertError(f"{file}: {wrong[0]} has the cost {costs[wrong[0]]!r}. Allowed: a number above 0.")
    costs |= {title: 1.0 for title, candidate in CANDIDATES.items() if candidate.same_step}
    missing = [title for title in titles if title not in costs]
    if not missing:
        return costs
    with prepared((), words) as default:
        for title in missing:
            with prepared(CANDIDATES[title].words, words) as candidate:
                own, beside = seconds_of_steps(candidate, default)
            costs[title] = own / beside
            print(f"{title}: {1e3 * own:.1f} ms beside {1e3 * beside:.1f}", flush=True)
            with replacing(file) as temporary:
                temporary.write_text(json.dumps(costs))
    return costs


def prepared(changed: Sequence[str], words: Sequence[str]) -> Trainer:
    """A trainer of the default with something changed, with one lane."""
    words = [*changed, *words, f"training.steps={MINUTE}", "training.lanes=1", "diagnostics=off"]
    config = plan(words, multirun=False).jobs[0].config
    data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length)
    return build_trainer(config, data, build_diagnostics(config, (), None))


def seconds_of_steps(one: Trainer, other: Trainer) -> tuple[float, float]:
    """What a step of each takes, in turns: the mean over places of the fastest turn, which is disturbed least."""
    found = [
        [(seconds_of_a_step(one, place), seconds_of_a_step(other, place)) for _ in range(ROUNDS)]
        for place in range(PLACES)
    ]
    fastest = [[min(seconds) for seconds in zip(*turns, strict=True)] for turns in found]
    return statistics.fmean(own for own, _ in fastest), statistics.fmean(beside for _, beside in fastest)


def seconds_of_a_step(trainer: Trainer, place: int) -> float:
    """Processor time: the median of a turn after ``place`` of :data:`PLACES` equal parts of the run."""
    trainer.progress.step = place * trainer.config.training.steps // PLACES
    taken = []
    for _ in range(TURN):
        started = time.process_time()
        trainer.step()
        taken.append(time.process_time() - started)
    return statistics.median(taken[1:])


def loss_behind_masks(run_id: str, folder: Path) -> float:
    """Held-out loss in nats with the tokens of the frozen masks predicted, and [MASK] at every one of them."""
    loaded = load_run(run_id, folder=folder)
    config, asked = loaded.config, loaded.config.evaluation
    data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length)
    rows = documents_part(data.evaluation, asked.documents)
    masking = UniformMasking(loaded.tokenizer.get_vocab_size(), asked.rate, asked.rate, mask=1.0, random=0.0)

    def draws(index: int) -> np.random.Generator:
        return generator(asked.mask_seed, index)

    with Lanes(loaded.model, 1) as lanes:
        return evaluate(lanes, batches_of(rows, np.arange(len(rows)), masking, asked.batch_size, draws))["loss"]


if __name__ == "__main__":
    main()
