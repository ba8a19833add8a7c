"""What minibert says when the input is at fault: one error that names the way out."""

from collections.abc import Iterable
from difflib import SequenceMatcher


class MinibertError(Exception):
    """Bad input or a broken environment, not a bug: shown to the user as one message, without a traceback."""


class Refused(MinibertError):
    """The store answered, and does not take what it was given: a name, a value, a type."""


def sentence(text: object) -> str:
    """What another part or library says, as a sentence with one full stop, whether or not it brings its own."""
    return str(text).rstrip(" .\n") + "."


def nearest(given: str, allowed: Iterable[str]) -> str:
    """A hint `` (did you mean 'x'?)`` for the allowed name closest to ``given``, or an empty string if there is none."""
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
    """The first problems of one sort, and how many more there are: what a reader takes in."""
    problems = list(problems)
    left = len(problems) - most
    return problems if left <= 0 else [*problems[:most], f"and {left} more like this"]
