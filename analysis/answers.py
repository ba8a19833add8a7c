"""Findings in plain sentences. No sentence claims more than the data show."""

import math
from collections import Counter
from collections.abc import Sequence

from .examination import Examination
from .findings import Findings, Group
from .formatting import (
    at_the_end,
    capital,
    half_of_seeds,
    unit,
    with_difference,
    with_interval,
    with_unit,
)
from .further_results import beside, efficiency_in_words
from .gains import groups_without_gain, without_gain
from .quantities import quantity
from .statistics import Difference, seeds_to_settle, smallest_margin, too_small
from .values import joined
from .varying import one_seed

MOST_NAMED = 5


def answer(findings: Findings, examination: Examination | None = None) -> str:
    """The one sentence that answers the study's question, or says that the data do not.

    A warning comes first if no runs have gained. Where the study has a question of its own, ``examination`` has
    the answer to it.
    """
    parts = [without_gain(findings), _answer(findings, examination), without_result(findings)]
    return " ".join(filter(None, parts))


def _answer(findings: Findings, examination: Examination | None) -> str:
    if not findings.groups:
        return "No run has finished, so there is nothing to compare."
    if findings.most_seeds == 0:
        return f"No finished run recorded a finite {findings.study.metric}, so there is nothing to compare."
    if findings.study.target is not None:
        return _target(findings, findings.study.target)
    if findings.most_seeds == 1:
        shown = "curves show" if findings.has_curves else "table shows"
        once = f"the {shown} what happened once, and this report claims nothing"
        with_result = " that has a result" if findings.study.missing else ""
        return f"{one_seed(not findings.study.missing)} at every {findings.study.kind}{with_result}: {once}."
    return examination.answer if examination else _comparison(findings)


def without_result(findings: Findings) -> str:
    """How many runs failed, were killed, never started or diverged; empty if every run has a result."""
    study = findings.study
    states = Counter(why.partition(":")[0] for why in study.missing.values())
    parts = [f"{number} {state}" for state, number in states.items()]
    finished = [run for run in study.runs if run.finished]
    diverged = Counter(run.value for run in finished if not math.isfinite(run.final(study.metric)))
    if diverged:
        named = [f"{study.shown(value)}: {number}" for value, number in diverged.items()]
        more = f", and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        where = f" ({', '.join(named[:MOST_NAMED])}{more})" if len(study.values) > 1 else ""
        parts.append(f"{diverged.total()} ended without a finite {quantity(study.metric).title}{where}")
    if not parts:
        return ""
    without, total = len(study.missing) + diverged.total(), len(study.missing) + len(finished)
    have = "has" if without == 1 else "have"
    return f"{without} of {total} runs {have} no result and no part in this: {'; '.join(parts)}."


def _comparison(findings: Findings) -> str:
    """Which value of the factor ends best, and whether the data separate it from the baseline."""
    label, described = findings.study.label, quantity(findings.study.metric)
    alone = len(findings.study.values) == 1 and findings.study.baseline is None
    if described.higher_is_better is None or alone:
        return _description(findings)
    best, baseline = best_group(findings), findings.baseline
    if len(tied := best_groups(findings)) > 1:
        return _tie(findings, tied)
    extreme = "highest" if described.higher_is_better else "lowest"
    sign = 1 if described.higher_is_better else -1
    once = [group.final.mean for group in findings.groups if group.final.n == 1]
    beaten = any(sign * mean > sign * best.final.mean for mean in once)
    among = f"of the {label}s with several seeds, {best.shown}" if beaten else f"{label} {best.shown}"
    opening = (
        f"{capital(at_the_end(findings.steps))}, {among} has the {extreme} mean {described.title}, "
        f"{with_interval(best.final, findings.study.metric)}{unit(described)} "
        f"(95 % interval, {best.final.n} seeds)"
    )
    if findings.study.baseline is None:
        return f"{opening}. No baseline is named."
    if baseline is None:
        return f"{opening}; there is no finished baseline to compare it with."
    if best is baseline:
        return f"{opening}{_others_are_no_better(findings)}."
    if best.difference is None or best.difference.n < 2:
        return f"{opening}, but the baseline {baseline.shown} has no two seeds to compare with it: no answer."
    if best.separated:
        apart = _apart(best.difference, findings.study.metric)
        small = _small(best.difference, findings.study.metric)
        return f"{opening}: {apart} the baseline {baseline.shown}{small}."
    comparisons = sum(group.adjusted_p == group.adjusted_p for group in findings.groups)
    adjusted = f", adjusted for {comparisons} comparisons" if comparisons > 1 else ""
    pairing = "unpaired" if best.difference.unpaired else "paired"
    return (
        f"{opening}, but the data do not separate it from the baseline {baseline.shown}: "
        f"the {pairing} difference is "
        f"{with_difference(best.difference, findings.study.metric)}, p = {best.adjusted_p:.2f}{adjusted}."
    )


def _others_are_no_better(findings: Findings) -> str:
    """What the data say of the other groups where the baseline has the best mean."""
    others = [group for group in findings.groups if group is not findings.baseline]
    compared = [group for group in others if group.difference is not None and group.difference.n >= 2]
    if not compared:
        return f"; there is no other {findings.study.label} with two results to compare it with"
    open_ = [group.shown for group in compared if not group.separated]
    said = ": nothing does better than the baseline itself"
    if not open_:
        return said
    which = joined(open_) if len(open_) <= MOST_NAMED else f"{len(open_)} of the others"
    if len(open_) == len(compared):
        which = "the other" if len(compared) == 1 else "any other"
    return f"{said}, but the data do not separate {which} from it"


def _tie(findings: Findings, tied: list[Group]) -> str:
    """Of several groups that have the best mean, none is called the best."""
    label, described = findings.study.label, quantity(findings.study.metric)
    if len(tied) == sum(group.final.n > 1 for group in findings.groups):
        which, extreme = f"every {label} has", "same"
    else:
        which = f"{label} {joined([group.shown for group in tied])} have"
        extreme = "same highest" if described.higher_is_better else "same lowest"
    opening = (
        f"{capital(at_the_end(findings.steps))}, {which} the {extreme} mean {described.title}, "
        f"{described.show(tied[0].final.mean)}{unit(described)}: a tie"
    )
    baseline = findings.baseline
    if baseline is None or baseline in tied:
        return f"{opening}." if baseline is None else f"{opening}. Nothing does better than the baseline itself."
    apart = [group.shown for group in tied if group.separated]
    which = f"{joined(apart)} only" if 0 < len(apart) < len(tied) else "them" if apart else "none of them"
    return f"{opening}. The data separate {which} from the baseline {baseline.shown}."


def details(findings: Findings, examination: Examination | None = None) -> list[str]:
    """All further sentences: of the sections of the examination, comparisons, what stands beside, and costs."""
    told = [
        sentence
        for section in (examination.sections if examination else ())
        for sentence in (*section.sentences, *section.points, *section.notes)
    ]
    return [*told, *comparisons(findings, examination), *beside(findings), *efficiency_in_words(findings)]


def comparisons(findings: Findings, examination: Examination | None = None) -> list[str]:
    """The sentences of the examination, and the other groups against the baseline."""
    if findings.most_seeds < 2:
        return []
    sentences = [
        *groups_without_gain(findings),
        findings.study.asked_differently,
        *(examination.sentences if examination else ()),
    ]
    if examination and not findings.study.factors[1:]:
        sentences.append(_comparison(findings))
    sentences += compared_with_baseline(findings) if findings.study.target is None else []
    return [sentence for sentence in sentences if sentence]


def best_group(findings: Findings) -> Group:
    """The group with the best mean among those with at least two seeds."""
    return best_groups(findings)[0]


def best_groups(findings: Findings) -> list[Group]:
    """The groups with the best mean among those with two seeds or more: several if a table shows one mean."""
    described = quantity(findings.study.metric)
    candidates = [group for group in findings.groups if group.final.n >= 2]
    choose = max if described.higher_is_better else min
    best = choose(candidates, key=lambda group: group.final.mean)
    tied = [group for group in candidates if described.show(group.final.mean) == described.show(best.final.mean)]
    return sorted(tied, key=lambda group: group is not best)


def _description(findings: Findings) -> str:
    """The mean of every group, where none of them is better than another."""
    study, described = findings.study, quantity(findings.study.metric)
    kind = "geometric mean" if described.logarithmic else "mean"
    means = [
        f"{with_interval(group.final, study.metric)}{unit(described)} at {study.label} {group.shown} "
        f"({group.final.n} {'seed' if group.final.n == 1 else 'seeds'})"
        for group in findings.groups
        if group.final.n
    ]
    when = capital(at_the_end(findings.steps))
    return f"{when}, the {described.title} ({kind}, 95 % interval) is {'; '.join(means)}."


def compared_with_baseline(findings: Findings) -> list[str]:
    """Which groups are better or worse than the baseline, and which the data do not separate from it."""
    study, baseline = findings.study, findings.baseline
    if baseline is None:
        return []
    compared = [(group, group.difference) for group in findings.groups if group.difference is not None]
    separated = [(group, difference) for group, difference in compared if group.separated]
    open_ = [(group, difference) for group, difference in compared if not group.separated and difference.n >= 2]
    single = [group for group, difference in compared if difference.n == 1]
    higher_is_better = quantity(study.metric).higher_is_better
    sign = 1 if higher_is_better else -1
    other, better, worse = [], [], []
    for group, difference in separated:
        if higher_is_better is None:
            other.append((group, difference))
        elif difference.mean:
            (better if sign * difference.mean > 0 else worse).append((group, difference))

    def listed(found: list[tuple[Group, Difference]]) -> str:
        return "; ".join(
            f"{group.shown} ({with_difference(difference, study.metric)}{_small(difference, study.metric)})"
            for group, difference in found
        )

    return [
        f"Different from the baseline {baseline.shown}: {listed(other)}." if other else "",
        f"Better than the baseline {baseline.shown}: {listed(better)}." if better else "",
        f"Worse than the baseline {baseline.shown}: {listed(worse)}." if worse else "",
        f"Not separated from the baseline {baseline.shown} by these seeds: {listed(open_)}." if open_ else "",
        _unpaired(findings),
        _ruled_out(open_, study.metric),
        _more_seeds(open_),
        f"One seed, hence no claim: {', '.join(group.shown for group in single)}." if single else "",
    ]


def _small(difference: Difference, metric: str) -> str:
    """What to say behind a difference that is separated and too small to matter."""
    if not too_small(difference):
        return ""
    return f", too small to matter: {half_of_seeds([difference], quantity(metric))}"


def _unpaired(findings: Findings) -> str:
    found = [group.shown for group in findings.groups if group.difference and group.difference.unpaired]
    if not found:
        return ""
    return (
        f"Compared unpaired (Welch's t interval), because fewer than two seeds are shared with the baseline: "
        f"{', '.join(found)}. Pairs of runs of one seed would tell smaller differences."
    )


def _ruled_out(compared: Sequence[tuple[Group, Difference]], metric: str) -> str:
    """How large the differences can be at most that the data do not separate."""
    described = quantity(metric)
    margins = {group.shown: smallest_margin(difference) for group, difference in compared}
    shown = [f"{described.show(margin)} ({name})" for name, margin in margins.items() if math.isfinite(margin)]
    tests = "Ruled out by two one-sided tests at 5 %, each by itself"
    return f"{tests}: a true difference larger than {'; '.join(shown)}." if shown else ""


def _more_seeds(compared: Sequence[tuple[Group, Difference]]) -> str:
    """How many seeds would find the differences seen, if they are the true ones."""
    wanted = {group.shown: (seeds_to_settle(found), found.n) for group, found in compared}
    shown = [f"{seeds} ({name})" for name, (seeds, n) in wanted.items() if seeds is not None and seeds > n]
    settled = f"Seeds that find a difference of the size seen in four cases of five: {'; '.join(shown)}."
    return settled if shown else ""


def _target(findings: Findings, target: float) -> str:
    """Which runs end at the target level."""
    study = findings.study
    sign = 1 if quantity(study.metric).higher_is_better else -1
    finals = [run.final(study.metric) for group in findings.groups for run in group.runs]
    there = sum(sign * (value - target) >= 0 for value in finals)
    short = [
        f"{group.shown} ({with_interval(group.final, study.metric)})"
        for group in findings.groups
        if not all(sign * (run.final(study.metric) - target) >= 0 for run in group.runs)
    ]
    level = with_unit(target, quantity(study.metric))
    left = f" Not all do at {study.label} {', '.join(short)}." if short else ""
    return f"{there} of {len(finals)} runs end at {level} or {'above' if sign > 0 else 'below'}.{left}"


def _apart(difference: Difference, metric: str) -> str:
    """``0.210 [0.150, 0.270] below``: the size of a difference that has a sign."""
    described = quantity(metric)
    low, high = sorted((abs(difference.low), abs(difference.high)))
    direction = "below" if difference.mean < 0 else "above"
    size = f"{described.show(abs(difference.mean))} [{described.show(low)}, {described.show(high)}]"
    return f"{'on average' if difference.unpaired else 'seed by seed'} {size} {direction}"
