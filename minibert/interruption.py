"""The wish to end: Ctrl-C, SIGTERM, or the death of the process that a run works for.

A training loop must not be torn apart in the middle of a step. Within :func:`deferred`, a signal is noted and
the loop asks :func:`reason` after every step; elsewhere it raises :class:`Interrupted` at once. Once a process
was asked to end, the wish stays: later runs in the same process do not begin.

One wish can arrive more than once: a terminal signals every process of a group, and the parent passes its
signal on; so do ``timeout``, ``make`` and what manages a cluster. What comes within a second of a signal is
therefore the same wish, and so is any SIGTERM to the worker of a sweep. A later signal is a second wish and
raises wherever it arrives.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_WISH_SECONDS = 1.0


class Interrupted(BaseException):
    """The process was asked to end. Not an Exception, so that no handler of errors takes it for one."""


class _State:
    reason: str | None = None
    exit_code = 130
    noted_at = 0.0
    deferred = 0
    parent: int | None = None


def watch(follow_parent: bool = False) -> None:
    """Take SIGINT and SIGTERM as a wish to end.

    With ``follow_parent``, a worker that a sweep's launcher started takes the end of its parent for one too. It
    defers signals for good: raised between two runs, one would end the worker, and with it the sweep. A process
    that no launcher started has a shell for its parent, which may end.
    """
    parent = multiprocessing.parent_process()
    if follow_parent and parent is not None and _State.parent is None:
        _State.parent = parent.pid
        _State.deferred += 1
    sys.unraisablehook = _silence_interrupted
    for number in SIGNALS:
        signal.signal(number, _note)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def reason() -> str | None:
    """Why this process should end, or None."""
    if _State.reason is None and _orphaned():
        _State.reason, _State.noted_at = "the process of the sweep is gone", time.monotonic()
    return _State.reason


def leave_if_orphaned() -> None:
    """End this process if the one that it works for is gone: a worker would wait for work that never comes."""
    if _orphaned():
        os._exit(1)


def _orphaned() -> bool:
    return _State.parent not in (None, os.getppid())


def exit_code() -> int:
    """What a shell expects of a process that a signal ended: 128 and the signal's number."""
    return _State.exit_code


@contextmanager
def deferred() -> Iterator[None]:
    """Within this context a signal is only noted, and passed on to the processes that this one started."""
    _State.deferred += 1
    try:
        yield
    finally:
        _State.deferred -= 1


@contextmanager
def shielded() -> Iterator[None]:
    """Within this context a signal is only noted; unless it is deferred further out, it raises at the end.

    For what must not be torn and ends soon, such as a transaction of a database.
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
    """Within this context, processes are started that no signal reaches before they :func:`watch`.

    Until then they would die of one, with a traceback from their imports. A child begins with the signals blocked
    that the thread blocks which starts it. This process still gets them, through its other threads.
    """
    # Python starts this helper with the first child, and some versions then unblock what was blocked.
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
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it may end by itself at any moment
                if child.status() != psutil.STATUS_ZOMBIE:
                    child.send_signal(signal.SIGTERM)


def _silence_interrupted(unraisable) -> None:
    """An exception raised while Python frees an object is lost there. The wish is not, and needs no traceback."""
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)
