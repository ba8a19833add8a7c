"""Does the best masking ratio grow with the size of the network?

Wettig, Gao, Zhong and Chen, "Should You Mask 15% in Masked Language Modeling?", EACL 2023 (arXiv 2022).
"""

from collections.abc import Sequence

from minibert.tracking import Store

from ..examination import Examination
from ..findings import SIGNIFICANCE, Findings
from ..formatting import p_value, with_difference, with_interval, with_p
from ..quantities import Quantity
from ..statistics import Difference, mean_interval
from ..tables import Table
from . import masking_by_size_figures
from .masking_by_size_runs import HIGH, LOW, BySize, SizeRuns, compare, read_sizes
from .representation_scaling_runs import LOSS, in_millions

TITLE = "How the best masking ratio changes with size"
RATIO = Quantity("masking ratio", decimals=2, least=0, most=1)
FACTOR = Quantity("factor", decimals=2, logarithmic=True)
LIMITS = (
    "All sizes have had the same steps and tokens, at the recipe's learning rate: the larger a network, the "
    "further it is from the end of its learning. Wettig et al. trained larger networks for far longer, and what "
    "they found is of the end of training.",
    "A higher ratio predicts more tokens a step. Early in training this alone speeds learning up; whether the "
    "context that it takes away then costs more than it brings cannot be seen in so few steps.",
    "The largest of these sizes is smaller than the smallest of theirs.",
)


def examine(store: Store, findings: Findings) -> Examination | None:
    """The study's results by size; None if no two sizes, or no two ratios of a size, have a finite loss."""
    found = compare(read_sizes(findings.study.runs))
    if len(found.sizes) < 2 or not any(len(size.means) > 1 for size in found.sizes):
        return None
    return Examination(
        title=TITLE,
        answer=answer(found),
        sentences=tuple(description(found)),
        tables=(_losses(found), _changes(found)),
        figures=masking_by_size_figures.draw(found),
        limits=LIMITS,
    )


def answer(found: BySize) -> str:
    """The two sentences that answer the study's question, from the numbers alone."""
    return f"{_verdict(found)} {_best(found)}"


def description(found: BySize) -> list[str]:
    """What more masking brings at each size, the best ratio by parabolas, and diverged runs."""
    runs, diverged = (sum(getattr(size, name) for size in found.sizes) for name in ("runs", "diverged"))
    where = [f"{size.diverged} with {in_millions(size.weights)}" for size in found.sizes if size.diverged]
    listed = f" ({', '.join(where)})" if where else ""
    counted = f"{diverged or 'None'} of {runs} runs diverged{listed}."
    return [text for text in (f"{_gains(found)} {_interaction(found)}", _parabolas(found), counted) if text]


def _verdict(found: BySize) -> str:
    """Whether the best ratio grows, by the parabolas."""
    change = found.of_lowest
    if change is None or change.difference.n < 2:
        return (
            "Whether the best ratio grows with size cannot be told: it takes two sizes with two seeds whose best "
            "ratio is between those tried."
        )
    factor, told = _factor(change.difference), f"{change.difference.n} seeds, {with_p(change.p)}, Holm"
    between = f"from {in_millions(change.smallest)} to {in_millions(change.largest)} weights in the layers"
    if change.p < SIGNIFICANCE:
        moves = "grows" if change.difference.mean > 0 else "falls"
        return f"The best masking ratio {moves} {between}, by the factor {factor} ({told})."
    return (
        f"The data do not show that the best masking ratio changes with size: {between} it changes by the factor "
        f"{factor} ({told})."
    )


def _best(found: BySize) -> str:
    """The best of the ratios at each size, and which are not separated from it."""
    parts = []
    for size in found.sizes:
        if not size.means:
            parts.append(f"none with {in_millions(size.weights)} (no finite loss)")
            continue
        alike = [RATIO.show(ratio) for ratio, (_, p) in size.above_best.items() if not p < SIGNIFICANCE]
        notes = [f"not separated from {_listed(alike)}"] if alike else []
        notes += ["an end of what was tried"] if size.at_an_end else []
        note = f" ({'; '.join(notes)})" if notes else ""
        parts.append(f"{RATIO.show(size.best)} with {in_millions(size.weights)}{note}")
    return f"The lowest mean loss is at the ratio {', '.join(parts)}."


def _gains(found: BySize) -> str:
    parts = [
        f"{_signed(size.gain)} with {in_millions(size.weights)}" for size in found.sizes if size.gain.n
    ]  # fmt: skip
    if not parts:
        return f"No size has runs at both {HIGH:.2f} and {LOW:.2f}."
    missing = [in_millions(size.weights) for size in found.sizes if not size.gain.n]
    left_out = f" (one of the two is missing with {_listed(missing)})" if missing else ""
    return f"The held-out loss at {HIGH:.2f} less that at {LOW:.2f}, in nats, is {', '.join(parts)}{left_out}."


def _interaction(found: BySize) -> str:
    change = found.of_gain
    if change is None or change.difference.n < 2:
        return "Whether this difference changes with size cannot be told."
    told = (
        f"From the smallest of these sizes to the largest it changes by {_signed(change.difference)} nats "
        f"({with_p(change.p)}, Holm)"
    )
    if not change.p < SIGNIFICANCE:
        return f"{told}, which the data do not separate from no change."
    return f"{told}: more masking brings {'more' if change.difference.mean < 0 else 'less'} to the larger network."


def _parabolas(found: BySize) -> str:
    parts = [
        f"{_place(size)} with {in_millions(size.weights)}" for size in found.sizes if size.lowest
    ]  # fmt: skip
    return f"Parabolas in the logarithm of the ratio are lowest at {', '.join(parts)}." if parts else ""


def _losses(found: BySize) -> Table:
    ratios = sorted({ratio for size in found.sizes for ratio in size.losses})

    def cell(size: SizeRuns, ratio: float) -> str:
        if ratio not in size.means:
            return "–"
        shown = with_interval(size.means[ratio], LOSS)
        if ratio == size.best:
            return f"{shown} (best)"
        difference, p = size.above_best[ratio]
        return f"{shown}, {with_p(p)}" if difference.n > 1 else shown

    rows = tuple(
        (
            in_millions(size.weights),
            str(size.runs),
            str(size.diverged),
            *(cell(size, ratio) for ratio in ratios),
        )
        for size in found.sizes
    )
    columns = ("weights in the layers", "runs", "diverged", *(f"ratio {ratio:.2f}" for ratio in ratios))
    note = (
        "Final held-out loss in nats per masked token, on one frozen set of masks at 15 % for all: means with 95 "
        "% t intervals over seeds. p: paired t test against the best ratio of the size, adjusted within the size "
        "(Holm). No mean includes a diverged run."
    )
    return Table("Loss by size and masking ratio", columns, rows, note)


def _changes(found: BySize) -> Table:
    rows = [
        (in_millions(size.weights), str(size.gain.n), _signed(size.gain), p_value(size.gain_p), _place(size), "")
        for size in found.sizes
    ]
    gain, lowest = found.of_gain, found.of_lowest
    if gain or lowest:
        rows.append(
            (
                "largest against smallest",
                str(gain.difference.n) if gain else "0",
                _signed(gain.difference) if gain else "–",
                p_value(gain.p) if gain else "–",
                _factor(lowest.difference) if lowest else "–",
                p_value(lowest.p) if lowest else "–",
            )
        )
    columns = (
        "weights in the layers", "pairs of runs", f"loss at {HIGH:.2f} less that at {LOW:.2f} (nats)", "p (Holm)",
        "best ratio by a parabola", "p (Holm)",
    )  # fmt: skip
    note = (
        "95 % t intervals over seeds. Differences are taken seed by seed; the last row has their difference "
        "between the two sizes, and the factor between the best ratios, seed by seed as well. A best ratio "
        "is the lowest point of the mean of the seeds' parabolas in log ratio, if it is between the ratios tried; "
        "its interval is by the delta method. p: paired t tests, adjusted for all in this table."
    )
    return Table("What more masking brings, by size", columns, tuple(rows), note)


def _listed(names: Sequence[str]) -> str:
    """``0.15, 0.25 and 0.40``"""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _place(size: SizeRuns) -> str:
    """``0.38 [0.35, 0.42]``: a geometric mean over seeds"""
    found = mean_interval([*size.lowest.values()])
    if not found.n:
        return "–"
    text = RATIO.show(10**found.mean)
    if found.n > 1:
        low, high = RATIO.ends(10**found.low, 10**found.high)
        text += f" [{RATIO.show(low)}, {RATIO.show(high)}]"
    seeds = max(mean.n for mean in size.means.values())
    return text if found.n == seeds else f"{text} (in {found.n} of {seeds} seeds)"


def _factor(difference: Difference) -> str:
    """``×1.10 [×0.95, ×1.27]``"""
    text = FACTOR.show(difference.mean, sign=True)
    if difference.n < 2:
        return text
    return f"{text} [{FACTOR.show(difference.low, sign=True)}, {FACTOR.show(difference.high, sign=True)}]"


def _signed(difference: Difference) -> str:
    return with_difference(difference, LOSS) if difference.n else "–"
