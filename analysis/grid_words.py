"""A sweep of several settings in sentences: what each does, whether they depend on each other, what is open."""

import math
from collections.abc import Sequence

from .findings import Findings
from .formatting import apart, half_of_seeds, judged, show_difference, unit, with_p
from .grid import Grid, GridEffect
from .quantities import Quantity, quantity
from .statistics import seeds_to_settle, smallest_margin
from .values import joined, same_value

MOST_NAMED = 3
"""Values that a sentence names, those with the largest effects; the table has all"""
MOST_CELLS = 6
TOO_SMALL = (
    "Too small to matter: two one-sided tests at 5 % put the change within half the standard deviation between "
    "the seeds of one combination."
)
MARGINS = (
    "No more than: by two one-sided tests at 5 %, each by itself. Seeds that would tell: as many as find a change "
    "of the size seen in four sweeps of five."
)


def compared_with(grid: Grid) -> str:
    """Which value of each setting the others are compared with, and what a difference is a mean of."""
    named = joined([f"{factor} {grid.shown(factor, first)}" for factor, first in grid.firsts.items()])
    given = all(same_value(grid.study.first.get(factor, ""), first) for factor, first in grid.firsts.items())
    why = ", the values that the command gave first" if given else ""
    return (
        f"Compared with {named}{why}. Differences are means over all values of the other settings, each with the "
        "same weight."
    )


def what_each_does(grid: Grid) -> list[str]:
    """A sentence for each factor: its effect averaged over the others."""
    return [_main(grid, factor) for factor in grid.factors]


def whether_they_depend(grid: Grid) -> list[str]:
    """A sentence for each pair of factors: whether the effect of one depends on the other."""
    sentences = [_pair(grid, pair) for pair in grid.pairs if grid.of_pair(pair)]
    if any(each.matters for each in grid.interactions):
        sentences.append("Read such an effect at each value of the other setting: its average holds at none.")
    return sentences


def what_is_open(findings: Findings, grid: Grid) -> list[str]:
    """What the runs do not tell, how large it can be at most, and how many seeds would tell."""
    found = [sentence for factor in grid.factors for sentence in _open_values(grid, factor)]
    found += [sentence for pair in grid.pairs if (sentence := _open_pair(grid, pair))]
    if findings.most_seeds >= 2 and quantity(grid.study.metric).higher_is_better is not None:
        found.append(
            "Whether the best combination is the best: it was chosen after the means were seen, which flatters "
            "it a little, and it is not tested against the others."
        )
    found += filter(None, (_unpaired(grid), _incomplete(grid)))
    found.append("What other values would do: every mean is over the values that were tried.")
    if len(grid.factors) > 2:
        found.append("Whether what two settings do together depends on a third one: this is not tested.")
    return found


def _main(grid: Grid, factor: str) -> str:
    found = [each for each in grid.main_of(factor) if each.tested]
    if not found:
        return f"{factor}: there are too few runs to compare its values."
    described, first = grid.digits(each.difference for each in found), grid.shown(factor, found[0].firsts[0])
    shown, open_ = largest(found), [each for each in found if not each.separated]
    sentences = []
    for each in shown:
        size, better = apart(each.difference, described), judged(each.difference, described)
        better += f" ({half_of_seeds([each.difference], described)})" if each.small else ""
        than = "" if sentences else f" {'that' if described.logarithmic else 'than'} with {first}"
        what = "" if sentences else f"the {described.title} is "
        sentences.append(f"with {grid.shown(factor, each.values[0])}, {what}{size}{than}{better}")
    if more := sum(each.separated for each in found) - len(shown):
        sentences.append(f"{more} more are in the table")
    if open_:
        values = [grid.shown(factor, each.values[0]) for each in open_[:MOST_NAMED]]
        further = f" and {len(open_) - MOST_NAMED} more" if len(open_) > MOST_NAMED else ""
        sentences.append(f"these seeds do not separate {first} from {joined(values, ' or ')}{further}")
    return f"{factor}{averaged_over(grid, factor, found)}: {'; '.join(sentences)}."


def averaged_over(grid: Grid, factor: str, found: Sequence[GridEffect]) -> str:
    """What effects are averaged over, if that is not all values of the other factors."""
    if not any(each.effect.without for each in found):
        return ""
    others, over = grid.others(factor), {each.effect.over for each in found}
    if len(over) == 1 and len(combinations := over.pop()) <= MOST_NAMED:
        return f" (at {joined(others)} {joined([grid.shown_cell(cell, others) for cell in combinations])} alone)"
    return f" (averaged over the values of {joined(others)} that have the runs for it)"


def _pair(grid: Grid, pair: tuple[str, str]) -> str:
    one, other = pair
    found = grid.of_pair(pair)
    described = grid.digits(each.difference for each in found if each.tested)
    if not any(each.tested for each in found):
        return f"Whether the effect of {one} depends on {other} cannot be told for lack of runs."
    clearest = largest(found)
    if not clearest:
        return f"These seeds do not show that the effect of {one} depends on {other}."
    named = [
        f"from {grid.shown(one, each.firsts[0])} to {grid.shown(one, each.values[0])}, the {described.title} "
        f"changes by {show_difference(each.at[0].difference, described)} with {grid.shown(other, each.firsts[1])} "
        f"and by {show_difference(each.at[1].difference, described)} with {grid.shown(other, each.values[1])} "
        f"(between these: {show_difference(each.difference, described)}, {with_p(each.adjusted_p)}"
        f"{', too small to matter' if each.small else ''})"
        for each in clearest
    ]
    more = sum(each.separated for each in found) - len(clearest)
    further = f"; {more} more are in the table" if more else ""
    return f"The effect of {one} depends on {other}: {'; '.join(named)}{further}."


def _open_values(grid: Grid, factor: str) -> list[str]:
    """A sentence for each value that the runs do not tell from the first one."""
    open_ = [each for each in grid.main_of(factor) if each.tested and not each.separated]
    found = []
    for each in open_[:MOST_NAMED]:
        described = grid.digits([each.difference])
        value, first = (grid.shown(factor, text) for text in (each.values[0], each.firsts[0]))
        found.append(
            f"Whether {factor} {value} differs from {first}: the change seen is "
            f"{show_difference(each.difference, described)}, {with_p(each.adjusted_p)}"
            f"{_at_most([each], described)}{_seeds(each)}."
        )
    if len(open_) > MOST_NAMED:
        found.append(f"The same for {len(open_) - MOST_NAMED} more values of {factor}, which are in the table.")
    return found


def _open_pair(grid: Grid, pair: tuple[str, str]) -> str:
    """How far effects can be apart at most that the runs do not separate."""
    one, other = pair
    found = [each for each in grid.of_pair(pair) if each.tested and not each.separated]
    if not found:
        return ""
    which = "the effect" if len(found) == len(grid.of_pair(pair)) else "another effect"
    seeds = _seeds(max(found, key=lambda each: abs(each.difference.mean)))
    margin = _at_most(found, grid.digits(each.difference for each in found))
    return f"Whether {which} of {one} depends on {other}{margin}{seeds}."


def _at_most(found: Sequence[GridEffect], described: Quantity) -> str:
    margins = [margin for each in found if math.isfinite(margin := smallest_margin(each.difference))]
    if not margins:
        return ""
    if described.logarithmic:
        return f"; if so, by no more than {described.show(max(margins), sign=True)}"
    return f"; if so, by no more than {described.show(max(margins))}{unit(described)} (two one-sided tests at 5 %)"


def _seeds(each: GridEffect) -> str:
    seeds = seeds_to_settle(each.difference)
    return f"; {seeds} seeds would tell" if seeds is not None and seeds > each.difference.n else ""


def _unpaired(grid: Grid) -> str:
    found = [each for each in (*grid.main, *grid.interactions) if each.difference.unpaired]
    if not found:
        return ""
    named = [
        joined([f"{factor} {grid.shown(factor, value)}" for factor, value in parts])
        for each in found[:MOST_NAMED]
        for parts in [zip(each.factors, each.values, strict=True)]
    ]
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return (
        "Smaller changes, which runs of shared seeds would tell. Compared unpaired (Satterthwaite's t interval), "
        f"because fewer than two seeds are shared by all combinations that take part: {'; '.join(named)}{more}."
    )


def _incomplete(grid: Grid) -> str:
    cells = [grid.shown_cell(cell) for cell in grid.incomplete]
    if not cells:
        return ""
    more = f" and {len(cells) - MOST_CELLS} more" if len(cells) > MOST_CELLS else ""
    untold = sum(not each.tested for each in (*grid.main, *grid.interactions))
    told = f"; {untold} of the changes and of their differences cannot be told" if untold else ""
    return (
        f"Without two finite results: {', '.join(cells[:MOST_CELLS])}{more}. Averages leave them out together "
        f"with what they would be compared with{told}."
    )


def largest(found: Sequence[GridEffect]) -> list[GridEffect]:
    """Those that are separated, the largest first, as many as a sentence names."""
    return largest_first([each for each in found if each.separated])[:MOST_NAMED]


def largest_first(found: Sequence[GridEffect]) -> list[GridEffect]:
    return sorted(found, key=lambda each: -abs(each.difference.mean))
