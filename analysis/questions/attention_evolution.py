"""How do attention patterns evolve during training, and do they change before, with or after the loss?"""

import math
from collections import Counter

import numpy as np

from minibert.tracking import Store

from ..examination import Examination
from ..findings import Findings
from ..formatting import count, p_value, show_estimate, signed
from ..quantities import Quantity
from ..statistics import CONFIDENCE, Difference, Estimate, mean_interval
from ..tables import Table
from . import attention_figures
from .attention_runs import AttentionRun, read_group
from .attention_times import (
    DISTANCES,
    ENTROPY,
    FALLS,
    LEAVES,
    MARGIN,
    WITHIN,
    Order,
    Timeline,
    compare,
    mean_time,
    timeline,
)

LIMITS = (
    "Heads of different seeds are not the same head: the heads of a layer are compared by their rank in final "
    "entropy, and curves of a layer are means over its heads. A head that is chosen for its largest final value "
    "has a slightly larger value than a head that is chosen beforehand.",
    "Change points come from straight pieces that are fitted to bending curves. Where a curve bends slowly, the "
    "step at which its steepest piece begins depends on the scale. The scale here is log steps.",
    "The interval of a single run describes the noise around one curve. Verdicts use only the spread over seeds. "
    "If attention changes before the loss, this does not show that it is the cause.",
    "One corpus, one size and one schedule of the learning rate.",
)
CLAUSES = {
    (LEAVES, "before"): "before the loss leaves that level",
    (LEAVES, "with"): "as the loss leaves that level",
    (LEAVES, "after"): "after the loss has left that level",
    (LEAVES, "cannot be told"): "whether before or after the loss leaves that level cannot be told",
    (FALLS, "before"): "before its fastest fall begins",
    (FALLS, "with"): "as its fastest fall begins",
    (FALLS, "after"): "after its fastest fall has begun",
    (FALLS, "cannot be told"): "whether before or after its fastest fall begins cannot be told",
}


def examine(store: Store, findings: Findings) -> Examination | None:
    """The study's results on attention; None if no finished run recorded any."""
    read = {group.shown: read_group(store, group) for group in findings.groups}
    timelines = {shown: [timeline(run) for run in runs] for shown, runs in read.items() if runs}
    if not timelines:
        return None
    orders = compare(timelines)
    return Examination(
        title="How attention changes",
        answer=answer(timelines, orders),
        sentences=tuple(description(timelines, orders, findings.study.label)),
        tables=(_times(timelines), _verdicts(orders)),
        figures=attention_figures.draw(timelines, findings.study.label),
        limits=LIMITS,
    )


def answer(timelines: dict[str, list[Timeline]], orders: list[Order]) -> str:
    """The two sentences that answer the study's question, from the numbers alone: what happens, and what of its
    order is known."""
    runs = _runs(timelines)
    ends = [f"{_share(_sharpest(found))} with {shown}" for shown, found in runs.items()]
    seeds = " to ".join(map(str, sorted({len(found) for found in timelines.values()})))
    separated = [order for order in orders if order.adjusted_p < 1 - CONFIDENCE or order.verdict == "with"]
    verdicts = Counter(order.verdict for order in separated)
    together = f", with it in {verdicts['with']}" if verdicts["with"] else ""
    return (
        f"The sharpest head goes from at least {_least(runs)} of the entropy of uniform attention to "
        f"{' and '.join(ends)} ({seeds} seeds). Each layer's change is compared with two moments of the loss: of "
        f"{len(orders)} comparisons, it comes before in {count(verdicts['before'])}{together} and after in "
        f"{count(verdicts['after'])}; {count(len(orders) - len(separated))} cannot be told."
    )


def description(timelines: dict[str, list[Timeline]], orders: list[Order], label: str) -> list[str]:
    """The orders by moment of the loss, and what happens in every group. ``label``: of the groups' factor"""
    described = [_by_moment(orders, label), _groups_of_heads(timelines)]
    for shown, found in timelines.items():
        own = [order for order in orders if order.group == shown]
        described.append(" ".join([_loss(shown, found), *_layers(found, own), _end(found)]))
    return [text for text in described if text]


def _by_moment(orders: list[Order], label: str) -> str:
    moments = {LEAVES: "the loss leaves the unigram level", FALLS: "the loss begins its fastest fall"}
    counted = []
    for reference, moment in moments.items():
        counts = Counter(order.verdict for order in orders if order.reference == reference)
        counted.append(
            f"before {moment} in {count(counts['before'])}, with it in {count(counts['with'])} and after it in "
            f"{count(counts['after'])} ({count(counts['cannot be told'])} cannot be told)"
        )
    return (
        f"Over the {len(orders) // len(moments)} layers of all {label}s, attention begins its fastest change "
        f"{'; '.join(counted)}. Intervals are 95 %, each for its own comparison."
    )


def _groups_of_heads(timelines: dict[str, list[Timeline]]) -> str:
    """How many groups of similar heads there are at the end; empty if none were measured."""
    runs = _runs(timelines)
    groups = {shown: mean_interval([run.clusters[-1] for run in found]) for shown, found in runs.items()}
    if not all(estimate.n for estimate in groups.values()):
        return ""
    formed = [f"{_groups(groups[shown], found[0].heads)} groups with {shown}" for shown, found in runs.items()]
    return f"At the last step similar heads form {' and '.join(formed)}."


def _runs(timelines: dict[str, list[Timeline]]) -> dict[str, list[AttentionRun]]:
    return {shown: [line.run for line in found] for shown, found in timelines.items()}


def _least(runs: dict[str, list[AttentionRun]]) -> str:
    """The lowest entropy share of any head at the first measured step, rounded down."""
    first = min(float(np.nanmin(run.entropy_share[..., 0])) for found in runs.values() for run in found)
    return f"{math.floor(1000 * first) / 1000:.3f}"


def _sharpest(runs: list[AttentionRun]) -> Estimate:
    return mean_interval([float(run.entropy_share[..., -1].min()) for run in runs])


def _loss(shown: str, found: list[Timeline]) -> str:
    leaves, falls = mean_time(found, LEAVES), mean_time(found, FALLS)
    if not leaves.n:
        return f"With {shown}, no run's loss gets {MARGIN} nats below the unigram entropy."
    sharpest = mean_interval([_sharpest_at(line.run, line.events[LEAVES].time) for line in found])
    fall = f"and falls fastest from step {_step(falls)} on" if falls.n else "and no fast fall of it can be told"
    return (
        f"With {shown}, the loss leaves the level of the unigram entropy (by {MARGIN} nats) at step "
        f"{_step(leaves)}, when the sharpest head still has {_share(sharpest, 3)} of the maximal entropy, {fall}."
    )


def _sharpest_at(run: AttentionRun, time: float) -> float:
    """The lowest entropy share of any head at this time."""
    if not math.isfinite(time):
        return math.nan
    return float(np.interp(2**time, run.steps, run.entropy_share.min(axis=(0, 1))))


def _layers(found: list[Timeline], orders: list[Order]) -> list[str]:
    sentences = []
    for layer in range(found[0].run.layers):
        event = ENTROPY.event(layer)
        changes = mean_time(found, event)
        if not changes.n:
            sentences.append(f"No sharp change of attention can be told in layer {layer}.")
            continue
        size = mean_interval([line.events[event].change for line in found])
        last = mean_interval([line.run.entropy_share[layer, :, -1].mean() for line in found])
        runs = "" if changes.n == len(found) else f", in {changes.n} of {len(found)} runs"
        clauses = [
            CLAUSES[order.reference, order.verdict]
            + (f" ({_doublings(order.difference)} doublings)" if order.difference.n else "")
            for order in orders
            if order.layer == layer
        ]
        sentences.append(
            f"The attention of layer {layer} changes fastest from step {_step(changes)} on (entropy share "
            f"{signed(size.mean)}{runs}; {_share(last)} at the end): {' and '.join(clauses)}."
        )
    return sentences


def _end(found: list[Timeline]) -> str:
    """The attention at the end of training."""
    runs = [line.run for line in found]
    text = f"At the end the sharpest head has {_share(_sharpest(runs))} of the maximal entropy"
    places = [run.most_on_a_neighbour() for run in runs]
    share = mean_interval([share for share, _ in places])
    if share.n:
        text += f", and the head that attends most to one neighbour gives it {_share(share)} of its attention"
        where = {layer for _, layer in places}
        text += f" (it is in layer {where.pop()} in every run)" if len(where) == 1 < len(runs) else ""
    groups = mean_interval([run.clusters[-1] for run in runs])
    if groups.n:
        text += f"; the {runs[0].heads} heads form {_groups(groups, runs[0].heads)} groups of similar heads"
    return f"{text}."


def _times(timelines: dict[str, list[Timeline]]) -> Table:
    rows = []
    for shown, found in timelines.items():
        for event in found[0].events:
            time = mean_time(found, event)
            size = mean_interval([line.events[event].change for line in found])
            rows.append(
                (
                    f"{shown}, {event}",
                    f"{time.n} of {len(found)}",
                    _step(time) if time.n else "–",
                    signed(size.mean) if size.n else "",
                )
            )
    note = (
        f"The loss has left the unigram level if all further evaluations are {MARGIN} nats below the unigram "
        "entropy. Straight pieces are fitted to each curve over log steps: its fastest change begins where the "
        f"steepest piece begins. The change over this piece counts only if it is at least {MARGIN} nats (loss), "
        f"{ENTROPY.least} (share of the maximal entropy, share of attention) or {DISTANCES.least} nats (heads). "
        "Curves of a layer are means over its heads. Steps are geometric means, with 95 % t intervals, over the "
        "runs in which the event happens."
    )
    return Table("When it happens", ("what", "runs", "optimizer step", "change"), tuple(rows), note)


def _verdicts(orders: list[Order]) -> Table:
    rows = tuple(
        (
            f"{order.group}, layer {order.layer}, against: {order.reference}",
            str(order.difference.n),
            _doublings(order.difference) if order.difference.n else "–",
            p_value(order.adjusted_p),
            order.verdict,
        )
        for order in orders
    )
    note = (
        "Seed by seed, log₂ of the step at which the layer's entropy begins its fastest change, less log₂ of the "
        "step of the loss; 95 % t intervals, one for each row. Before, after: the interval is on one side of 0; "
        f"with: all of it is within ± {WITHIN}. p (Holm): paired t test, adjusted for all rows."
    )
    columns = ("attention of", "seeds", "doublings after the loss", "p (Holm)", "attention changes")
    return Table("Order of attention and loss", columns, rows, note)


def _step(time: Estimate) -> str:
    """``377 [355, 402]``"""
    middle = f"{2**time.mean:,.0f}"
    return middle if time.n < 2 else f"{middle} [{2**time.low:,.0f}, {2**time.high:,.0f}]"


def _share(estimate: Estimate, decimals: int = 2) -> str:
    """``0.57 ± 0.06``, or ``0.04 [0.00, 0.11]`` if ± would go below 0 or above 1"""
    return show_estimate(estimate, Quantity("", decimals=decimals, least=0, most=1))


def _groups(estimate: Estimate, heads: int) -> str:
    return show_estimate(estimate, Quantity("", decimals=1, least=1, most=heads))


def _doublings(difference: Difference) -> str:
    text = signed(difference.mean)
    return text if difference.n < 2 else f"{text} [{signed(difference.low)}, {signed(difference.high)}]"
