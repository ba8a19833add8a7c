"""The effects of a sweep of several factors as tables and sentences."""

import math
from collections.abc import Sequence

from .formatting import p_value, unit, with_difference, with_p
from .grid import Grid, GridEffect
from .quantities import quantity
from .statistics import smallest_margin
from .tables import Table
from .tracked_runs import SEPARATOR

MOST_NAMED = 3
"""Values that a sentence names, those with the largest effects; the table has all"""


def effects_in_words(grid: Grid) -> list[str]:
    """Each factor's effect averaged over the others, and which effects depend on another factor."""
    sentences = [_main(grid, factor) for factor in grid.study.factors]
    dependent = [pair for pair in grid.pairs if any(each.separated for each in grid.of_pair(pair))]
    sentences += [_dependent(grid, pair) for pair in dependent]
    if dependent:
        sentences.append(
            "The average of an effect that depends on another setting holds at no single value of it."
        )
    tested = [pair for pair in grid.pairs if any(_tested(each) for each in grid.of_pair(pair))]
    if open_ := [pair for pair in tested if pair not in dependent]:
        sentences.append(f"The data do not show that {_depends(open_, ', nor ')}.")
    if untold := [pair for pair in grid.pairs if grid.of_pair(pair) and pair not in tested]:
        sentences.append(f"Whether {_depends(untold, ', or ')} cannot be told for lack of runs.")
    return [sentence for sentence in sentences if sentence]


def details_in_words(grid: Grid) -> list[str]:
    """How large the interactions can still be, what is compared unpaired, and what cannot be told."""
    return [
        sentence
        for sentence in (*(_ruled_out(grid, pair) for pair in grid.pairs), _unpaired(grid), _incomplete(grid))
        if sentence
    ]


def tables(grid: Grid) -> list[Table]:
    """All main effects in one table, and the interactions of each pair of factors in another."""
    return [_main_table(grid), *(_pair_table(grid, pair) for pair in grid.pairs if grid.of_pair(pair))]


def changed(effect: GridEffect, place: int = 0) -> str:
    """``0.15 → 0.4``: from which to which value of a factor the effect is."""
    return f"{effect.firsts[place]} → {effect.values[place]}"


def _main(grid: Grid, factor: str) -> str:
    metric, found = grid.study.metric, [each for each in grid.main_of(factor) if _tested(each)]
    if not found:
        return ""
    first, largest = found[0].firsts[0], _largest(found)
    open_ = [each for each in found if not each.separated]
    parts = []
    if largest:
        changes = [f"by {_judged(each, metric)} to {each.values[0]}" for each in largest]
        changes[0] = changes[0].replace(" to ", f" from {factor} {first} to ", 1)
        more = sum(each.separated for each in found) - len(largest)
        further = f" (and to {more} more values, in the table)" if more else ""
        parts.append(f"the {_measured(metric)} changes {', '.join(changes)}{further}")
    if open_:
        named = ", ".join(
            f"{each.values[0]} ({with_difference(each.difference, metric)}, {with_p(each.adjusted_p)})"
            for each in open_[:MOST_NAMED]
        )
        further = f" and {len(open_) - MOST_NAMED} more" if len(open_) > MOST_NAMED else ""
        opening = f"the data do not separate{'' if largest else f' {factor}'}"
        parts.append(f"{opening} {named}{further} from {first}")
    return f"{_over(grid, factor, found)}, {'; '.join(parts)}."


def _judged(effect: GridEffect, metric: str) -> str:
    """``−0.200 [−0.300, −0.100] (better)``"""
    higher = quantity(metric).higher_is_better
    judged = "" if higher is None else " (better)" if (effect.difference.mean > 0) == higher else " (worse)"
    return f"{with_difference(effect.difference, metric)}{judged}"


def _depends(pairs: Sequence[tuple[str, ...]], between: str) -> str:
    """``the effect of rate depends on optimizer, nor that of rate on layers``"""
    (one, other), *rest = pairs
    return between.join([f"the effect of {one} depends on {other}", *(f"that of {a} on {b}" for a, b in rest)])


def _over(grid: Grid, factor: str, found: Sequence[GridEffect]) -> str:
    """What effects are averaged over: all values of the other factors, or those that have the runs for it."""
    if not any(each.effect.without for each in found):
        return f"Averaged over {_others(grid, factor)}"
    over = {each.effect.over for each in found}
    if len(over) == 1 and len(combinations := over.pop()) <= MOST_NAMED:
        return f"At {_others(grid, factor, valued=False)} {', '.join(map(SEPARATOR.join, combinations))} alone"
    return f"Averaged over the values of {_others(grid, factor, valued=False)} that have the runs for it (table)"


def _dependent(grid: Grid, pair: tuple[str, ...]) -> str:
    metric, found = grid.study.metric, [each for each in grid.of_pair(pair) if each.separated]
    named = [
        f"from {each.firsts[0]} to {each.values[0]} the {_measured(metric)} changes by "
        f"{with_difference(each.at[0].difference, metric)} at {each.firsts[1]} and by "
        f"{with_difference(each.at[1].difference, metric)} at {each.values[1]} (these differ by "
        f"{with_difference(each.difference, metric)}, {with_p(each.adjusted_p)})"
        for each in _largest(found)
    ]
    more = f"; {len(found) - len(named)} more are in the table" if len(found) > len(named) else ""
    return f"The effect of {pair[0]} depends on {pair[1]}: {'; '.join(named)}{more}."


def _ruled_out(grid: Grid, pair: tuple[str, ...]) -> str:
    """How far two effects can be apart at most that the data do not separate."""
    described = quantity(grid.study.metric)
    open_ = [each for each in grid.of_pair(pair) if _tested(each) and not each.separated]
    margins = [margin for each in open_ if math.isfinite(margin := smallest_margin(each.difference))]
    if not margins:
        return ""
    most = described.show(max(margins), sign=described.logarithmic)
    which = "the effects" if len(open_) == len(grid.of_pair(pair)) else "the other effects"
    return (
        f"Ruled out by two one-sided tests at 5 %, each by itself: that {which} of {pair[0]} differ by more than "
        f"{most}{'' if described.logarithmic else unit(described)} between values of {pair[1]}."
    )


def _unpaired(grid: Grid) -> str:
    found = [each for each in (*grid.main, *grid.interactions) if each.difference.unpaired]
    if not found:
        return ""
    named = [f"{SEPARATOR.join(each.factors)} {SEPARATOR.join(each.values)}" for each in found[:MOST_NAMED]]
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return (
        "Compared unpaired (Satterthwaite's t interval), because fewer than two seeds are shared by all "
        f"combinations that take part: {', '.join(named)}{more}. Runs of shared seeds would tell smaller ones."
    )


def _incomplete(grid: Grid) -> str:
    cells = [SEPARATOR.join(cell) for cell in grid.incomplete]
    if not cells:
        return ""
    more = f" and {len(cells) - 2 * MOST_NAMED} more" if len(cells) > 2 * MOST_NAMED else ""
    untold = sum(not _tested(each) for each in (*grid.main, *grid.interactions))
    left = "Averages leave them out together with what they would be compared with"
    told = f"; {untold} of the effects and their differences cannot be told" if untold else ""
    return f"Without two finite results: {', '.join(cells[: 2 * MOST_NAMED])}{more}. {left}{told}."


def _main_table(grid: Grid) -> Table:
    metric, several = grid.study.metric, len(grid.study.factors) > 2
    rows = []
    for factor in grid.study.factors:
        for each in grid.main_of(factor):
            over, all_of_them = len(each.effect.over), len(each.effect.over) + len(each.effect.without)
            what = _others(grid, factor, valued=False) + (" combinations" if several else " values")
            rows.append(
                (
                    f"{factor}: {changed(each)}",
                    with_difference(each.difference, metric),
                    p_value(each.adjusted_p),
                    str(each.difference.n),
                    f"{over} of {all_of_them} {what}",
                )
            )
    columns = ("setting", f"change of the {_measured(metric)}", "p (Holm)", "seeds", "averaged over")
    note = f"Each value of the other settings counts the same. {_note(grid.main)}"
    return Table("Each setting's effect, averaged over the others", columns, tuple(rows), note)


def _pair_table(grid: Grid, pair: tuple[str, ...]) -> Table:
    metric, found = grid.study.metric, grid.of_pair(pair)
    one, other = pair
    first = found[0].firsts[1]
    rows = [
        (
            changed(each),
            each.values[1],
            with_difference(each.at[0].difference, metric),
            with_difference(each.at[1].difference, metric),
            with_difference(each.difference, metric),
            str(each.difference.n),
            p_value(each.adjusted_p),
        )
        for each in found
    ]
    columns = (
        one, other, f"effect at {other} {first}", f"effect at this {other}", "difference of the effects", "seeds",
        "p (Holm)",
    )  # fmt: skip
    rest = [factor for factor in grid.study.factors if factor not in pair]
    averaged = f" Averaged over {' and '.join(rest)}." if rest else ""
    note = (
        f"An effect is the change of the {_measured(metric)}. A difference of 0 means that the effects of both "
        f"settings add up.{averaged} {_note(grid.interactions)}"
    )
    return Table(f"Whether the effect of {one} depends on {other}", columns, tuple(rows), note)


def _note(found: Sequence[GridEffect]) -> str:
    if not any(_tested(each) for each in found):
        return "Too few runs: no intervals, no claim."
    unpaired = [each.difference.unpaired for each in found if _tested(each)]
    test = "paired t test over the seeds that all compared combinations have"
    if any(unpaired):
        welch = "t test of means by Satterthwaite"
        test = welch if all(unpaired) else f"{test}, {welch} where they share fewer than two"
    kind = "differences of effects" if len(found[0].factors) > 1 else "main effects"
    adjusted = f"adjusted over the {len(unpaired)} {kind}" if len(unpaired) > 1 else "one comparison"
    return f"[low, high]: 95 % t intervals. p (Holm): {test}; {adjusted}."


def _largest(found: Sequence[GridEffect]) -> list[GridEffect]:
    """Those that are separated, the largest first, as many as a sentence names."""
    separated = [each for each in found if each.separated]
    return sorted(separated, key=lambda each: -abs(each.difference.mean))[:MOST_NAMED]


def _others(grid: Grid, factor: str, valued: bool = True) -> str:
    """``optimizer (adamw, lion)``: the other factors, with their values."""
    named = [other for other in grid.study.factors if other != factor]
    return " and ".join(f"{other} ({', '.join(grid.values_of(other))})" if valued else other for other in named)


def _measured(metric: str) -> str:
    return quantity(metric).title


def _tested(effect: GridEffect) -> bool:
    return not math.isnan(effect.adjusted_p)
