"""Worker processes that perform jobs, one after the other. One that dies costs its own job only.

Each worker has a pipe of its own and shares no lock with the others, so a kill at any moment leaves nothing behind
that another one waits for. The parent hears of a death by the end of the pipe, and starts a new worker. The job is
begun once more, after those that wait: if memory ran out, less of it is in use by then.
"""

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from threadpoolctl import threadpool_limits

from minibert import interruption
from minibert.errors import MinibertError
from minibert.interruption import Interrupted

TRIES = 2
"""How often a job is begun, before the workers that died of it are enough"""
WHY = {signal.SIGKILL: " (out of memory?)", signal.SIGSEGV: " (a crash in compiled code)"}
LEAVE_SECONDS = 10.0
"""That a worker without work may take to end"""
READY, DONE, BROKEN, LEFT = range(4)
"""What a worker says: it can begin; its job is done, or raised; it cannot begin; a signal ended it"""


@dataclass(frozen=True)
class Death:
    """A worker process that ended during a job."""

    job: int
    how: str
    final: bool
    """Whether the job is given up, and not begun again"""


@dataclass
class Worker:
    """A worker process as its parent sees it."""

    process: BaseProcess
    connection: Connection
    job: int | None = None
    ready: bool = False


class Workers:
    """Processes that share jobs.

    ``perform`` gets one of ``jobs`` in a worker. It returns nothing; what it raises ends its job only. Of every
    worker that dies, ``on_death`` is told in this process.
    """

    def __init__(
        self,
        perform: Callable[[Any], object],
        jobs: Sequence[Any],
        on_death: Callable[[Death], None] | None = None,
    ):
        self.failures: dict[int, str] = {}
        """Job -> why it was not done"""
        self._perform, self._jobs = perform, jobs
        self._on_death = on_death or (lambda death: None)
        self._waiting = deque(range(len(jobs)))
        self._begun: Counter[int] = Counter()
        self._workers: list[Worker] = []
        self._broken: str | None = None

    def work(self, processes: int) -> None:
        """Do all jobs. If this process is asked to end, those that are begun end by themselves; no other begins.

        Raises :class:`MinibertError` if no worker can begin, and what pickle raises if ``perform`` or a job cannot
        be sent to another process. Whatever is raised, the workers have ended then.
        """
        try:
            while self._fill(processes):
                for connection in wait([each.connection for each in self._workers if each.job is not None]):
                    self._listen(next(each for each in self._workers if each.connection is connection))
            for worker in self._workers:
                _send(worker.connection, None)
            for worker in self._workers:
                worker.process.join(LEAVE_SECONDS)
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
                worker.connection.close()

    def _fill(self, processes: int) -> bool:
        """Give jobs to workers that have none, and to new ones. Returns whether any job is in work."""
        asked_to_end = interruption.reason() is not None
        if self._waiting and self._broken and not (self._workers or asked_to_end):
            raise MinibertError(
                f"Worker processes cannot begin: {self._broken}. Runs that were not started: {len(self._waiting)}"
            )
        while self._waiting and interruption.reason() is None:
            worker = next((each for each in self._workers if each.job is None), None)
            if worker is None and (self._broken or len(self._workers) >= processes):
                break
            worker = worker or self._start()
            job = self._waiting.popleft()
            worker.job = job
            self._begun[job] += 1
            _send(worker.connection, self._jobs[job])
        return any(each.job is not None for each in self._workers)

    def _start(self) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs,), name="minibert worker")
        worker = Worker(process, ours)
        with interruption.held_back_from_children():
            process.start()
            self._workers.append(worker)
        theirs.close()
        if interruption.reason() is not None:  # the signal was passed on before this process was there
            process.terminate()
        _send(ours, self._perform)
        return worker

    def _listen(self, worker: Worker) -> None:
        try:
            said, text = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            code = worker.process.exitcode or 0
            said, text = LEFT if worker.ready or code < 0 else BROKEN, describe_end(code)
        if said == READY:
            worker.ready = True
        elif said == DONE:
            if text is not None and worker.job is not None:
                self.failures[worker.job] = text
            worker.job = None
        else:
            self._workers.remove(worker)
            worker.process.join()
            worker.connection.close()
            self._lost(worker, text) if said == LEFT else self._cannot_begin(worker, text)

    def _lost(self, worker: Worker, how: str) -> None:
        job = worker.job
        assert job is not None
        final = self._begun[job] >= TRIES
        if interruption.reason() is None:
            self._on_death(Death(job, how, final))
        if final:
            self.failures[job] = f"its worker process was {how}"
        else:
            self._waiting.append(job)

    def _cannot_begin(self, worker: Worker, why: str) -> None:
        """The code may have been edited meanwhile: workers that are there go on, but no others are started."""
        assert worker.job is not None
        self._begun[worker.job] -= 1
        self._waiting.append(worker.job)
        self._broken = why


def serve(connection: Connection) -> None:
    """The life of a worker, in its process: what it performs is sent first, then job after job, then None.

    BLAS has one thread, since the lanes of a training are threads of their own. The worker ends with its parent:
    at once if it waits for a job, else after the step.
    """
    interruption.watch(follow_parent=True)
    try:
        try:
            perform = connection.recv()
            threadpool_limits(1, user_api="blas")
        except EOFError:
            return
        except Exception as error:
            connection.send((BROKEN, describe_error(error)))
            return
        connection.send((READY, None))
        while interruption.reason() is None and (job := connection.recv()) is not None:
            failed = None
            try:
                perform(job)
            except Exception as error:
                failed = describe_error(error)
            interruption.leave_if_orphaned()
            if reason := interruption.reason():
                connection.send((LEFT, f"ended by {reason}"))
                return
            connection.send((DONE, failed))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone
    except Interrupted:
        raise SystemExit(interruption.exit_code()) from None


def describe_end(exit_code: int) -> str:
    """How a process ended, from its exit code as :mod:`multiprocessing` has it: minus the number of a signal."""
    if exit_code >= 0:
        return f"ended by itself with exit code {exit_code}"
    try:
        number = signal.Signals(-exit_code)
    except ValueError:  # a real-time signal has a number only
        return f"killed by signal {-exit_code}"
    return f"killed by {number.name}{WHY.get(number, '')}"


def describe_error(error: BaseException) -> str:
    """An error and its cause, as one line."""
    causes = [each for each in (error, error.__cause__) if each is not None]
    text = " ".join(_first_line(each) for each in causes)
    return text if isinstance(error, MinibertError) else f"{type(error).__name__}: {text}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "no message")


def _send(connection: Connection, what: Any) -> None:
    """Send something to a worker. If that has died, its end is heard when it is listened to."""
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.send(what)
