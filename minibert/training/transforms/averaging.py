"""Averages of the weights over steps: what is evaluated in the place of the weights that are trained."""

import math
from collections.abc import Callable
from typing import cast

import numpy as np

from minibert.config import require_option
from minibert.config.averaging import AveragingConfig, EMAConfig, LastConfig
from minibert.errors import unknown_name
from minibert.training.transforms.chains import Chain, State, Transform, chain

AVERAGED_WEIGHTS = "averaged_weights"
"""The state that holds the average"""
AVERAGED_STEPS = "averaged_steps"
"""The state that counts the steps in the average"""


def average_exponentially(half_life: float) -> Transform:
    """φₜ = Σₛ βᵗ⁻ˢ θₛ / Σₛ βᵗ⁻ˢ over the steps s = 1 … t, with β = 2^(-1 / half-life).

    A step counts half as much as one a half-life later, which is given in steps.

    Computed as φₜ = φₜ₋₁ + (1 - β) / (1 - βᵗ) · (θₜ - φₜ₋₁). The second factor corrects the bias, as Adam does for
    its moments: φ₁ = θ₁, and the initial weights θ₀ never count. Stands last in a chain.

    An average over steps takes out the noise of the rate, as a lower rate does. So it gains most where the rate
    stays high (``schedule=constant``, or ``final`` above zero), and little where the rate falls to zero.

    Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM Journal on Control and
    Optimization, 1992; lengths as a share of the run: Karras et al., "Analyzing and Improving the Training
    Dynamics of Diffusion Models", CVPR 2024.
    """

    def share_of_newest(count: int) -> float:
        return math.expm1(-math.log(2) / half_life) / math.expm1(-count * math.log(2) / half_life)

    return _average(share_of_newest, first=1)


def average_last(first: int) -> Transform:
    """φₜ = (θ_f + … + θₜ) / (t - f + 1): the mean from the step f on. Before it there is no average.

    Computed as φₜ = φₜ₋₁ + (θₜ - φₜ₋₁) / n, with n the number of steps in the new mean. Stands last in a chain.

    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018 (SWA); Kaddour,
    "Stop Wasting My Time! Saving Days of ImageNet and BERT Training with Latest Weight Averaging", 2022.
    """
    return _average(lambda count: 1 / count, first)


def _average(share_of_newest: Callable[[int], float], first: int) -> Transform:
    """φ = φ + share · (θ - φ) from the step ``first`` on, where the share is 1."""

    def prepare(state, moment):
        state[AVERAGED_STEPS][0] = max(moment.step - first + 1, 0)

    def update(update, params, state, moment):
        count = int(state[AVERAGED_STEPS][0])
        if not count:
            return
        average = state[AVERAGED_WEIGHTS]
        np.subtract(params, average, out=update)
        update *= update.dtype.type(share_of_newest(count))
        average += update

    vectors = {AVERAGED_WEIGHTS: np.zeros_like}
    return Transform(update, vectors=vectors, shared={AVERAGED_STEPS: 1}, prepare=prepare)


def averaged_weights(state: State) -> np.ndarray | None:
    """The average in an optimizer's state; None where there is none, or none yet."""
    return state[AVERAGED_WEIGHTS] if AVERAGED_STEPS in state and state[AVERAGED_STEPS][0] else None


def _ema(config: AveragingConfig, steps: int) -> Chain:
    return (average_exponentially(cast(EMAConfig, config).half_life * steps),)


def _last(config: AveragingConfig, steps: int) -> Chain:
    return (average_last(steps - max(round(cast(LastConfig, config).share * steps), 1) + 1),)


AVERAGINGS: dict[str, Callable[[AveragingConfig, int], Chain]] = {
    "none": lambda config, steps: (),
    "ema": _ema,
    "last": _last,
}


def build_averaging(config: AveragingConfig, steps: int) -> Chain:
    """The last link of a chain, for a run of so many steps."""
    require_option(config, AveragingConfig, "averaging.")
    if config.name not in AVERAGINGS:
        raise unknown_name("averaging.name", config.name, AVERAGINGS)
    return chain(AVERAGINGS[config.name](config, steps))
