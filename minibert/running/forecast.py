"""What a command would do: the runs that it would train, and the time and disk that these would take.

Nothing is trained and nothing is written. The text is read, because a run is known by its content too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from minibert.command_line.terminal import print_table
from minibert.config import Config, config_hash
from minibert.data.corpora import load_corpus
from minibert.errors import MinibertError
from minibert.running.capacity import fit
from minibert.running.estimate import seconds_as_text
from minibert.running.naming import run_name
from minibert.running.plan import Plan
from minibert.running.progress import Display
from minibert.running.sweep_commands import size_as_text
from minibert.tracking.addresses import local_path
from minibert.tracking.consumption import seconds_taken
from minibert.tracking.lookup import short_id
from minibert.tracking.models import CODE
from minibert.tracking.overview import recorded_runs
from minibert.tracking.processes import is_alive
from minibert.tracking.records import flatten
from minibert.tracking.status import Status
from minibert.tracking.store import Store
from minibert.tracking.tables import RunRow, look_at_store

SIZE = (
    "model.hidden_size", "model.layers", "model.heads", "model.feed_forward_size", "model.vocab_size",
    "training.batch_size", "training.sequence_length", "training.lanes",
)  # fmt: skip
"""Settings that decide what a step costs; runs that share them are compared"""
MOST_MEASURED = 20
"""Runs, the newest ones, whose files are counted"""


@dataclass(frozen=True)
class Cost:
    """What a run of one size took in the store."""

    seconds_per_step: float
    seconds_besides: float
    """Preparing, evaluation, diagnostics and figures"""
    bytes: float
    """Of its artifacts, as far as they are on this machine; files that runs share count by their share"""
    runs: int

    def seconds(self, steps: int) -> float:
        return self.seconds_per_step * steps + self.seconds_besides


@dataclass(frozen=True)
class Expected:
    """One run of the plan."""

    name: str
    state: str
    is_trained: bool
    steps: int
    """Left to train"""
    cost: Cost | None


def foresee(planned: Plan, display: Display) -> int:
    """Print what the command would do. Returns the exit code."""
    recorded, store = [], None
    tracking = planned.jobs[0].config.tracking
    try:
        store = look_at_store(tracking.uri, tracking.folder, tracking.experiment)
        recorded = recorded_runs(store)
    except MinibertError as error:
        display.note(f"No earlier runs are known: {error}")
    expected = _expected(planned, store, recorded)
    table = Table(title="Plan", title_justify="left")
    for column in ("run", "state", "time"):
        table.add_column(column, justify="right" if column == "time" else "left")
    for each in expected:
        time = seconds_as_text(each.cost.seconds(each.steps)) if each.cost and each.is_trained else ""
        table.add_row(each.name, each.state, time)
    print_table(display.console, table)
    processes = fit(planned)[1] if planned.sweep else 1
    for sentence in summary(expected, processes):
        display.console.print(sentence)
    return 0


def summary(expected: Sequence[Expected], processes: int = 1) -> list[str]:
    """How many runs are to be trained, and what that takes if so many are trained at once."""
    left = [each for each in expected if each.is_trained]
    known = [each for each in left if each.cost is not None]
    sentences = [f"{_runs(len(expected))}, {len(left)} of them to be trained."]
    if not left:
        return sentences
    if not known:
        return [*sentences, "The store knows no finished run of this size and as many threads: no estimate."]
    processes = min(processes, len(left))
    seconds = sum(each.cost.seconds(each.steps) for each in known if each.cost) / processes
    at_once = "one run after the other" if processes == 1 else f"{processes} runs at a time"
    size = sum(each.cost.bytes for each in known if each.cost)
    earlier = max(each.cost.runs for each in known if each.cost)
    sentences.append(
        f"About {seconds_as_text(seconds)}, {at_once}, and {size_as_text(size)} of disk, "
        f"from {earlier} earlier {'run' if earlier == 1 else 'runs'} of the same size and as many threads."
    )
    if unknown := len(left) - len(known):
        sizes = "a size" if unknown == 1 else "sizes"
        sentences.append(f"{_runs(unknown)} of {sizes} that the store does not know: not in this.")
    return sentences


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def costs(recorded: Sequence[RunRow]) -> dict[tuple, Cost]:
    """Size -> what the finished runs of it took: medians over these runs."""
    of_size: dict[tuple, list[RunRow]] = {}
    for run in recorded:
        if run.status == Status.FINISHED and run.ended and "seconds" in run.metrics and run.step > 0:
            of_size.setdefault(_size(run.parameters), []).append(run)
    found = {}
    for size, runs in of_size.items():
        newest = sorted(runs, key=lambda run: run.started)[-MOST_MEASURED:]
        besides = [each for run in runs if (each := _besides(run)) is not None]
        found[size] = Cost(
            seconds_per_step=median(run.metrics["seconds"] / run.step for run in runs),
            seconds_besides=median(besides or [0.0]),
            bytes=median(_bytes(run) for run in newest),
            runs=len(runs),
        )
    return found


def _expected(planned: Plan, store: Store | None, recorded: Sequence[RunRow]) -> list[Expected]:
    newest: dict[str, RunRow] = {}
    for run in sorted(recorded, key=lambda run: (run.status == Status.FINISHED, run.started)):
        newest[run.tags["minibert.config_hash"]] = run
    known, texts, found = costs(recorded), {}, {}
    for job in planned.jobs:
        config = job.config
        text = repr(config.data)
        if text not in texts:
            texts[text] = load_corpus(config.data).content_hash
        key = config_hash(config, texts[text])
        cost = known.get(_size(flatten(asdict(config))))
        run = None if config.tracking.rerun else newest.get(key)
        found[key] = _foreseen(run_name(config, job.choices, planned.keys), config, run, store, cost)
    return list(found.values())


def _foreseen(name: str, config: Config, run: RunRow | None, store: Store | None, cost: Cost | None) -> Expected:
    """What becomes of one run. ``run``: the recorded run of this configuration that counts, if there is one."""
    steps = config.training.steps
    if run is None or store is None:
        return Expected(name, "to be trained", True, steps, cost)
    if run.status == Status.FINISHED:
        return Expected(name, f"found finished, run {short_id(run.id)}", False, 0, cost)
    if run.status == Status.RUNNING and is_alive(run.tags):
        return Expected(name, f"is being trained, run {short_id(run.id)}", False, 0, cost)
    if (store.work / run.id / "resume.safetensors").exists():
        state = f"continues near step {max(run.step, 0)}, run {short_id(run.id)}"
        return Expected(name, state, True, max(steps - max(run.step, 0), 0), cost)
    return Expected(name, f"begins again, run {short_id(run.id)} left no checkpoint", True, steps, cost)


def _size(parameters: Mapping[str, str]) -> tuple:
    return tuple(parameters.get(key) for key in SIZE)


def _besides(run: RunRow) -> float | None:
    taken = seconds_taken(run.tags, run.started, run.ended)
    return None if taken is None else max(taken - run.metrics["seconds"], 0)


def _bytes(run: RunRow) -> float:
    folder: Path | None = local_path(run.address)
    if folder is None or not folder.is_dir():
        return 0.0
    counted: dict[tuple[int, int], float] = {}  # a file of the run that has several places counts once
    for path in filter(Path.is_file, folder.rglob("*")):
        state = path.stat()
        places = state.st_nlink if CODE in path.relative_to(folder).parts else 1
        counted[state.st_dev, state.st_ino] = state.st_size / places
    return sum(counted.values())
