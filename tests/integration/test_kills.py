"""A sweep that is killed again and again, as a whole and in parts: its runs end with the same bits.

All processes here are copies of this one (``tests/support/copies.py``); kill -9 is real.
"""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from minibert.model.saved import load_checkpoint
from minibert.run import main
from minibert.running.launchers import CoresLauncher, Perform
from tests.support.copies import Copy, query

RUNS = ["training.steps=12", "optimizer=adamw,lion,muon", "seed=range(4)"]
"""12 of them"""
MORE = [*RUNS[:-1], "seed=range(5)"]
"""The same, and 3 others"""
KILLS = 10
VICTIMS = ("group", "worker", "parent")
"""Of the kills in turns: all processes at once, one worker, the process of the sweep"""
LAST = 0.8
"""Share of all points after which nobody is killed, so that there is a worker to kill until then"""
TIMES = ("seconds", "train/tokens_per_second")


@pytest.fixture(scope="module")
def settings(small_settings):
    return [
        "--multirun", *small_settings, "training.checkpoint_seconds=0.02", "model.dropout=0.1", "training.lanes=1",
        "hydra.launcher.processes=2", "diagnostics=off", "diagnostics.figures=[]",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def sweep(settings, empty_database):
    """Starts a sweep on a store: ``sweep(folder, *words)`` -> :class:`Copy`."""
    started = []

    def start(folder: Path, *words: str) -> Copy:
        if not (folder / "mlflow.db").exists():
            folder.mkdir(exist_ok=True)
            shutil.copy(empty_database, folder)
        started.append(Copy(main, [*settings, *words, f"tracking.folder={folder}"], folder / "printed.txt"))
        return started[-1]

    yield start
    for each in started:
        each.__exit__()


@pytest.fixture(scope="module")
def undisturbed(door, settings, empty_database, tmp_path_factory, rough_figures):
    """The store of the sweep that nobody disturbs. It is trained in this process, which then has imported all."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(empty_database, folder)
    left_out = ("hydra.launcher", "training.checkpoint_seconds")
    words = [word for word in settings if not word.startswith(left_out)]
    result = door(*words, *RUNS, "hydra/launcher=basic", f"tracking.folder={folder}")
    assert result.returncode == 0, result.stdout + result.stderr
    (folder / "printed.txt").write_text(result.stdout)
    return folder


def runs(folder: Path) -> dict[str, tuple[str, str]]:
    """Name of a run -> (status, id)."""
    found = query(
        folder,
        "SELECT name, status, run_uuid FROM runs JOIN tags USING (run_uuid) "
        "WHERE tags.key = 'minibert.kind' AND tags.value = 'run'",
    )
    named = {name: (status, run) for name, status, run in found}
    assert len(named) == len(found), "a run was begun twice"
    return named


def points(folder: Path) -> list[tuple]:
    """All points that runs have recorded, but for what measures time."""
    return query(
        folder,
        "SELECT name, metrics.key, step, metrics.value FROM metrics JOIN runs USING (run_uuid) "
        "JOIN tags USING (run_uuid) WHERE tags.key = 'minibert.kind' AND tags.value = 'run' "
        f"AND metrics.key NOT IN {TIMES} ORDER BY name, metrics.key, step",
    )


def count(folder: Path) -> int:
    (found,) = query(folder, "SELECT count(*) FROM metrics")[0]
    return found


def parameters(folder: Path) -> dict[str, dict[str, bytes]]:
    """Name of a run -> its files of parameters, each with its tensors."""
    found = {}
    for name, (_, run) in runs(folder).items():
        files = sorted((folder / "artifacts" / run / "artifacts").rglob("*.safetensors"))
        tensors = {file: load_checkpoint(file)[0] for file in files}
        found[name] = {
            f"{file.parent.name}/{file.name}: {key}": array.tobytes()
            for file, arrays in tensors.items()
            for key, array in arrays.items()
        }
    return found


def files(folder: Path) -> dict[str, list[str]]:
    """Name of a run -> all of its artifacts."""
    found = {}
    for name, (_, run) in runs(folder).items():
        artifacts = folder / "artifacts" / run / "artifacts"
        found[name] = sorted(str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file())
    return found


def table(printed: str) -> str:
    """What a sweep reports."""
    return printed[printed.index("Held-out loss after") : printed.index("Report:")]


def kill(victim: str, copy: Copy, random: np.random.Generator) -> None:
    """Kill -9. Afterwards the sweep knows that its worker is dead, or is dead itself."""
    if victim == "worker":
        copy.until(lambda: bool(copy.workers()))
        workers = copy.workers()
        workers[random.integers(len(workers))].kill()
        copy.until(lambda: "A worker process was killed by SIGKILL (out of memory?)" in copy.printed)
    else:
        (os.killpg if victim == "group" else os.kill)(copy.pid, signal.SIGKILL)
        assert copy.wait() == -signal.SIGKILL


def let_work(copy: Copy, folder: Path, recorded: int, seconds: float) -> None:
    """Wait until so many points are recorded, and these processes have had so much more time of a processor.

    Points are stored many at a time, so that a kill at a number of them would always hit the same line.
    """
    copy.until(lambda: count(folder) >= recorded)
    copy.work_for(seconds)
    assert not copy.has_ended(), copy.printed


def test_a_sweep_that_is_killed_ten_times_moved_and_grown_equals_an_undisturbed_one(sweep, undisturbed, tmp_path):
    random = np.random.default_rng(0)
    moments = np.sort(random.choice(int(LAST * count(undisturbed)), KILLS, replace=False))
    folder, left = tmp_path / "store", []
    copy = sweep(folder, *RUNS)
    for number, moment in enumerate(moments):
        let_work(copy, folder, moment, random.uniform(0, 0.2))
        victim = VICTIMS[number % len(VICTIMS)]
        left += copy.workers()
        kill(victim, copy, random)
        if victim != "worker":
            copy = sweep(folder, *RUNS)  # the workers of a parent that was killed may still be ending
    assert copy.wait() == 0, copy.printed
    assert "12 of 12 runs finished" in copy.printed and "Traceback" not in copy.printed
    assert psutil.wait_procs(left, timeout=120)[1] == [], "workers outlive their sweep"
    assert {status for status, _ in runs(folder).values()} == {"FINISHED"}
    assert points(folder) == points(undisturbed)
    assert parameters(folder) == parameters(undisturbed)
    assert files(folder) == files(undisturbed)
    assert table(copy.printed) == table((undisturbed / "printed.txt").read_text())
    parents = query(folder, "SELECT run_uuid FROM tags WHERE key = 'minibert.kind' AND value = 'sweep'")
    assert len(parents) == 1
    for doubled in ("logged_models", "inputs", "datasets"):
        assert query(folder, f"SELECT count(*) FROM {doubled}") == query(
            undisturbed, f"SELECT count(*) FROM {doubled}"
        )

    before = runs(folder)
    folder = folder.rename(tmp_path / "moved")
    with sweep(folder, *MORE) as copy:
        assert copy.wait() == 0, copy.printed
    assert "15 of 15 runs finished" in copy.printed
    after = runs(folder)
    assert len(after) == 15 and before.items() <= after.items()
    assert query(folder, "SELECT run_uuid FROM tags WHERE key = 'minibert.kind' AND value = 'sweep'") == parents
    assert set(points(undisturbed)) <= set(points(folder))


def test_a_run_whose_process_is_killed_twice_costs_itself_only(sweep, undisturbed, tmp_path):
    folder = tmp_path / "store"
    with sweep(folder, "optimizer=adamw", "seed=0", "training.steps=12,100000") as copy:
        killed = None
        for _ in range(2):
            killed = process_of("steps 100000", copy, folder, other_than=killed)
            os.kill(killed, signal.SIGKILL)
        assert copy.wait() == 1, copy.printed
    assert "is started again" in copy.printed and "is given up" in copy.printed
    assert "Traceback" not in copy.printed
    ended = runs(folder)
    assert {name: status for name, (status, _) in ended.items()} == {
        "steps 12": "FINISHED",
        "steps 100000": "FAILED",
    }
    assert reasons(folder)["steps 100000"] == "killed by SIGKILL (out of memory?)"
    own = [point[1:] for point in points(folder) if point[0] == "steps 12"]
    assert own == [point[1:] for point in points(undisturbed) if point[0] == "optimizer adamw · seed 0"]


def process_of(run: str, copy: Copy, folder: Path, other_than: int | None = None) -> int:
    """The process that trains a run, when it has recorded a step."""
    statement = (
        "SELECT t.value FROM runs r JOIN tags t USING (run_uuid) JOIN latest_metrics m USING (run_uuid) "
        "WHERE r.name = ? AND r.status = 'RUNNING' AND t.key = 'minibert.process' AND m.step > 0 LIMIT 1"
    )
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [int(value.rpartition(":")[2]) for (value,) in query(folder, statement, run)]
        return bool(found) and found != [other_than]

    copy.until(is_there)
    assert not copy.has_ended(), copy.printed
    return found[0]


def reasons(folder: Path) -> dict[str, str]:
    statement = "SELECT name, value FROM runs JOIN tags USING (run_uuid) WHERE key = 'minibert.reason'"
    return dict(query(folder, statement))


def test_one_signal_ends_every_run_after_its_step_and_is_the_reason(sweep, tmp_path):
    folder = tmp_path / "store"
    with sweep(folder, "training.steps=100000", "seed=0,1,2") as copy:
        for run in ("seed 0", "seed 1"):
            process_of(run, copy, folder)
        os.killpg(copy.pid, signal.SIGINT)  # as a terminal does
        assert copy.wait() == 128 + signal.SIGINT, copy.printed
    assert "started again" not in copy.printed and "Traceback" not in copy.printed
    ended, why = runs(folder), reasons(folder)
    assert ended.keys() == {"seed 0", "seed 1"} and {status for status, _ in ended.values()} == {"KILLED"}
    assert {why[name] for name in ended} <= {"SIGINT", "SIGTERM"}  # the sweep passes it on
    for _, run in ended.values():
        assert (folder / "work" / run / "resume.safetensors").exists()


def test_two_sweeps_at_once_on_a_store_that_does_not_exist_share_the_work(settings, tmp_path):
    words = [*settings, "seed=range(4)", f"tracking.folder={tmp_path / 'store'}"]
    copies = [Copy(main, words, tmp_path / f"{number}.txt") for number in range(2)]
    assert [copy.wait() for copy in copies] == [0, 0], [copy.printed for copy in copies]
    assert all("4 of 4 runs finished" in copy.printed for copy in copies)
    found = runs(tmp_path / "store")
    assert len(found) == 4 and {status for status, _ in found.values()} == {"FINISHED"}
    kinds = query(
        tmp_path / "store", "SELECT value, count(*) FROM tags WHERE key = 'minibert.kind' GROUP BY value"
    )
    assert dict(kinds) == {"run": 4, "sweep": 1}
    assert not list((tmp_path / "store").glob("*.unfinished"))


def test_a_launcher_that_raises_is_one_error_and_keeps_what_finished(
    settings, empty_database, tmp_path, door, monkeypatch
):
    shutil.copy(empty_database, tmp_path)
    words = [*settings, "hydra/launcher=cores", f"tracking.folder={tmp_path}"]

    def raising(self, runs, on_death):
        Perform(self.context, self.config, self.task)(runs[0])
        raise OSError("no cores left")

    with monkeypatch.context() as patch:
        patch.setattr(CoresLauncher, "train", raising)
        failed = door(*words, "seed=0,1")
    assert failed.returncode == 1 and "Traceback" not in failed.stdout + failed.stderr
    assert "OSError: no cores left. The runs that finished are kept; the same command trains the rest" in (
        failed.stderr + failed.stdout
    ).replace("\n", " ")
    assert {name: status for name, (status, _) in runs(tmp_path).items()} == {"seed 0": "FINISHED"}
    (status,) = query(tmp_path, "SELECT status FROM runs WHERE name NOT LIKE 'seed _'")
    assert status == ("FAILED",)
