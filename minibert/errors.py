"""The errors for wrong input: each says what was given and what is allowed."""

from collections.abc import Callable, Iterable
from difflib import SequenceMatcher

LEAST_SIMILAR = 0.5
"""Share of letters in common, above which a name may be meant"""
SAME_LETTERS = 0.95
"""Similarity of two names of the same letters"""
LONGEST = 60
"""Characters of a value in a message"""


class MinibertError(Exception):
    """Bad input or a broken environment, not a bug: shown to the user as one message, without a traceback."""


class Refused(MinibertError):
    """The store answered, and refuses what it was given: a name, a value, a type."""


class Unavailable(MinibertError):
    """Data that are not here and cannot be downloaded: the message says which file to put where."""


def sentence(text: object) -> str:
    """A message of another part or library, as a sentence with exactly one full stop."""
    return str(text).rstrip(" .\n") + "."


def shown(given: object, most: int = LONGEST) -> str:
    """A value as a message shows it: its type and its beginning, of ``most`` characters.

    >>> shown("ten")
    "str 'ten'"
    """
    return f"{type(given).__name__} {shortened(f'{given!a}', most)}"


def shortened(text: str, most: int = LONGEST) -> str:
    """A text, or its beginning of ``most`` characters.

    >>> shortened("a long name", most=7)
    'a long…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def nearest(given: str, allowed: Iterable[str]) -> str:
    """A hint `` (did you mean 'x'?)`` with the allowed name most similar to ``given``; empty if none is similar.

    >>> nearest("roep", ["rope", "alibi"])
    " (did you mean 'rope'?)"
    """
    return hint(most_similar(given, allowed))


def hint(meant: str | None) -> str:
    """`` (did you mean 'x'?)``; empty if nothing is known."""
    return "" if meant is None else f" (did you mean '{meant}'?)"


def most_similar(given: str, names: Iterable[str], part: Callable[[str], str] = str) -> str | None:
    """The name most similar to ``given``, compared by its ``part``; None if it has less than half in common.

    Similar are names with long runs of letters in common (Ratcliff and Obershelp, 1988), and most of all those of
    the same letters in another order.
    """

    def similarity(name: str) -> float:
        other = part(name)
        if sorted(other) == sorted(given):
            return SAME_LETTERS
        ends = (
            (other, other.rpartition(".")[2]) if "." not in given else (other,)
        )  # ``folder`` of ``tracking.folder``
        return max(SequenceMatcher(None, given, end).ratio() for end in ends)

    given = str(given).lstrip("-")
    scored = [(similarity(name), name) for name in map(str, names)]
    best, found = max(scored, key=lambda each: each[0], default=(0.0, None))
    return found if best > LEAST_SIMILAR else None


def unknown_name(key: str, given: str, allowed: Iterable[str]) -> MinibertError:
    """The error for a name that is not in a dictionary of variants: the key, the value, what is allowed."""
    allowed, meant = sorted(allowed), nearest(given, allowed)
    return MinibertError(f"{key}: unknown name '{shortened(given)}'{meant}. Allowed: {', '.join(allowed)}.")


def listed(problems: Iterable[str], most: int = 5) -> list[str]:
    """The first problems of one sort, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    ['a', 'b', 'and 1 more like this']
    """
    problems = list(problems)
    left = len(problems) - most
    return problems if left <= 0 else [*problems[:most], f"and {left} more like this"]
