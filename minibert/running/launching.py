"""Hydra as minibert calls it: whatever fails in it, or in its launcher, is one error."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hydra
from joblib.externals.loky import process_executor

from minibert.config import CONF
from minibert.errors import MinibertError

WHY = {signal.SIGKILL: " (out of memory?)", signal.SIGSEGV: " (a crash in compiled code)"}


def call_hydra(task: Callable, arguments: list[str]) -> int:
    """Let Hydra do what its command line asks for. Returns its exit code: 0, or 2 for flags that it does not know.

    Raises :class:`MinibertError` for whatever goes wrong in it, without a traceback.
    """
    sys.argv = ["minibert.run", *arguments]
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise, where it would print a traceback and end the process
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except MinibertError:
        raise
    except Exception as error:
        raise MinibertError(_describe(error)) from error
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
    return 0


@contextmanager
def watched_workers() -> Iterator[dict[int, str]]:
    """Process -> what it died of, of joblib's workers that die by themselves within this context.

    When one dies, joblib ends the others. Its error says how the first one ended, but not which one that was.
    """
    died: dict[int, str] = {}
    original = getattr(process_executor, "get_exitcodes_terminated_worker", None)

    def note(processes) -> str:
        text = original(processes)
        ended = [process for process in list(processes.values()) if process.exitcode is not None]
        died.update({process.pid: describe_end(process.exitcode) for process in ended})
        return text

    if original is None:  # joblib does not promise this name; without it, no run is told from the others
        yield died
        return
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
    if isinstance(error, process_executor.TerminatedWorkerError):
        codes = re.findall(r"\w+\((-?\d+)\)", str(error))
        how = ", ".join(dict.fromkeys(describe_end(int(code)) for code in codes)) or "ended without a word"
        return f"A worker process was {how}"
    causes = [each for each in (error, error.__cause__) if each is not None]
    return f"{type(error).__name__}: " + " ".join(_first_line(each) for each in causes)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "no message")
