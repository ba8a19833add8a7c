"""Several processes that start at once, and one that is killed."""

import signal
import subprocess
import sys

import pytest

from minibert.tracking import Store, claim, open_store

START = """
import sys
from minibert.tracking import claim, open_store, start_run
folder, config_hash = sys.argv[1:]
store = open_store(None, folder, "minibert")
with claim(store, config_hash) as held:
    run = start_run(held, config_hash, {"seed": 0}, {})
    run.log({"train/loss": 1.0}, step=0)
    run.finish("FINISHED")
"""

CLAIM_AND_DIE = """
import os, signal, sys
from pathlib import Path
from minibert.tracking import Store, claim
folder = Path(sys.argv[1])
held = claim(Store(None, "1", "", folder, folder / "mlflow.db"), "c0ffee")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_two_processes_make_one_database_and_each_its_run(tmp_path):
    commands = [[sys.executable, "-c", START, tmp_path, name] for name in ("a" * 64, "b" * 64)]
    to_pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    processes = [subprocess.Popen(command, **to_pipe) for command in commands]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs == [b"", b""]
    store = open_store(None, tmp_path, "minibert")
    assert len(store.client.search_experiments(filter_string="name = 'minibert'")) == 1
    runs = store.client.search_runs([store.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["a" * 64, "b" * 64]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_killed_process_leaves_its_claim(tmp_path):
    killed = subprocess.run([sys.executable, "-c", CLAIM_AND_DIE, tmp_path], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with claim(Store(None, "1", "", tmp_path, tmp_path / "mlflow.db"), "c0ffee", on_wait=pytest.fail):
        pass
