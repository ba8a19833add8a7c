"""Transforms that work element by element: they run on pieces of any length."""

import numpy as np

from minibert.training.transforms.chains import Adam, Addition, Choice, Decay, Transform, only_weights, scaling

SLOW_WEIGHTS = "slow_weights"
"""The state of Lookahead that stands for the parameters wherever these are evaluated"""


def scale_by_adam(beta1: float, beta2: float, epsilon: float) -> Transform:
    """m = β₁ m + (1 - β₁) g,  v = β₂ v + (1 - β₂) g²,  u = m̂ / (√v̂ + ε)  with m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)

    Computed as u = m · (√c₂ / c₁) / (√v + ε √c₂) with c = 1 - βᵗ, which is the same and two passes shorter.

    A β₂ of 0.999 remembers a thousand steps, which short runs do not have: training on text usually takes 0.95 to
    0.98.  Kingma and Ba, "Adam", ICLR 2015.
    """

    def update(update, params, state, moment):
        first, second = state["first_moment"], state["second_moment"]
        kind = update.dtype.type
        square = update * update
        square *= kind(1 - beta2)
        second *= kind(beta2)
        second += square
        first *= kind(beta1)
        update *= kind(1 - beta1)
        first += update
        correction1 = 1 - beta1**moment.step
        correction2 = 1 - beta2**moment.step
        denominator = np.sqrt(second, out=square)
        denominator += kind(epsilon * correction2**0.5)
        np.divide(first, denominator, out=update)
        update *= kind(correction2**0.5 / correction1)

    vectors = {"first_moment": np.zeros_like, "second_moment": np.zeros_like}
    return Transform(update, vectors=vectors, meaning=Adam(beta1, beta2, epsilon))


def scale_by_lion(beta1: float, beta2: float) -> Transform:
    """u = sign(β₁ m + (1 - β₁) g),  then m = β₂ m + (1 - β₂) g

    Every element of u is -1, 1, or 0 where both are exactly zero, so the rate must be 3 to 10 times smaller than
    AdamW's, and the decay, which is multiplied by the rate, as many times larger.

    Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023.
    """

    def update(update, params, state, moment):
        momentum = state["momentum"]
        kind = update.dtype.type
        mixed = momentum * kind(beta1)
        mixed += update * kind(1 - beta1)
        momentum *= kind(beta2)
        update *= kind(1 - beta2)
        momentum += update
        np.sign(mixed, out=update)

    return Transform(update, vectors={"momentum": np.zeros_like})


def scale_by_momentum(decay: float, nesterov: bool) -> Transform:
    """m = μ m + g,  u = m;  with Nesterov's look ahead, u = g + μ m

    In a steady direction, u grows to g / (1 - μ): ten times the gradient at μ = 0.9, so more momentum wants a
    smaller rate.  Polyak, 1964; Sutskever et al., "On the importance of initialization and momentum in deep
    learning", ICML 2013.
    """

    def update(update, params, state, moment):
        momentum = state["momentum"]
        kind = update.dtype.type
        momentum *= kind(decay)
        momentum += update
        if nesterov:
            update += momentum * kind(decay)
        else:
            update[...] = momentum

    return Transform(update, vectors={"momentum": np.zeros_like})


def add_decayed_weights(decay: float) -> Choice:
    """u = u + λ θ, on weights only.

    Behind ``scale_by_adam`` and its like, the decay is decoupled from the gradient's scale; in front of
    ``scale_by_momentum`` it is the gradient of λ‖θ‖²/2.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def update(update, params, state, moment):
        if decay:
            update += params * update.dtype.type(decay)

    return only_weights(Transform(update, meaning=Decay(decay)))


def scale_by(factor: float) -> Transform:
    """u = factor · u"""
    return scaling(lambda state, moment: factor)


def scale_by_learning_rate() -> Transform:
    """u = -η u, with the scheduled rate: what is added to the parameters."""
    return scaling(lambda state, moment: -moment.learning_rate)


def add_to_parameters() -> Transform:
    """θ = θ + u"""

    def update(update, params, state, moment):
        params += update

    return Transform(update, meaning=Addition())


def lookahead(period: int, slow_rate: float, steps: int) -> Transform:
    """Every k steps φ = φ + α (θ - φ), then θ = φ: slow weights φ behind the fast ones θ. Stands last in a chain.

    The slow weights start where the fast ones start. They are what is evaluated, at any step as they stand there.
    The last of all ``steps`` ends with a move too, also where k does not divide their number, so that none is
    lost. The inner optimizer keeps its state through a move.

    Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", NeurIPS 2019.
    """

    def update(update, params, state, moment):
        if moment.step % period and moment.step != steps:
            return
        slow = state[SLOW_WEIGHTS]
        np.subtract(params, slow, out=update)
        update *= update.dtype.type(slow_rate)
        slow += update
        params[...] = slow

    return Transform(update, vectors={SLOW_WEIGHTS: np.copy})
