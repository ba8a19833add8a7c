"""Points that a store has not taken yet, in a file beside the state to resume from.

The file is complete or as it was before (:func:`minibert.files.replacing`). It is read line by line, so a damaged
line does not damage the others.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from minibert.errors import MinibertError
from minibert.files import replacing

Point = tuple[str, float, int, int]
"""Metric, value, time in milliseconds since 1970, optimizer step"""
LARGEST = 2**63


def write_points(path: Path, points: Iterable[Point]) -> None:
    """Replace the file at ``path`` by these points. Raises :class:`MinibertError` if it cannot be written."""
    try:
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(point) + "\n" for point in points)
    except OSError as error:
        raise MinibertError(
            f"{path}: metric values that the store has not taken could not be kept there ({error}). "
            "Free some space, then give the same command again."
        ) from error


def read_points(path: Path) -> tuple[list[Point], list[int]]:
    """The points in the file at ``path``, and the numbers, from 1, of the lines that are damaged.

    Without a file there are no points. A file that cannot be read counts as one damaged line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return [], []
    except OSError:
        return [], [1]
    points, damaged = [], []
    for number, line in enumerate(lines, 1):
        point = _point(line)
        if point is None:
            damaged.append(number)
        else:
            points.append(point)
    return points, damaged


def _point(line: bytes) -> Point | None:
    try:
        name, value, timestamp, step = json.loads(line)
        fits = isinstance(name, str) and name and isinstance(value, float | int) and not isinstance(value, bool)
        whole = all(type(number) is int and 0 <= number < LARGEST for number in (timestamp, step))
        return (name, float(value), timestamp, step) if fits and whole else None
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
