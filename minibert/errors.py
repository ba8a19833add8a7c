"""The errors for wrong input: each says what was given and what is allowed."""

from collections.abc import Iterable
from difflib import SequenceMatcher


class MinibertError(Exception):
    """Bad input or a broken environment, not a bug: shown to the user as one message, without a traceback."""


class Refused(MinibertError):
    """The store answered, and refuses what it was given: a name, a value, a type."""


def sentence(text: object) -> str:
    """A message of another part or library, as a sentence with exactly one full stop."""
    return str(text).rstrip(" .\n") + "."


def nearest(given: str, allowed: Iterable[str]) -> str:
    """A hint `` (did you mean 'x'?)`` with the allowed name closest to ``given``; empty if nothing is allowed.

    >>> nearest("roep", ["rope", "alibi"])
    " (did you mean 'rope'?)"
    """
    given = str(given)
    closest = max(
        (str(name) for name in allowed), key=lambda name: SequenceMatcher(None, given, name).ratio(), default=None
    )
    return f" (did you mean '{closest}'?)" if closest is not None else ""


def unknown_name(key: str, given: str, allowed: Iterable[str]) -> MinibertError:
    """The error for a name that is not in a dictionary of variants: the key, the value, what is allowed."""
    allowed = sorted(allowed)
    return MinibertError(f"{key}: unknown name '{given}'{nearest(given, allowed)}. Allowed: {', '.join(allowed)}.")


def listed(problems: Iterable[str], most: int = 5) -> list[str]:
    """The first problems of one sort, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    ['a', 'b', 'and 1 more like this']
    """
    problems = list(problems)
    left = len(problems) - most
    return problems if left <= 0 else [*problems[:most], f"and {left} more like this"]
