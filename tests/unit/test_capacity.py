"""How many runs a machine has room for, by cores and by memory, and what is said of it."""

import pytest

from minibert.config import Config
from minibert.model.memory import PROCESS
from minibert.running import capacity
from minibert.running.capacity import usable_cores, worker_processes


def configs(*lanes):
    made = [Config() for _ in lanes]
    for config, count in zip(made, lanes, strict=True):
        config.training.lanes = count
    return made


@pytest.fixture
def machine(monkeypatch):
    """A machine of so many cores, with free memory for so many runs."""

    def make(cores, room):
        monkeypatch.setattr(capacity, "usable_cores", lambda: cores)
        monkeypatch.setattr(capacity, "estimate_run_memory", lambda config: PROCESS)
        monkeypatch.setattr(capacity, "available_memory", lambda: int(room * PROCESS))

    return make


THREADS = "in a worker process with {} (training.lanes), on {} cores"


@pytest.mark.parametrize(
    ("cores", "room", "lanes", "asked", "processes", "said"),
    [
        (
            2,
            9,
            [1] * 5,
            None,
            2,
            f"2 runs at a time, each {THREADS.format('1 thread', 2)}; a run takes about 0.5 GB",
        ),
        (2, 9, [2] * 5, None, 1, f"1 run at a time, {THREADS.format('2 threads', 2)};"),
        (
            8,
            9,
            [1, 2, 1, 1, 1],
            None,
            4,
            f"4 runs at a time, each {THREADS.format('2 threads', 8)}",
        ),  # the most count
        (2, 9, [4] * 5, None, 1, "1 run at a time, in a worker process with 4 threads"),
        (8, 99, [1] * 3, None, 3, "3 runs at a time, each"),  # no more than runs
        (2, 9, [1] * 5, 4, 4, "4 runs at a time, each in a worker process with 1 thread"),
        (8, 3.9, [1] * 9, None, 3, "on 8 cores, and not 8 runs: a run takes"),
        (8, 1.9, [1] * 9, 2, 1, "and not 2 runs: a run takes about 0.5 GB of memory, and 1.0 GB are free"),
        (2, 0.5, [2] * 5, None, 1, "on 2 cores, which may not be enough: a run"),
    ],
)
def test_as_many_runs_at_once_as_cores_and_memory_allow(machine, cores, room, lanes, asked, processes, said):
    machine(cores, room)
    count, text = worker_processes(configs(*lanes), asked)
    assert count == processes
    assert said in text and "\n" not in text


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1)])
def test_the_quota_of_a_container_counts(monkeypatch, tmp_path, quota, cores):
    monkeypatch.setattr(capacity.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(capacity, "QUOTA", tmp_path / "cpu.max")
    assert usable_cores() == 8
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert usable_cores() == cores
