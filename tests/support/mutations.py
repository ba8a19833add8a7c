"""Mistakes put into the code, to see that a test turns red."""

from collections.abc import Callable
from importlib import import_module
from pathlib import PurePosixPath

from minibert.mistakes.injection import injected
from minibert.mistakes.mistake import Mistake

HOLDERS = ("minibert.", "test_")
"""How the names of the modules begin in which a changed function takes the place of the original"""
_green: set[tuple[Callable, str]] = set()
"""Checks, with their arguments, that have passed without a mistake: one is to catch many"""


def named_test(mistake: Mistake) -> Callable:
    """The test that must catch a mistake. Its file has to be beside that of the caller, where pytest finds it."""
    return getattr(import_module(PurePosixPath(mistake.test_file).stem), mistake.test_name)


def assert_caught(mistake: Mistake, check: Callable, **arguments) -> None:
    """Red with the mistake, green without it."""
    with injected(mistake.where, mistake.changes, HOLDERS):
        found = failure(check, **arguments)
    assert found, f"{mistake.test}{arguments} passes although {mistake.said}"
    asked = check, repr(arguments)
    if asked not in _green:
        assert failure(check, **arguments) is None
        _green.add(asked)


def failure(check: Callable, **arguments) -> str | None:
    """What the check says against the code as it is now; None where it has nothing to say."""
    try:
        check(**arguments)
    except AssertionError as error:
        return repr(error)
    return None
