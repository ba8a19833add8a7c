"""Whether the runs of a study end better than they began, and better than word frequencies."""

import math
from dataclasses import dataclass

import numpy as np

from .findings import UNIGRAM, Findings, Group
from .formatting import capital
from .quantities import Quantity, quantity
from .values import joined


@dataclass(frozen=True)
class Gain:
    """Means over the seeds of a group, of the study's metric."""

    shown: str
    began: float
    """At the first evaluation; NaN if no run has several"""
    gained: float
    """How much better the same runs end than they began"""
    ended: float


def without_gain(findings: Findings) -> str:
    """A warning if no group has gained: no mean ends better than it began, or better than word frequencies.

    Empty if some have. Means are compared, without a claim, so that one seed is enough.
    """
    found, described = _gains(findings), quantity(findings.study.metric)
    if not found:
        return ""
    mean = "mean " if findings.most_seeds > 1 else ""
    ends = f"no {mean}{described.title} ends {_better(described)}"
    frequencies = _frequencies(findings)
    if not frequencies or len(_behind_frequencies(findings, found)) < len(found):
        frequencies = ""
    if len(_behind_their_start(found)) == len(found):
        nor = f", nor {_better(described)} {frequencies}" if frequencies else ""
        began = _range([each.began for each in found], described)
        return f"Training did not help: {ends} {_first(findings)} ({began}){nor}."
    return f"{capital(ends)} {frequencies}." if frequencies else ""


def groups_without_gain(findings: Findings) -> list[str]:
    """The same of the groups that have not gained, where others have."""
    found, described = _gains(findings), quantity(findings.study.metric)
    behind = {_first(findings): _behind_their_start(found)}
    if frequencies := _frequencies(findings):
        behind[frequencies] = _behind_frequencies(findings, found)
    return [
        f"The mean {described.title} does not end {_better(described)} {level}: {findings.study.kind} "
        f"{joined([each.shown for each in those])}."
        for level, those in behind.items()
        if 0 < len(those) < len(found)
    ]


def _gains(findings: Findings) -> list[Gain]:
    """Of the groups that have a result; none for a metric of which neither more nor less is better."""
    higher_is_better = quantity(findings.study.metric).higher_is_better
    if higher_is_better is None:
        return []
    sign = 1 if higher_is_better else -1
    return [_gain(findings.study.metric, group, sign) for group in findings.groups if group.final.n]


def _gain(metric: str, group: Group, sign: int) -> Gain:
    pairs = []
    for run in group.runs:
        values = run.curves[metric].values if metric in run.curves else np.array([])
        if values.size > 1 and math.isfinite(values[0]) and math.isfinite(final := run.final(metric)):
            pairs.append((float(values[0]), final))
    began, ended = np.mean(pairs, axis=0) if pairs else (math.nan, math.nan)
    return Gain(group.shown, float(began), sign * float(ended - began), group.final.mean)


def _behind_their_start(found: list[Gain]) -> list[Gain]:
    return [each for each in found if each.gained <= 0]


def _behind_frequencies(findings: Findings, found: list[Gain]) -> list[Gain]:
    return [each for each in found if each.ended >= findings.references[UNIGRAM]]


def _first(findings: Findings) -> str:
    return "its first evaluation" if findings.study.metric.startswith("eval/") else "its first value"


def _frequencies(findings: Findings) -> str:
    level = findings.references.get(UNIGRAM)
    if level is None:
        return ""
    return f"word frequencies alone ({quantity(findings.study.metric).show(level)}, unigram)"


def _better(described: Quantity) -> str:
    return "above" if described.higher_is_better else "below"


def _range(values: list[float], described: Quantity) -> str:
    """``5.960 to 5.975``, or the one number that they are"""
    return " to ".join(dict.fromkeys(described.show(value) for value in (min(values), max(values))))
