"""When a word is learnt: a sigmoid through its surprisals over training, and where it crosses half-way.

Chang and Bergen, "Word Acquisition in Neural Language Models", TACL 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

LEAST_FALL = float(np.log(2))
"""Nats below the baseline from which a word counts as learnt: its probability has doubled"""
LEAST_EXPLAINED = 0.5
"""Share of the variance that a fit explains, below which it has failed"""
STARTS = (0.5, 0.25, 0.75)
"""Where fits begin with the middle of the curve, as shares of the range of steps"""

State = Literal["learnt", "known from the start", "not learnt", "no fit"]


@dataclass(frozen=True)
class Curve:
    """s(x) = low + (high − low) / (1 + exp((x − middle) / scale)), x = log₁₀(step + 1), s in nats."""

    high: float
    low: float
    middle: float
    scale: float
    explained: float
    """Share of the variance of the surprisals, R²"""

    def at(self, steps) -> np.ndarray:
        """The surprisal at some steps, in nats."""
        return logistic(position_of(steps), self.high, self.low, self.middle, self.scale)


@dataclass(frozen=True)
class Acquisition:
    """When a word was learnt, if it was."""

    state: State
    step: float | None = None
    """The age of acquisition, an optimizer step, not rounded; None for a word not learnt, and without a fit"""
    cutoff: float | None = None
    """The surprisal that counts as learnt, in nats"""


def position_of(steps) -> np.ndarray:
    """log₁₀(step + 1), so that step 0 has a place."""
    return np.log10(np.asarray(steps, float) + 1)


def logistic(x, high, low, middle, scale):
    """low + (high − low) / (1 + exp((x − middle) / scale))"""
    from scipy.special import expit  # here: it takes a tenth of a second to import

    return low + (high - low) * expit(-(x - middle) / scale)


def fit_curve(steps: Sequence[int], surprisals: Sequence[float]) -> Curve | None:
    """The sigmoid through the surprisals (n,) in nats at n steps with the least squared error.

    It falls: low ≤ high. Its middle lies between the first and the last step. None for fewer than four steps,
    where no fit converges, and where the best explains less than half of the variance.
    """
    from scipy.optimize import curve_fit

    x, y = position_of(steps), np.asarray(surprisals, float)
    variance = float(((y - y.mean()) ** 2).sum())
    if len(x) < 4 or not np.isfinite(y).all() or variance < 1e-12:
        return None
    span, top = x.max() - x.min(), float(y.max())
    bounds = ([0, 0, x.min(), span / 200], [2 * top, 2 * top, x.max(), span])

    def falling(x, low, fall, middle, scale):
        return logistic(x, low + fall, low, middle, scale)

    best = None
    for share in STARTS:
        start = [float(y.min()), top - float(y.min()), x.min() + share * span, span / 10]
        try:
            (low, fall, middle, scale), _ = curve_fit(falling, x, y, start, bounds=bounds, max_nfev=400)
        except RuntimeError:  # it did not converge from here
            continue
        explained = 1 - float(((y - falling(x, low, fall, middle, scale)) ** 2).sum()) / variance
        if best is None or explained > best.explained + 1e-9:
            best = Curve(float(low + fall), float(low), float(middle), float(scale), explained)
        if best.explained > 0.99:
            break
    return best if best is not None and best.explained >= LEAST_EXPLAINED else None


def acquisition(
    steps: Sequence[int], surprisals: Sequence[float], curve: Curve | None, baseline: float
) -> Acquisition:
    """The step at which the curve crosses half-way between a baseline and the lowest surprisal, all in nats.

    The baseline of Chang and Bergen is random chance, log V for each piece of a word. With the surprisal of the
    word's frequency instead, a word is learnt when it is known from its context.

    A word counts as not learnt where its surprisal never falls ln 2 below the baseline. A curve that is below the
    cutoff from the first step on gives that step as the age, as in their analysis.
    """
    lowest = float(np.min(surprisals))
    if not baseline - lowest >= LEAST_FALL:
        return Acquisition("not learnt")
    cutoff = (baseline + lowest) / 2
    first, last = float(min(steps)), float(max(steps))
    if max(surprisals) <= cutoff:
        return Acquisition("known from the start", first, cutoff)
    if curve is None or cutoff <= curve.low:
        return Acquisition("no fit", None, cutoff)
    if cutoff >= curve.high:
        return Acquisition("known from the start", first, cutoff)
    x = curve.middle + curve.scale * np.log((curve.high - cutoff) / (cutoff - curve.low))
    step = float(10**x - 1) if x < 300 else last
    if step <= first:
        return Acquisition("known from the start", first, cutoff)
    return Acquisition("learnt", min(step, last), cutoff)
