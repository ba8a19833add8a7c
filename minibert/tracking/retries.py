"""Calls to the store that are repeated while it is away: a server that restarts, a database that is locked.

Every call to MLflow's client goes through :class:`PatientClient`. What fails for another reason, such as a name
that MLflow does not take, fails at once. Once the process was asked to end, nothing waits any more.
"""

import errno
import functools
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from minibert import interruption

WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0)
"""Between the tries of one call: a minute and a half, which is enough for a server to restart"""
POLL_SECONDS = 0.1
NOT_REPEATABLE = ("create_run", "create_experiment")
"""A call whose answer was lost may have been carried out. These would then make a second one: who calls them
repeats the search for what they make as well."""

TRANSIENT_KINDS = ("ConnectionError", "Timeout", "ProtocolError", "ChunkedEncodingError", "RetryError")
"""Parts of the names of exceptions that a network raises; requests, urllib3, SQLAlchemy and botocore share them"""
TRANSIENT_CODES = (
    "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED",
)  # fmt: skip
TRANSIENT_STATUSES = (408, 429, 500, 502, 503, 504)
COLLISIONS = ("UNIQUE constraint failed", "duplicate key value", "Duplicate entry")
"""What SQLite, PostgreSQL and MySQL say when two processes make one row at once, such as that of a dataset which
both use. MLflow 3.17 looks for the row and then makes it; the second try finds it."""
REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")

_at_once: ContextVar[bool] = ContextVar("at_once", default=False)
_logger = logging.getLogger(__name__)


class PatientClient:
    """MLflow's client, each call of which is repeated while the store is away."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name: str):
        found = getattr(self._client, name)
        if not callable(found):
            return found
        if name in NOT_REPEATABLE:
            return functools.partial(_whole, found)
        return functools.partial(patiently, functools.partial(_whole, found))


class Unopened:
    """A client that is made when it is first asked for something."""

    def __init__(self, make: Callable):
        self._make = functools.cache(make)

    def __getattr__(self, name: str):
        return getattr(self._make(), name)


def _whole(call: Callable, *arguments, **options):
    """The call, torn by no signal: one that comes meanwhile raises after it."""
    with interruption.shielded():
        return call(*arguments, **options)


@contextmanager
def at_once() -> Iterator[None]:
    """Within this context a call that fails is not repeated."""
    token = _at_once.set(True)
    try:
        yield
    finally:
        _at_once.reset(token)


def patiently(call: Callable, *arguments, **options):
    """``call(*arguments, **options)``, repeated as a whole while the store is away; calls within do not wait."""
    if _at_once.get():
        return call(*arguments, **options)
    for number, seconds in enumerate((*WAITS_SECONDS, None)):
        try:
            with at_once():
                return call(*arguments, **options)
        except Exception as error:
            if seconds is None or not is_transient(error) or interruption.reason():
                raise
            if number == 1:
                _logger.warning("the tracking store does not answer; trying again for %.0f s", sum(WAITS_SECONDS))
        pause(seconds)
    raise AssertionError("the last try returns or raises")


def pause(seconds: float) -> None:
    """Wait, but not on after a wish to end."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not interruption.reason():
        time.sleep(min(left, POLL_SECONDS))


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later: the store is out of reach, overloaded, locked or raced."""
    if any(text in str(error) for text in COLLISIONS):
        return True
    if "(sqlite3." in str(error):  # MLflow calls every error of a database temporary, a missing table too
        return "locked" in str(error) or "busy" in str(error)
    return any(_is_transient(each) for each in _chain(error))


def is_refusal(error: BaseException) -> bool:
    """Whether the store answered, and does not take what it was given: a name, a value, a type."""
    return not is_transient(error) and any(_is_refusal(each) for each in _chain(error))


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, OSError):  # requests' error for an answer that is no JSON is a ValueError as well
        return error.errno == errno.ENAMETOOLONG
    code = getattr(error, "error_code", None)
    return code in REFUSALS or isinstance(error, TypeError | ValueError | OverflowError)


def _is_transient(error: BaseException) -> bool:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if "SSLError" in kinds:  # a certificate does not become right by waiting
        return False
    if any(part in kind for kind in kinds for part in TRANSIENT_KINDS):
        return True
    code = getattr(error, "error_code", None)
    if code in TRANSIENT_CODES or (code == "INTERNAL_ERROR" and "RestException" in kinds):
        return True
    answer = re.search(r"failed with error code (\d{3})", str(error)) if code else None
    status = int(answer[1]) if answer else getattr(getattr(error, "response", None), "status_code", None)
    return status in TRANSIENT_STATUSES


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those that led to it."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
