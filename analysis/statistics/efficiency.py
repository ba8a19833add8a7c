"""How much it costs to reach a level, and how high a curve lies over its whole length."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from .estimates import CONFIDENCE, Estimate, mean_interval


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


def area_under_curve(x: Sequence[float], y: Sequence[float]) -> float:
    """The mean height of the piecewise linear curve through (x, y):  ∫ y dx / (x_last − x_first).

    In the unit of y, so that curves of different lengths compare. Points that are not finite are left out; NaN
    below two points. x must increase.

    >>> area_under_curve([0, 10, 20], [4.0, 2.0, 2.0])
    2.5
    """
    points = np.array([x, y], dtype=np.float64)
    places, heights = points[:, np.isfinite(points).all(axis=0)]
    return float(np.trapezoid(heights, places) / np.ptp(places)) if places.size > 1 else np.nan


def restricted_mean(costs: Sequence[float], ends: Sequence[float], horizon: float | None = None) -> Estimate:
    """The mean cost to reach a level, up to a horizon, where some runs ended before they reached it.

    ``costs[i]`` is what run i spent until it was there, NaN if it never was; ``ends[i]`` is what it spent in all.
    With Ŝ(t), the Kaplan-Meier estimate of the share of runs that are not there after t,

        μ = ∫₀^τ Ŝ(t) dt,   Var μ = n/(n−1) Σᵢ (∫_{tᵢ}^τ Ŝ(t) dt)² dᵢ / (nᵢ (nᵢ − dᵢ)),

    with dᵢ runs that get there at tᵢ of nᵢ that still train, m of all n. If no run ended before τ, these are the
    mean of min(cost, τ) and its usual variance s²/n. Leaving out the runs that do not get there would call the
    slowest setting the fastest. ``horizon`` τ is the shortest of the ends if it is not given; groups that are
    compared need the same one. The interval is that of Student's t with min(m, n − 1) degrees of freedom, because
    runs at the horizon are all alike and say little of the spread: with n − 1 it would be too narrow where many do
    not get there. That is simulated (``python -m tests.benchmarks.coverage``), not derived. Where all runs get
    there it is the t interval of their mean. NaN where fewer than two do.

    Sources: Kaplan and Meier (1958), "Nonparametric estimation from incomplete observations"; Klein and
    Moeschberger (2003), "Survival Analysis", section 4.5.

    >>> estimate = restricted_mean([10.0, 20.0, float("nan")], [30.0, 30.0, 30.0])
    >>> round(estimate.mean, 1)
    20.0
    """
    runs = len(costs)
    if runs == 0:
        return Estimate(0, np.nan, np.nan)
    reached, last = np.asarray(costs, dtype=np.float64), np.asarray(ends, dtype=np.float64)
    horizon = float(last.min()) if horizon is None else horizon
    spent = np.minimum(np.where(np.isfinite(reached), reached, last), horizon)
    there = np.isfinite(reached) & (reached <= horizon)
    if not there.any():
        return Estimate(runs, horizon, np.nan)
    if there.all():
        return mean_interval(spent.tolist())
    from statsmodels.duration.survfunc import SurvfuncRight  # here: it takes a second to import

    curve = SurvfuncRight(spent, there)
    times = np.append(curve.surv_times, horizon)
    pieces = curve.surv_prob * np.diff(times)
    mean = float(times[0] + pieces.sum())
    beyond = np.cumsum(pieces[::-1])[::-1]  # ∫ from each time to the horizon
    left = curve.n_risk - curve.n_events
    shares = np.divide(curve.n_events, curve.n_risk * left, out=np.zeros(left.size), where=left > 0)
    events = int(there.sum())
    if events < 2:
        return Estimate(runs, mean, np.nan)
    error = np.sqrt(runs / (runs - 1) * float(np.sum(beyond**2 * shares)))
    half_width = float(stats.t.ppf((1 + CONFIDENCE) / 2, min(events, runs - 1)) * error)
    return Estimate(runs, mean, half_width)
