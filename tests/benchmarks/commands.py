"""A command of the package in a process of its own, and what it takes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import psutil

from tests.benchmarks.worker import busy_seconds


class CommandError(SystemExit):
    """A command failed. Ends a benchmark that does not go on without it."""


@dataclass(frozen=True)
class Spent:
    """What a command took."""

    seconds: float
    """From its start to its end"""
    printing: float
    """Seconds from the first line that it printed to the last"""
    processor: float
    """Processor time, user and system, of the process and of those that it started and waited for, in seconds"""
    others: float
    """Share of the machine's processor time that went to anything else"""
    printed: str


def spend(
    words: Sequence[str], checkout: Path | None = None, told: Callable[[str], object] = lambda line: None
) -> Spent:
    """Run ``python WORDS`` to its end; ``told`` is called with every line that it prints.

    It runs the code of ``checkout``, by default that of this process's folder. Raises :class:`CommandError`,
    with everything that it printed, when it fails.
    """
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # sources are compiled once, not by every command
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout)
    command = [sys.executable, *words]
    lines, times = [], []

    def listen(pipe) -> None:
        for line in pipe:
            times.append(time.perf_counter())
            lines.append(line)
            told(line)

    busy, started = busy_seconds(), time.perf_counter()
    process = subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    listener = Thread(target=listen, args=(process.stdout,), daemon=True)
    listener.start()
    _, status, used = os.wait4(process.pid, 0)  # with the time of its workers that have ended
    seconds = time.perf_counter() - started
    others = busy_seconds() - busy - used.ru_utime - used.ru_stime
    process.returncode = os.waitstatus_to_exitcode(status)
    listener.join()
    printed = "".join(lines)
    if process.returncode:
        raise CommandError(f"{' '.join(command)} failed:\n{printed}")
    return Spent(
        seconds,
        times[-1] - times[0] if times else 0.0,
        used.ru_utime + used.ru_stime,
        max(others, 0.0) / (seconds * psutil.cpu_count()),
        printed,
    )
