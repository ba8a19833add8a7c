"""Sentences beside the comparison of a study: simple models, controls, and the cost of reaching the same level."""

from .controls import Control
from .findings import BIGRAM, Efficiency, Findings, control_means
from .formatting import with_unit
from .quantities import AXES, quantity
from .statistics import mean_interval
from .tables import cost_in_words
from .tracked_runs import BELOW_BIGRAM
from .values import joined


def beside(findings: Findings) -> list[str]:
    """The groups beside a bigram model and the controls of an instrument."""
    if findings.most_seeds < 2:
        return []
    sentences = [_beside_bigram(findings), *(_beside_control(findings, control) for control in findings.controls)]
    return [sentence for sentence in sentences if sentence]


def efficiency_in_words(findings: Findings) -> list[str]:
    """The cost of reaching the same level."""
    if findings.most_seeds < 2:
        return []
    sentences = [_efficiency(findings, efficiency) for efficiency in findings.efficiencies]
    return [sentence for sentence in sentences if sentence]


def _beside_bigram(findings: Findings) -> str:
    """Which groups predict better than a bigram model, which knows only the previous word."""
    level, label = findings.references.get(BIGRAM), findings.study.kind
    found = {group.shown: group.mean(BELOW_BIGRAM) for group in findings.groups}
    found = {shown: estimate for shown, estimate in found.items() if estimate.n >= 2}
    if level is None or not found:
        return ""
    below = [shown for shown, estimate in found.items() if estimate.low > 0]
    above = [shown for shown, estimate in found.items() if estimate.high < 0]
    open_ = [shown for shown in found if shown not in (*below, *above)]
    described = quantity(findings.study.metric)
    parts = [
        f"{_named(label, below)} below it" if below else "",
        f"{_named(label, above)} above it" if above else "",
        f"{label} {joined(open_)} cannot be told from it" if open_ else "",
    ]
    if len(above) == len(found) > 1:
        parts = [f"every {label} ends above it, so none predicts as well yet"]
    named = "; ".join(part for part in parts if part)
    opening = "A bigram model of the same text, which sees the word before alone, scores"
    return f"{opening} {described.show(level)} {described.unit}: {named}."


def _named(label: str, groups: list[str]) -> str:
    """``rate 0.15 is``, ``rate 0.15 and 0.40 are``"""
    return f"{label} {joined(groups)} {'is' if len(groups) == 1 else 'are'}"


def _beside_control(findings: Findings, control: Control) -> str:
    """Which groups are better than a control, by the interval over seeds of the difference within each run."""
    study, described = findings.study, quantity(findings.study.metric)
    sign = 1 if described.higher_is_better else -1
    gaps = {
        group.shown: mean_interval([sign * (run.final(study.metric) - control.of(run)) for run in group.runs])
        for group in findings.groups
    }
    gaps = {shown: gap for shown, gap in gaps.items() if gap.n >= 2}
    if not gaps:
        return ""
    better = [shown for shown, gap in gaps.items() if gap.low > 0]
    others = [shown for shown in gaps if shown not in better]
    if not others:
        return f"Better than the control {control.title}: every {study.kind}."
    value = mean_interval([control_means(group, control).mean for group in findings.groups]).mean
    named = f"{study.kind} {', '.join(others)}" if better else f"every {study.kind}"
    return f"No better than the control {control.title} ({described.show(value)}): {named}."


def _efficiency(findings: Findings, efficiency: Efficiency) -> str:
    """Which group needs the fewest steps, and the fewest predicted tokens, to reach the level.

    Groups are ranked if all of their runs get there; the others are named with how many do.
    """
    groups = {group.value: group for group in findings.groups if efficiency.costs[group.value].runs >= 2}
    costs = {value: efficiency.costs[value] for value in groups}
    if len(groups) < 2:
        return ""
    parts = []
    for axis in ("step", "tokens_predicted"):
        spent = {value: cost.axes[axis] for value, cost in costs.items() if not cost.at_least}
        spent = {value: estimate for value, estimate in spent.items() if estimate.n >= 2 and estimate.mean > 0}
        if not spent:
            continue
        least = min(spent, key=lambda value: spent[value].mean)
        fewest = AXES[axis].show(spent[least].mean)
        alike = [groups[value].shown for value in spent if AXES[axis].show(spent[value].mean) == fewest]
        # Where others do not get there, what they need in all may still be less than the longest run that does.
        bounds = [cost.axes[axis] for cost in costs.values() if cost.at_least]
        if any(bound.mean < spent[least].mean for bound in bounds) or len(alike) == len(costs):
            continue
        place = f"{joined(alike)} ({cost_in_words(costs[least], axis)}"
        part = f"the fewest {AXES[axis].title} are needed at {place}"
        baseline = findings.study.baseline
        if baseline in costs and least != baseline and costs[baseline].axes[axis].n:
            part += f"; the baseline {cost_in_words(costs[baseline], axis)}"
        parts.append(part + ")")
    short = [
        f"{groups[value].shown} ({cost.reached} of {cost.runs})" for value, cost in costs.items() if cost.at_least
    ]
    if short and len(short) < len(costs):
        parts.append(f"not all runs get there at {', '.join(short)}")
    if not parts:
        return ""
    level = with_unit(efficiency.level, quantity(findings.study.metric))
    return f"To reach {level} ({efficiency.meaning}), {', '.join(parts)}."
