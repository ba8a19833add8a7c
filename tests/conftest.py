"""Fixtures that several rooms share. What is expensive is made once a session."""

import gc
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, redirect_stderr, redirect_stdout
from functools import partial
from importlib import import_module
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from threadpoolctl import threadpool_limits

from minibert.config import register
from minibert.tracking import open_store

CHECKOUT = Path(__file__).resolve().parents[1]
LONGEST = "test_pages"
MEMORY, ROOM = Path("/dev/shm"), 6 * 2**30
"""A disk in memory, and the bytes that must be free there"""
gc.disable()  # while the tests are collected: next to nothing of what is imported is garbage
register()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config) -> None:
    """Files of the tests lie in memory where there is room: a disk would be waited for thousands of times.

    A run commits to its database some fifty times, and each commit is flushed to the disk. What lies in memory is
    gone when the tests have ended; where TMPDIR is set, the files lie there and stay.
    """
    if "TMPDIR" in os.environ or not has_room(MEMORY):
        return
    for left in MEMORY.glob("mb_*"):  # by tests that were killed
        if left.name[3:].isdecimal() and not psutil.pid_exists(int(left.name[3:])):
            shutil.rmtree(left, ignore_errors=True)
    folder = MEMORY / f"mb_{os.getpid()}"  # a short name: sockets lie in it
    folder.mkdir(mode=0o700)
    config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def has_room(memory: Path) -> bool:
    """Whether files can be written and executed there, and enough of them."""
    if not os.access(memory, os.W_OK) or os.statvfs(memory).f_flag & os.ST_NOEXEC:
        return False
    return min(shutil.disk_usage(memory).free, psutil.virtual_memory().available) > ROOM


def pytest_collection_modifyitems(items) -> None:
    """The longest module begins first, so that no process is left with it in the end."""
    items.sort(key=lambda item: item.path.stem != LONGEST)


def pytest_collection_finish() -> None:
    """What was imported until here stays: to look through it again and again would take a tenth of the time.

    The products of tests are small. A second thread of BLAS would mostly wait, on a core that another test needs.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()
    threadpool_limits(1, user_api="blas")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """What a test printed may hold half a character, which cannot be sent from one process of xdist to another."""
    return printable((yield))


def printable(content):
    """The same JSON-like data, in whose texts every half of a character is written as its number."""
    if isinstance(content, str):
        return content.encode(errors="backslashreplace").decode()
    if isinstance(content, dict):
        return {printable(key): printable(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(map(printable, content))
    return content


WORDS = [
    "the",
    "union",
    "of",
    "states",
    "is",
    "strong",
    "and",
    "the",
    "people",
    "of",
    "the",
    "nation",
    "work",
    "in",
    "peace",
    "with",
    "every",
    "land",
    "while",
    "congress",
    "considers",
    "the",
    "budget",
    "for",
    "schools",
    "roads",
    "farms",
    "ships",
    "and",
    "the",
    "public",
    "debt",
    "of",
    "our",
    "great",
    "republic",
    "this",
    "year",
]


@pytest.fixture(scope="session")
def books(tmp_path_factory) -> Path:
    """A folder of eight small made-up documents."""
    folder = tmp_path_factory.mktemp("books")
    for number in range(8):
        picked = [WORDS[(number * 7 + place * place + place) % len(WORDS)] for place in range(600)]
        (folder / f"{number}.txt").write_text(f"Document {number}. " + " ".join(picked) + ".\n")
    return folder


@pytest.fixture(scope="session")
def small_settings(books) -> list[str]:
    """Overrides of a run that takes a second or two, on the made-up documents. No instrument is asked."""
    return [
        "model=debug", "training=debugging", "data=text", f"data.path={books}/*.txt", "model.vocab_size=128",
        "training.softmax_words=40", "evaluation.every=5", "evaluation.sequences=16", "tracking.progress=false",
        "evaluation.intrinsic.enabled=false",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """Making MLflow's tables takes seconds, so tests copy one database without runs. All workers share it."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "template"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            made = open_store(None, own / "made", "of no test").database
            folder.mkdir()
            with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(folder / "mlflow.db")) as copy:
                source.backup(copy)  # whole in one file, which nobody opens
    return folder / "mlflow.db"


@pytest.fixture(scope="module")
def rough_figures():
    """Figures are written roughly, for modules that ask only whether they are there."""
    from tests.support.figures import written_roughly

    with written_roughly():
        yield


@pytest.fixture(scope="session")
def command():
    """Runs ``python -m minibert.run`` in a process of its own: ``command(*arguments)`` -> CompletedProcess."""

    def run(*arguments: str, module: str = "minibert.run", environment=None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=CHECKOUT,
            env=os.environ | {"COLUMNS": "200"} | (environment or {}),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def door():
    """Like ``command``, in this process: a new one takes five seconds to import what it needs."""

    def run(*arguments: str, module: str = "minibert.run") -> subprocess.CompletedProcess:
        out, errors = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
            patch.setenv("COLUMNS", "200")
            code = import_module(module).main(list(arguments))
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), errors.getvalue())

    return run


@pytest.fixture(scope="session")
def start():
    """Starts ``python -m minibert.run`` in a process group of its own, for tests that end it."""

    def begin(*arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "minibert.run", *arguments],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return begin
