"""A large store:  python -m tests.benchmarks.store

Makes a SQLite store with a sweep of 1,000 finished runs of 300 metrics, and measures the processor time of the
list of sweeps, of reading the runs, of MLflow's own search, and of the report.
"""

import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path

from analysis.report import write_report
from analysis.runs import load
from minibert.tracking import Store, open_store, open_sweep
from minibert.tracking.databases import open_to_write
from minibert.tracking.sweeps import member_tag, search
from tests.benchmarks.options import Parser, whole

RATES, OPTIMIZERS = ("0.15", "0.25", "0.4", "0.6", "0.8"), ("adamw", "lion")
EVALUATED = ("eval/loss", "eval/masked_accuracy", "eval/perplexity", "tokens_seen", "tokens_predicted", "seconds")
EVALUATIONS, SETTINGS, TAGS = 20, 100, 40
LIMITS = {"sweeps list": 1.0, "analysis.runs.load": 5.0, "report": 30.0}
"""What is measured -> most seconds of processor time"""
STARTED = 1_700_000_000_000


def fill(store: Store, runs: int, metrics: int) -> str:
    """Plant a sweep of finished runs, by SQL. Returns its name."""
    seeds = range(-(-runs // (len(RATES) * len(OPTIMIZERS))))
    grid = list(product(RATES, OPTIMIZERS, seeds))[:runs]
    names = [f"masking {rate} · {option} · seed {seed}" for rate, option, seed in grid]
    planned = {f"{number:064x}": name for number, name in enumerate(names)}
    keys = {"keys": ["masking.rate", "optimizer", "seed"], "first": {"masking.rate": "0.15", "optimizer": "adamw"}}
    sweep = open_sweep(store, "large", "5eed" * 16, planned, {}, {"sweep": keys})
    member = member_tag(sweep.sweep_hash)
    others = [f"quantity/part_{number}" for number in range(metrics - len(EVALUATED))]
    assert store.database is not None
    with closing(open_to_write(store.database)) as connection:
        connection.execute("BEGIN")
        for number, (run_hash, (rate, option, seed)) in enumerate(zip(planned, grid, strict=True)):
            parameters = {
                "masking.rate": rate,
                "optimizer.name": option,
                "seed": str(seed),
                "seeds.init": f"7{seed}",
            }
            parameters |= {f"model.setting_{place}": str(place) for place in range(SETTINGS)}
            tags = {"minibert.kind": "run", "minibert.config_hash": run_hash, member: planned[run_hash]}
            tags |= {"choice.optimizer": option} | {f"version.package_{place}": "1.0" for place in range(TAGS)}
            points = list(_points(others, float(rate), option, seed))
            _insert(connection, store, number, parameters, tags, points)
        connection.execute("COMMIT")
    sweep.finish("FINISHED")
    return "large"


def _insert(
    connection: sqlite3.Connection, store: Store, number: int, parameters: dict, tags: dict, points: list
) -> None:
    run_id = f"{number:032x}"
    address = (store.folder / "artifacts" / run_id / "artifacts").as_uri()
    times = STARTED + number, STARTED + number + 60_000
    connection.execute(
        "INSERT INTO runs (run_uuid, name, status, start_time, end_time, lifecycle_stage, artifact_uri, "
        "experiment_id, source_type, source_name, entry_point_name, user_id, source_version) "
        "VALUES (?, ?, 'FINISHED', ?, ?, 'active', ?, ?, 'LOCAL', '', '', '', '')",
        (run_id, f"run {number}", *times, address, int(store.experiment_id)),
    )
    for table, texts in (("params", parameters), ("tags", tags)):
        connection.executemany(f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)", _of(run_id, texts))
    last = {key: (key, value, step) for key, value, step in points}
    for table, those in (("metrics", points), ("latest_metrics", last.values())):
        connection.executemany(
            f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
            ((key, value, STARTED + step, run_id, step) for key, value, step in those),
        )


def _of(run_id: str, texts: dict[str, str]) -> Iterable[tuple[str, str, str]]:
    return ((key, value, run_id) for key, value in texts.items())


def _points(others: list[str], rate: float, option: str, seed: int) -> Iterable[tuple[str, float, int]]:
    for number in range(EVALUATIONS):
        step, left = 50 * number, 1 - number / EVALUATIONS
        loss = 5.0 + 2 * left + 0.1 * rate + 0.05 * (option == "lion") + 0.01 * ((seed * 37) % 11)
        values = (loss, 0.5 - loss / 20, 2.0**loss, 1e3 * step, 150.0 * step, step / 10)
        yield from ((key, value, step) for key, value in zip(EVALUATED, values, strict=True))
    yield from ((key, 0.5 + seed / 1000, 50 * EVALUATIONS) for key in others)


def seconds_of(task: Callable[[], object]) -> float:
    """Processor time of this process and of those that it started and waited for."""

    def spent() -> float:
        children_of_it = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children_of_it.ru_utime + children_of_it.ru_stime

    before = spent()
    task()
    return spent() - before


def measure(store: Store, name: str) -> dict[str, float]:
    """What is measured -> seconds of processor time."""

    def listed() -> None:
        words = [sys.executable, "-m", "minibert.sweeps", "list", f"tracking.folder={store.folder}"]
        subprocess.run(words, check=True, capture_output=True)

    def loaded() -> None:
        load(name, folder=str(store.folder))

    def searched() -> None:
        search(store, "tags.`minibert.kind` = 'run'")

    tasks = {"sweeps list": listed, "analysis.runs.load": loaded, "report": lambda: write_report(store, name)}
    return {what: seconds_of(task) for what, task in {**tasks, "MLflow's own search_runs": searched}.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was measured. Returns the exit code: 1 if a limit is exceeded."""
    parser = Parser("store", __doc__)
    parser.add_argument("--runs", type=whole(), default=1000)
    parser.add_argument("--metrics", type=whole(len(EVALUATED)), default=300)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(None, Path(folder), "minibert")
        name = fill(store, asked.runs, asked.metrics)
        print(f"{asked.runs} runs of {asked.metrics} metrics; seconds of processor time:")
        measured = measure(store, name)
    for what, seconds in measured.items():
        limit = LIMITS.get(what)
        print(f"  {what:<26}{seconds:7.2f}" + (f"   (limit {limit:g})" if limit else ""))
    return int(any(measured[what] > limit for what, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
