"""Sweeps in worker processes that are killed: a run is begun again, and goes on after the end of its sweep."""

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing

import psutil
import pytest

from minibert.errors import MinibertError
from minibert.run import main
from minibert.running.launching import call_hydra
from minibert.tracking import open_store

TIMES = ("seconds", "train/tokens_per_second")
THREE = ["training.steps=60", "seed=0,1,2"]
"""The runs of the sweep that is not disturbed"""
WORKERS = ["hydra.launcher.processes=2"]


@pytest.fixture(scope="module")
def settings(small_settings):
    return [
        "--multirun", *small_settings, "training.checkpoint_seconds=0.01", "model.dropout=0.1", "training.lanes=1",
        "diagnostics.figures=[]",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(settings, empty_database, tmp_path_factory):
    """The runs of the sweep, trained one after the other in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(empty_database, folder)
    assert main([*settings, *THREE, "hydra/launcher=basic", f"tracking.folder={folder}"]) == 0
    return histories(folder)


def runs(folder) -> dict:
    store = open_store(None, folder, "minibert")
    found = store.client.search_runs([store.experiment_id], "tags.`minibert.kind` = 'run'")
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def histories(folder) -> dict:
    """Name of a run -> metric -> its points, without what measures time."""
    client = open_store(None, folder, "minibert").client
    found = {}
    for name, run in runs(folder).items():
        metrics = sorted(set(run.data.metrics) - set(TIMES))
        points = {metric: client.get_metric_history(run.info.run_id, metric) for metric in metrics}
        found[name] = {metric: [(each.step, each.value) for each in history] for metric, history in points.items()}
    return found


def has_ended(process) -> bool:
    """Whether the process has ended, or does so in a moment. It has the processor meanwhile."""
    try:
        process.wait(timeout=0.02)
    except subprocess.TimeoutExpired:
        return False
    return True


def process_at_step(sweep, folder, run: str, step: int, other_than: int | None = None) -> int:
    """The process that trains a run, when it has recorded this step. The store is read until then."""
    query = (
        "SELECT t.value, max(m.step) FROM runs r "
        "JOIN tags t USING (run_uuid) JOIN latest_metrics m USING (run_uuid) "
        "WHERE r.name = ? AND r.status = 'RUNNING' AND t.key = 'minibert.process' GROUP BY t.value"
    )
    while not has_ended(sweep):
        with closing(sqlite3.connect(f"file:{folder / 'mlflow.db'}?mode=ro", uri=True)) as connection:
            for process, reached in connection.execute(query, (run,)):
                number = int(process.rpartition(":")[2])
                if reached >= step and number != other_than:
                    return number
    pytest.fail(f"the sweep ended before it could be disturbed: {sweep.stdout.read()}")


def test_a_killed_worker_and_then_a_killed_sweep_leave_the_same_bits(
    start, command, settings, undisturbed, empty_database, tmp_path
):
    shutil.copy(empty_database, tmp_path)
    words = [*settings, *THREE, *WORKERS, f"tracking.folder={tmp_path}"]
    sweep = start(*words)
    os.kill(process_at_step(sweep, tmp_path, "seed 1", 5), signal.SIGKILL)
    process_at_step(sweep, tmp_path, "seed 2", 5)  # a new worker, or the one that has finished seed 0
    workers = psutil.Process(sweep.pid).children()
    sweep.kill()
    output, _ = sweep.communicate(timeout=120)
    assert "A worker process was killed by SIGKILL (out of memory?). Its run, seed=1, is started again." in output
    psutil.wait_procs(workers, timeout=120)
    assert not any(worker.is_running() for worker in workers)  # they have ended by themselves

    result = command(*words)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 of 3 runs finished" in result.stdout
    assert histories(tmp_path) == undisturbed


def test_a_killed_worker_costs_the_sweep_nothing_and_one_killed_twice_its_own_run_only(
    start, settings, undisturbed, empty_database, tmp_path
):
    shutil.copy(empty_database, tmp_path)
    sweep = start(*settings, *WORKERS, "training.steps=60,100000", "seed=0", f"tracking.folder={tmp_path}")
    first = process_at_step(sweep, tmp_path, "steps 100000", 5)
    os.kill(first, signal.SIGKILL)
    os.kill(process_at_step(sweep, tmp_path, "steps 100000", 5, other_than=first), signal.SIGKILL)
    output, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, output
    assert "is started again" in output and "is given up" in output and "Traceback" not in output
    by_name = runs(tmp_path)
    assert {name: run.info.status for name, run in by_name.items()} == {
        "steps 60": "FINISHED",
        "steps 100000": "FAILED",
    }
    assert by_name["steps 100000"].data.tags["minibert.reason"] == "killed by SIGKILL (out of memory?)"
    assert histories(tmp_path)["steps 60"] == undisturbed["seed 0"]


def test_one_signal_ends_every_run_after_its_step_and_is_the_reason(start, settings, empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path)
    sweep = start(*settings, *WORKERS, "training.steps=100000", "seed=0,1,2", f"tracking.folder={tmp_path}")
    for run in ("seed 0", "seed 1"):
        process_at_step(sweep, tmp_path, run, 5)
    os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does
    output, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 128 + signal.SIGINT, output
    assert "started again" not in output and "Traceback" not in output
    ended = {name: (run.info.status, run.data.tags["minibert.reason"]) for name, run in runs(tmp_path).items()}
    assert ended.keys() == {"seed 0", "seed 1"} and {status for status, _ in ended.values()} == {"KILLED"}
    assert {reason for _, reason in ended.values()} <= {"SIGINT", "SIGTERM"}  # the sweep passes it on
    for run in runs(tmp_path).values():
        assert (tmp_path / "work" / run.info.run_id / "resume.safetensors").exists()


def raising(composed) -> None:
    raise ValueError(f"seed {composed.seed} is no good")


def test_what_a_run_raises_in_a_worker_is_one_error(tmp_path, capfd):
    words = ["--multirun", "seed=3", "hydra.launcher.processes=1", f"tracking.folder={tmp_path}"]
    with pytest.raises(MinibertError, match=r"^seed=3 .*: ValueError: seed 3 is no good$"):
        call_hydra(raising, words)
    assert "Traceback" not in capfd.readouterr().err
