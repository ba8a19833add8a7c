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
    rank. Intervals are percentiles of a bootstrap over the settings: the runs of one setting are alike, and are
    drawn together. What is not finite is left out.

    Spearman (1904); Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8.
    """
    columns = np.array([first, second, given], float).T
    kept = np.isfinite(columns).all(axis=1)
    columns, names = columns[kept], np.array(settings, str)[kept]
    groups = [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]
    if len(groups) < 3:
        nothing = Correlation(len(columns), math.nan, math.nan, math.nan)
        return nothing, nothing
    values = _both(columns)
    random = generator(SEED, len(groups), len(columns))
    drawn = np.array(
        [
            _both(columns[np.concatenate([groups[place] for place in places])])
            for places in random.integers(len(groups), size=(RESAMPLES, len(groups)))
        ]
    )
    return (
        _correlation(len(columns), values[0], drawn[:, 0]),
        _correlation(len(columns), values[1], drawn[:, 1]),
    )


def _both(columns: np.ndarray) -> tuple[float, float]:
    """ρ₁₃ and ρ₁₂.₃ of columns (n, 3); NaN where a column has one value, or one rank follows from another."""
    ranks = stats.rankdata(columns, axis=0)
    centred = ranks - ranks.mean(axis=0)
    products = centred.T @ centred
    sizes = np.sqrt(np.diag(products))
    if not sizes.all():
        return math.nan, math.nan
    ((_, one_two, one_three), (_, _, two_three), _) = products / np.outer(sizes, sizes)
    rest = (1 - one_three**2) * (1 - two_three**2)
    partial = (one_two - one_three * two_three) / math.sqrt(rest) if rest > 1e-12 else math.nan
    return float(np.clip(one_three, -1, 1)), float(np.clip(partial, -1, 1))


def _correlation(n: int, value: float, drawn: np.ndarray) -> Correlation:
    finite = drawn[np.isfinite(drawn)]
    if not (math.isfinite(value) and finite.size):
        return Correlation(n, value, math.nan, math.nan)
    low, high = np.quantile(finite, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Correlation(n, value, float(low), float(high))
