"""Points that a database has not taken yet, in the journal of their run."""

from collections.abc import Sequence

from minibert.tracking.journal import Journal

Point = tuple[str, float, int, int]
"""Metric, value, time in milliseconds since 1970, optimizer step"""
LARGEST = 2**63


def keep_points(journal: Journal, points: Sequence[Point]) -> None:
    """Add points to a journal, and wait until they are on disk.

    Raises :class:`MinibertError` if it cannot be written.
    """
    journal.append(*({"do": "point", "point": point} for point in points), durable=True)


def kept_points(journal: Journal) -> tuple[list[Point], list[int]]:
    """The points in a journal, and the numbers, from 1, of the lines that are damaged.

    Without a file there are no points. A file that cannot be read counts as one damaged line.
    """
    points, damaged, number, end = [], [], 0, 0
    try:
        for number, (operation, after) in enumerate(journal.operations(), 1):
            end = after
            point = _point((operation or {}).get("point"))
            if point is None:
                damaged.append(number)
            else:
                points.append(point)
        if journal.exists and journal.path.stat().st_size > end:  # the last line was cut
            damaged.append(number + 1)
    except OSError:
        return [], [1]
    return points, damaged


def _point(found) -> Point | None:
    try:
        name, value, timestamp, step = found
        fits = isinstance(name, str) and name and isinstance(value, float | int) and not isinstance(value, bool)
        whole = all(type(number) is int and 0 <= number < LARGEST for number in (timestamp, step))
        return (name, float(value), timestamp, step) if fits and whole else None
    except (TypeError, ValueError, OverflowError):
        return None
