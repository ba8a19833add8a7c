"""Main effects and interactions in a grid of several factors, over seeds.

A *cell* is a combination of one value of each factor, a tuple of texts. ``cells`` maps each to its values by seed.
The effects are contrasts (:func:`contrast`), averaged with equal weights over the combinations of other factors.
So cells with more seeds do not count more, and a combination that lacks a cell is left out on both sides of a
difference, never on one.

Source: Maxwell, Delaney and Kelley (2018), "Designing Experiments and Analyzing Data", chapters 7 and 11 to 12.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from .estimates import Difference, contrast

Cell = tuple[str, ...]
Cells = Mapping[Cell, Mapping[Any, float]]


@dataclass(frozen=True)
class Effect:
    """A contrast in a grid."""

    difference: Difference
    over: tuple[Cell, ...]
    """The combinations of the other factors that it is averaged over"""
    without: tuple[Cell, ...]
    """Those that lack a cell for it"""


def main_effect(cells: Cells, place: int, value: str, first: str) -> Effect:
    """The mean over the combinations c of the other factors of  y(value, c) − y(first, c).

    ``place``: of the factor in a cell. A combination counts if both cells have two finite values or more; if there
    is no such combination, one value is enough, and the difference has no interval.

    >>> cells = {("a", "x"): {0: 1.0, 1: 2.0}, ("b", "x"): {0: 2.0, 1: 3.5},
    ...          ("a", "y"): {0: 1.0, 1: 2.0}, ("b", "y"): {0: 4.0, 1: 5.5}}
    >>> main_effect(cells, 0, "b", "a").difference.by_seed
    {0: 2.0, 1: 2.5}
    """
    return _averaged(cells, (place,), ({value: 1, first: -1},))


def interaction(cells: Cells, places: tuple[int, int], values: tuple[str, str], firsts: tuple[str, str]) -> Effect:
    """How the effect of one factor differs between two values of another: the mean over the combinations c of all
    other factors of  [y(a, b, c) − y(a₀, b, c)] − [y(a, b₀, c) − y(a₀, b₀, c)].

    ``places`` of the two factors, ``values`` a and b, ``firsts`` a₀ and b₀. It is 0 where effects add up, and it
    does not matter which of the two factors is called the first. Combinations count as for :func:`main_effect`.

    >>> cells = {("a", "x"): {0: 1.0, 1: 2.0}, ("b", "x"): {0: 2.0, 1: 3.5},
    ...          ("a", "y"): {0: 1.0, 1: 2.0}, ("b", "y"): {0: 4.0, 1: 5.5}}
    >>> interaction(cells, (0, 1), ("b", "y"), ("a", "x")).difference.by_seed
    {0: 2.0, 1: 2.0}
    """
    return _averaged(cells, places, [{value: 1, first: -1} for value, first in zip(values, firsts, strict=True)])


def mean_of(cells: Cells, places: Sequence[int], values: Sequence[str]) -> Effect:
    """The mean of the cells with these values at these places, over the combinations of the other factors."""
    return _averaged(cells, places, [{value: 1} for value in values])


def _averaged(cells: Cells, places: Sequence[int], signs: Sequence[Mapping[str, int]]) -> Effect:
    """``signs``: for the factor at each of the places, value -> +1 or −1. Weights are products of these."""
    corners = {
        tuple(value for value, _ in corner): math.prod(sign for _, sign in corner)
        for corner in product(*(each.items() for each in signs))
    }
    combinations = sorted({_rest(cell, places) for cell in cells})

    def fewest(combination: Cell) -> int:
        return min(_finite(cells.get(_joined(combination, places, corner), {})) for corner in corners)

    enough = 2 if any(fewest(each) >= 2 for each in combinations) else 1
    over = tuple(each for each in combinations if fewest(each) >= enough)
    without = tuple(each for each in combinations if fewest(each) < enough)
    if not over:
        return Effect(Difference(0, np.nan, np.nan, np.nan, {}), over, without)
    weights = {
        _joined(each, places, corner): sign / len(over) for each in over for corner, sign in corners.items()
    }
    return Effect(contrast(cells, weights), over, without)


def _rest(cell: Cell, places: Sequence[int]) -> Cell:
    return tuple(value for place, value in enumerate(cell) if place not in places)


def _joined(combination: Cell, places: Sequence[int], values: Sequence[str]) -> Cell:
    given, rest = dict(zip(places, values, strict=True)), iter(combination)
    return tuple(given[place] if place in given else next(rest) for place in range(len(combination) + len(places)))


def _finite(by_seed: Mapping[Any, float]) -> int:
    return sum(bool(np.isfinite(value)) for value in by_seed.values())
