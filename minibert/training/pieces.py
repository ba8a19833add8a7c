"""Runs of elements that fit the cache: how the flat vector is divided for work that is element by element."""

PIECE = 262144
"""Elements in a piece, a megabyte in float32: small enough to be in the cache still at the next pass, large enough
that going from piece to piece costs nothing"""


def pieces(start: int, stop: int) -> list[slice]:
    """The elements from ``start`` to ``stop``, in order."""
    return [slice(first, min(first + PIECE, stop)) for first in range(start, stop, PIECE)]
