"""``python -m tests.benchmarks.candidates``: the default with one thing changed, in equal processor time.

Each candidate takes as many steps as the processor time of ``--steps`` steps of the default allows. What a step of
it costs is measured beside a step of the default, in turns, with one lane and by the clock of the process, so that
other work on the machine hardly counts. Then it is trained as ``python -m minibert.run`` does, with seed 0, and
scored on the development half of the held-out documents. A candidate that the store has finished is not trained
again. With ``--lab-book`` the tables are made from the store, each final network scored once more with [MASK] at
every predicted token.

    python -m tests.benchmarks.candidates
    python -m tests.benchmarks.candidates --steps 10132 --only "the default" "one layer of 96"
    python -m tests.benchmarks.candidates --only --lab-book experiments/ten_minutes
"""

import json
import math
import re
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.lab_book import markdown, write_between
from analysis.tables import Table
from minibert.config import register
from minibert.data.batches import batches_of
from minibert.data.masking import UniformMasking
from minibert.data.packing import documents_part
from minibert.data.prepared import prepare_data
from minibert.evaluation.intrinsic.held_out import evaluate
from minibert.files import replacing
from minibert.randomness import generator
from minibert.running.assembly import build_diagnostics, build_trainer
from minibert.running.plan import plan
from minibert.serving.loading import load_run
from minibert.tracking.overview import recorded_runs
from minibert.tracking.status import Status
from minibert.tracking.tables import RunRow, look_at_store
from minibert.training.lanes import Lanes
from minibert.training.trainer import Trainer
from tests.benchmarks.options import Parser, lab_book, new_folder, one_line_errors, whole

DEFAULT = "the default"
MINUTE = 1031
"""Steps of the default in one minute of two cores, in the earlier lists of the page"""
PLACES, TURN = 4, 5
"""Places of the run, evenly spread, at which the cost of a step is measured; steps of a turn, the first off the
clock"""
CANDIDATES: dict[str, tuple[str, ...]] = {
    DEFAULT: (),
    "short rows of 16 for half of the steps": ("curriculum=short_rows",),
    "short rows of 8": ("curriculum=short_rows", "curriculum.sequence_length=8"),
    "short rows of 32": ("curriculum=short_rows", "curriculum.sequence_length=32"),
    "short rows of 16 for a quarter of the steps": ("curriculum=short_rows", "curriculum.share=0.25"),
    "only [MASK], no 10/10": ("masking.mask=1", "masking.random=0"),
    "AdamW 1.5e-3": ("optimizer=adamw", "optimizer.learning_rate=1.5e-3"),
    "AdamW 3e-3": ("optimizer=adamw", "optimizer.learning_rate=3e-3"),
    "AdamW 6e-3": ("optimizer=adamw", "optimizer.learning_rate=6e-3"),
    "AdamW 12e-3": ("optimizer=adamw", "optimizer.learning_rate=12e-3"),
    "AdamW 24e-3": ("optimizer=adamw", "optimizer.learning_rate=24e-3"),
    "a vocabulary of 4,096": ("model.vocab_size=4096",),
    "a vocabulary of 16,384": ("model.vocab_size=16384",),
    "rows of one document, padded": ("data.packed=false",),
    "the mean of the last tenth of the weights": ("averaging=last",),
    "ALiBi": ("position=alibi",),
    "relative biases": ("position=relative_bias",),
    "whole words masked": ("masking=whole_word",),
    "spans masked": ("masking=span",),
    "RMS norms": ("norm=pre_rms",),
    "Lion 6e-4": ("optimizer=lion", "optimizer.learning_rate=6e-4"),
    "Lion 1.2e-3": ("optimizer=lion", "optimizer.learning_rate=1.2e-3"),
    "LAMB 1e-2": ("optimizer=lamb", "optimizer.learning_rate=1e-2"),
    "LAMB 3e-2": ("optimizer=lamb", "optimizer.learning_rate=3e-2"),
    "Adafactor 2e-2": ("optimizer=adafactor", "optimizer.learning_rate=2e-2"),
    "Adafactor 6e-2": ("optimizer=adafactor", "optimizer.learning_rate=6e-2"),
    "norms after each sum": ("norm=post",),
    "one layer of 96": ("model.hidden_size=96", "model.feed_forward_size=384"),
    "one layer of 192": ("model.hidden_size=192", "model.feed_forward_size=768"),
    "128 rows": ("training.batch_size=128",),
    "the default, seed 1": ("seed=1",),
}
"""What is changed -> the words that change it"""
COLUMNS = ("candidate", "cost of a step", "steps", "nats", "bits a byte", "to the default", "nats, all masked")
BEGIN = "<!-- candidates: begin. By `python -m tests.benchmarks.candidates`; changes in here are lost. -->"
END = "<!-- candidates: end -->"
NOTE = (
    "Cost: processor time of a step, the default's is 1. One seed each; the development half. Nats are of a "
    "masked token, and compare within one vocabulary only. Last column: the same tokens predicted, with a mask in "
    "place of each of them, so that none is shown as itself or as another word."
)


@one_line_errors()
def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    register()
    store = [f"tracking.folder={options.folder}", "tracking.progress=false"]
    costs = measured_costs(options.only, options.folder / "costs.json", store)
    for title in options.only:
        steps = max(round(options.steps / costs[title]), 1)
        words = [*CANDIDATES[title], *store, f"training.steps={steps}", *settings(steps)]
        name = f"tracking.run_name='{run_name(title, options.steps)}'"
        print(f"{time.strftime('%H:%M:%S')} {title}: {steps} steps", flush=True)
        subprocess.run([sys.executable, "-m", "minibert.run", *words, name], stdout=subprocess.DEVNULL)
    if options.lab_book:
        runs = recorded_runs(look_at_store(None, options.folder, "minibert"))
        path = options.lab_book / "README.md"
        scored = {
            run.id: loss_behind_masks(run.id, options.folder) for run in runs if run.status == Status.FINISHED
        }
        part = "\n".join(markdown(table) + "\n" for table in tables(runs, costs, scored))
        write_between(path, path.read_text(encoding="utf-8"), BEGIN, END, part)


def parse(arguments: Sequence[str] | None) -> Namespace:
    parser = Parser("candidates", __doc__)
    parser.add_argument(
        "--steps", type=whole(), default=MINUTE, help="of the default; all have its processor time"
    )
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=list(CANDIDATES), metavar="NAME")
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


def run_name(title: str, budget: int) -> str:
    """What the run of a candidate is called: in a store, each name is of one candidate and one processor time."""
    plain = re.sub(r"[^\w ,.-]", "", title)
    return f"{plain} in {budget} steps of the default"


def measured_costs(titles: Sequence[str], file: Path, words: list[str]) -> dict[str, float]:
    """Candidate -> processor time of a step, in that of the default; measured now, or in an earlier call."""
    costs: dict[str, float] = json.loads(file.read_text()) if file.exists() else {DEFAULT: 1.0}
    missing = [title for title in titles if title not in costs]
    if not missing:
        return costs
    with prepared((), words) as default:
        for title in missing:
            with prepared(CANDIDATES[title], words) as candidate:
                found = [
                    (seconds_of_a_step(candidate, place), seconds_of_a_step(default, place))
                    for place in range(PLACES)
                ]
            own, beside = (statistics.fmean(seconds) for seconds in zip(*found, strict=True))
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


def tables(runs: Sequence[RunRow], costs: dict[str, float], scored: dict[str, float]) -> list[Table]:
    """A table for every processor time that a run of the default has finished in. ``scored``: run id -> loss."""
    named = {run.name: run for run in sorted(runs, key=lambda run: run.started)}
    ending = run_name("", 0).partition("0")[2]
    begun = run_name(DEFAULT, 0).partition("0")[0]
    budgets = {
        int(name.removeprefix(begun).removesuffix(ending))
        for name, run in named.items()
        if name.startswith(begun) and run.status == Status.FINISHED
    }
    return [table(budget, named, costs, scored) for budget in sorted(budgets)]


def table(budget: int, named: dict[str, RunRow], costs: dict[str, float], scored: dict[str, float]) -> Table:
    """The candidates that were trained in as much processor time as ``budget`` steps of the default take."""
    baseline = named[run_name(DEFAULT, budget)].metrics["eval/bits_per_byte"]
    rows, found = [], []
    for title in CANDIDATES:
        run = named.get(run_name(title, budget))
        if run is None or run.status == Status.RUNNING:
            continue
        found.append(run)
        about = (title, f"{costs[title]:.2f}", f"{int(run.parameters['training.steps']):,}")
        if run.status != Status.FINISHED:
            rows.append((*about, "did not end", "", "", ""))
            continue
        nats, bits = run.metrics["eval/loss"], run.metrics["eval/bits_per_byte"]
        to_default = "" if title == DEFAULT else f"{bits - baseline:+.3f}".replace("-", "−")
        rows.append((*about, f"{nats:.3f}", f"{bits:.3f}", to_default, f"{scored[run.id]:.3f}"))
    title = f"In the processor time of {budget:,} steps of the default"
    under = {(run.tags["version.numpy"], run.tags["kernel.name"]) for run in found}
    where = " and ".join(f"NumPy {numpy} on {kernel} kernels" for numpy, kernel in sorted(under))
    return Table(title, COLUMNS, tuple(rows), f"{NOTE} {where}.")


if __name__ == "__main__":
    main()
