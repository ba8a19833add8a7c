"""Commands in copies of this process, to be killed: what a new process imports takes four seconds."""

import io
import multiprocessing
import os
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from minibert import interruption
from minibert.running.progress import Display

SECONDS = 600
"""That a test waits for a copy, at most"""
LOOK_SECONDS = 0.01
"""Between two looks at how far a copy is"""
FAILED = 70
"""Exit code of a copy whose command raised"""


class Copy:
    """``main(words)`` in a copy of this process, with a process group of its own.

    What it prints goes to a file. Its worker processes are copies as well.
    """

    def __init__(self, main: Callable[[list[str]], int], words: list[str], printed: Path):
        self._printed = printed
        self.exit_code: int | None = None
        """Minus the number of a signal that killed it; None as long as it runs"""
        printed.touch()
        resource_tracker.ensure_running()  # else each copy begins one, which looks like a worker
        _close_connections()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_perform(main, words, printed))

    def __enter__(self) -> "Copy":
        return self

    def __exit__(self, *_) -> None:
        if not self.has_ended():
            os.killpg(self.pid, signal.SIGKILL)
            self.wait()

    @property
    def printed(self) -> str:
        return self._printed.read_text()

    def has_ended(self) -> bool:
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.exit_code = os.waitstatus_to_exitcode(status) if pid else None
        return self.exit_code is not None

    def wait(self) -> int:
        self.until(lambda: False)
        assert self.exit_code is not None
        return self.exit_code

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait until this is the case, or the copy has ended. The copy has the processor meanwhile."""
        last = time.monotonic() + SECONDS
        while not self.has_ended() and not reached():
            assert time.monotonic() < last, f"{SECONDS} seconds have passed:\n{self.printed}"
            time.sleep(LOOK_SECONDS)

    def workers(self) -> list[psutil.Process]:
        """Its worker processes, in the order of their start. Earlier children ask for the commit and the like."""
        if "worker process" not in self.printed:
            return []
        with suppress(psutil.NoSuchProcess):
            return sorted(psutil.Process(self.pid).children(), key=lambda child: child.pid)
        return []

    def work_for(self, seconds: float) -> None:
        """Wait until it and its present workers together have had so much more time of a processor."""
        if self.has_ended():
            return
        used = dict.fromkeys([psutil.Process(self.pid), *self.workers()], 0.0)

        def look() -> float:
            for process in used:
                with suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    used[process] = times.user + times.system
            return sum(used.values())

        before = look()
        self.until(lambda: look() >= before + seconds)


def import_anew(folder: Path) -> None:
    """Within a copy of this process: work in a folder, and import what is minibert's from there from now on.

    A new process would import all libraries besides, for four seconds.
    """
    for name in list(sys.modules):
        if name.partition(".")[0] in ("minibert", "analysis", "tests"):
            del sys.modules[name]
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    os.chdir(folder)


_ends: list[Connection] = []
"""The ends of the pipes to workers that their sweep has"""


class _Worker(multiprocessing.get_context("fork").Process):
    def start(self) -> None:
        _close_connections()
        super().start()

    def run(self) -> None:
        """A new process has none of these; a worker that has its own never hears that its sweep is gone."""
        for end in _ends:
            end.close()
        super().run()


def _pipe() -> tuple[Connection, Connection]:
    ours, theirs = multiprocessing.Pipe()
    _ends.append(ours)
    return ours, theirs


@contextmanager
def workers_as_copies() -> Iterator[None]:
    """Within this context, the processes of :class:`minibert.running.workers.Workers` are copies of this one."""
    context = SimpleNamespace(Pipe=_pipe, Process=_Worker)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "get_context", lambda _: context)
        # It reads the store in a thread: a copy that is made meanwhile might have a lock that nobody releases.
        patch.setattr(Display, "sweep", lambda *_: nullcontext())
        yield


def _perform(main: Callable[[list[str]], int], words: list[str], printed: Path) -> int:
    """The life of a copy, in its process. Returns its exit code."""
    os.setsid()
    file = io.FileIO(str(printed), "w")
    for descriptor in (1, 2):
        os.dup2(file.fileno(), descriptor)
    sys.stdout = sys.stderr = io.TextIOWrapper(file, write_through=True)
    os.environ["COLUMNS"] = "200"
    interruption._State.reason = None
    try:
        with workers_as_copies():
            return main(words)
    except BaseException:
        traceback.print_exc()
        return FAILED


def _close_connections() -> None:
    """Close MLflow's connections to databases, which it opens again when it needs them.

    SQLite keeps locks and shared memory by process: a copy that is made while the database is open ends in SIGBUS.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for engine in SqlAlchemyStore._engine_map.values():
        engine.dispose()


def query(folder: Path, statement: str, *values) -> list[tuple]:
    """Rows of the database of a store, which is not changed; none if it has no tables yet."""
    with closing(sqlite3.connect(f"file:{folder / 'mlflow.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(statement, values).fetchall()
