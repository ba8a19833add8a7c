"""Runs that are killed, told to end or broken, and what the same command makes of them afterwards."""

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing

import pytest

from minibert.model.saved import load_checkpoint
from minibert.tracking import open_store

TIMES = ("seconds", "train/tokens_per_second")
"""Metrics that measure time: the only ones that two runs of one configuration do not share."""


@pytest.fixture(scope="module")
def settings(small_settings):
    return [
        *small_settings, "training.steps=60", "training.checkpoint_seconds=0.01", "model.dropout=0.1",
        "diagnostics.figures=[]",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(door, settings, empty_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    shutil.copy(empty_database, folder)
    assert door(*settings, f"tracking.folder={folder}").returncode == 0
    return recorded(folder)


def recorded(folder):
    """Metric histories, final parameters and status of the only run under ``folder``."""
    store = open_store(None, folder, "minibert")
    (run,) = store.client.search_runs([store.experiment_id])
    history = {
        name: [(point.step, point.value) for point in store.client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    (last,) = sorted((folder / "artifacts" / run.info.run_id / "artifacts" / "checkpoints").glob("*0000060.*"))
    return {
        "history": history,
        "tensors": load_checkpoint(last)[0],
        "status": run.info.status,
        "id": run.info.run_id,
    }


def assert_same_to_the_bit(one, other):
    assert one["status"] == other["status"] == "FINISHED"
    assert one["history"].keys() == other["history"].keys()
    for name, points in one["history"].items():
        steps = [step for step, _ in points]
        assert len(set(steps)) == len(steps), f"{name} has a step recorded twice"
        assert steps == [step for step, _ in other["history"][name]]
        if name not in TIMES:
            assert points == other["history"][name], name
    for name, tensor in one["tensors"].items():
        assert tensor.tobytes() == other["tensors"][name].tobytes(), name


def has_ended(process) -> bool:
    """Whether the process has ended, or does so in a moment. It has the processor meanwhile."""
    try:
        process.wait(timeout=0.02)
    except subprocess.TimeoutExpired:
        return False
    return True


def wait_for_step(process, folder, step):
    """Wait until the run has recorded this step: the store is read until it has."""
    database = folder / "mlflow.db"
    while not has_ended(process):
        if database.exists():
            with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
                try:
                    (reached,) = connection.execute("SELECT max(step) FROM latest_metrics").fetchone()
                except sqlite3.OperationalError:
                    continue
            if reached is not None and reached >= step:
                return
    pytest.fail(f"the run ended before it could be interrupted: {process.stdout.read()}")


def assert_ended_by(number, process, folder):
    """The signal ends the process as killed, after it has written a checkpoint."""
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, output
    assert "Traceback" not in output
    store = open_store(None, folder, "minibert")
    (run,) = store.client.search_runs([store.experiment_id])
    assert run.info.status == "KILLED"
    assert run.data.tags["minibert.reason"] == signal.Signals(number).name
    assert (folder / "work" / run.info.run_id / "resume.safetensors").exists()


def test_a_run_that_is_told_to_end_and_then_killed_equals_an_uninterrupted_one_bit_for_bit(
    command, start, settings, uninterrupted, empty_database, tmp_path
):
    shutil.copy(empty_database, tmp_path)
    process = start(*settings, f"tracking.folder={tmp_path}")
    wait_for_step(process, tmp_path, 5)
    assert_ended_by(signal.SIGTERM, process, tmp_path)
    process = start(*settings, f"tracking.folder={tmp_path}")
    wait_for_step(process, tmp_path, 25)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert command(*settings, f"tracking.folder={tmp_path}").returncode == 0
    assert_same_to_the_bit(recorded(tmp_path), uninterrupted)


def test_an_interrupt_from_the_keyboard_ends_a_run_as_killed(start, small_settings, empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path)
    process = start(*small_settings, "diagnostics=off", "training.steps=100000", f"tracking.folder={tmp_path}")
    wait_for_step(process, tmp_path, 5)
    assert_ended_by(signal.SIGINT, process, tmp_path)
