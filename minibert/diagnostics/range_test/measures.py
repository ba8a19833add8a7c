"""The learning-rate range test: which rates a network learns with, from one short run in which the rate rises.

Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3. The run is one with
``schedule=range_test``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minibert.errors import MinibertError

BANDWIDTH = 0.2
"""Of the smoother, in decades"""
FEWEST = 3
"""Losses before divergence that can be analysed"""
BELOW_LOWEST = 2.0
"""The suggested rate is the one of lowest loss, divided by this"""


@dataclass(frozen=True)
class LearningRateSensitivity:
    """The results of a range test. A rate is None if the test did not reach it, or if the loss never fell."""

    smoothed: np.ndarray
    """(n,) losses, in their unit, one for each rate; NaN from the first loss on that is not finite"""
    steepest_rate: float | None
    """Where the smoothed loss falls fastest, a decade of the rate"""
    lowest_loss_rate: float | None
    """Where the smoothed loss is lowest"""
    divergence_rate: float | None
    """The first rate after that of the lowest loss at which half of what had been gained is lost again"""
    suggested_rate: float | None
    """Half of ``lowest_loss_rate``"""
    learning_from: float | None
    """The lowest of the rates at which the loss falls at least half as fast as at the steepest"""
    learning_to: float | None
    """The highest of them up to ``lowest_loss_rate``"""

    @property
    def learning_decades(self) -> float | None:
        """log₁₀ ``learning_to`` − log₁₀ ``learning_from``: how forgiving the choice is."""
        if self.learning_from is None or self.learning_to is None:
            return None
        return math.log10(self.learning_to / self.learning_from)


def analyze_learning_rate_sensitivity(
    rates: Sequence[float], losses: Sequence[float], bandwidth: float = BANDWIDTH
) -> LearningRateSensitivity:
    """Read the losses of a range test.    rates (n,), losses (n,)

    With u = log₁₀ rate, the smoothed loss at uᵢ is the value aᵢ, and its descent the slope bᵢ (per decade), of the
    line that is fitted to all losses around it:

        aᵢ, bᵢ = argmin Σⱼ exp(-(uⱼ - uᵢ)² / 2h²) (lossⱼ - a - b (uⱼ - uᵢ))²,    h = bandwidth

    or the widest gap between neighbours where that is wider. An exponential mean, as is usually drawn, lags about
    β / (1 - β) steps behind and moves every rate up by as much; a line fitted to both sides does not. Cleveland,
    "Robust Locally Weighted Regression", JASA 1979. Losses further above the first than the lowest is below it
    count as no more than that, so that a jump does not reach back through the smoother.

    *Steepest* is the rate of the smallest bᵢ among those up to the lowest aᵢ. *Divergence* is the first rate after
    the lowest aᵢ where aᵢ is above the middle between it and a₁, or the first whose loss is infinite or NaN: the
    loss of a language model often comes back to that of word frequencies and stays there for a while, where no
    multiple of the lowest loss would notice it.

    *Suggested* is half the rate of the lowest loss: that is the largest at which training still made progress, and
    the best rate is usually within a factor of two of the largest that converges (Bengio, "Practical
    Recommendations for Gradient-Based Training of Deep Architectures", 2012; Smith, section 3.3). Where the loss
    is lowest hardly changes between seeds. Where it falls fastest does, since a language model's loss falls almost
    evenly over decades of the rate and batches differ: it is no base for a suggestion. A tenth of the rate of the
    lowest loss (Gugger, "How Do You Find A Good Learning Rate", 2018) is a safer and slower choice.

    A loss that is lowest at the last rate may go on falling: test higher rates. Where the loss falls by no more
    than its noise, all of these are noise.

    Parameters
    ----------
    rates : positive, each above the one before
    losses : of the same unit, mostly nats; infinite or NaN where training broke down
    bandwidth : decades

    Raises :class:`MinibertError` for rates that do not rise, for another number of losses than of rates, for less
    than three losses before the first that is not finite, and for a bandwidth that is not positive.
    """
    return _analyze(np.asarray(rates, np.float64), np.asarray(losses, np.float64), bandwidth)


def _analyze(rates: np.ndarray, losses: np.ndarray, bandwidth: float) -> LearningRateSensitivity:
    _check(rates, losses, bandwidth)
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(finite.argmin())
    if end < FEWEST:
        raise MinibertError(
            f"losses: {end} before training diverged. Allowed: at least {FEWEST}. "
            "A smaller schedule.start or more training.steps give them."
        )
    places, seen, broken = np.log10(rates[:end]), losses[:end], rates[end] if end < len(rates) else None
    values, slopes = _fit_local_lines(places, np.minimum(seen, 2 * seen[0] - seen.min()), bandwidth)
    smoothed = np.append(values, np.full(len(losses) - end, np.nan))

    lowest = int(values.argmin())
    steepest = int(slopes[: lowest + 1].argmin())
    if not (seen.min() < seen[0] and slopes[steepest] < 0):
        return LearningRateSensitivity(smoothed, None, None, _number(broken), None, None, None)
    lost = np.flatnonzero(values[lowest:] > (values[lowest] + values[0]) / 2)
    divergence = rates[lowest + lost[0]] if len(lost) else broken
    learning = rates[np.flatnonzero(slopes[: lowest + 1] <= slopes[steepest] / 2)]
    return LearningRateSensitivity(
        smoothed=smoothed,
        steepest_rate=float(rates[steepest]),
        lowest_loss_rate=float(rates[lowest]),
        divergence_rate=_number(divergence),
        suggested_rate=float(rates[lowest]) / BELOW_LOWEST,
        learning_from=float(learning[0]),
        learning_to=float(learning[-1]),
    )


def _check(rates: np.ndarray, losses: np.ndarray, bandwidth: float) -> None:
    if rates.ndim != 1 or losses.shape != rates.shape:
        raise MinibertError(
            f"losses: of shape {losses.shape} for rates of shape {rates.shape}. Allowed: (n,), one for each rate."
        )
    if not bandwidth > 0:
        raise MinibertError(f"bandwidth={bandwidth}: out of range. Allowed: above 0, in decades.")
    for index, rate in enumerate(rates):
        before = rates[index - 1] if index else 0.0
        if not before < rate < math.inf:
            raise MinibertError(
                f"rates[{index}]={rate}: not above {f'rates[{index - 1}]=' if index else ''}{before}. "
                "Allowed: positive numbers, each above the one before."
            )


def _fit_local_lines(x: np.ndarray, y: np.ndarray, bandwidth: float) -> tuple[np.ndarray, np.ndarray]:
    """The value and the slope at every x of the line that fits best around it.    (n,), (n,) -> (n,), (n,)"""
    bandwidth = max(bandwidth, np.diff(x).max())
    values, slopes = np.empty_like(y), np.empty_like(y)
    for index, place in enumerate(x):
        distances = x - place
        weights = np.exp(-((distances / bandwidth) ** 2) / 2)
        total, first, second = weights.sum(), weights @ distances, weights @ distances**2
        scale = total * second - first**2
        values[index] = (second * (weights @ y) - first * (weights @ (distances * y))) / scale
        slopes[index] = (total * (weights @ (distances * y)) - first * (weights @ y)) / scale
    return values, slopes


def _number(value) -> float | None:
    return None if value is None else float(value)
