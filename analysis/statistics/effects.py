"""How large a difference is, how small it may still be, and how many seeds would tell.

Every function takes a :class:`Difference`, paired or not. NaN where it has no standard error.
"""

import math

import numpy as np
from scipy import optimize, stats

from .estimates import CONFIDENCE, Difference, Estimate

POWER = 0.8
"""The chance to find a difference that is there"""
MOST_SEEDS = 1000
"""More than this is no advice"""
SMALL = 0.5
"""Standard deviations between seeds below which a difference is called too small to matter"""


def effect_size(difference: Difference) -> Estimate:
    """Hedges' g: the difference in standard deviations of what it is tested against, less its bias for few seeds.

    g = (1 − 3 / (4ν − 1)) · t / √n  with  t = mean / standard error. For paired differences that is their mean
    over their own standard deviation. ``half_width`` is half the length of the interval that holds the noncentral
    t distributions in which t is not too far out.

    Sources: Hedges (1981), "Distribution theory for Glass's estimator of effect size"; Cumming and Finch (2001).
    """
    t = _t(difference)
    if not math.isfinite(t):
        return Estimate(difference.n, np.nan, np.nan)
    degrees = difference.degrees
    scale = (1 - 3 / (4 * degrees - 1)) / math.sqrt(difference.n)
    low, high = (_noncentrality(t, degrees, share) for share in ((1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2))
    return Estimate(difference.n, scale * t, scale * (high - low) / 2)


def equivalence(difference: Difference, margin: float) -> float:
    """The p value of two one-sided t tests: small if the true difference lies within ±``margin``.

    p = max(P(T ≥ (m + margin) / SE), P(T ≤ (m − margin) / SE)). Below 0.05 exactly where the 90 % interval lies
    within the margin. A difference that is not separated from 0 is not thereby shown to be small; this shows it.

    Source: Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach".
    """
    if not difference.standard_error > 0:
        return np.nan
    above = stats.t.sf((difference.mean + margin) / difference.standard_error, difference.degrees)
    below = stats.t.cdf((difference.mean - margin) / difference.standard_error, difference.degrees)
    return float(max(above, below))


def smallest_margin(difference: Difference, significance: float = 1 - CONFIDENCE) -> float:
    """The smallest margin that :func:`equivalence` holds for: "no difference larger than this".

    The larger end, in size, of the interval of confidence 1 − 2 · ``significance``.
    """
    if not difference.standard_error >= 0:
        return np.nan
    half_width = float(stats.t.ppf(1 - significance, difference.degrees)) * difference.standard_error
    return abs(difference.mean) + half_width


def small_margin(difference: Difference) -> float:
    """Half of the standard deviation between runs that differ in their seeds alone: ``SMALL · spread``.

    What counts as small is a convention. This one: a change which the choice of another seed hides.

    Source: Norman, Sloan and Wyrwich (2003), "Interpretation of changes in health-related quality of life: the
    remarkable universality of half a standard deviation".
    """
    return SMALL * difference.spread


def too_small(difference: Difference) -> bool:
    """Whether the true difference is shown to be within ±:func:`small_margin`, by :func:`equivalence` at 5 %.

    It may be separated from 0 all the same: a small change that all seeds agree on.
    """
    return smallest_margin(difference) < small_margin(difference)


def minimum_detectable(difference: Difference, power: float = POWER) -> float:
    """The smallest true difference that as many seeds with as much noise find with this probability.

    Solves  P(|T_ν(δ / SE)| > t₀.₉₇₅,ν) = power  for δ, where T_ν(c) is noncentral t.
    """
    error = difference.standard_error
    if not error > 0:
        return np.nan
    degrees = difference.degrees

    def missing(effect: float) -> float:
        return _power(effect, 1, degrees) - power

    return error * optimize.root_scalar(missing, bracket=(0.0, 1e4)).root


def seeds_to_settle(difference: Difference, power: float = POWER) -> int | None:
    """Seeds a group that find a difference as large as the one seen, at its noise, with this probability.

    None if no number up to :data:`MOST_SEEDS` does, or none can be said. The difference seen is itself uncertain,
    the more so the fewer its seeds: a guide for planning, no promise.
    """
    t = abs(_t(difference))
    if not math.isfinite(t) or t == 0:
        return None
    effect, n, degrees = t / math.sqrt(difference.n), difference.n, difference.degrees

    def finds(seeds: int) -> bool:
        return _power(effect, seeds, degrees * (seeds - 1) / (n - 1)) >= power

    if not finds(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return high


def _power(effect: float, n: int, degrees: float) -> float:
    from statsmodels.stats.power import ttest_power  # here: it takes a second to import

    found = float(ttest_power(effect, n, 1 - CONFIDENCE, df=degrees, alternative="two-sided"))
    return found if math.isfinite(found) else 1.0  # scipy's noncentral t is NaN where next to nothing is left


def _t(difference: Difference) -> float:
    return difference.mean / difference.standard_error if difference.standard_error > 0 else np.nan


def _noncentrality(t: float, degrees: float, share: float) -> float:
    """The noncentrality under which a share of the t distribution lies below ``t``."""

    def missing(noncentrality: float) -> float:
        below = stats.nct.cdf(t, degrees, noncentrality)
        return float(np.nan_to_num(below, nan=float(noncentrality < t))) - share

    reach = 10 + 5 * abs(t)
    return optimize.root_scalar(missing, bracket=(t - reach, t + reach)).root
