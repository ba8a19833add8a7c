"""AdamW from the gradient to new parameters, in ten passes over a piece and without a temporary array.

The chain of textbook transforms takes sixteen passes and two temporaries. Here its scalars are folded into one
another: the factors before Adam (clipping) into those of its means; Adam's corrections and the factors behind it
(learning rate) into one:

    m = β₁ m + (1 - β₁) f g,    v = β₂ v + (1 - β₂) f² g²        f   the product of the factors before Adam
    u = m / (√v + ε √c₂) + λ (c₁ / √c₂) θ                        c   = 1 - βᵗ
    θ = θ - η (√c₂ / c₁) u                                      -η   the product of the factors behind Adam

A product with a scalar, and the addition of a multiple, are BLAS' ``scal`` and ``axpy``: the second is one pass
where NumPy needs two, and the first takes half of NumPy's time. SciPy (1.16) keeps the interpreter lock in both:
lanes take turns in them; with NumPy's passes alone, which let go of it, two lanes took longer still. The
gradient's memory holds what is temporary.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from minibert.training.transforms.chains import Adam, Addition, Decay, Factor, Moment, State, Transform


def fuse(transforms: tuple[Transform, ...], dtype: DTypeLike) -> tuple[Transform, ...]:
    """The same transforms, with the run from clipping to addition as one where it is AdamW's.

    Such a run is: factors, Adam, decay and factors, addition. It must work on contiguous pieces. What it gives is
    equal to what the transforms give, up to rounding.
    """
    meanings = [transform.meaning for transform in transforms]
    found = [(place, meaning) for place, meaning in enumerate(meanings) if isinstance(meaning, Adam)]
    if not found or np.dtype(dtype) not in (np.float32, np.float64):
        return transforms
    place, adam = found[0]
    first, last = place, place + 1
    while first and isinstance(meanings[first - 1], Factor):
        first -= 1
    while last < len(meanings) and isinstance(meanings[last], Factor | Decay):
        last += 1
    if last == len(meanings) or not isinstance(meanings[last], Addition):
        return transforms
    before = [meaning for meaning in meanings[first:place] if isinstance(meaning, Factor)]
    behind = [meaning for meaning in meanings[place + 1 : last] if isinstance(meaning, Factor | Decay)]
    one = _fused(before, adam, behind, dtype)
    return (*transforms[:first], one, *transforms[last + 1 :])


def _fused(before: Sequence[Factor], adam: Adam, behind: Sequence[Factor | Decay], dtype: DTypeLike) -> Transform:
    from scipy.linalg import get_blas_funcs  # takes a moment, and only training needs it

    scal, axpy = get_blas_funcs(("scal", "axpy"), dtype=dtype)
    beta1, beta2, epsilon = adam

    def update(update, params, state, moment):
        size, kind = update.size, update.dtype.type
        first, second = state["first_moment"], state["second_moment"]
        factor, _ = _slope_and_decay(before, state, moment)
        slope, decay = _slope_and_decay(behind, state, moment)
        correction1, correction2 = 1 - beta1**moment.step, 1 - beta2**moment.step
        slope *= correction2**0.5 / correction1
        scal(beta1, first)
        axpy(update, first, size, (1 - beta1) * factor)
        np.multiply(update, update, out=update)
        scal(beta2, second)
        axpy(update, second, size, (1 - beta2) * factor * factor)
        np.sqrt(second, out=update)
        np.add(update, kind(epsilon * correction2**0.5), out=update)
        np.divide(first, update, out=update)
        if decay:
            axpy(params, update, size, decay / slope)
        axpy(update, params, size, slope)

    return Transform(update)


def _slope_and_decay(links: Sequence[Factor | Decay], state: State, moment: Moment) -> tuple[float, float]:
    """a and b, where the links make a u + b θ of u."""
    slope, decay = 1.0, 0.0
    for link in links:
        if isinstance(link, Factor):
            factor = link.of(state, moment)
            slope, decay = slope * factor, decay * factor
        else:
            decay += link.decay
    return slope, decay
