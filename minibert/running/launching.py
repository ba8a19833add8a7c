"""Calls of Hydra: whatever fails in it, or in its launcher, is one error."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hydra import version
from hydra._internal.utils import _run_hydra, get_args_parser

from minibert.config import CONF
from minibert.errors import MinibertError

WHY = {signal.SIGKILL: " (out of memory?)", signal.SIGSEGV: " (a crash in compiled code)"}


def call_hydra(task: Callable, arguments: list[str]) -> int:
    """Let Hydra do what a command line asks for. Returns its exit code: 0, or 2 for flags that it does not know.

    ``hydra.main`` would read ``sys.argv``, so this is the call that it ends in. Raises :class:`MinibertError` for
    whatever goes wrong in it, without a traceback.
    """
    version.setbase("1.3")
    parser = get_args_parser()
    parser.prog = "minibert run"
    try:
        with _raising():
            _run_hydra(
                args=parser.parse_args(arguments),
                args_parser=parser,
                task_function=task,
                config_path=str(CONF),
                config_name="config",
            )
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except MinibertError:
        raise
    except Exception as error:
        raise MinibertError(_describe(error)) from error
    return 0


@contextmanager
def _raising() -> Iterator[None]:
    """Within this context Hydra raises its errors. Otherwise it prints a traceback and ends the process."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextmanager
def watched_workers() -> Iterator[dict[int, str]]:
    """The workers of joblib that die by themselves within this context: process -> what it died of.

    When one dies, joblib ends the others. Its error says how the first one ended, but not which one that was.
    """
    from joblib.externals.loky import process_executor  # here, because a single run does without it

    died: dict[int, str] = {}
    original: Callable | None = getattr(process_executor, "get_exitcodes_terminated_worker", None)
    if original is None:  # joblib does not promise this name; without it, all runs of a sweep are told alike
        yield died
        return

    def note(processes) -> str:
        text = original(processes)
        ended = [process for process in list(processes.values()) if process.exitcode is not None]
        died.update({process.pid: describe_end(process.exitcode) for process in ended})
        return text

    process_executor.get_exitcodes_terminated_worker = note
    try:
        yield died
    finally:
        process_executor.get_exitcodes_terminated_worker = original


def describe_end(exit_code: int) -> str:
    """How a process ended, from its exit code as :mod:`multiprocessing` has it: minus the number of a signal."""
    if exit_code >= 0:
        return f"ended by itself with exit code {exit_code}"
    try:
        number = signal.Signals(-exit_code)
    except ValueError:  # a real-time signal has a number only
        return f"killed by signal {-exit_code}"
    return f"killed by {number.name}{WHY.get(number, '')}"


def _describe(error: Exception) -> str:
    from joblib.externals.loky import process_executor

    if isinstance(error, process_executor.TerminatedWorkerError):
        codes = re.findall(r"\w+\((-?\d+)\)", str(error))
        how = ", ".join(dict.fromkeys(describe_end(int(code)) for code in codes)) or "ended for an unknown reason"
        return f"A worker process was {how}"
    causes = [each for each in (error, error.__cause__) if each is not None]
    return f"{type(error).__name__}: " + " ".join(_first_line(each) for each in causes)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "no message")
