"""Sweeps on several machines: a real PostgreSQL, MLflow server, two machines of Ray, and jobs of submitit.

The commands that begin the sweeps are copies of this process (``tests/support/copies.py``).
"""

import os
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from minibert.run import main
from minibert.tracking import open_store
from minibert.tracking.addresses import sqlite_address
from tests.support.copies import Copy
from tests.support.services import RayMachines, mlflow_server, postgres, postgres_binaries

TIMES = ("seconds", "train/tokens_per_second")
STEPS = 60
SEEDS = "seed=range(4)"
"""One run more than the machines have room for"""


@pytest.fixture(scope="module")
def settings(small_settings):
    return [
        "--multirun", *small_settings, f"training.steps={STEPS}", "training.lanes=1", "model.dropout=0.1",
        "diagnostics=off", "diagnostics.figures=[]", "evaluation.every=20",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(settings, empty_database, tmp_path_factory):
    """What the runs of the sweep record if they are trained one after the other in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(empty_database, folder)
    assert main([*settings, SEEDS, "hydra/launcher=basic", f"tracking.folder={folder}"]) == 0
    return histories(sqlite_address(folder / "mlflow.db"))


@pytest.fixture(scope="module")
def server():
    """An MLflow server over PostgreSQL, with artifacts through the server, and the address of its database."""
    if postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra server)")
    folder = Path(tempfile.mkdtemp(prefix="minibert_"))  # which the user of PostgreSQL may enter, unlike pytest's
    folder.chmod(0o755)
    with postgres(folder / "postgres") as database, mlflow_server(database, folder) as address:
        yield address, database
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def submitit():
    return pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")


@pytest.fixture(scope="module")
def machines():
    pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    folder = Path(tempfile.mkdtemp(prefix="mb_"))  # a short path: Ray has sockets in it
    found = RayMachines(folder)
    try:
        found.add("first", cpus=2)
        found.add("second", cpus=1)
        yield found
    finally:
        found.close()
        shutil.rmtree(folder)


def runs(store) -> dict:
    found = store.client.search_runs([store.experiment_id], "tags.`minibert.kind` = 'run'")
    assert len({run.info.run_name for run in found}) == len(found)  # no run was made twice
    return {run.info.run_name: run for run in found}


def histories(address: str) -> dict:
    """(run, metric) -> its points, without what measures time, from the database itself."""
    query = (
        "SELECT r.name, m.key, m.step, m.value FROM metrics m JOIN runs r USING (run_uuid) "
        "JOIN tags t USING (run_uuid) WHERE t.key = 'minibert.kind' AND t.value = 'run' ORDER BY 1, 2, 3"
    )
    found: dict = {}
    with create_engine(address).connect() as connection:
        for run, metric, step, value in connection.execute(text(query)):
            if metric not in TIMES:
                found.setdefault((run, metric), []).append((step, value))
    return found


def training(engine: Engine) -> dict[str, int]:
    """The runs that are being trained and have recorded their first steps: their names and processes."""
    query = (
        "SELECT r.name, t.value FROM runs r JOIN tags t USING (run_uuid) JOIN latest_metrics m USING (run_uuid) "
        "WHERE r.status = 'RUNNING' AND t.key = 'minibert.process' GROUP BY 1, 2 HAVING max(m.step) >= 5"
    )
    with engine.connect() as connection:
        return {run: int(process.rpartition(":")[2]) for run, process in connection.execute(text(query))}


def until(sweep: Copy, reached) -> None:
    """Wait until this is the case, while the sweep goes on."""
    sweep.until(reached)
    assert not sweep.has_ended(), f"the sweep ended before it could be disturbed: {sweep.printed}"


def test_a_sweep_on_two_machines_loses_nothing_when_one_of_them_goes(
    settings, server, machines, undisturbed, tmp_path, monkeypatch
):
    address, database = server
    words = [
        *settings, SEEDS, "hydra/launcher=ray", f"hydra.launcher.address={machines.address}",
        f"tracking.uri={address}", "tracking.folder=${oc.env:SCRATCH}/mlruns", "training.checkpoint_seconds=0.02",
    ]  # fmt: skip
    store, engine = open_store(address, tmp_path, "minibert"), create_engine(database)
    held: set[int] = set()

    def on(machine) -> set[int]:
        return held & {*machines.workers(machine)}

    def both_train() -> bool:
        """Whether each machine trains a run. Those that train are held meanwhile, so that they do not end."""
        for process in {*training(engine).values()} - held:
            os.kill(process, signal.SIGSTOP)
            held.add(process)
        return len(held) > 1 and bool(on("first") and on("second"))

    monkeypatch.setenv("SCRATCH", str(tmp_path))
    with Copy(main, words, tmp_path / "printed.txt") as sweep:
        until(sweep, both_train)
        there = on("first")
        os.kill(min(there), signal.SIGTERM)
        machines.kill("second")
        for process in there:
            os.kill(process, signal.SIGCONT)
        assert sweep.wait() == 0, sweep.printed
    output = sweep.printed
    assert "4 of 4 runs finished" in output and "Traceback" not in output
    assert 2 <= output.count("is started again") <= 3
    assert {run.info.status for run in runs(store).values()} == {"FINISHED"}
    assert histories(database) == undisturbed  # each point once, in order, to the same bits
    for run in runs(store).values():
        files = Counter(each.path for each in store.client.list_artifacts(run.info.run_id))
        assert {"config.yaml", "tokenizer.json", "checkpoints"} <= {*files} and {*files.values()} == {1}
    prepared = [folder for folder in (tmp_path, machines.folder / "first") if any(folder.rglob("tokenizer.json"))]
    assert len(prepared) == 2  # each machine prepares its data in its own cache


def test_a_cluster_that_has_no_room_for_a_run_says_so(settings, server, machines, tmp_path):
    words = [
        *settings, "seed=9,10", "hydra/launcher=ray", f"hydra.launcher.address={machines.address}",
        "hydra.launcher.cpus=64", f"tracking.uri={server[0]}", f"tracking.folder={tmp_path}",
    ]  # fmt: skip
    with Copy(main, words, tmp_path / "printed.txt") as sweep:
        assert sweep.wait() == 1
    assert "No machine of the cluster has room for a run, which asks for 64 CPUs" in sweep.printed


def test_jobs_of_submitit_are_queued_again_when_their_time_is_over_and_begun_again_when_they_are_killed(
    submitit, settings, undisturbed, empty_database, tmp_path
):
    shutil.copy(empty_database, tmp_path)
    words = [
        *settings, "seed=0,1", "hydra/launcher=submitit_local", "hydra.launcher.processes=2",
        f"tracking.folder={tmp_path}", "training.checkpoint_seconds=0.01",
    ]  # fmt: skip
    engine = create_engine(sqlite_address(tmp_path / "mlflow.db"))
    waiting = {"seed 0": signal.SIGUSR2, "seed 1": signal.SIGKILL}

    def disturbed() -> bool:
        found = training(engine)
        for run in found.keys() & waiting.keys():
            os.kill(found[run], waiting.pop(run))
        return not waiting

    with Copy(main, words, tmp_path / "printed.txt") as sweep:
        until(sweep, disturbed)
        assert sweep.wait() == 0, sweep.printed
    assert "Its run, seed=1, is started again." in sweep.printed and "seed=0, is started" not in sweep.printed
    expected = {
        (run, metric): points for (run, metric), points in undisturbed.items() if run in ("seed 0", "seed 1")
    }
    assert histories(sqlite_address(tmp_path / "mlflow.db")) == expected
    assert "Requeued job" in "".join(path.read_text() for path in tmp_path.rglob("*_log.out"))
