"""``python -m tests.benchmarks.cluster``: what a server and a cluster cost, on this machine alone.

Starts PostgreSQL, an MLflow server over it, and two machines of Ray on loopback. Measures points a second that
one process and four processes store, and seconds a run of the same sweep by each launcher. On the clock of a sweep
is the whole command; the prepared data are there before, and no instrument is asked. It needs the extras ray,
slurm and server.

    python -m tests.benchmarks.cluster --steps 300 --seeds 8
"""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import psutil
from rich.table import Table

from minibert.command_line.terminal import open_console, print_table
from minibert.tracking import open_store
from tests.benchmarks.options import Parser, whole
from tests.benchmarks.report import machine, machine_line
from tests.benchmarks.worker import busy_seconds
from tests.support.services import RayMachines, mlflow_server, postgres

BATCH, BATCHES = 1000, 20
"""Points of a call, which is the most that MLflow takes, and calls of a process"""
WRITERS = (1, 4)
EXPERIMENT = "minibert"
console = open_console()


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that no server is left running
    console.print(machine_line(machine()))
    folder = Path(tempfile.mkdtemp(prefix="mb_"))
    folder.chmod(0o755)
    ray = RayMachines(folder / "ray")
    ray.folder.mkdir()
    try:
        with (
            postgres(folder / "postgres") as database,
            mlflow_server(database, folder) as server,
        ):
            print_table(console, points(server, folder))
            for name in ("first", "second"):
                ray.add(name, cpus=1)
            print_table(console, sweeps(options, server, ray.address, folder))
    finally:
        ray.close()
        shutil.rmtree(folder, ignore_errors=True)


def parse(arguments: Sequence[str] | None) -> Namespace:
    parser = Parser("cluster", __doc__)
    parser.add_argument("--steps", type=whole(), default=300, help="of each run, of the model tiny")
    parser.add_argument("--seeds", type=whole(), default=8, help="runs of a sweep")
    return parser.parse_args(arguments)


def points(server: str, folder: Path) -> Table:
    """Points a second into a SQLite file, and through the server into PostgreSQL."""
    table = Table(title=f"Points, {BATCH} a call", title_justify="left")
    for column in ("store", *(f"{count} writing: points a second" for count in WRITERS), "ms a call, one writing"):
        table.add_column(column, justify="left" if column == "store" else "right")
    for name, uri in (("SQLite, one file", None), ("server over PostgreSQL", server)):
        seconds = [write(uri, folder / "points", count) for count in WRITERS]
        rates = [count * BATCH * BATCHES / each for count, each in zip(WRITERS, seconds, strict=True)]
        table.add_row(name, *(f"{rate:,.0f}" for rate in rates), f"{1000 * seconds[0] / BATCHES:.0f}")
    return table


def write(uri: str | None, folder: Path, writers: int) -> float:
    """Seconds in which so many processes store their points at once, each in a run of its own."""
    store = open_store(uri, folder, "points")
    runs = [store.client.create_run(store.experiment_id).info.run_id for _ in range(writers)]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(writers + 1)
    processes = [context.Process(target=log, args=(uri, folder, run, barrier)) for run in runs]
    for process in processes:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    return seconds


def log(uri: str | None, folder: Path, run: str, barrier) -> None:
    from mlflow.entities import Metric

    store = open_store(uri, folder, "points")
    barrier.wait()
    for number in range(BATCHES):
        steps = range(number * BATCH // 10, (number + 1) * BATCH // 10)
        batch = [Metric(f"quantity_{each}", 0.5 * step, step, step) for step in steps for each in range(10)]
        store.client.log_batch(run, metrics=batch)
    barrier.wait()


def sweeps(options: Namespace, server: str, address: str, folder: Path) -> Table:
    """Seconds of the same sweep by each launcher, each in an experiment of its own."""
    table = Table(title=f"A sweep of {options.seeds} runs of {options.steps} steps", title_justify="left")
    for column in ("launcher", "store", "s", "s a run", "processor s a run", "to others"):
        table.add_column(column, justify="left" if column in ("launcher", "store") else "right")
    on_server = [f"tracking.uri={server}"]
    contenders = {
        ("cores", "SQLite"): [],
        ("cores", "server"): on_server,
        ("submitit_local", "server"): ["hydra/launcher=submitit_local", *on_server],
        ("ray, two machines of 1 CPU", "server"): [
            "hydra/launcher=ray", f"hydra.launcher.address={address}", *on_server,
        ],
    }  # fmt: skip
    shared = [
        "--multirun", "model=tiny", "training.lanes=1", "diagnostics=off", "tracking.progress=false",
        "evaluation.intrinsic.enabled=false",
        f"data.cache={folder}/cache", f"training.steps={options.steps}", f"evaluation.every={options.steps}",
    ]  # fmt: skip
    sweep([*shared, "seed=0", "hydra/launcher=basic"], folder / "prepared")
    for number, ((launcher, store), own) in enumerate(contenders.items()):
        with console.status(f"{launcher}, {store}"):
            words = [*shared, *own, f"seed=range({options.seeds})", f"tracking.experiment={EXPERIMENT} {number}"]
            seconds, busy, others = sweep(words, folder / f"sweep_{number}")
        table.add_row(
            launcher,
            store,
            f"{seconds:.1f}",
            f"{seconds / options.seeds:.1f}",
            f"{busy / options.seeds:.1f}",
            f"{others:.0%}",
        )
    return table


def sweep(words: Sequence[str], folder: Path) -> tuple[float, float, float]:
    """A sweep's seconds, the processor seconds of the whole machine, and the share of it that was busy before."""
    folder.mkdir()
    before = psutil.cpu_percent(interval=1.0) / 100
    busy, started = busy_seconds(), time.perf_counter()
    command = [sys.executable, "-m", "minibert.run", *words, f"tracking.folder={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started, busy_seconds() - busy, before


if __name__ == "__main__":
    main()
