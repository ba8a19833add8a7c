"""Tables of networks of several sizes: losses, the laws fitted to them, and the quality of what they know."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..formatting import p_value, show_estimate
from ..quantities import Quantity, quantity
from ..statistics import Difference, Estimate, mean_interval
from ..tables import Table
from .power_laws import LACKING, Floored, Pure
from .rank_correlations import Correlation
from .representation_scaling_laws import Laws, mean_loss
from .representation_scaling_runs import LOSS, Budget, in_millions

SCORE = Quantity("score", higher_is_better=True, least=0, most=1)
RANK = Quantity("effective rank", decimals=1, least=1)
SHARE = Quantity("share of the width", decimals=2, least=0, most=1)


def losses_table(laws: Sequence[Laws]) -> Table:
    """A row a budget and size."""
    rows = []
    for law in laws:
        for size in law.budget.sizes:
            runs = law.budget.of_size(size)
            difference, p = law.over_others.get(size, (None, math.nan))
            rows.append(
                (
                    f"{law.budget.name}, {in_millions(size)}",
                    " or ".join(f"{steps:,}" for steps in sorted({run.steps for run in runs})),
                    f"{mean_interval([run.run.final('tokens_seen') for run in runs]).mean:,.0f}",
                    operations(mean_interval([run.run.final("flops") for run in runs]).mean),
                    str(len(runs)),
                    loss(mean_loss(law.budget, size)),
                    "best" if difference is None else signed_loss(difference),
                    "" if difference is None else p_value(p),
                    show_estimate(mean_interval([run.rank for run in runs]), RANK),
                    show_estimate(mean_interval([run.rank_share for run in runs]), SHARE),
                )
            )
    columns = (
        "weights in the layers", "steps", "tokens", "operations", "runs", "held-out loss (nats)",
        "above the best size", "p (Holm)", "effective rank of hidden states", "of the width",
    )  # fmt: skip
    note = (
        "Which runs are of one budget follows from what they recorded: "
        + "; ".join(f"{law.budget.name} within {law.budget.spread:.1%}" for law in laws)
        + ". ± and [low, high]: 95 % t intervals over seeds. Above the best size: paired by seed, p adjusted "
        "within the budget. Effective rank: exponential of the entropy of the normalised singular values of the "
        "centred hidden states after the last layer (Roy and Vetterli 2007)."
    )
    return Table("Loss and size", columns, tuple(rows), note)


def laws_table(laws: Sequence[Laws]) -> Table:
    """A row a budget and law."""
    rows = []
    for law in laws:
        name, floored, pure = law.budget.name, law.floored, law.pure
        if floored is not None:
            verdict = _verdict(floored, "identified" if floored.identified else "not identified")
            rows.append(
                (
                    f"{name}: a + b N^-c", within(floored.c, floored.c_low, floored.c_high),
                    within(floored.a, floored.a_low, floored.a_high), p_value(floored.lack_of_fit), verdict,
                )
            )  # fmt: skip
        if pure is not None:
            exponent = within(pure.c, pure.c_low, pure.c_high)
            told = "falls with size" if pure.c_low > 0 else "rises with size" if pure.c_high < 0 else "level"
            rows.append((f"{name}: b N^-c", exponent, "0", p_value(pure.lack_of_fit), _verdict(pure, told)))
    columns = ("law", "c", "a (nats)", "p of lack of fit", "verdict")
    note = (
        "N: weights in the matrices of the layers. Least squares over all runs; of a + b N^-c, the interval of "
        "each parameter is that of the profile of the sum of squares (95 %, F), and the law counts as "
        "identified if that of c has two ends between 0.01 and 4; of b N^-c, a t interval of the regression of "
        "log L on log N. Runs count as independent, though those of one seed share their data. Lack of fit: F "
        "test of the means of sizes around the law against the spread over seeds; below 0.05, the law does not "
        "describe the losses, whatever its interval. Where no size has two runs, that spread is not known: there "
        "is neither an interval nor a verdict."
    )
    return Table("Power laws", columns, tuple(rows), note)


def _verdict(law: Floored | Pure, held: str) -> str:
    """``held``, unless the law does not describe the losses, or nothing is known of the spread between runs."""
    if math.isnan(law.c_low):
        return "cannot be told"
    return "does not hold" if law.lack_of_fit < LACKING else held


def quality_table(budget: Budget, names: Sequence[str]) -> Table:
    """A row a score, a column a size: trained, and untrained in brackets."""

    def cell(name: str, size: int) -> str:
        found = [run.qualities[name] for run in budget.of_size(size) if name in run.qualities]
        value = mean_interval([quality.value for quality in found])
        untrained = mean_interval([quality.untrained for quality in found])
        if not value.n:
            return "–"
        beside = f" ({SCORE.show(untrained.mean)})" if untrained.n else ""
        return show_estimate(value, SCORE) + beside

    rows = tuple((name, *(cell(name, size) for size in budget.sizes)) for name in names)
    columns = ("score", *(in_millions(size) for size in budget.sizes))
    note = (
        "Accuracies, with 95 % t intervals over seeds; in brackets the mean of the same networks before "
        "training. Of a probe: in the layer with the shortest online code, and the best layer before training. "
        "Chance is 0.5 for minimal pairs."
    )
    return Table(f"Quality by size, {budget.name}", columns, rows, note)


class Relations(NamedTuple):
    """How one score goes with the loss and with the size, over all runs."""

    with_loss: Correlation
    with_size: Correlation
    """Given the loss"""
    gain_with_loss: Correlation
    """Of the score's gain over the untrained network"""


def correlations_table(found: Mapping[str, Relations]) -> Table:
    """A row a score."""
    rows = tuple((name, str(each.with_loss.n), *map(correlation, each)) for name, each in found.items())
    columns = (
        "score",
        "runs",
        "ρ with the loss",
        "ρ with the size, given the loss",
        "ρ of its gain with the loss",
    )
    note = (
        "Spearman's rank correlation over all runs of both budgets, with percentiles of a bootstrap over "
        "settings (95 %), since the seeds of a setting are alike. Negative with the loss: the lower the loss, "
        "the better the score. Given the loss: the partial correlation of ranks with the weights in the layers. "
        "Gain: the score less that of the untrained network, since a probe reads more from a wider network even "
        "before training."
    )
    return Table("Quality against loss", columns, rows, note)


def loss(estimate: Estimate) -> str:
    """``4.231 ± 0.012``"""
    return show_estimate(estimate, quantity(LOSS))


def signed_loss(difference: Difference) -> str:
    """``+0.120 [+0.110, +0.130]``"""
    described = Quantity("difference")
    text = described.show(difference.mean, sign=True)
    if difference.n < 2:
        return text
    return f"{text} [{described.show(difference.low, sign=True)}, {described.show(difference.high, sign=True)}]"


def correlation(found: Correlation) -> str:
    """``−0.93 [−0.98, −0.81]``"""
    return "–" if math.isnan(found.value) else within(found.value, found.low, found.high)


def operations(count: float) -> str:
    """``2.7e12``"""
    return f"{count:.3g}".replace("e+", "e")


def within(value: float, low: float, high: float) -> str:
    """``0.30 [0.25, 0.34]``"""
    text = _two(value)
    return text if math.isnan(low) else f"{text} [{_two(low)}, {_two(high)}]"


def _two(value: float) -> str:
    """Two decimals; three of what is small"""
    return f"{value:.{3 if abs(value) < 0.1 else 2}f}".replace("-", "−")
