"""The answer of a sweep of several settings: the best combination, which settings matter, and at which values."""

import math

from .answers import best_groups
from .findings import UNIGRAM, Findings
from .formatting import at_the_end, capital, fewest, show_difference, show_estimate, unit, with_p
from .grid import Grid, GridEffect
from .grid_words import averaged_over, largest
from .quantities import Quantity, quantity
from .statistics import Difference
from .tracked_runs import BELOW_UNIGRAM
from .values import joined


def answer(findings: Findings, grid: Grid) -> str:
    """Where the metric ends best, which settings change it, whether one's effect depends on another, and whether
    anything was learnt.

    Where no average effect and no dependence is separated, that comes first, and the best mean is only named.
    """
    best, learnt = _best(findings, grid), _beside_word_frequencies(findings, grid)
    elsewhere = [_elsewhere(grid, factor) for factor in _silent(grid)]
    if any(each.separated for each in (*grid.main, *grid.interactions)):
        parts = [best, _dependent(grid), _changed(grid), _not_shown(grid), *elsewhere, learnt]
    else:
        parts = [_not_shown(grid, at_the_end(findings.steps)), *elsewhere, best, learnt]
    return " ".join(filter(None, parts))


def _best(findings: Findings, grid: Grid) -> str:
    """The best combination, as a description: it was chosen among many after the fact."""
    described = quantity(findings.study.metric)
    if findings.most_seeds < 2 or described.higher_is_better is None:
        return f"{len(findings.groups)} combinations of {joined(grid.factors)} were trained."
    best, *others = best_groups(findings)
    parts = zip(grid.factors, best.runs[0].parts, strict=True)
    named = joined([f"{factor} {grid.shown(factor, part)}" for factor, part in parts])
    value = f"{show_estimate(best.final, fewest([best.final], described))}{unit(described)}"
    extreme = "highest" if described.higher_is_better else "lowest"
    compared = sum(group.final.n >= 2 for group in findings.groups)
    every = _combinations(grid)
    of = f"{compared} combinations were compared"
    if compared < every:
        of = f"{compared} of {every} combinations have two results or more and were compared"
    are = "is" if len(others) == 1 else "are"
    tied = f"; {joined([group.shown for group in others])} {are} as good" if others else ""
    among = f"95 % interval, {best.final.n} seeds; {of}{tied}"
    if any(each.separated for each in (*grid.main, *grid.interactions)):
        when = capital(at_the_end(findings.steps))
        return f"{when}, the {described.title} is {extreme} with {named}: {value} ({among})."
    return f"The {extreme} mean is with {named}: {value} ({among})."


def _dependent(grid: Grid) -> str:
    """Which effects depend on another setting and, of the clearest, what it is at two values of that setting."""
    clearest = {pair: found[0] for pair in grid.pairs if (found := largest(grid.of_pair(pair)))}
    if not clearest:
        return ""
    first, *others = sorted(clearest.values(), key=lambda each: -abs(each.difference.mean))
    sentences = [_dependence(grid, first)]
    sentences += [f"What {each.factors[0]} does also depends on {each.factors[1]}." for each in others]
    return " ".join(sentences)


def _dependence(grid: Grid, each: GridEffect) -> str:
    """``What rate does depends on optimizer (p = 0.002, Holm): from 0.15 to 0.40 the loss falls by 0.3 [0.2, 0.4]
    with optimizer lion, and no change is shown with adamw.``"""
    (one, other), described = each.factors, grid.digits([at.difference for at in each.at])
    changes = {value: at.difference for value, at in zip((each.firsts[1], each.values[1]), each.at, strict=True)}
    separated = _separated_at(grid, each)

    def told(value: str) -> str:
        if not separated:
            return f"changes by {show_difference(changes[value], described)}"
        return _moves(changes[value], described) if value in separated else "no change is shown"

    first, second = sorted(changes, key=lambda value: value not in separated)
    return (
        f"What {one} does depends on {other} ({with_p(each.adjusted_p)}, Holm): from "
        f"{grid.shown(one, each.firsts[0])} to {grid.shown(one, each.values[0])} the {described.title} "
        f"{told(first)} with {other} {grid.shown(other, first)}, "
        f"and {told(second)} with {grid.shown(other, second)}."
    )


def _separated_at(grid: Grid, each: GridEffect) -> list[str]:
    """At which of the two values of the second setting the effect of the first is told from none by itself.

    With more than two settings such effects are averages, which are not tested.
    """
    if len(grid.factors) > 2:
        return []
    one, (value, _) = each.factors[0], each.values
    told = [row.others[0] for row in grid.held_fixed[one] if row.value == value and row.separated]
    return [value for value in (each.firsts[1], each.values[1]) if value in told]


def _changed(grid: Grid) -> str:
    """Which settings change the metric on average over the others, and by how much at most.

    Not those whose effect was told at both values of another.
    """
    told = {pair[0] for pair in _dependent_pairs(grid)}
    found = {factor: largest(grid.main_of(factor)) for factor in grid.factors if factor not in told}
    found = {factor: effects for factor, effects in found.items() if effects}
    if not found:
        return ""
    described = grid.digits([effects[0].difference for effects in found.values()])
    sizes = []
    for factor, (most, *_) in found.items():
        up_to = "up to " if len(grid.compared_of(factor)) > 1 else ""
        over = averaged_over(grid, factor, grid.main_of(factor))
        sizes.append(f"{factor} by {up_to}{_size(most, described)}{over}")
    if told:
        return f"On average, the {described.title} changes with {joined(sizes)}."
    if len(found) == len(grid.factors):
        return f"{'Both' if len(found) == 2 else 'All'} settings change the {described.title}: {joined(sizes)}."
    return f"The {described.title} changes with {joined(sizes)}."


def _not_shown(grid: Grid, when: str = "") -> str:
    """Which effects, and whether a dependence, the seeds do not show. ``when``: if these are all there are."""
    silent = _silent(grid)
    others = "one depends on the other" if len(grid.factors) == 2 else "any depends on another"
    adds_up = any(each.tested for each in grid.interactions) and not _dependent_pairs(grid)
    opening = f"{capital(when)}, these seeds" if when else "These seeds"
    sentences = []
    if silent:
        on = f" on the {quantity(grid.study.metric).title}" if when else ""
        average = " on average" if any(_elsewhere(grid, factor) for factor in silent) else ""
        nor = f", nor that the effect of {others}" if adds_up else ""
        sentences.append(f"{opening} show no effect of {joined(silent, ' or ')}{on}{average}{nor}.")
    elif adds_up:
        sentences.append(f"{opening} do not show that the effect of {others}.")
    if grid.interactions and not any(each.tested for each in grid.interactions):
        sentences.append(f"Whether the effect of {others} cannot be told for lack of runs.")
    return " ".join(sentences)


def _silent(grid: Grid) -> list[str]:
    """The settings without an average effect that is separated, and which no effect is shown to depend on."""
    dependent = {factor for pair in _dependent_pairs(grid) for factor in pair}
    silent = []
    for factor in grid.factors:
        tested = [each for each in grid.main_of(factor) if each.tested]
        if tested and factor not in dependent and not any(each.separated for each in tested):
            silent.append(factor)
    return silent


def _elsewhere(grid: Grid, factor: str) -> str:
    """The largest effect of a setting that is separated with the others held fixed, where its average is not."""
    rows = grid.held_fixed[factor]
    found = [(each.difference, each) for each in rows if each.difference is not None and each.separated]
    if not found:
        return ""
    (change, most), *more = sorted(found, key=lambda pair: -abs(pair[0].mean))
    moves = _moves(change, grid.digits([change]))
    others = zip(grid.others(factor), most.others, strict=True)
    held = joined([f"{name} {grid.shown(name, value)}" for name, value in others])
    also = f"; {len(more)} more such changes are in the table" if more else ""
    return (
        f"With {held} held fixed, though, the {quantity(grid.study.metric).title} {moves} from {factor} "
        f"{grid.shown(factor, grid.firsts[factor])} to {grid.shown(factor, most.value)} "
        f"({with_p(most.adjusted_p)}, Holm){also}."
    )


def _beside_word_frequencies(findings: Findings, grid: Grid) -> str:
    """Whether all combinations, or none, predict better than a model that knows how frequent each word is.

    By the 95 % interval of each. Empty where some do and some do not, which the table of all combinations shows.
    """
    level = findings.references.get(UNIGRAM)
    found = [lead for group in findings.groups if (lead := group.mean(BELOW_UNIGRAM)).n >= 2]
    if level is None or not found:
        return ""
    which = " with two results" if len(found) < _combinations(grid) else ""
    shown = quantity(findings.study.metric).show(level)
    what = f"{shown}, the loss of a model that knows word frequencies alone (unigram)"
    if all(lead.low > 0 for lead in found):
        return f"All combinations{which} end below {what}."
    if all(lead.high < 0 for lead in found):
        return f"All combinations{which} end above {what}."
    if not any(lead.low > 0 for lead in found):
        return f"No combination{which} is shown to end below {what}."
    return ""


def _combinations(grid: Grid) -> int:
    """How many there are of the values that have results."""
    return math.prod(len(grid.values_of(factor)) for factor in grid.factors)


def _dependent_pairs(grid: Grid) -> list[tuple[str, str]]:
    return [pair for pair in grid.pairs if any(each.separated for each in grid.of_pair(pair))]


def _moves(difference: Difference, described: Quantity) -> str:
    """``falls by 0.30 [0.28, 0.33]``; ``changes by ×0.20 [×0.18, ×0.22]`` on a log scale"""
    if described.logarithmic:
        return f"changes by {show_difference(difference, described)}"
    low, high = sorted((abs(difference.low), abs(difference.high)))
    size = f"{described.show(abs(difference.mean))} [{described.show(low)}, {described.show(high)}]"
    return f"{'falls' if difference.mean < 0 else 'rises'} by {size}"


def _size(effect: GridEffect, described: Quantity) -> str:
    if described.logarithmic:
        return described.show(effect.difference.mean, sign=True)
    return described.show(abs(effect.difference.mean))
