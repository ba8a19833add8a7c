"""Means with intervals over seeds, paired differences, and the cost of reaching a level.

Values that are not finite (a diverged run, an unrecorded metric) are left out, and ``n`` counts the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds with the half width of its interval; NaN where ``n`` does not allow one."""

    n: int
    mean: float
    half_width: float

    @property
    def low(self) -> float:
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        return self.mean + self.half_width


@dataclass(frozen=True)
class Difference(Estimate):
    """The mean of paired differences, with the p value of the paired t test against no difference."""

    p_value: float
    by_seed: dict[Any, float]


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean and Student's t interval:  m ± t₍(1+c)/2, n−1₎ · s / √n,  with s² = Σ (xᵢ − m)² / (n − 1).

    For few seeds this is wide, as it should be: at n = 3 the factor t is 4.30. One value has no interval.

    Source: Student (1908), "The probable error of a mean".

    >>> estimate = mean_interval([1.0, 2.0, 3.0])
    >>> estimate.mean, round(estimate.half_width, 2)
    (2.0, 2.48)
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    n = finite.size
    if n == 0:
        return Estimate(0, np.nan, np.nan)
    if n == 1:
        return Estimate(1, float(finite[0]), np.nan)
    half_width = stats.t.ppf((1 + confidence) / 2, n - 1) * finite.std(ddof=1) / np.sqrt(n)
    return Estimate(int(n), float(finite.mean()), float(half_width))


def paired_difference(values: Mapping[Any, float], baseline: Mapping[Any, float]) -> Difference:
    """The mean of dₛ = valueₛ − baselineₛ over the seeds s that both have, with its 95 % t interval.

    Runs of one seed share initial weights and data order, so much of the noise cancels in d.
    p = P(|T₍n−1₎| ≥ |m| √n / s): 1 when all differences are zero, NaN below two seeds.

    >>> difference = paired_difference({0: 2.0, 1: 3.0, 2: 4.5}, {0: 1.0, 1: 2.0, 2: 3.0})
    >>> round(difference.mean, 3), round(difference.p_value, 3)
    (1.167, 0.02)
    """
    by_seed = {seed: values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())}
    by_seed = {seed: difference for seed, difference in by_seed.items() if np.isfinite(difference)}
    estimate = mean_interval(list(by_seed.values()))
    p_value = np.nan
    if estimate.n >= 2:
        standard_error = np.std(list(by_seed.values()), ddof=1) / np.sqrt(estimate.n)
        if standard_error > 0:
            p_value = 2 * stats.t.sf(abs(estimate.mean) / standard_error, estimate.n - 1)
        else:
            p_value = 1.0 if estimate.mean == 0 else 0.0
    return Difference(estimate.n, estimate.mean, estimate.half_width, float(p_value), by_seed)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for making several comparisons at once:  p̃₍ᵢ₎ = min(1, max_{j ≤ i} (k − j + 1) · p₍ⱼ₎).

    p₍₁₎ ≤ … ≤ p₍k₎ are the sorted values. Calling a difference real where p̃ < 0.05 keeps the chance of even one
    false call among the k below 5 %, whatever their dependence. NaN stays NaN and does not count towards k.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [np.nan] * len(p_values)
    order = sorted((p, index) for index, p in enumerate(p_values) if not np.isnan(p))
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = largest
    return adjusted


def mean_curve(steps: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> tuple[np.ndarray, list[Estimate]]:
    """At every step that some run recorded: the mean over the runs that have it, with its interval."""
    common = np.unique(np.concatenate(steps)) if steps else np.array([], dtype=np.int64)
    by_step = {int(step): [] for step in common}
    for run_steps, run_values in zip(steps, values, strict=True):
        for step, value in zip(run_steps, run_values, strict=True):
            by_step[int(step)].append(value)
    return common, [mean_interval(collected) for collected in by_step.values()]


def first_crossing(x: np.ndarray, y: np.ndarray, level: float, falling: bool = True) -> float:
    """The smallest x where the piecewise linear curve through (x, y) is at or beyond ``level``; NaN if nowhere.

    ``falling`` means that the curve comes from above (a loss); otherwise from below (an accuracy).

    >>> first_crossing(np.array([0, 10, 20]), np.array([4.0, 2.0, 1.0]), level=3.0)
    5.0
    """
    sign = 1.0 if falling else -1.0
    x, y, level = np.asarray(x, dtype=np.float64), sign * np.asarray(y, dtype=np.float64), sign * level
    keep = np.isfinite(x) & np.isfinite(y)
    x, y = x[keep], y[keep]
    reached = np.flatnonzero(y <= level)
    if reached.size == 0:
        return np.nan
    after = reached[0]
    if after == 0:
        return float(x[0])
    before = after - 1
    share = (y[before] - level) / (y[before] - y[after])
    return float(x[before] + share * (x[after] - x[before]))
