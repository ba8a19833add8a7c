"""Power laws fitted to the losses of networks of several sizes, and the size that is best at one budget."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from minibert.errors import MinibertError

from ..statistics import CONFIDENCE, Estimate, mean_interval

EXPONENTS = np.geomspace(0.01, 4, 81)
"""Between which c is sought. An interval that reaches an end of these is not bounded there"""
FLOORS = 61
"""Values of a at which its profile is looked at before an end of its interval is refined"""
FEWEST_SIZES = 4
"""For three parameters"""
LACKING = 0.05
"""p of lack of fit below which a law does not describe the losses"""


@dataclass(frozen=True)
class Fitted:
    """A law that was fitted to the runs of several sizes."""

    lack_of_fit: float
    """p of the F test whether means of sizes are further off the law than runs of one size differ; NaN without
    seeds"""

    @property
    def holds(self) -> bool:
        """Whether the spread between runs of one size explains how far their means are off. False where it is not
        known."""
        return self.lack_of_fit >= LACKING


@dataclass(frozen=True)
class Floored(Fitted):
    """L(N) = a + b N^-c, fitted by least squares to n runs. Without two runs of any size, no interval is known."""

    a: float
    a_low: float
    a_high: float
    b: float
    c: float
    c_low: float
    c_high: float
    identified: bool
    """Whether both ends of the interval of c are known, and within the exponents that were tried"""

    def at(self, sizes) -> np.ndarray:
        return self.a + self.b * np.asarray(sizes, float) ** -self.c


@dataclass(frozen=True)
class Pure(Fitted):
    """L(N) = b N^-c: a straight line between log L and log N, whose lack of fit is on the scale of log L."""

    b: float
    c: float
    c_low: float
    c_high: float

    def at(self, sizes) -> np.ndarray:
        return self.b * np.asarray(sizes, float) ** -self.c


@dataclass(frozen=True)
class Parabola(Fitted):
    """L(N) = p₂ x² + p₁ x + p₀ with x = log₁₀ N."""

    coefficients: tuple[float, ...]
    """p₂, p₁, p₀"""

    def at(self, sizes) -> np.ndarray:
        return np.polyval(self.coefficients, np.log10(np.asarray(sizes, float)))


def fit_floored(sizes: Sequence[float], losses: Sequence[float]) -> Floored | None:
    """a, b ≥ 0 and c of L(N) = a + b N^-c by least squares over all runs, each with a 95 % interval.

    For a given c the law is linear, and a and b follow (Golub and Pereyra 1973), so that only c is searched for.
    An interval is that of the profile of the sum of squares S: of c, all values for which some a and b give
    S ≤ S_min (1 + F / (n − 3)), with F the 95 % quantile of F(1, n − 3); of a alike. Where S hardly depends on c,
    the interval reaches an end of :data:`EXPONENTS`, and the law is not identified. Where no size has two runs,
    nothing tells noise from misfit: the ends of both intervals are NaN.

    None for fewer than four sizes or five runs. Bates and Watts, "Nonlinear Regression Analysis and Its
    Applications", 1988, chapter 6; the law: Kaplan et al., "Scaling Laws for Neural Language Models", 2020.
    """
    x, y = _checked(sizes, losses)
    if len(np.unique(x)) < FEWEST_SIZES or len(x) < 5:
        return None
    middle = float(np.exp(np.log(x).mean()))
    scaled = x / middle

    def of_exponent(c: float) -> float:
        return _given_exponent(scaled, y, c)[2]

    def of_floor(a: float) -> float:
        return _minimum(lambda c: _given_floor(scaled, y, a, c), EXPONENTS)[1]

    c, least = _minimum(of_exponent, EXPONENTS)
    a, b, _ = _given_exponent(scaled, y, c)
    free = len(x) - 3
    limit = float(least * (1 + stats.f.ppf(CONFIDENCE, 1, free) / free))
    a_low, a_high, c_low, c_high = (math.nan,) * 4
    if _repeated(x):
        a_low, a_high = _interval(of_floor, np.linspace(0, y.max(), FLOORS), limit, a)
        c_low, c_high = _interval(of_exponent, EXPONENTS, limit, c)
    return Floored(
        a=a,
        a_low=a_low,
        a_high=a_high,
        b=b * middle**c,
        c=c,
        c_low=c_low,
        c_high=c_high,
        lack_of_fit=lack_of_fit(x, y, least, 3),
        identified=bool(EXPONENTS[0] < c_low and c_high < EXPONENTS[-1]),
    )


def fit_pure(sizes: Sequence[float], losses: Sequence[float]) -> Pure | None:
    """b and c of L(N) = b N^-c: linear regression of log L on log N, with the t interval of its slope.

    The ends of the interval are NaN where no size has two runs, as in :func:`fit_floored`. c is negative where the
    loss rises with the size. None for fewer than two sizes or three runs.
    """
    x, y = _checked(sizes, losses)
    if len(np.unique(x)) < 2 or len(x) < 3:
        return None
    line: Any = stats.linregress(np.log(x), np.log(y))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 2) * line.stderr if _repeated(x) else math.nan
    least = float(np.sum((np.log(y) - line.intercept - line.slope * np.log(x)) ** 2))
    return Pure(
        b=math.exp(line.intercept),
        c=float(-line.slope),
        c_low=float(-line.slope - half),
        c_high=float(-line.slope + half),
        lack_of_fit=lack_of_fit(x, np.log(y), least, 2),
    )


def fit_parabola(sizes: Sequence[float], losses: Sequence[float]) -> Parabola | None:
    """The parabola in log₁₀ N by least squares over all runs; None for fewer than three sizes."""
    x, y = _checked(sizes, losses)
    if len(np.unique(x)) < 3:
        return None
    places = np.log10(x)
    coefficients = np.polyfit(places, y, 2)
    least = float(np.sum((y - np.polyval(coefficients, places)) ** 2))
    return Parabola(lack_of_fit(x, y, least, 3), tuple(map(float, coefficients)))


def best_size(by_seed: Mapping[tuple[str, ...], Mapping[float, float]]) -> Estimate:
    """log₁₀ of the size at which the loss is lowest, over the seeds, each with its losses by size.

    A parabola in log N is fitted to the losses of every seed; its lowest point counts if it is within the sizes
    and the parabola is open above. ``n`` is how many seeds have such a point. Hoffmann et al., "Training
    Compute-Optimal Large Language Models", NeurIPS 2022, approach 2.
    """
    return mean_interval([_lowest(losses) for losses in by_seed.values()])


def lack_of_fit(sizes: np.ndarray, values: np.ndarray, squares: float, parameters: int) -> float:
    """p of F = (S − S₀) / (k − p) : S₀ / (n − k), for k sizes, n runs and p parameters.

    S is the sum of squares around the law, S₀ that around the mean of each size. NaN where no size has two runs,
    and where the law has as many parameters as there are sizes.
    """
    _, place = np.unique(sizes, return_inverse=True)
    means = np.bincount(place, values) / np.bincount(place)
    pure = float(np.sum((values - means[place]) ** 2))
    between, within = len(means) - parameters, len(values) - len(means)
    if between < 1 or within < 1 or pure == 0:
        return math.nan
    return float(stats.f.sf(max(squares - pure, 0.0) / between / (pure / within), between, within))


def _repeated(sizes: np.ndarray) -> bool:
    """Whether any size has two runs, so that the spread between trainings is known."""
    return len(np.unique(sizes)) < len(sizes)


def _checked(sizes: Sequence[float], losses: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    found = np.asarray(sizes, float), np.asarray(losses, float)
    if found[0].shape != found[1].shape or not all(np.all(np.isfinite(each) & (each > 0)) for each in found):
        raise MinibertError(
            "sizes and losses: cannot be fitted. Allowed: a positive number of each for every run."
        )
    return found


def _given_exponent(sizes: np.ndarray, losses: np.ndarray, c: float) -> tuple[float, float, float]:
    """The best a, b ≥ 0 of a given exponent, and S."""
    powers = sizes**-c
    centred, mean = powers - powers.mean(), losses.mean()
    b = max(float(centred @ losses / (centred @ centred)), 0.0)
    a = float(mean - b * powers.mean())
    if a < 0:
        a, b = 0.0, float(powers @ losses / (powers @ powers))
    return a, b, float(np.sum((losses - a - b * powers) ** 2))


def _given_floor(sizes: np.ndarray, losses: np.ndarray, a: float, c: float) -> float:
    """S of the best b ≥ 0 of a given a and c."""
    powers = sizes**-c
    b = max(float(powers @ (losses - a) / (powers @ powers)), 0.0)
    return float(np.sum((losses - a - b * powers) ** 2))


def _minimum(squares: Callable[[float], float], values: np.ndarray) -> tuple[float, float]:
    """Where S is least, and S there: the least at these values, refined between its neighbours."""
    found = [squares(value) for value in values]
    place = int(np.argmin(found))
    around = float(values[max(place - 1, 0)]), float(values[min(place + 1, len(values) - 1)])
    refined: Any = optimize.minimize_scalar(squares, bounds=around, method="bounded", options={"xatol": 1e-9})
    if refined.fun <= found[place]:
        return float(refined.x), float(refined.fun)
    return float(values[place]), found[place]


def _interval(
    squares: Callable[[float], float], values: np.ndarray, limit: float, best: float
) -> tuple[float, float]:
    """The ends of where S is at most ``limit``: the outermost of these values, refined up to their neighbours."""
    inside = [float(value) for value in values if squares(value) <= limit] + [best]
    low, high = min(inside), max(inside)
    beyond = [float(value) for value in values if value < low], [float(value) for value in values if value > high]

    def crossing(within: float, outside: float) -> float:
        # S at the best itself may be above the limit by rounding, where the law fits exactly.
        if squares(within) >= limit:
            return within
        found: Any = optimize.brentq(lambda value: squares(value) - limit, within, outside)
        return float(found)

    return (
        crossing(low, beyond[0][-1]) if beyond[0] else low,
        crossing(high, beyond[1][0]) if beyond[1] else high,
    )


def _lowest(losses: Mapping[float, float]) -> float:
    """log₁₀ of the size at the lowest point of a parabola; NaN where it has none within the sizes."""
    if len(losses) < 3:
        return math.nan
    places = np.log10(list(losses))
    curvature, slope, _ = np.polyfit(places - places.mean(), list(losses.values()), 2)
    if curvature <= 0:
        return math.nan
    lowest = places.mean() - slope / (2 * curvature)
    return float(lowest) if places.min() <= lowest <= places.max() else math.nan
