"""How far a model's probabilities can be believed: of the guesses made with 70 %, are 70 % right?

Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015; Guo,
Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
"""

from dataclasses import dataclass

import numpy as np

from minibert.randomness import generator

RESAMPLES = 1000
"""Bootstrap samples of the sequences, for the interval"""
DRAWS = 200
"""Of right and wrong, for the mean error of a perfectly calibrated model"""
LEVEL = 0.95


@dataclass(frozen=True)
class Reliability:
    """Guesses, sorted into bins by the probability that the model gives them; arrays (B,). Empty bins have NaN."""

    counts: np.ndarray
    confidence: np.ndarray
    """Mean probability of the guesses of a bin"""
    accuracy: np.ndarray
    """Share of them that are right"""

    @property
    def error(self) -> float:
        """ECE = Σ_b n_b / n · |accuracy_b − confidence_b|; NaN without guesses."""
        return float(binned_error(self.counts, self.confidence * self.counts, self.accuracy * self.counts))


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error of a model, with its interval and with its control."""

    equal_width: Reliability
    equal_mass: Reliability
    low: float
    high: float
    """The 95 % interval of the error with bins of equal width"""
    by_chance: float
    """The mean error, in the same bins, of a perfectly calibrated model with the same probabilities"""
    mean_confidence: float
    accuracy: float


def bins_of(confidence: np.ndarray, bins: int, equal_mass: bool = False) -> np.ndarray:
    """The bin of each guess, 0 to ``bins`` − 1.    (P,) probabilities of the guesses -> (P,) ints

    Bins of equal width are ((b − 1) / B, b / B], and 0 is in the first. Bins of equal mass hold the same number of
    guesses, but for one, in the order of their probabilities; equal ones stay in the order given.
    """
    if not equal_mass:
        return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = np.empty(len(confidence), int)
    for number, part in enumerate(np.array_split(np.argsort(confidence, kind="stable"), bins)):
        found[part] = number
    return found


def reliability(confidence: np.ndarray, hits: np.ndarray, bins: int = 10, equal_mass: bool = False) -> Reliability:
    """The reliability of P guesses.    confidence (P,): their probabilities, hits (P,) bool: which are right"""
    which = bins_of(confidence, bins, equal_mass)
    counts, confident, right = (
        np.bincount(which, weights, minlength=bins) for weights in (None, confidence, hits.astype(float))
    )
    with np.errstate(invalid="ignore"):
        return Reliability(counts, confident / counts, right / counts)


def expected_calibration_error(
    confidence: np.ndarray, hits: np.ndarray, bins: int = 10, equal_mass: bool = False
) -> float:
    """ECE = Σ_b n_b / n · |accuracy_b − confidence_b|, from 0 to 1.    confidence (P,), hits (P,) bool"""
    return reliability(confidence, hits, bins, equal_mass).error


def calibrate(
    confidence: np.ndarray, hits: np.ndarray, clusters: np.ndarray, bins: int = 10, seed: int = 0
) -> Calibration:
    """The calibration of P guesses, which belong to ``clusters`` (P,) ints: those of one sequence go together.

    The error is too high by nature: in each bin, chance alone sets accuracy and confidence apart. ``by_chance``
    says how much, by drawing right and wrong with the model's own probabilities (Bröcker and Smith, "Increasing
    the Reliability of Reliability Diagrams", 2007). For the same reason the interval is the basic one, 2 e − q,
    with q the quantiles of the error over bootstrap samples of whole clusters (Davison and Hinkley, "Bootstrap
    Methods and Their Application", 1997): it can lie below the error itself.
    """
    equal_width = reliability(confidence, hits, bins)
    if not len(hits):
        return Calibration(equal_width, equal_width, *[float("nan")] * 5)
    random = generator(seed)
    which = bins_of(confidence, bins)
    _, cluster = np.unique(clusters, return_inverse=True)
    number = cluster.max() + 1
    place = cluster * bins + which
    sums = np.stack(
        [np.bincount(place, weights, number * bins) for weights in (None, confidence, hits.astype(float))]
    ).reshape(3, number, bins)
    draws = random.multinomial(number, np.full(number, 1 / number), RESAMPLES)
    errors = binned_error(*(draws @ sums))
    tail = (1 - LEVEL) / 2
    low, high = np.clip(2 * equal_width.error - np.quantile(errors, [1 - tail, tail]), 0, 1)

    luck = (random.random((DRAWS, len(hits)), np.float32) < confidence).astype(np.float32)
    right = luck @ np.eye(bins, dtype=np.float32)[which]
    by_chance = binned_error(sums[0].sum(axis=0), sums[1].sum(axis=0), right).mean()
    return Calibration(
        equal_width,
        reliability(confidence, hits, bins, equal_mass=True),
        float(low),
        float(high),
        float(by_chance),
        float(confidence.mean()),
        float(hits.mean()),
    )


def binned_error(counts: np.ndarray, confident: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Σ_b |right_b − confident_b| / Σ_b n_b over the last axis, with the sums of each bin, (…, B)."""
    total = np.sum(counts, axis=-1)
    return np.nansum(np.abs(right - confident), axis=-1) / np.where(total > 0, total, np.nan)
