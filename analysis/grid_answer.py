"""The answer of a sweep of several settings: the best combination, which settings matter, and at which values."""

import math
from collections.abc import Sequence

from .answers import best_groups
from .findings import UNIGRAM, Findings
from .formatting import (
    apart,
    at_the_end,
    capital,
    fewest,
    half_of_seeds,
    judged,
    show_difference,
    show_estimate,
    unit,
    with_p,
)
from .gains import without_gain
from .grid import Grid, GridEffect
from .grid_words import averaged_over, largest_first
from .quantities import Quantity, quantity
from .statistics import Difference, too_small
from .tracked_runs import BELOW_UNIGRAM
from .values import joined


def answer(findings: Findings, grid: Grid) -> str:
    """Where the metric ends best, which settings change it, whether one's effect depends on another, and whether
    it is better than word frequencies.

    Where no average effect and no dependence that matters is separated, that comes first, and the best mean is
    only named. It is brief where a warning is read first that nothing was gained.
    """
    brief = bool(without_gain(findings))
    best, learnt = _best(findings, grid, brief), _beside_word_frequencies(findings, grid)
    silent = _silent(grid)
    elsewhere = [_elsewhere(grid, factor) for factor in silent]
    if _something_matters(grid):
        small = _small(grid, brief=True)
        parts = [best, _dependent(grid, brief), _changed(grid), small, _not_shown(grid), *elsewhere, learnt]
    else:
        when = at_the_end(findings.steps)
        small = _small(grid, brief, "" if silent else when)
        first = [_not_shown(grid, when), small] if silent else [small, _not_shown(grid)]
        parts = [*first, *elsewhere, best, learnt]
    return " ".join(filter(None, parts))


def _something_matters(grid: Grid) -> bool:
    return any(each.matters for each in (*grid.main, *grid.interactions))


def _best(findings: Findings, grid: Grid, brief: bool) -> str:
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
    among = [f"95 % interval, {best.final.n} seeds"]
    if compared < every:
        among.append(f"{compared} of {every} combinations have two results or more and were compared")
    elif not brief:
        among.append(f"best of {compared} combinations")
    if others:
        among.append(f"tied with {joined([group.shown for group in others])}")
    if _something_matters(grid):
        when = capital(at_the_end(findings.steps))
        return f"{when}, the {described.title} is {extreme} with {named}: {value} ({'; '.join(among)})."
    return f"The {extreme} mean is with {named}: {value} ({'; '.join(among)})."


def _dependent(grid: Grid, brief: bool) -> str:
    """Which effects depend on another setting and, if not ``brief``, of the clearest what it is at two values."""
    clearest = {pair: found[0] for pair in grid.pairs if (found := _mattering(grid.of_pair(pair)))}
    if not clearest:
        return ""
    first, *others = sorted(clearest.values(), key=lambda each: -abs(each.difference.mean))
    sentences = [
        f"What {first.factors[0]} does depends on {first.factors[1]}." if brief else _dependence(grid, first)
    ]
    sentences += [f"What {each.factors[0]} does also depends on {each.factors[1]}." for each in others]
    return " ".join(sentences)


def _dependence(grid: Grid, each: GridEffect) -> str:
    """``What rate does depends on optimizer (p = 0.002): from 0.15 to 0.40 the loss falls by 0.3 [0.2, 0.4]
    (better) with optimizer lion, and no change is shown with adamw.``"""
    (one, other), described = each.factors, grid.digits([at.difference for at in each.at])
    changes = {value: at.difference for value, at in zip((each.firsts[1], each.values[1]), each.at, strict=True)}
    told_apart = _told_apart_at(grid, each)

    def told(value: str) -> str:
        if not told_apart:
            return f"changes by {show_difference(changes[value], described)}"
        if value in told_apart:
            return _moves(changes[value], described)
        return "by too little to matter" if too_small(changes[value]) else "no change is shown"

    first, second = sorted(changes, key=lambda value: value not in told_apart)
    return (
        f"What {one} does depends on {other} ({with_p(each.adjusted_p)}): from "
        f"{grid.shown(one, each.firsts[0])} to {grid.shown(one, each.values[0])} the {described.title} "
        f"{told(first)} with {other} {grid.shown(other, first)}, "
        f"and {told(second)} with {grid.shown(other, second)}."
    )


def _told_apart_at(grid: Grid, each: GridEffect) -> list[str]:
    """At which of the two values of the second setting an effect of the first that matters is told by itself.

    With more than two settings such effects are averages, which are not tested.
    """
    if len(grid.factors) > 2:
        return []
    one, (value, _) = each.factors[0], each.values
    told = [row.others[0] for row in grid.held_fixed[one] if row.value == value and row.matters]
    return [value for value in (each.firsts[1], each.values[1]) if value in told]


def _changed(grid: Grid) -> str:
    """What each setting changes on average over the others, by its largest effect.

    Not those whose effect was told at both values of another.
    """
    told = {pair[0] for pair in _dependent_pairs(grid)}
    found = {factor: _mattering(grid.main_of(factor)) for factor in grid.factors if factor not in told}
    found = {factor: effects for factor, effects in found.items() if effects}
    if not found:
        return ""
    described = grid.digits([effects[0].difference for effects in found.values()])
    changes = []
    for most, *others in found.values():
        which = f", the largest of {len(others) + 1} changes" if others else ""
        changes.append(
            f"{_average(grid, most, described, not changes)}{judged(most.difference, described)}{which}"
        )
    return f"On average, {joined(changes, ', and ')}."


def _average(grid: Grid, each: GridEffect, described: Quantity, whole: bool) -> str:
    """``with masking.rate 0.40 the held-out loss is 0.300 [0.298, 0.302] lower than with 0.15``

    ``whole``: with what is measured; else that was told before.
    """
    (factor,), (value,), (first,) = each.factors, each.values, each.firsts
    what = f"the {described.title} is " if whole else ""
    than = "that" if described.logarithmic else "than"
    return (
        f"with {factor} {grid.shown(factor, value)}{averaged_over(grid, factor, grid.main_of(factor))} {what}"
        f"{apart(each.difference, described)} {than} with {grid.shown(factor, first)}"
    )


def _small(grid: Grid, brief: bool, when: str = "") -> str:
    """The settings and dependences without an effect that matters whose largest is separated, though too small.

    ``when``: if these are all there is. ``brief``: without dependences, and without the rule, which its section
    has.
    """
    dependent = {factor for pair in _dependent_pairs(grid) for factor in pair}
    of_settings = [grid.main_of(factor) for factor in grid.factors if factor not in dependent]
    of_pairs = [] if brief else [grid.of_pair(pair) for pair in grid.pairs]
    groups = [effects for effects in (*of_settings, *of_pairs) if not _mattering(effects)]
    found = [small for effects in groups for small in largest_first([each for each in effects if each.small])[:1]]
    if not found:
        return ""
    described = grid.digits([each.difference for each in found])
    changes = []
    for each in found:
        if len(each.factors) == 1:
            changes.append(_average(grid, each, described, not changes))
        else:
            size = show_difference(each.difference, described)
            changes.append(f"the effect of {each.factors[0]} differs with {each.factors[1]} by {size}")
    why = "" if brief else f" ({half_of_seeds([each.difference for each in found], described)})"
    return f"{capital(', '.join(filter(None, [when, joined(changes, ', and ')])))}: too small to matter{why}."


def _not_shown(grid: Grid, when: str = "") -> str:
    """Which effects, and whether a dependence, the seeds do not show. ``when``: if these are all there are."""
    silent = _silent(grid)
    others = "one depends on the other" if len(grid.factors) == 2 else "any depends on another"
    adds_up = any(each.tested for each in grid.interactions) and not any(
        each.separated for each in grid.interactions
    )
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
    found = [(each.difference, each) for each in rows if each.difference is not None and each.matters]
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
        f"({with_p(most.adjusted_p)}){also}."
    )


def _beside_word_frequencies(findings: Findings, grid: Grid) -> str:
    """Whether all combinations predict better than a model that knows how frequent each word is, or none is shown
    to, by the 95 % interval of each.

    Empty where some do and some do not, which the table of all combinations shows, and where no mean does, which
    :func:`analysis.gains.without_gain` tells.
    """
    level = findings.references.get(UNIGRAM)
    found = [lead for group in findings.groups if (lead := group.mean(BELOW_UNIGRAM)).n >= 2]
    if level is None or not found or all(lead.mean <= 0 for lead in found):
        return ""
    which = " with two results" if len(found) < _combinations(grid) else ""
    shown = quantity(findings.study.metric).show(level)
    what = f"word frequencies alone ({shown}, unigram)"
    if all(lead.low > 0 for lead in found):
        return f"All{which} end below {what}."
    if not any(lead.low > 0 for lead in found):
        return f"No combination{which} is shown to end below {what}."
    return ""


def _combinations(grid: Grid) -> int:
    """How many there are of the values that have results."""
    return math.prod(len(grid.values_of(factor)) for factor in grid.factors)


def _dependent_pairs(grid: Grid) -> list[tuple[str, str]]:
    return [pair for pair in grid.pairs if any(each.matters for each in grid.of_pair(pair))]


def _mattering(found: Sequence[GridEffect]) -> list[GridEffect]:
    """Those that are separated and not too small to matter, the largest first."""
    return largest_first([each for each in found if each.matters])


def _moves(difference: Difference, described: Quantity) -> str:
    """``falls by 0.30 [0.28, 0.33] (better)``; ``changes by ×0.20 [×0.18, ×0.22]`` on a log scale"""
    better = judged(difference, described)
    if described.logarithmic:
        return f"changes by {show_difference(difference, described)}{better}"
    low, high = sorted((abs(difference.low), abs(difference.high)))
    size = f"{described.show(abs(difference.mean))} [{described.show(low)}, {described.show(high)}]"
    return f"{'falls' if difference.mean < 0 else 'rises'} by {size}{better}"
