"""Worker processes: one that dies, raises or is asked to end costs its own job, and that is begun once more."""

import os
import signal
import threading
from pathlib import Path

import psutil
import pytest

from minibert import interruption
from minibert.errors import MinibertError
from minibert.running.workers import Workers, describe_end, describe_error


def perform(job: tuple[Path, str]) -> None:
    """Leave a file for every time that the job was begun, then do what its name says."""
    folder, name = job
    begun = len(list(folder.glob(f"{name}.*")))
    (folder / f"{name}.{begun}").touch()
    if name == "killed_once" and not begun:
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "asked_to_end_once" and not begun:
        os.kill(os.getpid(), signal.SIGTERM)
    if name == "raises":
        raise TwoArguments("no", "good")
    (folder / f"{name} done").touch()


class TwoArguments(Exception):
    """An error that cannot be copied from process to process."""

    def __init__(self, first: str, second: str):
        super().__init__(f"{first} {second}")


class Missing:
    """What can be sent, but not be read in another process."""

    def __reduce__(self):
        return import_something, ()


def import_something():
    raise ImportError("No module named 'something'")


@pytest.fixture
def no_child_is_left():
    before = {child.pid for child in psutil.Process().children()}
    yield
    left = [child for child in psutil.Process().children() if child.pid not in before]
    assert [child for child in left if "minibert" in " ".join(child.cmdline()) or "spawn" in child.cmdline()] == []


def test_a_worker_that_dies_costs_its_own_job_only(tmp_path, no_child_is_left):
    names = ["first", "killed_once", "crashes", "raises", "asked_to_end_once", "last"]
    deaths = []
    workers = Workers(perform, [(tmp_path, name) for name in names], deaths.append)
    workers.work(processes=2)
    done = {path.name.removesuffix(" done") for path in tmp_path.glob("* done")}
    assert done == {"first", "killed_once", "asked_to_end_once", "last"}
    begun = {name: len(list(tmp_path.glob(f"{name}.*"))) for name in names}
    assert begun == {"first": 1, "killed_once": 2, "crashes": 2, "raises": 1, "asked_to_end_once": 2, "last": 1}
    crash = "killed by SIGSEGV (a crash in compiled code)"
    assert {names[job]: why for job, why in workers.failures.items()} == {
        "crashes": f"its worker process was {crash}",
        "raises": "TwoArguments: no good",
    }
    assert sorted((names[death.job], death.how, death.final) for death in deaths) == [
        ("asked_to_end_once", "ended by SIGTERM", False),
        ("crashes", crash, False),
        ("crashes", crash, True),
        ("killed_once", "killed by SIGKILL (out of memory?)", False),
    ]


def test_workers_that_cannot_begin_are_one_error(no_child_is_left, capfd):
    workers = Workers(Missing(), [1, 2, 3])
    with pytest.raises(MinibertError, match=r"cannot begin: ImportError: No module named 'something'.*: 3"):
        workers.work(processes=2)
    assert "Traceback" not in capfd.readouterr().err


def test_what_cannot_be_sent_is_one_error(no_child_is_left):
    with pytest.raises(TypeError, match="pickle"):
        Workers(threading.Lock().acquire, [1]).work(processes=1)


def test_nothing_is_begun_once_this_process_is_asked_to_end(monkeypatch):
    monkeypatch.setattr(interruption._State, "reason", "SIGINT")
    workers = Workers(perform, [1, 2])
    workers.work(processes=2)
    assert workers.failures == {}


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (-signal.SIGKILL, "killed by SIGKILL (out of memory?)"),
        (-signal.SIGSEGV, "killed by SIGSEGV (a crash in compiled code)"),
        (-signal.SIGTERM, "killed by SIGTERM"),
        (-signal.SIGRTMIN - 1, f"killed by signal {signal.SIGRTMIN + 1}"),
        (3, "ended by itself with exit code 3"),
    ],
)
def test_the_end_of_a_process_is_said_in_words(exit_code, words):
    assert describe_end(exit_code) == words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("No space left\n\non device"), "OSError: No space left"),
        (ValueError(), "ValueError: no message"),
        (MinibertError("model.layers=0: out of range."), "model.layers=0: out of range."),
    ],
)
def test_an_error_is_said_in_one_line(error, words):
    assert describe_error(error) == words
