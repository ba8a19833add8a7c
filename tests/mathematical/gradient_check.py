"""A gradient check that can fail.

A gradient g of a function f is compared with the slope of f along a random direction d,

    gᵀd  =  (4 D(h) - D(2h)) / 3  + O(h⁴)    with central differences D(h) = (f(θ + h d) - f(θ - h d)) / 2h,

one parameter at a time, in float64, at a random point. A layer y = f(x, θ) becomes a number through a random
upstream gradient u: its loss is Σ u · y. Each choice keeps a wrong gradient from passing:

- u = 1 would hide mistakes in softmax and layer norm, under which the true gradient is then about zero;
- gains of one and biases of zero would hide a gain in the wrong place;
- one direction through all parameters at once would hide a small gradient behind a large one.
"""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from minibert.model.parameters import Block, Gradients, Layout, Parameters

TOLERANCE = 1e-6
"""Largest relative error |gᵀd - slope| / max(|gᵀd|, |slope|)."""

STEP = 1e-4
"""h. D(h) alone, with its error of h², is not exact enough for directions along which the slope is small."""

ROUNDING = 1e-13
"""A gradient that is zero in theory comes out of float64 below this."""


def slope_along(loss: Callable[[], float], array: np.ndarray, direction: np.ndarray) -> float:
    """The slope of ``loss()``, which reads ``array`` as θ, along d = ``direction``: central differences as above.

    The array is moved in place, since views of a parameter vector are what the network reads, and put back.
    """
    start = array.copy()

    def loss_at(distance: float) -> float:
        array[...] = start + distance * direction
        return loss()

    near, far = ((loss_at(h) - loss_at(-h)) / (2 * h) for h in (STEP, 2 * STEP))
    array[...] = start
    return (4 * near - far) / 3


def check_gradients(
    loss: Callable[[], float],
    arrays: Mapping[str, np.ndarray],
    gradients: Mapping[str, np.ndarray],
    zero: Collection[str] = (),
    seed: int = 0,
) -> None:
    """Check ``gradients[name]`` of ``loss()`` for every array by itself, each along a direction of its own.

    Names in ``zero`` have a gradient of zero in theory: they are compared with zero, since a relative error of
    two roundings means nothing. For all others a gradient of zero fails.

    Raises AssertionError naming every array whose gradient is wrong.
    """
    random = np.random.default_rng(seed)
    wrong = []
    for name, array in arrays.items():
        gradient = gradients[name]
        assert array.dtype == np.float64, f"{name} is {array.dtype}: a gradient is checked in float64"
        assert gradient.shape == array.shape, f"gradient of {name}: shape {gradient.shape}, not {array.shape}"
        direction = random.normal(size=array.shape)
        if name in zero:
            largest = np.abs(gradient).max()
            if not largest <= ROUNDING:
                wrong.append(f"{name}: largest entry {largest:.3g}, expected 0")
            continue
        analytical = float(np.vdot(gradient, direction))
        numerical = slope_along(loss, array, direction)
        scale = max(abs(analytical), abs(numerical))
        error = abs(analytical - numerical) / scale if scale else np.nan
        if not error <= TOLERANCE:  # NaN is wrong, too
            wrong.append(f"{name}: gradient {analytical:.9g}, slope {numerical:.9g}, relative error {error:.3g}")
    assert not wrong, "wrong gradients\n  " + "\n  ".join(wrong)


def check_layer(
    forward: Callable[[], np.ndarray],
    backward: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    arrays: Mapping[str, np.ndarray],
    zero: Collection[str] = (),
    seed: int = 0,
) -> None:
    """Check a layer: ``forward()`` computes y from the arrays, ``backward(dy)`` the gradient of each of them.

    The loss is Σ u · y with a random upstream gradient u. ``backward`` gets a copy of u that it may write over.
    """
    upstream = np.random.default_rng(seed + 1).normal(size=forward().shape)
    gradients = backward(upstream.copy())
    check_gradients(lambda: float(np.vdot(upstream, forward())), arrays, gradients, zero, seed)


def scatter(params: Parameters, seed: int = 0) -> None:
    """Move parameters away from their initial values: gains off one, biases off zero, weights of about 0.5."""
    random = np.random.default_rng(seed)
    for name, array in params.items():
        array[...] = 0.5 * random.normal(size=array.shape) + name.endswith(".gain")


def scattered_parameters(blocks: list[Block], seed: int = 0) -> tuple[Parameters, Gradients]:
    """Parameters in float64 at a random point, and an empty set of gradients for them."""
    layout = Layout(blocks)
    params = Parameters(layout, "float64")
    scatter(params, seed)
    return params, Gradients(layout, "float64")
