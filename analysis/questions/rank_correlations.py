"""Rank correlations between what runs score, with intervals that take the runs of one setting together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from minibert.randomness import generator

from ..statistics import CONFIDENCE

RESAMPLES = 2000
SEED = 0
PAIRS = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ over n runs with its interval; NaN where it is undefined."""

    n: int
    value: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether the interval is on one side of 0."""
        return self.low > 0 or self.high < 0


def rank_correlations(
    first: Sequence[float], second: Sequence[float], given: Sequence[float], settings: Sequence[str]
) -> tuple[Correlation, Correlation]:
    """Spearman's ρ of ``first`` with ``given``, and of ``first`` with ``second`` where ``given`` is held fixed.

    The second is the partial correlation of ranks, (ρ₁₂ − ρ₁₃ ρ₂₃) / √((1 − ρ₁₃²)(1 − ρ₂₃²)). Ties have their mean
    rank. Intervals are percentiles of a bootstrap over the k settings: the runs of one setting are alike, and are
    drawn together. With few settings the plain percentiles are too narrow; these are those of
    Φ(±√(k / (k − 1)) · t), t of k − 1 degrees of freedom. What is not finite is left out.

    Spearman (1904); Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8; Hesterberg, "What
    Teachers Should Know About the Bootstrap", 2015.
    """
    columns = np.array([first, second, given], float).T
    kept = np.isfinite(columns).all(axis=1)
    columns, names = columns[kept], np.array(settings, str)[kept]
    groups = list(dict.fromkeys(names.tolist()))
    if len(groups) < 3:
        nothing = Correlation(len(columns), math.nan, math.nan, math.nan)
        return nothing, nothing
    group_of = [groups.index(name) for name in names.tolist()]
    random = generator(SEED, len(groups), len(columns))
    places = random.integers(len(groups), size=(RESAMPLES, len(groups)))
    times = (places[:, :, None] == np.arange(len(groups))).sum(axis=1)
    (values,) = _both(columns, np.ones((1, len(columns))))
    drawn = _both(columns, times[:, group_of])
    return (
        _correlation(len(columns), len(groups), values[0], drawn[:, 0]),
        _correlation(len(columns), len(groups), values[1], drawn[:, 1]),
    )


def _both(columns: np.ndarray, times: np.ndarray) -> np.ndarray:
    """ρ₁₃ and ρ₁₂.₃ of columns (n, 3), whose rows count ``times`` (R, n) as often, as (R, 2).

    NaN where a column has one value, or one rank follows from another.
    """
    middle = (times.sum(axis=1, keepdims=True) + 1) / 2
    centred = np.stack([_ranks(column, times) - middle for column in columns.T], axis=1)
    products = centred * times[:, None] @ centred.transpose(0, 2, 1)
    sizes = np.sqrt(np.diagonal(products, axis1=1, axis2=2))
    sizes[~sizes.all(axis=1)] = math.nan
    one_two, one_three, two_three = (products[:, i, j] / (sizes[:, i] * sizes[:, j]) for i, j in PAIRS)
    rest = (1 - one_three**2) * (1 - two_three**2)
    rest[~(rest > 1e-12)] = math.nan
    partial = (one_two - one_three * two_three) / np.sqrt(rest)
    return np.clip(np.stack([one_three, partial], axis=1), -1, 1)


def _ranks(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The ranks of values (n,) that occur ``times`` (R, n) as often; ties have their mean rank."""
    _, level = np.unique(values, return_inverse=True)
    occur = times @ (level[:, None] == np.arange(level.max() + 1))
    return (np.cumsum(occur, axis=1) - (occur - 1) / 2)[:, level]


def _correlation(n: int, settings: int, value: float, drawn: np.ndarray) -> Correlation:
    finite = drawn[np.isfinite(drawn)]
    if not (math.isfinite(value) and finite.size):
        return Correlation(n, value, math.nan, math.nan)
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, settings - 1))
    share = float(stats.norm.cdf(math.sqrt(settings / (settings - 1)) * t))
    low, high = np.quantile(finite, [1 - share, share])
    return Correlation(n, value, float(low), float(high))
