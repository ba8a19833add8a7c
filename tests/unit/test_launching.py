"""What fails in Hydra or its launcher is one error, and names what died."""

import os
import signal
import sys
from types import SimpleNamespace

import pytest
from joblib.externals.loky import process_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from minibert.errors import MinibertError
from minibert.running import launching
from minibert.running.launching import call_hydra, describe_end, watched_workers


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
    ("failure", "words"),
    [
        (
            TerminatedWorkerError("A worker ended.\n\nThe exit codes are {SIGKILL(-9), SIGKILL(-9)}\n"),
            "A worker process was killed by SIGKILL (out of memory?)",
        ),
        (TerminatedWorkerError("A worker ended."), "A worker process was ended for an unknown reason"),
        (OSError("No space left\n\non device"), "OSError: No space left"),
        (ValueError(), "ValueError: no message"),
    ],
)
def test_a_launcher_that_fails_is_one_line(monkeypatch, failure, words):
    def fail(**_):
        raise failure

    monkeypatch.setattr(launching, "_run_hydra", fail)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(MinibertError) as caught:
        call_hydra(print, ["--multirun"])
    assert str(caught.value) == words
    assert "HYDRA_FULL_ERROR" not in os.environ


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (None, 0), (2, 2), ("a message", 1)])
def test_hydras_exit_code_is_passed_on(monkeypatch, code, expected):
    def leave(**_):
        raise SystemExit(code)

    monkeypatch.setattr(launching, "_run_hydra", leave)
    assert call_hydra(print, []) == expected


def test_the_workers_that_died_are_told_from_those_that_the_launcher_ends():
    died, ended = SimpleNamespace(pid=7, exitcode=-9), SimpleNamespace(pid=8, exitcode=None)
    with watched_workers() as workers:
        text = process_executor.get_exitcodes_terminated_worker({7: died, 8: ended})
    assert "SIGKILL(-9)" in text
    assert workers == {7: "killed by SIGKILL (out of memory?)"}
    assert process_executor.get_exitcodes_terminated_worker.__module__.startswith("joblib")


def test_hydra_gets_its_words_and_the_arguments_of_the_process_stay(monkeypatch):
    before, got = list(sys.argv), {}
    monkeypatch.setattr(launching, "_run_hydra", lambda **given: got.update(given))
    assert call_hydra(print, ["--multirun", "seed=0,1"]) == 0
    assert got["args"].multirun and got["args"].overrides == ["seed=0,1"] and got["task_function"] is print
    assert sys.argv == before
    assert call_hydra(print, ["--unknown"]) == 2
