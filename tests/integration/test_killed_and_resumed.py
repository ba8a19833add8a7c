"""Runs that are killed, told to end or broken, and what the same command makes of them afterwards."""

import errno
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from minibert import files
from minibert.model.saved import load_checkpoint
from minibert.run import main
from minibert.tracking import open_store
from minibert.training.trainer import Trainer
from tests.support.copies import Copy, query

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
    artifacts = folder / "artifacts" / run.info.run_id / "artifacts"
    (last,) = (artifacts / "checkpoints").glob("*0000060.*")
    assert last.samefile(artifacts / "model" / "data" / "network" / "parameters.safetensors")
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


def reached(folder: Path) -> int:
    """The last step that the run has recorded, or 0."""
    (step,) = query(folder, "SELECT max(step) FROM latest_metrics")[0]
    return step or 0


def test_a_run_that_is_told_to_end_and_then_killed_equals_an_uninterrupted_one_bit_for_bit(
    door, settings, uninterrupted, empty_database, tmp_path
):
    shutil.copy(empty_database, tmp_path)
    words = [*settings, f"tracking.folder={tmp_path}"]
    with Copy(main, words, tmp_path / "printed.txt") as copy:
        copy.until(lambda: reached(tmp_path) >= 5)
        os.kill(copy.pid, signal.SIGTERM)
        assert copy.wait() == 128 + signal.SIGTERM, copy.printed
        assert_ended_by(signal.SIGTERM, copy.printed, tmp_path)
    before = processor_seconds(tmp_path)
    with Copy(main, words, tmp_path / "printed.txt") as copy:
        copy.until(lambda: reached(tmp_path) >= 25)
        os.killpg(copy.pid, signal.SIGKILL)
        assert copy.wait() == -signal.SIGKILL, copy.printed
    assert door(*words).returncode == 0
    assert_same_to_the_bit(recorded(tmp_path), uninterrupted)
    assert processor_seconds(tmp_path) > before > 0


def processor_seconds(folder: Path) -> float:
    """What the run has used, as its record says."""
    return float(query(folder, "SELECT value FROM tags WHERE key = 'minibert.processor_seconds'")[0][0])


def assert_ended_by(number: int, printed: str, folder: Path) -> None:
    """The signal ended the run as killed, after it had written a checkpoint."""
    assert "Traceback" not in printed
    store = open_store(None, folder, "minibert")
    (run,) = store.client.search_runs([store.experiment_id])
    assert run.info.status == "KILLED"
    assert run.data.tags["minibert.reason"] == signal.Signals(number).name
    assert (folder / "work" / run.info.run_id / "resume.safetensors").exists()


def test_an_interrupt_from_the_keyboard_ends_the_command_as_killed(
    start, small_settings, empty_database, tmp_path
):
    """The command as its user gives it, in a new process."""
    shutil.copy(empty_database, tmp_path)
    process = start(*small_settings, "diagnostics=off", "training.steps=100000", f"tracking.folder={tmp_path}")
    while reached(tmp_path) < 5:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
            pytest.fail(f"the run ended before it could be interrupted: {process.stdout.read()}")
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, printed
    assert_ended_by(signal.SIGINT, printed, tmp_path)


@pytest.fixture
def disk(tmp_path):
    """(a folder, a function that fills its disk, one that makes room): a disk of its own where this user may mount
    one. Elsewhere the writes are made to fail that bring a file to disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    mounted = bool(shutil.which("mount")) and not subprocess.run(command, capture_output=True).returncode
    with pytest.MonkeyPatch.context() as patch:
        yield (
            folder,
            (lambda: fill(folder)) if mounted else (lambda: patch.setattr(files, "_flush", refuse)),
            (folder / "ballast").unlink if mounted else patch.undo,
        )
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with suppress(OSError), open(folder / "ballast", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def refuse(path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_a_full_disk_is_one_error_and_the_last_checkpoint_goes_on_to_the_same_bits(
    door, settings, uninterrupted, empty_database, disk, monkeypatch
):
    folder, fill_it, make_room = disk
    shutil.copy(empty_database, folder)
    saved, save = [], Trainer.save

    def save_or_fill(trainer: Trainer, path: Path) -> None:
        if trainer.progress.step >= 30:
            fill_it()
        save(trainer, path)
        saved.append(trainer.progress.step)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", save_or_fill)
        failed = door(*settings, f"tracking.folder={folder}")
    assert failed.returncode == 1
    printed = failed.stdout + failed.stderr
    assert "Traceback" not in printed and printed.count("Free some space") == 1, printed
    (kept,) = (folder / "work").glob("*/resume.safetensors")
    assert load_checkpoint(kept)[1]["progress"]["step"] == saved[-1] < 30
    make_room()
    assert door(*settings, f"tracking.folder={folder}").returncode == 0
    assert_same_to_the_bit(recorded(folder), uninterrupted)
