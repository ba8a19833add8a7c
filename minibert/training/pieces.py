"""Runs of elements that fit the cache: how the flat vector is divided for work that is element by element."""

PIECE = 262144
"""Elements in a piece, a megabyte in float32: small enough to be in the cache still at the next pass, large enough
that going from piece to piece costs nothing"""
SHORT_PIECE = 65536
"""The same for work that reads several vectors, such as gradient, parameters and two moments"""


def pieces(start: int, stop: int) -> list[slice]:
    """The elements from ``start`` to ``stop``, in order."""
    return _cut(start, stop, PIECE)


def short_pieces(start: int, stop: int) -> list[slice]:
    """The same in pieces of ``SHORT_PIECE``."""
    return _cut(start, stop, SHORT_PIECE)


def _cut(start: int, stop: int, size: int) -> list[slice]:
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]
