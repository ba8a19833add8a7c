"""95 % intervals of what instruments report: shares, rank correlations, means over sequences."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

NORMAL = 1.959963984540054
"""The 97.5 % point of the normal distribution"""


class Interval(NamedTuple):
    """A value and its 95 % interval; NaN where they are undefined."""

    value: float
    low: float
    high: float


UNDEFINED = Interval(float("nan"), float("nan"), float("nan"))


def share(right: float, count: int) -> Interval:
    """right / count, with the interval of Wilson (1927); ``right`` may hold halves. Undefined for a count of 0."""
    from statsmodels.stats.proportion import proportion_confint  # here: it takes a second to import

    if not count:
        return UNDEFINED
    bounds: Any = proportion_confint(right, count, method="wilson")
    value, low, high = float(right / count), max(float(bounds[0]), 0.0), min(float(bounds[1]), 1.0)
    return Interval(value, min(low, value), max(high, value))  # at 0 and 1, rounding crosses the value


def mean_of_shares(shares: Sequence[Interval]) -> Interval:
    """The mean of m independent shares, from p - √Σ(pᵢ - lowᵢ)² / m to p + √Σ(highᵢ - pᵢ)² / m.

    Of one share, it is that share. Zou and Donner, "Construction of confidence limits about effect measures: A
    general approach", Statistics in Medicine 2008.
    """
    if not shares:
        return UNDEFINED
    values, lows, highs = np.array(shares).T
    value = float(values.mean())
    below, above = (float(np.linalg.norm(bounds - values)) / len(shares) for bounds in (lows, highs))
    return Interval(value, max(value - below, 0.0), min(value + above, 1.0))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> Interval:
    """Spearman's ρ of (n,) and (n,): Pearson's correlation of the ranks, where equal values share their mean rank.

    The interval is tanh(artanh ρ ± 1.96 √((1 + ρ²/2) / (n - 3))): Bonett and Wright, "Sample Size Requirements for
    Estimating Pearson, Kendall and Spearman Correlations", Psychometrika 2000. The n pairs count as independent.
    Undefined below four pairs, and where all values on one side are equal.
    """
    from scipy.stats import spearmanr  # here: it takes half a second to import

    count = len(first)
    if count < 4 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return UNDEFINED
    found: Any = spearmanr(first, second)
    correlation = float(np.clip(found.statistic, -1, 1))
    half = NORMAL * np.sqrt((1 + correlation**2 / 2) / (count - 3))
    centre = np.arctanh(np.clip(correlation, -1 + 1e-15, 1 - 1e-15))
    return Interval(correlation, float(np.tanh(centre - half)), float(np.tanh(centre + half)))


def mean(values: np.ndarray) -> Interval:
    """The mean of (n,) independent values, ± 1.96 standard errors. No interval for a single one."""
    return ratio(np.asarray(values, float), np.ones(len(values)))


def ratio(sums: np.ndarray, counts: np.ndarray) -> Interval:
    """Σ sums / Σ counts over (n,) independent sequences, ± 1.96 standard errors.

    With r the ratio, its variance is n / (n - 1) · Σ (sᵢ - r cᵢ)² / (Σ cᵢ)²: Cochran, "Sampling Techniques", 1977,
    6.3. Predictions within one sequence need not be independent.
    """
    total = float(np.sum(counts))
    if not total:
        return UNDEFINED
    value = float(np.sum(sums) / total)
    if len(sums) < 2:
        return Interval(value, float("nan"), float("nan"))
    rest = sums - value * counts
    half = NORMAL * float(np.sqrt(len(sums) / (len(sums) - 1) * (rest @ rest))) / total
    return Interval(value, value - half, value + half)
