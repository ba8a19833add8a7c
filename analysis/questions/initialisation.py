"""How does initialisation affect convergence: strategies and gains of the initial weights?"""

import math
from collections.abc import Sequence
from dataclasses import replace

from minibert.tracking import Store

from ..examination import Examination
from ..findings import SIGNIFICANCE, UNIGRAM, Findings
from ..formatting import count, p_value, with_difference, with_interval, with_p
from ..quantities import AXES, Quantity
from ..statistics import Difference, Estimate
from ..tables import Table
from ..tracked_runs import SEPARATOR
from ..values import shown
from . import initialisation_figures
from .initialisation_runs import LOSS, MARGIN, Compared, Start, compare, read_starts, share

TITLE = "How strategy and gain of the initial weights change training"
STEP = AXES["step"]
SHARE = Quantity("share", decimals=2, least=0, most=1)
LIMITS = (
    "The learning rate is the recipe's for every start: one that is tuned for each could change the order. Muon's "
    "updates do not depend on the scale of a gradient, and norms take the scale out of what a branch reads; "
    "without either, the start can matter more.",
    "The gain multiplies the matrices of layers and head. Embeddings start alike everywhere.",
    f"When the plateau is left is told from evaluations, linearly between them: the first step from which on all "
    f"are {MARGIN} nats below the unigram entropy. Another level would move all steps.",
    "Final losses are those of a short training: what a start is ahead may be lost, or grow, later on.",
)


def examine(store: Store, findings: Findings) -> Examination | None:
    """The study's results on strategies and gains; None if no two starts have a run that has ended."""
    starts = read_starts(findings.study.runs, findings.references.get(UNIGRAM, math.nan))
    if len(starts) < 2:
        return None
    found = compare(starts, findings.study.baseline)
    gains = shown(_gain(each) for each in found)
    compared = [
        replace(each, start=replace(each.start, value=f"{each.start.strategy}{SEPARATOR}{gains[_gain(each)]}"))
        for each in found
    ]
    return Examination(
        title=TITLE,
        answer=answer(compared),
        sentences=tuple(description(compared)),
        tables=(_table(compared),),
        figures=initialisation_figures.draw(starts),
        limits=LIMITS,
    )


def _gain(each: Compared) -> str:
    """As it was recorded: ``1.0``"""
    return each.start.value.rpartition(SEPARATOR)[2]


def answer(compared: Sequence[Compared]) -> str:
    """The two sentences that answer the study's question, from the numbers alone: how training ends, and when it
    begins to learn."""
    return f"{_ends(compared)} {_begins(compared)}"


def description(compared: Sequence[Compared]) -> list[str]:
    """Which starts are separated from the baseline, in which direction, and the extremes."""
    starts = [each.start for each in compared]
    base = _baseline(compared)
    parts = [_extremes(compared), _soonest(compared), _spans(starts), _diverged(starts)]
    if base is not None:
        steps, losses = _of_steps(compared), _of_losses(compared)
        parts.append(
            f"Against {base.value}, after Holm's adjustment: the final held-out loss is lower with "
            f"{_named(losses, -1)} and higher with {_named(losses, 1)}; the plateau is left sooner with "
            f"{_named(steps, -1)} and later with {_named(steps, 1)}."
        )
    return [part for part in parts if part]


def _ends(compared: Sequence[Compared]) -> str:
    """The start with the lowest loss, and how many are told from the baseline."""
    known = [each for each in compared if each.start.final.n > 1]
    if not known:
        return "No start has two finite final losses."
    best, base = min(known, key=lambda each: each.start.final.mean), _baseline(compared)
    lowest = (
        f"After {best.start.horizon:,} steps ({best.start.final.n} seeds) the held-out loss is lowest with "
        f"{_name(best, base)}, {_loss(best.start.final)} nats{_apart(best.loss, best.loss_p, LOSS)}"
    )
    if base is None:
        return f"{lowest}. There is no baseline to compare it with."
    others = _of_losses(compared)
    lower, higher = _counts(others)
    return (
        f"{lowest}; lower than the baseline's with {count(lower)} of {len(others)} others, higher with "
        f"{count(higher)}, not told apart with {count(len(others) - lower - higher)} (Holm)."
    )


def _begins(compared: Sequence[Compared]) -> str:
    """When the baseline leaves the level of word frequencies, and how many starts are told from that."""
    base = _baseline(compared)
    runs, stayed, diverged = _totals([each.start for each in compared])
    never = f"{count(stayed)} of {runs} runs stay there, and {count(diverged)} diverged"
    if base is None:
        return f"Of the level of word frequencies: {never}."
    others = _of_steps(compared)
    sooner, later = _counts(others)
    return (
        f"With the baseline, the loss leaves the level of word frequencies at step {_when(base)}, sooner with "
        f"{count(sooner)} of {len(others)} others, later with {count(later)} (Holm); {never}."
    )


def _extremes(compared: Sequence[Compared]) -> str:
    known = [each for each in compared if each.start.final.n > 1]
    if not known:
        return ""
    worst = max(known, key=lambda each: each.start.final.mean)
    return (
        f"The final loss is highest with {_name(worst, _baseline(compared))}, {_loss(worst.start.final)}"
        f"{_apart(worst.loss, worst.loss_p, LOSS)}."
    )


def _soonest(compared: Sequence[Compared]) -> str:
    best = min(compared, key=lambda each: each.start.leaves.mean)
    worst = max(compared, key=lambda each: each.start.leaves.mean)
    if best.start.never_left == len(best.start.runs):
        return "No run leaves the level of word frequencies."
    base = _baseline(compared)
    return (
        f"The loss leaves the level of word frequencies soonest with {_name(best, base)}, at step "
        f"{_when(best.start)}{_apart(best.steps, best.steps_p, 'step')}, and latest with {_name(worst, base)}, at "
        f"step {_when(worst.start)}."
    )


def _name(each: Compared, base: Start | None) -> str:
    return f"the baseline {each.start.value} itself" if each.start is base else each.start.value


def _apart(found: Difference | None, p: float, metric: str) -> str:
    """`` (−20 [−31, −9] to the baseline, p = 0.059)``; empty for the baseline and without two pairs"""
    if found is None or found.n < 2:
        return ""
    return f" ({with_difference(found, metric)} to the baseline, {with_p(p)})"


Differences = list[tuple[Start, Difference, float]]
"""Starts but the baseline, with their differences to it and Holm's p"""


def _of_steps(compared: Sequence[Compared]) -> Differences:
    return [(each.start, each.steps, each.steps_p) for each in compared if each.steps]


def _of_losses(compared: Sequence[Compared]) -> Differences:
    return [(each.start, each.loss, each.loss_p) for each in compared if each.loss]


def _separated(found: Differences, sign: int) -> list[str]:
    return [start.value for start, difference, p in found if p < SIGNIFICANCE and sign * difference.mean > 0]


def _counts(found: Differences) -> tuple[int, int]:
    """How many are told apart from the baseline: below it, and above it."""
    return len(_separated(found, -1)), len(_separated(found, 1))


def _named(found: Differences, sign: int) -> str:
    """``bert · 4.0, small · 4.0``, or ``none``"""
    return ", ".join(_separated(found, sign)) or "none"


def _spans(starts: Sequence[Start]) -> str:
    """How far final means are apart over strategies, and over gains: descriptions."""
    means = {(start.strategy, start.gain): start.final.mean for start in starts if start.final.n}

    def spans(place: int) -> list[float]:
        rows: dict[object, list[float]] = {}
        for key, mean in means.items():
            rows.setdefault(key[place], []).append(mean)
        return [max(row) - min(row) for row in rows.values() if len(row) > 1]

    over_strategies, over_gains = spans(1), spans(0)
    if not over_strategies or not over_gains:
        return ""
    return (
        f"Final means differ by {_range(over_strategies)} nats between the strategies at one gain, and by "
        f"{_range(over_gains)} between the gains of one strategy."
    )


def _diverged(starts: Sequence[Start]) -> str:
    """Runs that diverged, and runs that never left the plateau: all count."""
    runs, stayed, diverged = _totals(starts)
    where = [f"{start.diverged} with {start.value}" for start in starts if start.diverged]
    text = f"{diverged or 'None'} of {runs} runs diverged (share {_share(diverged, runs)}"
    text += f"; {', '.join(where)})" if where else ")"
    return f"{text}; {count(stayed)} of the others stayed at the level of word frequencies."


def _totals(starts: Sequence[Start]) -> tuple[int, int, int]:
    """All runs, those that stay on the plateau without diverging, and those that diverge."""
    diverged = sum(start.diverged for start in starts)
    return sum(len(start.runs) for start in starts), sum(start.never_left for start in starts) - diverged, diverged


def _table(compared: Sequence[Compared]) -> Table:
    rows = []
    for each in compared:
        start = each.start
        base = start is _baseline(compared)
        rows.append(
            (
                f"{start.strategy}, gain {start.gain:g}",
                str(len(start.runs)),
                _when(start),
                "baseline" if base else _difference(each.steps, "step"),
                "" if base else p_value(each.steps_p),
                _loss(start.final),
                "baseline" if base else _difference(each.loss, LOSS),
                "" if base else p_value(each.loss_p),
                f"{start.never_left - start.diverged}",
                f"{start.diverged}: {_share(start.diverged, len(start.runs))}",
            )
        )
    columns = (
        "start", "runs", "step at which the plateau is left", "difference", "p (Holm)",
        "final held-out loss (nats)", "difference", "p (Holm)", "runs that stay", "diverged runs: share",
    )  # fmt: skip
    note = (
        f"The plateau is left when all later evaluations are {MARGIN} nats below the unigram entropy. Steps are "
        "means restricted to the training (Kaplan-Meier): a run that stays on the plateau, or diverges, counts "
        "with all steps. A run has diverged if it was ended because a number was not finite, or if it ends with a "
        f"loss {MARGIN} nats above that before the first step. ± and [low, high]: 95 % t intervals over seeds, of "
        "shares Wilson's. Differences are to the baseline, seed by seed; p: paired t test, adjusted for all rows, "
        "steps and losses each by themselves. The mean of a loss is over the runs that have a finite one."
    )
    return Table("Starts", columns, tuple(rows), note)


def _baseline(compared: Sequence[Compared]) -> Start | None:
    """The start that the others have differences to."""
    with_differences = any(each.steps for each in compared)
    return next((each.start for each in compared if with_differences and each.steps is None), None)


def _when(start: Start) -> str:
    """``43 ± 5``; ``400 (never left)``"""
    leaves = start.leaves
    if start.never_left == len(start.runs):
        return f"{start.horizon:,} (never left)"
    return STEP.show(leaves.mean) if math.isnan(leaves.half_width) else with_interval(leaves, "step")


def _loss(estimate: Estimate) -> str:
    return with_interval(estimate, LOSS)


def _difference(found: Difference | None, metric: str) -> str:
    return with_difference(found, metric) if found is not None and found.n else "–"


def _share(number: int, of: int) -> str:
    """``0.20 [0.04, 0.62]``"""
    value, low, high = share(number, of)
    return f"{SHARE.show(value)} [{SHARE.show(low)}, {SHARE.show(high)}]"


def _range(values: Sequence[float]) -> str:
    low, high = (f"{end:.3f}" for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
