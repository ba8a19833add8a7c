"""95 % intervals of what instruments report: shares, rank correlations, means over sequences and over seeds."""

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


def mean_over_seeds(values: Sequence[float]) -> Interval:
    """m ± t₍₀.₉₇₅, n−1₎ s / √n of n values; at n = 3 the factor t is 4.3. No interval for a single one.

    Student, "The Probable Error of a Mean", Biometrika 1908.
    """
    from scipy.stats import t  # here: it takes half a second to import

    found = np.asarray(values, float)
    if len(found) < 2:
        return mean(found)
    value = float(found.mean())
    half = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
    return Interval(value, value - half, value + half)


def ratio(sums: np.ndarray, counts: np.ndarray) -> Interval:
    """Σ sums / Σ counts over (n,) independent sequences, ± 1.96 standard errors.

    With r the ratio, its variance is n / (n - 1) · Σ (sᵢ - r cᵢ)² / (Σ cᵢ)²: Cochran, "Sampling Techniques", 1977,
    6.3. Predictions within one sequence need not be independent.
    """
    total = float(np.sum(counts))
    if not total:
        return UNDEFINED
    value = float(np.sum(sums) / total)
    half = _half_width(sums - value * counts, total)
    return Interval(value, value - half, value + half)


def half_width(values: np.ndarray, clusters: np.ndarray) -> float:
    """Half the interval of the mean of n values in clusters: that of the :func:`ratio` of their sums and sizes.

    values and clusters, (n,) ints. NaN for one cluster.
    """
    _, which = np.unique(clusters, return_inverse=True)
    return _half_width(np.bincount(which, values - np.mean(values)), len(values))


def _half_width(residuals: np.ndarray, total: float) -> float:
    """1.96 √(n / (n - 1) · Σ rᵢ²) / total of the (n,) residuals; NaN for a single one."""
    count = len(residuals)
    if count < 2:
        return float("nan")
    return NORMAL * float(np.sqrt(count / (count - 1) * (residuals @ residuals))) / total
