"""The wish to end: Ctrl-C, SIGTERM, or the death of the process that a run works for.

A training loop must not be torn apart in the middle of a step. Within :func:`deferred`, a signal is noted and the
loop asks :func:`reason` after every step; elsewhere it raises :class:`Interrupted` at once, as Ctrl-C always does.
Once a process was asked to end, the wish stays: later runs in the same process do not begin.
"""

import os
import signal
from contextlib import contextmanager

import psutil


class Interrupted(BaseException):
    """The process was asked to end. Not an Exception, so that no handler of errors takes it for one."""


class _State:
    reason: str | None = None
    exit_code = 130
    deferred = 0
    parent: int | None = None


def watch(follow_parent: bool = False) -> None:
    """Take SIGINT and SIGTERM as a wish to end. With ``follow_parent``, so is the end of the parent process."""
    if follow_parent and _State.parent is None:
        _State.parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def reason() -> str | None:
    """Why this process should end, or None."""
    if _State.reason is None and _orphaned():
        _State.reason = "the process of the sweep is gone"
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
def deferred():
    """Within this context a signal is only noted, and passed on to the processes that this one started."""
    _State.deferred += 1
    try:
        yield
    finally:
        _State.deferred -= 1


def _note(number, _frame) -> None:
    again = _State.reason is not None
    _State.reason = signal.Signals(number).name
    _State.exit_code = 128 + number
    if _State.deferred and not again:
        for child in psutil.Process().children(recursive=True):
            if child.status() != psutil.STATUS_ZOMBIE:
                child.send_signal(signal.SIGTERM)
        return
    raise Interrupted(_State.reason)
