"""Intervals by resampling: of seeds, and of seeds and items at once.

The same seed of the draws gives the same interval. With few seeds these intervals are too narrow, and the t
interval is the better one: the table of coverage in docs/statistics.md says by how much.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from .estimates import CONFIDENCE

DRAWS = 9999


@dataclass(frozen=True)
class Resampled:
    """A statistic with its 95 % interval; NaN where there are too few values."""

    value: float
    low: float
    high: float
    p_value: float = np.nan
    """Of no difference, where two groups are compared"""


def bootstrap(
    values: Sequence[float], statistic: Callable[..., Any] = np.mean, draws: int = DRAWS, seed: int = 0
) -> Resampled:
    """The bias-corrected and accelerated bootstrap interval of a statistic over seeds.

    ``statistic(values, axis)`` as of NumPy. Source: Efron (1987), "Better bootstrap confidence intervals".
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    value = float(statistic(finite, axis=0)) if finite.size else np.nan
    if finite.size < 2 or np.ptp(finite) == 0:
        return Resampled(value, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    found = stats.bootstrap(
        (finite,), statistic, n_resamples=draws, confidence_level=CONFIDENCE, method="BCa", rng=generator
    )
    return Resampled(value, float(found.confidence_interval.low), float(found.confidence_interval.high))


def paired_bootstrap(
    values: Mapping[Any, float], baseline: Mapping[Any, float], draws: int = DRAWS, seed: int = 0
) -> Resampled:
    """The bootstrap interval of the mean difference over the seeds that both groups have."""
    return bootstrap(
        [values[each] - baseline[each] for each in sorted(values.keys() & baseline.keys())], draws=draws, seed=seed
    )


def hierarchical_bootstrap(
    scores: np.ndarray, baseline: np.ndarray | None = None, draws: int = DRAWS, seed: int = 0
) -> Resampled:
    """The mean of scores (seeds, items), with seeds and items both resampled: other seeds, other test sentences.

    Each draw takes seeds and items with replacement, the same for both groups, so the comparison with a
    ``baseline`` of the same shape is paired in both. The interval is that of the percentiles. The p value is twice
    the share of draws on the other side of 0, at least one of ``draws + 1``.

    Source: Sellam et al. (2022), "The MultiBERTs: BERT reproductions for robustness analysis", section 4.

    Raises ValueError if the shapes differ.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if baseline is not None and np.shape(baseline) != scores.shape:
        raise ValueError(
            f"scores {scores.shape} and baseline {np.shape(baseline)}: the same seeds and items are needed"
        )
    compared = scores if baseline is None else scores - np.asarray(baseline, dtype=np.float64)
    seeds, items = compared.shape
    if seeds < 2 or items < 2:
        return Resampled(float(compared.mean()) if compared.size else np.nan, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    of_items = generator.multinomial(items, np.full(items, 1 / items), draws) / items
    drawn = np.sum((of_seeds @ compared) * of_items, axis=1)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    p_value = np.nan
    if baseline is not None:
        tail = min(int(np.sum(drawn <= 0)), int(np.sum(drawn >= 0)))
        p_value = min(1.0, 2 * (tail + 1) / (draws + 1))
    return Resampled(float(compared.mean()), float(low), float(high), p_value)
