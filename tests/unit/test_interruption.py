"""Wishes to end: which signals are one wish, where they raise, and whose end a process follows."""

import gc
import os
import signal
import sys
from contextlib import nullcontext
from importlib import import_module
from types import SimpleNamespace

import pytest

from minibert import interruption
from minibert.interruption import Interrupted, deferred, held_back_from_children, shielded, watch, watching

INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.fixture
def clock(monkeypatch):
    """Seconds on the clock, to be set; and what this process is asked to do, undone afterwards."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(interruption.time, "monotonic", lambda: clock.now)
    for name, value in {"reason": None, "exit_code": 130, "noted_at": 0.0, "deferred": 0, "parent": None}.items():
        monkeypatch.setattr(interruption._State, name, value)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    handlers = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    yield clock
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def of_a_launcher(monkeypatch):
    """This process is taken for one that a sweep's launcher started, its parent alive."""
    parent = SimpleNamespace(pid=os.getppid())
    monkeypatch.setattr(interruption.multiprocessing, "parent_process", lambda: parent)
    return parent


def torn_by(*arrivals, clock) -> list[int]:
    """Send (seconds, signal) to this process in a training step; the places of those that tore it."""
    start, torn = clock.now, []
    with deferred():
        for place, (seconds, number) in enumerate(arrivals):
            clock.now = start + seconds
            try:
                signal.raise_signal(number)
            except Interrupted:
                torn.append(place)
    return torn


@pytest.mark.parametrize(
    ("arrivals", "torn"),
    [
        ([(0, INT)], []),
        ([(0, INT), (0.1, TERM)], []),  # the terminal to the group, then what the parent passes on
        ([(0, TERM), (0.1, TERM)], []),  # a cluster's manager to all, then the parent
        ([(0, INT), (0.1, INT), (0.5, INT)], []),  # an impatient hand
        ([(0, INT), (0.2, TERM), (3, INT)], [2]),  # a second wish
        ([(0, TERM), (3, TERM)], [1]),
    ],
)
def test_signals_within_a_second_are_one_wish_and_a_later_one_is_another(clock, arrivals, torn):
    watch()
    assert torn_by(*arrivals, clock=clock) == torn
    assert interruption.reason()


@pytest.mark.parametrize(
    ("arrivals", "torn"),
    [
        ([(0, INT), (30, TERM)], []),  # the parent was slow to pass it on
        ([(0, TERM), (30, TERM), (60, TERM)], []),
        ([(0, INT), (30, TERM), (60, INT)], [2]),
    ],
)
def test_a_worker_takes_every_sigterm_for_the_wish_that_its_parent_passes_on(clock, of_a_launcher, arrivals, torn):
    watch(follow_parent=True)
    assert torn_by(*arrivals, clock=clock) == torn


def test_a_signal_between_two_runs_of_a_worker_is_noted_only(clock, of_a_launcher):
    for _ in range(2):  # once a run
        watch(follow_parent=True)
    signal.raise_signal(INT)
    assert interruption.reason() == "SIGINT"
    assert interruption.exit_code() == 130


def test_outside_of_a_step_the_first_signal_raises_and_its_echo_does_not(clock):
    watch()
    with pytest.raises(Interrupted, match="SIGTERM"):
        signal.raise_signal(TERM)
    signal.raise_signal(INT)
    assert (interruption.reason(), interruption.exit_code()) == ("SIGTERM", 143)


@pytest.mark.parametrize("around", [nullcontext, deferred])
def test_a_call_of_the_store_is_carried_out_before_a_signal_raises(clock, around):
    watch()
    done = []
    with around(), pytest.raises(Interrupted) if around is nullcontext else nullcontext(), shielded():
        signal.raise_signal(INT)
        done.append("all of it")
    assert done == ["all of it"]
    with shielded():  # what is written after the wish is not interrupted by it
        done.append("the end of the run")


def test_a_signal_while_python_frees_an_object_prints_no_traceback(clock, capsys):
    watch()

    class Freed:
        def __del__(self):
            raise Interrupted("SIGINT")

    Freed()
    gc.collect()
    assert capsys.readouterr().err == ""


def test_only_a_process_that_a_launcher_started_follows_its_parent(clock, monkeypatch):
    monkeypatch.setattr(interruption.multiprocessing, "parent_process", lambda: None)
    watch(follow_parent=True)  # a sweep in the main process, by the basic launcher
    monkeypatch.setattr(os, "getppid", lambda: 1)  # its shell has ended
    assert interruption.reason() is None
    interruption.leave_if_orphaned()


def test_a_worker_ends_when_the_process_of_its_sweep_is_gone(clock, of_a_launcher):
    watch(follow_parent=True)
    assert interruption.reason() is None
    of_a_launcher.pid = None
    interruption._State.parent = -1
    assert interruption.reason() == "the process of the sweep is gone"


def test_a_child_that_is_not_yet_watching_is_reached_by_no_signal(clock):
    with held_back_from_children():
        assert set(interruption.SIGNALS) <= signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert not set(interruption.SIGNALS) & signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("ends", ["returns", "is interrupted", "fails"])
def test_a_command_that_a_program_calls_gives_its_signals_back(clock, ends):
    def own(number, frame):
        raise KeyboardInterrupt

    hook, blocked = sys.unraisablehook, signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for number in interruption.SIGNALS:
        signal.signal(number, own)
    with nullcontext() if ends == "returns" else pytest.raises((Interrupted, ValueError)), watching():
        if ends == "is interrupted":
            signal.raise_signal(INT)
        if ends == "fails":
            raise ValueError
        assert interruption.reason() is None
    assert [signal.getsignal(number) for number in interruption.SIGNALS] == [own, own]
    assert (sys.unraisablehook, signal.pthread_sigmask(signal.SIG_BLOCK, ())) == (hook, blocked)
    assert interruption.reason() is None  # the next command of a notebook begins
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(INT)


@pytest.mark.parametrize("called", ["run", "search"])
def test_commands_that_train_leave_the_signals_of_their_caller_alone(clock, called, capsys):
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    assert import_module(f"minibert.{called}").main(["no such word"]) == 2
    assert before == {number: signal.getsignal(number) for number in interruption.SIGNALS}
