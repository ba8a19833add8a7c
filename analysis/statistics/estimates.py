"""Means with intervals over seeds; differences of two groups and contrasts of several, paired by seed or not.

Values that are not finite (a diverged run, an unrecorded metric) are left out, and ``n`` counts the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

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
    """A mean difference, with the p value of the t test against none. ``n``: seeds of the smaller group."""

    p_value: float
    by_seed: dict[Any, float]
    """Seed -> difference; empty if the groups are not paired"""
    standard_error: float = np.nan
    degrees: float = np.nan
    """Degrees of freedom of the t distribution that interval and p value are from"""
    spread: float = np.nan
    """Between the seeds of one group (:func:`spread_between_seeds`)"""

    @property
    def unpaired(self) -> bool:
        """Whether it is one between the means of two groups."""
        return self.n >= 2 and not self.by_seed


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean and Student's t interval:  m ± t₍(1+c)/2, n−1₎ · s / √n,  with s² = Σ (xᵢ − m)² / (n − 1).

    For few seeds this is wide, as it should be: at n = 3 the factor t is 4.30. One value has no interval.

    Source: Student (1908), "The probable error of a mean".

    >>> estimate = mean_interval([1.0, 2.0, 3.0])
    >>> estimate.mean, round(estimate.half_width, 2)
    (2.0, 2.48)
    """
    finite = _finite(values)
    n = finite.size
    if n == 0:
        return Estimate(0, np.nan, np.nan)
    if n == 1:
        return Estimate(1, float(finite[0]), np.nan)
    half_width = special.stdtrit(n - 1, (1 + confidence) / 2) * finite.std(ddof=1) / np.sqrt(n)
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
    found = list(by_seed.values())
    estimate = mean_interval(found)
    if estimate.n < 2:
        return Difference(estimate.n, estimate.mean, estimate.half_width, np.nan, by_seed)
    error = float(np.std(found, ddof=1) / np.sqrt(estimate.n))
    spread = spread_between_seeds([[*values.values()], [*baseline.values()]])
    return _tested(estimate.n, estimate.mean, error, estimate.n - 1, by_seed, spread)


def unpaired_difference(values: Sequence[float], baseline: Sequence[float]) -> Difference:
    """The difference of two means whose runs share no seeds, with Welch's 95 % t interval.

    m = x̄ − ȳ  and  SE² = s²ₓ / nₓ + s²ᵧ / nᵧ, with  ν = SE⁴ / ((s²ₓ/nₓ)² / (nₓ − 1) + (s²ᵧ/nᵧ)² / (nᵧ − 1))
    degrees of freedom: the variances may differ. NaN below two values in a group.

    Source: Welch (1947), "The generalization of 'Student's' problem when several different population variances
    are involved".

    >>> difference = unpaired_difference([2.0, 3.0, 4.0], [1.0, 1.5, 2.0])
    >>> difference.mean, round(difference.degrees, 2), round(difference.p_value, 3)
    (1.5, 2.94, 0.104)
    """
    return _of_means([(1.0, _finite(values)), (-1.0, _finite(baseline))])


def contrast(cells: Mapping[Any, Mapping[Any, float]], weights: Mapping[Any, float]) -> Difference:
    """Σ_c w_c y_c over cells c of a grid, such as a difference of differences, with its 95 % t interval.

    ``cells``: cell -> seed -> value; ``weights``: cell -> w_c. If all cells with a weight share two seeds or more,
    it is the mean of Σ_c w_c y_cs over these seeds s, with Student's interval: what the cells of a seed have in
    common cancels, and no variances need be equal. Else it is that of the cell means, as of independent runs:

        SE² = Σ_c v_c  with  v_c = w_c² s_c² / n_c,   ν = SE⁴ / Σ_c v_c² / (n_c − 1).

    Sources: Welch (1947), as for :func:`unpaired_difference`; Satterthwaite (1946), "An approximate distribution
    of estimates of variance components".

    >>> cells = {"a": {0: 3.0, 1: 4.0}, "b": {0: 1.0, 1: 2.5}, "c": {0: 1.0, 1: 1.0}, "d": {0: 0.0, 1: 0.5}}
    >>> contrast(cells, {"a": 1, "b": -1, "c": -1, "d": 1}).by_seed
    {0: 1.0, 1: 1.0}
    """
    finite = {
        cell: {seed: value for seed, value in cells.get(cell, {}).items() if np.isfinite(value)}
        for cell in weights
    }
    shared = set.intersection(*({*by_seed} for by_seed in finite.values()))
    by_seed = {seed: sum(weights[cell] * finite[cell][seed] for cell in weights) for seed in sorted(shared)}
    paired = paired_difference(by_seed, dict.fromkeys(by_seed, 0.0))
    if paired.n >= 2:
        return replace(paired, spread=spread_between_seeds([[*each.values()] for each in finite.values()]))
    unpaired = _of_means([(weight, _finite([*finite[cell].values()])) for cell, weight in weights.items()])
    return unpaired if unpaired.n >= 2 else paired


def spread_between_seeds(groups: Iterable[Sequence[float]]) -> float:
    """The standard deviation between runs that differ in their seeds alone, pooled over groups c of such runs:

        s = √(Σ_c (n_c − 1) s_c² / Σ_c (n_c − 1)).

    NaN if no group has two finite values.

    Source: Cohen (1988), "Statistical Power Analysis for the Behavioral Sciences", chapter 2.

    >>> round(spread_between_seeds([[1.0, 2.0, 3.0], [4.0, 8.0], [5.0]]), 3)
    1.826
    """
    several = [found for group in groups if (found := _finite(group)).size >= 2]
    degrees = sum(found.size - 1 for found in several)
    if not degrees:
        return np.nan
    return float(np.sqrt(sum((found.size - 1) * found.var(ddof=1) for found in several) / degrees))


def mean_curve(steps: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> tuple[np.ndarray, list[Estimate]]:
    """At every step that some run recorded: the mean over the runs that have it, with its interval."""
    common = np.unique(np.concatenate(steps)) if steps else np.array([], dtype=np.int64)
    by_step = {int(step): [] for step in common}
    for run_steps, run_values in zip(steps, values, strict=True):
        for step, value in zip(run_steps, run_values, strict=True):
            by_step[int(step)].append(value)
    return common, [mean_interval(collected) for collected in by_step.values()]


def _of_means(groups: Sequence[tuple[float, np.ndarray]]) -> Difference:
    """Σ w x̄ over groups of independent values, each with its weight; NaN below two values in a group."""
    n = min(values.size for _, values in groups)
    mean = float(sum(weight * values.mean() for weight, values in groups)) if n else np.nan
    if n < 2:
        return Difference(n, mean, np.nan, np.nan, {})
    squares = [weight**2 * values.var(ddof=1) / values.size for weight, values in groups]
    total = sum(squares)
    parts = sum(square**2 / (values.size - 1) for square, (_, values) in zip(squares, groups, strict=True))
    degrees = float(total**2 / parts) if parts else float(sum(values.size - 1 for _, values in groups))
    return _tested(
        n, mean, float(np.sqrt(total)), degrees, {}, spread_between_seeds([each.tolist() for _, each in groups])
    )


def _tested(
    n: int, mean: float, error: float, degrees: float, by_seed: dict[Any, float], spread: float
) -> Difference:
    """A difference with its interval, and  p = P(|T| ≥ |mean| / error)."""
    half_width = float(special.stdtrit(degrees, (1 + CONFIDENCE) / 2)) * error
    t = abs(mean) / error if error > 0 else np.inf if mean else 0.0
    p_value = float(2 * special.stdtr(degrees, -t))
    return Difference(n, mean, half_width, p_value, by_seed, error, degrees, spread)


def _finite(values: Sequence[float]) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    return found[np.isfinite(found)]
