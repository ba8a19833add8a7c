"""Optimizers as chains of transforms over the flat vector.

A transform turns the gradient, step by step, into what is added to the parameters:

    AdamW = chain(clip_by_global_norm, scale_by_adam, add_decayed_weights, scale_by_learning_rate)

Each works in place on one *piece* of the vector at a time, a run of elements small enough that its gradient,
parameters and state stay in the L2 cache through the whole chain. State is plain data: a dictionary of
vectors in the layout of the parameters, so saving and restoring it is nothing special.

The idea of optimizers as chains is that of Optax.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Moment:
    """What a transform may know about the step it is part of."""

    step: int
    """1 at the first step"""
    learning_rate: float
    gradient_norm: float
    """Norm of the whole gradient, before clipping"""
    decayed: bool
    """Whether weight decay applies to this piece: weights, not gains and biases"""


class Transform(NamedTuple):
    state: tuple[str, ...]
    """Names of its state vectors, which start at zero"""
    update: Callable[[np.ndarray, np.ndarray, dict[str, np.ndarray], Moment], None]
    """(update, params, state, moment), all pieces of the same run of elements; ``update`` and ``state``
    are changed in place"""


def chain(*transforms: Transform) -> Transform:
    """One transform after the other: each takes what the one before it made of the gradient."""
    names = tuple(name for transform in transforms for name in transform.state)
    if len(set(names)) < len(names):
        raise ValueError(f"two transforms of a chain use the same state name: {names}")

    def update(update, params, state, moment):
        for transform in transforms:
            transform.update(update, params, state, moment)

    return Transform(names, update)


def clip_by_global_norm(largest: float) -> Transform:
    """u = g · min(1, c / ‖g‖), with the norm over all parameters.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
    """

    def update(update, params, state, moment):
        if moment.gradient_norm > largest:
            update *= update.dtype.type(largest / moment.gradient_norm)

    return Transform((), update)


def scale_by_adam(beta1: float, beta2: float, epsilon: float) -> Transform:
    """m = β₁ m + (1 - β₁) g,  v = β₂ v + (1 - β₂) g²,  u = m̂ / (√v̂ + ε)  with m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)

    Computed as u = m · (√c₂ / c₁) / (√v + ε √c₂) with c = 1 - βᵗ, which is the same and two passes shorter.

    Kingma and Ba, "Adam", ICLR 2015.
    """

    def update(update, params, state, moment):
        first, second = state["adam.first_moment"], state["adam.second_moment"]
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

    return Transform(("adam.first_moment", "adam.second_moment"), update)


def add_decayed_weights(decay: float) -> Transform:
    """u = u + λ θ, on weights only: decoupled from the gradient's scale when it stands behind ``scale_by_adam``.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def update(update, params, state, moment):
        if decay and moment.decayed:
            update += params * update.dtype.type(decay)

    return Transform((), update)


def scale_by_learning_rate() -> Transform:
    """u = -η u, with the scheduled rate: what is added to the parameters."""

    def update(update, params, state, moment):
        update *= update.dtype.type(-moment.learning_rate)

    return Transform((), update)
