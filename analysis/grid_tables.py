"""The effects of a sweep of several settings as tables."""

from collections.abc import Sequence

from .formatting import fewest, p_value, show_difference, show_estimate, unit
from .grid import Grid, GridEffect
from .quantities import Quantity, quantity
from .tables import NO_RESULT, Table
from .values import joined

INTERVALS = "[low, high]: 95 % t intervals over seeds."
TOO_FEW = "Too few runs: no intervals, no claim."


def changes(grid: Grid) -> Table:
    """A row for each value of each setting: its effect, averaged over the others."""
    described = grid.digits(each.difference for each in grid.main if each.tested)
    partial = any(each.effect.without for each in grid.main)
    rows = []
    for each in grid.main:
        (factor,) = each.factors
        over, every = len(each.effect.over), len(each.effect.over) + len(each.effect.without)
        row = (
            f"{factor}: {_changed(grid, each, 0)}", show_difference(each.difference, described),
            p_value(each.adjusted_p), str(each.difference.n),
        )  # fmt: skip
        rows.append((*row, f"{over} of {every}") if partial else row)
    columns = ("setting", "change", "p (Holm)", "seeds") + (("combinations of the others",) if partial else ())
    title = f"Change of the {described.title}{_in_units(described)}, averaged over the other settings"
    return Table(title, columns, tuple(rows), _note(grid.main))


def dependence(grid: Grid, pair: tuple[str, str]) -> Table:
    """How one setting's effect differs between the values of another one."""
    one, other = pair
    found, first = grid.of_pair(pair), grid.firsts[other]
    described = grid.digits(each.difference for each in found if each.tested)
    alone = len(grid.values_of(other)) == 2
    rows = []
    for each in found:
        beside = () if alone else (grid.shown(other, each.values[1]),)
        effects = (show_difference(at.difference, described) for at in each.at)
        row = (_changed(grid, each, 0), *beside, *effects, show_difference(each.difference, described))
        rows.append((*row, p_value(each.adjusted_p), str(each.difference.n)))
    second = grid.shown(other, found[0].values[1])
    columns = (
        one, *(() if alone else (other,)), f"change with {other} {grid.shown(other, first)}",
        f"change with {second if alone else f'this {other}'}", "difference", "p (Holm)", "seeds",
    )  # fmt: skip
    rest = [factor for factor in grid.factors if factor not in pair]
    averaged = f" Averaged over {joined(rest)}." if rest else ""
    note = f"A difference of 0: the changes by both settings add up.{averaged} {_note(grid.interactions)}"
    title = f"Change of the {described.title}{_in_units(described)} by {one}, at each value of {other}"
    return Table(title, columns, tuple(rows), note)


def held_fixed(grid: Grid, factor: str) -> Table:
    """A row for each value of a setting at each combination of the others that runs were begun of."""
    found, others = grid.held_fixed[factor], grid.others(factor)
    place = grid.factors.index(factor)
    compared = [each.difference for each in found if each.difference is not None]
    described = fewest([*(each.mean for each in found), *compared], quantity(grid.study.metric))
    rows = []
    for each in found:
        if (*each.others[:place], each.value, *each.others[place:]) not in grid.cells:
            continue
        first = "baseline" if each.value == grid.firsts[factor] else "–"
        rows.append(
            (
                grid.shown_cell(each.others, others), grid.shown(factor, each.value), str(each.mean.n),
                show_estimate(each.mean, described) if each.mean.n else NO_RESULT,
                first if each.difference is None else show_difference(each.difference, described),
                p_value(each.adjusted_p),
            )
        )  # fmt: skip
    columns = (joined(others), factor, "seeds", described.axis_label, "difference", "p (Holm)")
    every = [each.difference for rows in grid.held_fixed.values() for each in rows if each.difference is not None]
    tested = [difference for difference in every if difference.n >= 2]
    note = _tests(tested, "with the others held fixed") if any(each.n >= 2 for each in compared) else TOO_FEW
    return Table(f"{factor}, at each value of {joined(others)}", columns, tuple(rows), note)


def _changed(grid: Grid, effect: GridEffect, place: int) -> str:
    """``0.15 → 0.40``: from which to which value of a setting the effect is."""
    factor = effect.factors[place]
    return f"{grid.shown(factor, effect.firsts[place])} → {grid.shown(factor, effect.values[place])}"


def _in_units(described: Quantity) -> str:
    return "" if described.logarithmic else unit(described) and f" ({described.unit})"


def _note(found: Sequence[GridEffect]) -> str:
    tested = [each.difference for each in found if each.tested]
    return f"{INTERVALS} {_tests(tested, 'of this kind')}" if tested else TOO_FEW


def _tests(found: Sequence, which: str) -> str:
    """Which test the p values are of, and for how many they are adjusted."""
    unpaired = [each.unpaired for each in found]
    test = "paired by seed"
    if any(unpaired):
        welch = "not paired (Satterthwaite)"
        test = welch if all(unpaired) else f"{test}, {welch} where fewer than two seeds are shared"
    adjusted = f", adjusted for all {len(unpaired)} comparisons {which}" if len(unpaired) > 1 else ""
    return f"p (Holm): t test, {test}{adjusted}."
