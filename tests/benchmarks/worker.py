"""A contender in a process of its own, which lives through the benchmark and takes steps when it is told to.

So only one contender computes at a time, memory is counted for each alone, and what one does to threads,
allocator or caches of its process touches no other.
"""

import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from tests.benchmarks.contenders import Contender, Entry
from tests.benchmarks.workload import Workload

QUIET = 0.05
"""Share of the machine that other processes may take of a turn"""
ATTEMPTS = 8
PAUSE_SECONDS = 3.0


class WorkerError(Exception):
    """A worker failed; the message is what it said."""


@dataclass(frozen=True)
class Turn:
    seconds: list[float]
    """Of every step on the clock"""
    losses: list[float]
    """Of these and of the one before them"""
    others: float
    """Share of the machine's processor time that went to anything else, another guest of its host included"""


class Watch:
    """Sees how much of the machine goes to anything but one process, from now on."""

    def __init__(self, process: psutil.Process):
        self._process = process
        self._busy, self._used, self._started = busy_seconds(), self._used_seconds(), time.perf_counter()

    def others(self) -> float:
        """The share of the machine's processor time that the others had, so far."""
        elapsed = time.perf_counter() - self._started
        others = (busy_seconds() - self._busy) - (self._used_seconds() - self._used)
        return max(others, 0.0) / (elapsed * psutil.cpu_count())

    def _used_seconds(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system


class Worker:
    """The benchmark's end of the pipe."""

    def __init__(self, contender: Entry, workload: Workload, environment: Mapping[str, str] | None = None):
        """Start the process, by default with this one's environment, and wait until its contender stands ready."""
        self._pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=None if environment is None else dict(environment),
        )
        theirs.close()
        self._usage = psutil.Process(self._process.pid)
        try:
            self.about: dict = self._ask((contender, workload))
        except BaseException:
            self.close()
            raise

    def steps(self, count: int) -> "Turn":
        """Take one step off the clock, then ``count``."""
        watch = Watch(self._usage)
        seconds, losses = self._ask(count)
        return Turn(seconds, losses, watch.others())

    def undisturbed_steps(self, count: int) -> tuple["Turn", int]:
        """A turn on a quiet machine, and which attempt it was. The last attempt counts whatever others did."""
        turn, attempt = self.steps(count), 1
        while turn.others > QUIET and attempt < ATTEMPTS:
            time.sleep(PAUSE_SECONDS)
            turn, attempt = self.steps(count), attempt + 1
        return turn, attempt

    def close(self) -> None:
        self._pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def peak_memory(self) -> int:
        """Bytes that the process has held at most, so far."""
        return self._ask("memory")

    def _ask(self, question):
        try:
            self._pipe.send(question)
            answer = self._pipe.recv()
        except (EOFError, BrokenPipeError) as error:
            raise WorkerError(f"the process ended with exit code {self._process.wait()}") from error
        if isinstance(answer, WorkerError):
            raise answer
        return answer


def busy_seconds() -> float:
    """Processor time, all cores together, that was not idle since the machine was started."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - sum(getattr(times, name, 0.0) for name in ("iowait", "guest", "guest_nice"))


def serve(pipe: Connection) -> None:
    """The worker's end: build the contender, then answer until the pipe is closed."""
    entry, workload = pipe.recv()
    build = entry.load()
    imported = peak_memory()
    contender = build(workload)
    pipe.send(contender.about | {"memory_imported": imported})
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        pipe.send(peak_memory() if question == "memory" else take_steps(contender, question))


def take_steps(contender: Contender, count: int) -> tuple[list[float], list[float]]:
    """Seconds of ``count`` steps after one off the clock, and the losses of all of them."""
    contender.prepare()
    losses, seconds = [contender.step()], []
    for _ in range(count):
        contender.prepare()
        started = time.perf_counter()
        losses.append(contender.step())
        seconds.append(time.perf_counter() - started + contender.amortised_seconds)
    return seconds, losses


def peak_memory() -> int:
    """Bytes of physical memory that this process has held at most."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the process that this one was started from as well
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    connection = Connection(int(sys.argv[1]))
    try:
        serve(connection)
    except Exception as error:
        traceback.print_exc()
        connection.send(WorkerError(f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its exception travels through the pipe.
    from tests.benchmarks.worker import main as worker_main

    worker_main()
