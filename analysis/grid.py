"""A sweep of several factors as a grid: each one's effect averaged over the others, and whether effects depend on
each other."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product

from .findings import SIGNIFICANCE, difference_to
from .formatting import fewest
from .quantities import Quantity, quantity
from .statistics import Difference, Effect, Estimate, holm, interaction, main_effect, mean_interval, too_small
from .study import Study
from .tracked_runs import SEPARATOR
from .values import same_value


@dataclass(frozen=True)
class GridEffect:
    """What one factor, or how two factors together, change the metric."""

    factors: tuple[str, ...]
    """One for a main effect, two for an interaction"""
    values: tuple[str, ...]
    firsts: tuple[str, ...]
    """The first value of each factor, which ``values`` are compared with"""
    effect: Effect
    at: tuple[Effect, ...] = ()
    """Of an interaction: the effect of the first factor at the second one's first value, and at its other value"""
    adjusted_p: float = float("nan")
    """Holm's p value over all main effects of the study, or over all its interactions"""

    @property
    def difference(self) -> Difference:
        return self.effect.difference

    @property
    def separated(self) -> bool:
        return self.adjusted_p < SIGNIFICANCE

    @property
    def small(self) -> bool:
        """Separated, and shown to be too small to matter (:func:`analysis.statistics.too_small`)"""
        return self.separated and too_small(self.difference)

    @property
    def matters(self) -> bool:
        """Separated, and not shown to be too small to matter"""
        return self.separated and not self.small

    @property
    def tested(self) -> bool:
        return self.adjusted_p == self.adjusted_p


@dataclass(frozen=True)
class HeldFixed:
    """One value of a factor at one combination of the others."""

    others: tuple[str, ...]
    value: str
    mean: Estimate
    difference: Difference | None
    """To the first value at the same combination; None for that value itself, and without two runs to compare"""
    adjusted_p: float = float("nan")
    """Holm's p value over all comparisons of the study with the other settings held fixed"""

    @property
    def separated(self) -> bool:
        return self.adjusted_p < SIGNIFICANCE

    @property
    def matters(self) -> bool:
        """Separated from the first value, and not shown to be too small to matter"""
        return self.difference is not None and self.separated and not too_small(self.difference)


@dataclass(frozen=True)
class Grid:
    study: Study
    cells: dict[tuple[str, ...], dict[tuple[str, ...], float]]
    """Values of the factors -> seeds -> the metric at the end, on the scale of :meth:`Quantity.scale`"""
    firsts: dict[str, str]
    """Factor -> the value that its others are compared with"""
    main: tuple[GridEffect, ...]
    interactions: tuple[GridEffect, ...]

    @property
    def factors(self) -> tuple[str, ...]:
        return self.study.factors

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of factors, the one with more values in front."""
        return [(self.factors[one], self.factors[other]) for one, other in _pairs(self.study)]

    @property
    def incomplete(self) -> list[tuple[str, ...]]:
        """The combinations with less than two finite results, of all that the values allow."""
        every = product(*map(self.values_of, self.factors))
        return [cell for cell in every if _finite(self.cells.get(cell, {})) < 2]

    def main_of(self, factor: str) -> list[GridEffect]:
        return [each for each in self.main if each.factors == (factor,)]

    def of_pair(self, pair: tuple[str, ...]) -> list[GridEffect]:
        return [each for each in self.interactions if each.factors == pair]

    def values_of(self, factor: str) -> tuple[str, ...]:
        """In the order of :attr:`Study.values_of`."""
        return self.study.values_of[factor]

    def compared_of(self, factor: str) -> list[str]:
        """The values without the one that they are compared with."""
        return [value for value in self.values_of(factor) if value != self.firsts[factor]]

    def others(self, factor: str) -> list[str]:
        return [each for each in self.factors if each != factor]

    def shown(self, factor: str, value: str) -> str:
        return self.study.shown_part(factor, value)

    def shown_cell(self, cell: tuple[str, ...], factors: tuple[str, ...] | list[str] | None = None) -> str:
        """``adamw · 0.40``: a combination of these factors, of all if none are given."""
        named = self.factors if factors is None else factors
        return SEPARATOR.join(self.shown(factor, value) for factor, value in zip(named, cell, strict=True))

    @cached_property
    def held_fixed(self) -> dict[str, list[HeldFixed]]:
        """Factor -> each of its values at each combination of the other factors, beside the first value there."""
        found = {factor: self._held_fixed(factor) for factor in self.factors}
        compared = [each.difference for rows in found.values() for each in rows]
        adjusted = iter(holm([math.nan if each is None else each.p_value for each in compared]))
        return {
            factor: [replace(each, adjusted_p=next(adjusted)) for each in rows] for factor, rows in found.items()
        }

    def digits(self, differences: Iterable[Difference]) -> Quantity:
        """The metric with no more decimals than these need."""
        return fewest(differences, quantity(self.study.metric))

    def _held_fixed(self, factor: str) -> list[HeldFixed]:
        place, first = self.factors.index(factor), self.firsts[factor]
        found = []
        for others in product(*map(self.values_of, self.others(factor))):
            at = {
                value: self.cells.get((*others[:place], value, *others[place:]), {})
                for value in self.values_of(factor)
            }
            for value, by_seed in at.items():
                compared = difference_to(at[first], by_seed) if value != first else None
                known = compared if compared is not None and compared.n else None
                found.append(HeldFixed(others, value, mean_interval([*by_seed.values()]), known))
        return found


def lay_out(study: Study) -> Grid:
    """The finished runs of a study of several factors, with all main effects and pairwise interactions."""
    factors, cells = study.factors, {}
    for run in study.runs:
        by_seed = cells.setdefault(run.parts, {})
        if run.finished:
            by_seed[run.replicate] = run.scaled(study.metric)
    firsts = {factor: _first(study, cells, place) for place, factor in enumerate(factors)}
    others = {
        factor: [value for value in values if value != firsts[factor]]
        for factor, values in study.values_of.items()
    }
    main = [
        GridEffect((factor,), (value,), (firsts[factor],), main_effect(cells, place, value, firsts[factor]))
        for place, factor in enumerate(factors)
        for value in others[factor]
    ]
    interactions = [
        _interaction(study, cells, places, pair, (firsts[factors[places[0]]], firsts[factors[places[1]]]))
        for places in _pairs(study)
        for pair in product(others[factors[places[0]]], others[factors[places[1]]])
    ]
    return Grid(study, cells, firsts, _adjusted(main), _adjusted(interactions))


def _pairs(study: Study) -> list[tuple[int, int]]:
    """The places of two factors, the one with more values in front."""

    def fewer(place: int) -> int:
        return -len(study.values_of[study.factors[place]])

    pairs = combinations(range(len(study.factors)), 2)
    return [(other, one) if fewer(other) < fewer(one) else (one, other) for one, other in pairs]


def _first(study: Study, cells: Mapping, place: int) -> str:
    """The stated first value or, where none of its runs has a result, the next one that has."""
    factor = study.factors[place]
    values, stated = study.values_of[factor], study.first.get(study.factors[place], "")
    results = dict.fromkeys(values, 0)
    for cell, by_seed in cells.items():
        results[cell[place]] = max(results[cell[place]], _finite(by_seed))
    return min(values, key=lambda value: (results[value] < 2, not same_value(value, stated)))


def _interaction(
    study: Study, cells: Mapping, places: tuple[int, int], values: tuple[str, str], firsts: tuple[str, str]
) -> GridEffect:
    one, other = places
    found = interaction(cells, places, values, firsts)

    def at(fixed: str) -> Effect:
        """Over the same combinations of all other factors."""
        kept = {
            cell: by_seed
            for cell, by_seed in cells.items()
            if cell[other] == fixed and _without(cell, places) in found.over
        }
        return main_effect(kept, one, values[0], firsts[0])

    return GridEffect(
        (study.factors[one], study.factors[other]), values, firsts, found, (at(firsts[1]), at(values[1]))
    )


def _without(cell: tuple[str, ...], places: tuple[int, int]) -> tuple[str, ...]:
    return tuple(value for place, value in enumerate(cell) if place not in places)


def _finite(by_seed: Mapping) -> int:
    return sum(value == value for value in by_seed.values())


def _adjusted(found: list[GridEffect]) -> tuple[GridEffect, ...]:
    p_values = holm([each.difference.p_value for each in found])
    return tuple(replace(each, adjusted_p=p) for each, p in zip(found, p_values, strict=True))
