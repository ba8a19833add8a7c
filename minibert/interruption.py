"""Requests to end: Ctrl-C, SIGTERM, or the death of the process of the sweep.

A training step must not be interrupted. Within :func:`deferred`, a signal is only noted, and the training loop
asks for the :func:`reason` after every step. Elsewhere a signal raises :class:`Interrupted` at once. A request
stays: later runs in the same process do not begin.

One request can arrive more than once. A terminal signals every process of a group, and the parent passes its
signal on; so do ``timeout``, ``make`` and cluster managers. So a signal within a second of another one is the
same request, and so is any SIGTERM to the worker of a sweep. A later signal is a second request, which always
raises.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_WISH_SECONDS = 1.0


class Interrupted(BaseException):
    """The process was asked to end. Not an Exception, so that handlers of errors do not catch it."""


class _State:
    reason: str | None = None
    exit_code = 130
    noted_at = 0.0
    deferred = 0
    parent: int | None = None
    passes_on = True


def watch(follow_parent: bool = False, also: Iterable[int] = ()) -> None:
    """Take SIGINT and SIGTERM as requests to end, and ``also`` other signals.

    With ``follow_parent``, a worker that the launcher of a sweep started also takes the end of its parent for
    one. It defers all signals: raised between two runs, a signal would end the worker, and with it the sweep.
    The parent of a process that no launcher started is a shell, whose end means nothing.
    """
    parent = multiprocessing.parent_process()
    if follow_parent and parent is not None and _State.parent is None:
        _State.parent = parent.pid
        _State.deferred += 1
    sys.unraisablehook = _silence_interrupted
    for number in (*SIGNALS, *also):
        signal.signal(number, _note)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def watching() -> Iterator[None]:
    """Within this context this process watches (:func:`watch`). Afterwards all is as before.

    So a notebook that calls a command has its own Ctrl-C back, and a request to end that command ends no other.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    hook, blocked, before = sys.unraisablehook, signal.pthread_sigmask(signal.SIG_BLOCK, ()), _State.reason
    watch()
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # it was not installed by Python, and cannot be put back by it
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        sys.unraisablehook, _State.reason = hook, before


def reason() -> str | None:
    """Why this process should end, or None."""
    if _State.reason is None and _orphaned():
        _State.reason, _State.noted_at = "the process of the sweep is gone", time.monotonic()
    return _State.reason


def leave_if_orphaned() -> None:
    """End this process if the process of its sweep is gone. It would wait for work without end."""
    if _orphaned():
        os._exit(1)


def _orphaned() -> bool:
    return _State.parent not in (None, os.getppid())


def exit_code() -> int:
    """The exit code of a process that a signal ended: 128 plus the number of the signal."""
    return _State.exit_code


def request(number: int) -> bool:
    """Take what happened for the signal of this number, such as a closed pipe for SIGPIPE.

    Returns whether signals are :func:`deferred`: if not, who asks has to end.
    """
    if _State.reason is None:
        with deferred():
            _note(number, None)
    return _State.deferred > 0


@contextmanager
def deferred() -> Iterator[None]:
    """Within this context a signal is only noted, and passed on to the processes that this one started."""
    _State.deferred += 1
    try:
        yield
    finally:
        _State.deferred -= 1


@contextmanager
def not_passed_on() -> Iterator[None]:
    """Within this context a signal is not passed on: what trains is told in another way."""
    before, _State.passes_on = _State.passes_on, False
    try:
        yield
    finally:
        _State.passes_on = before


@contextmanager
def shielded() -> Iterator[None]:
    """Within this context a signal is only noted. It raises at the end, unless an outer context defers it.

    For short actions that must not be interrupted, such as a transaction of a database.
    """
    if threading.current_thread() is not threading.main_thread():  # signals arrive in the main thread alone
        yield
        return
    before = _State.reason
    with deferred():
        yield
    if _State.reason != before and not _State.deferred:
        raise Interrupted(_State.reason)


@contextmanager
def held_back_from_children() -> Iterator[None]:
    """Within this context, signals do not reach new processes before they :func:`watch`.

    Before that, a signal would end them with a traceback from their imports. A new process inherits the blocked
    signals of the thread that starts it. This process still gets signals through its other threads.
    """
    # Python starts this process with the first child, and some versions then unblock all signals.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _note(number: int, _frame) -> None:
    now = time.monotonic()
    first = _State.reason is None
    passed_on = _State.parent is not None and number == signal.SIGTERM
    if not first and (passed_on or now - _State.noted_at < SAME_WISH_SECONDS):
        return
    _State.reason = signal.Signals(number).name
    _State.exit_code = 128 + number
    _State.noted_at = now
    if not (first and _State.deferred):
        raise Interrupted(_State.reason)
    if not _State.passes_on:
        return
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it may end by itself at any moment
                if child.status() != psutil.STATUS_ZOMBIE:
                    child.send_signal(signal.SIGTERM)


def _silence_interrupted(unraisable) -> None:
    """An exception is lost if it is raised while Python frees an object. The request is noted all the same."""
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)
