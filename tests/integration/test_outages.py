"""A real MLflow server that is stopped under a run: before it starts, in the middle, and while it ends.

What arrives in the end is compared with the record of the same run in a local store, to the bit. One server is
stopped and started again, so the tests stand in the order in which they run.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minibert.model.saved import load_checkpoint
from minibert.run import main
from minibert.running import life
from minibert.tracking import leases, open_store, retries
from minibert.tracking.journal import journals
from minibert.tracking.runs import Run
from minibert.tracking.store import open_existing_store
from minibert.training.trainer import Trainer
from tests.support.copies import Copy, query

LOOK = """
import sys, tempfile
from pathlib import Path
from minibert.serving.loading import find_run
from minibert.tracking.artifacts import artifacts_of
from minibert.tracking.store import open_existing_store
run = find_run("last", *sys.argv[1:])
artifacts = artifacts_of(open_existing_store(*sys.argv[1:]), run.id)
for _ in range(2):
    assert artifacts.read("config.yaml") == (run.folder / "config.yaml").read_bytes()
print(*(path.relative_to(tempfile.gettempdir()) for path in Path(tempfile.gettempdir()).glob("*/*")))
"""
TIMES = ("seconds", "train/tokens_per_second")
STEPS = 30


@pytest.fixture(scope="module")
def settings(small_settings):
    return [
        *small_settings, f"training.steps={STEPS}", "training.checkpoint_seconds=0.1",
        "diagnostics.figures=[health]",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(door, settings, empty_database, rough_figures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(empty_database, folder)
    assert door(*settings, f"tracking.folder={folder}").returncode == 0
    store = open_store(None, folder, "minibert")
    return record(store, folder / "artifacts")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(retries, "pause", lambda seconds: None)
    monkeypatch.setattr(leases, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def at_server(settings, tracking_server):
    """The words of a run at the server, in a folder of its own; ``seed`` makes it another run."""

    def words(folder: Path, *more: str) -> list[str]:
        return [
            *settings,
            "tracking=server",
            f"tracking.uri={tracking_server.uri}",
            f"tracking.folder={folder}",
            *more,
        ]

    return words


def record(store, artifacts: Path, condition: str = "") -> dict:
    """What a store has of its only run. ``artifacts``: where the folders of runs are."""
    (run,) = store.client.search_runs([store.experiment_id], condition)
    history = {
        name: [(point.step, point.value) for point in store.client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    folder = artifacts / run.info.run_id / "artifacts"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {"id": run.info.run_id, "status": run.info.status, "history": history, "files": files, "folder": folder}


def at(server, folder: Path, experiment: str) -> dict:
    """What the server has of the only run of an experiment."""
    store = open_existing_store(server.uri, folder / "looking", experiment)
    return record(store, server.folder / "artifacts" / store.experiment_id)


def assert_same(found: dict, expected: dict) -> None:
    assert found["status"] == "FINISHED"
    assert found["history"].keys() == expected["history"].keys()
    for name, points in found["history"].items():
        assert [step for step, _ in points] == [step for step, _ in expected["history"][name]], name
        if name not in TIMES:
            assert points == expected["history"][name], name
    assert found["files"] == expected["files"]


def sync(door, server, folder: Path):
    return door("sync", f"tracking.uri={server.uri}", f"tracking.folder={folder}", module="minibert.sweeps")


def test_a_server_that_was_never_reached_is_an_error_unless_the_user_says_otherwise(
    door, at_server, tracking_server, undisturbed, tmp_path
):
    given = door(*at_server(tmp_path))
    assert given.returncode == 1 and "No server answers there" in given.stderr
    assert "tracking.offline=true" in given.stderr
    assert not (tmp_path / "cache").exists()  # nobody waits for data before it is told
    assert door(*at_server(tmp_path, "tracking.offline=true")).returncode == 0
    again = door(*at_server(tmp_path, "tracking.offline=true"))
    assert again.returncode == 0 and "was trained before" in again.stdout
    tracking_server.start()
    assert sync(door, tracking_server, tmp_path).returncode == 0
    found = at(tracking_server, tmp_path, "minibert")
    assert_same(found, undisturbed)
    assert "Nothing waits" in sync(door, tracking_server, tmp_path).stdout
    store = open_existing_store(tracking_server.uri, tmp_path, "minibert")
    (model,) = store.client.search_logged_models([store.experiment_id])
    assert (model.source_run_id, model.model_type) == (found["id"], "masked language model")
    described = (found["folder"] / "model" / "MLmodel").read_text()
    assert found["id"] in described and model.model_id in described
    checkpoint, _ = load_checkpoint(found["folder"] / "checkpoints" / f"step_{STEPS:07d}.safetensors")
    files = list(tracking_server.folder.rglob("parameters.safetensors"))
    assert len(files) == 2  # that of the run and that of the model: a server has no links
    for tensors, _ in map(load_checkpoint, files):
        assert {name: array.tobytes() for name, array in tensors.items()} == {
            name: array.tobytes() for name, array in checkpoint.items()
        }


def test_a_run_that_is_killed_while_the_server_is_away_is_sent_and_goes_on(
    door, at_server, tracking_server, undisturbed, tmp_path
):
    with Copy(main, at_server(tmp_path, "tracking.experiment=killed"), tmp_path / "printed.txt") as copy:
        until(copy, lambda: has_step(tracking_server.database, "killed", 5))
        os.kill(copy.pid, signal.SIGSTOP)  # so that it does not end meanwhile
        tracking_server.stop()
        os.kill(copy.pid, signal.SIGCONT)
        until(copy, lambda: journal_has_step(tmp_path, 15))
        os.killpg(copy.pid, signal.SIGKILL)
        assert copy.wait() == -signal.SIGKILL, copy.printed
    tracking_server.start()
    assert sync(door, tracking_server, tmp_path).returncode == 0
    before = at(tracking_server, tmp_path, "killed")
    reached = len(before["history"]["train/loss"])
    assert before["history"]["train/loss"] == undisturbed["history"]["train/loss"][:reached] and reached > 2
    assert door(*at_server(tmp_path, "tracking.experiment=killed")).returncode == 0
    after = at(tracking_server, tmp_path, "killed")
    assert after["id"] == before["id"]
    assert_same(after, undisturbed)


def test_another_machine_goes_on_from_the_state_at_the_server(
    door, at_server, tracking_server, undisturbed, tmp_path, monkeypatch
):
    asked, resumed, resume = [], [], Trainer.resume

    def preempt(judged) -> str | None:
        asked.append(1)
        return "SIGTERM" if len(asked) == 20 else None

    def look(trainer, path) -> None:
        resume(trainer, path)
        resumed.append(trainer.progress.step)

    with monkeypatch.context() as patch:
        patch.setattr(life.Judged, "wish_to_end", preempt)
        door(*at_server(tmp_path / "one", "tracking.experiment=moved"))
    shutil.rmtree(tmp_path / "one")
    monkeypatch.setattr(Trainer, "resume", look)
    assert door(*at_server(tmp_path / "two", "tracking.experiment=moved")).returncode == 0
    assert len(resumed) == 1 and 15 < resumed[0] < STEPS
    assert_same(at(tracking_server, tmp_path, "moved"), undisturbed)


def test_what_is_downloaded_goes_with_its_process_and_what_is_only_read_at_once(tracking_server, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    looking = subprocess.run(
        [sys.executable, "-c", LOOK, tracking_server.uri, str(tmp_path)],
        env=os.environ | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
    )
    assert len(looking.stdout.split()) == 1, looking.stderr
    assert not list(temporary.iterdir())


def test_a_server_that_goes_while_artifacts_are_sent_at_the_end_gets_them_later(
    door, at_server, tracking_server, undisturbed, tmp_path, monkeypatch
):
    log_artifact = Run.log_bytes

    def stop_then_log(run, content, path):
        if path.startswith("figures"):
            tracking_server.stop()
        log_artifact(run, content, path)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "log_bytes", stop_then_log)
        given = door(*at_server(tmp_path, "tracking.experiment=ended"))
    assert given.returncode == 0
    away = sync(door, tracking_server, tmp_path)
    assert away.returncode == 1 and "waiting" in away.stdout
    tracking_server.start()
    assert sync(door, tracking_server, tmp_path).returncode == 0
    assert_same(at(tracking_server, tmp_path, "ended"), undisturbed)


def until(copy: Copy, reached) -> None:
    """Wait until this is the case, while the run goes on."""
    copy.until(reached)
    assert not copy.has_ended(), f"the run ended too early: {copy.printed}"


def has_step(database: Path, experiment: str, step: int) -> bool:
    """Whether the server has this step of the experiment's run."""
    statement = (
        "SELECT max(m.step) FROM latest_metrics m JOIN runs r ON r.run_uuid = m.run_uuid "
        "JOIN experiments e ON e.experiment_id = r.experiment_id WHERE e.name = ?"
    )
    (reached,) = query(database.parent, statement, experiment)[0]
    return reached is not None and reached >= step


def journal_has_step(folder: Path, step: int) -> bool:
    """Whether a point of this step waits in the journal."""
    waiting = [each for journal in journals(folder / "work") for each in journal.waiting()]
    points = [point for each in waiting if each["do"] == "batch" for point in each["metrics"]]
    return any(reached >= step for _, _, _, reached in points)
