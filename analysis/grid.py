"""A sweep of several factors as a grid: each one's effect averaged over the others, and whether effects depend on
each other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations, product

from .findings import SIGNIFICANCE
from .statistics import Difference, Effect, holm, interaction, main_effect
from .study import Study, numerically
from .tracked_runs import same_value


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


@dataclass(frozen=True)
class Grid:
    study: Study
    cells: dict[tuple[str, ...], dict[tuple[str, ...], float]]
    """Values of the factors -> seeds -> the metric at the end, on the scale of :meth:`Quantity.scale`"""
    values: tuple[tuple[str, ...], ...]
    """Of each factor: what the others are compared with, then the others, numbers in order"""
    main: tuple[GridEffect, ...]
    interactions: tuple[GridEffect, ...]

    @property
    def pairs(self) -> list[tuple[str, ...]]:
        """The pairs of factors."""
        return [*combinations(self.study.factors, 2)]

    @property
    def incomplete(self) -> list[tuple[str, ...]]:
        """The combinations with less than two finite results, of all that the values allow."""
        return [cell for cell in product(*self.values) if _finite(self.cells.get(cell, {})) < 2]

    def main_of(self, factor: str) -> list[GridEffect]:
        return [each for each in self.main if each.factors == (factor,)]

    def of_pair(self, pair: tuple[str, ...]) -> list[GridEffect]:
        return [each for each in self.interactions if each.factors == pair]

    def values_of(self, factor: str) -> tuple[str, ...]:
        return self.values[self.study.factors.index(factor)]


def lay_out(study: Study) -> Grid:
    """The finished runs of a study of several factors, with all main effects and pairwise interactions."""
    factors, cells = study.factors, {}
    for run in study.runs:
        by_seed = cells.setdefault(run.parts, {})
        if run.finished:
            by_seed[run.replicate] = run.scaled(study.metric)
    values = tuple(_values(study, cells, place) for place in range(len(factors)))
    main = [
        GridEffect((factor,), (value,), (first,), main_effect(cells, place, value, first))
        for place, (factor, (first, *others)) in enumerate(zip(factors, values, strict=True))
        for value in others
    ]
    interactions = [
        _interaction(study, cells, (one, other), pair, (values[one][0], values[other][0]))
        for one, other in combinations(range(len(factors)), 2)
        for pair in product(values[one][1:], values[other][1:])
    ]
    return Grid(study, cells, values, _adjusted(main), _adjusted(interactions))


def _values(study: Study, cells: Mapping, place: int) -> tuple[str, ...]:
    """The stated first value in front or, where none of its runs has a result, the first one that has."""
    results = dict.fromkeys(sorted({cell[place] for cell in cells}, key=numerically), 0)
    for cell, by_seed in cells.items():
        results[cell[place]] = max(results[cell[place]], _finite(by_seed))
    stated = study.first.get(study.factors[place], "")
    return tuple(sorted(results, key=lambda value: (results[value] < 2, not same_value(value, stated))))


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
