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
from typing import NamedTuple

import numpy as np

from minibert.errors import MinibertError
from minibert.model.parameters import Block, Gradients, Layout, Parameters

TOLERANCE = 1e-6
"""Largest relative error |gᵀd - slope| / max(|gᵀd|, |slope|)."""

STEP = 1e-4
"""h. D(h) alone, with its error of h², is not exact enough for directions along which the slope is small."""

ROUNDING = 1e-13
"""A gradient that is zero in theory comes out of float64 below this."""


class Problem(NamedTuple):
    """What code says that the gradients of a loss are, and what is needed to find out whether they are."""

    loss: Callable[[], float]
    """Computes the loss from the arrays as they are now"""
    arrays: Mapping[str, np.ndarray]
    """Name -> what the loss depends on, in float64"""
    gradients: Mapping[str, np.ndarray]
    """Name -> ∂loss/∂array, of the same shape, as the code under check gives it"""
    zero: Collection[str] = ()
    """Names whose gradient is zero in theory"""


class Comparison(NamedTuple):
    """A gradient beside the slope of the loss, along one direction."""

    name: str
    analytical: float
    """gᵀd; of a gradient that is zero in theory its largest entry"""
    numerical: float
    """The slope along d"""
    error: float
    """Relative; of a gradient that is zero in theory its largest entry. NaN where both are zero"""
    right: bool
    zero: bool
    """Whether it is zero in theory"""


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


def compare(problem: Problem, seed: int = 0) -> list[Comparison]:
    """Compare every gradient by itself, each along a direction of its own.

    Names in ``zero`` are compared with zero, since a relative error of two roundings means nothing. For all others
    a gradient of zero is wrong.

    Raises :class:`MinibertError` for an array that is not in float64, and for a gradient of another shape.
    """
    random = np.random.default_rng(seed)
    found = []
    for name, array in problem.arrays.items():
        gradient = problem.gradients[name]
        if array.dtype != np.float64:
            raise MinibertError(f"{name}: is {array.dtype}. Allowed: float64, in which a gradient can be checked.")
        if gradient.shape != array.shape:
            raise MinibertError(f"gradient of {name}: has shape {gradient.shape}. Allowed: {array.shape}.")
        direction = random.normal(size=array.shape)
        if name in problem.zero:
            largest = float(np.abs(gradient).max())
            found.append(Comparison(name, largest, 0.0, largest, largest <= ROUNDING, True))
            continue
        analytical = float(np.vdot(gradient, direction))
        numerical = slope_along(problem.loss, array, direction)
        scale = max(abs(analytical), abs(numerical))
        error = abs(analytical - numerical) / scale if scale else np.nan
        found.append(Comparison(name, analytical, numerical, error, error <= TOLERANCE, False))  # NaN is wrong
    return found


def assert_right(problem: Problem, seed: int = 0) -> None:
    """Raises AssertionError naming every array whose gradient is wrong (:func:`compare`)."""
    wrong = [
        f"{name}: gradient {analytical:.9g}, slope {numerical:.9g}, error {error:.3g}"
        for name, analytical, numerical, error, right, _ in compare(problem, seed)
        if not right
    ]
    assert not wrong, "wrong gradients\n  " + "\n  ".join(wrong)


def points(problem: Problem, names: Collection[str], most: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Single entries of gradients beside the slopes of the loss along them: name -> (n, 2), n at most ``most``."""
    random, found = np.random.default_rng(seed), {}
    for name in names:
        array = problem.arrays[name]
        chosen = random.permutation(array.size)[:most]
        pairs = np.empty((len(chosen), 2))
        for row, place in enumerate(chosen):
            index = np.unravel_index(place, array.shape)
            direction = np.zeros(array.shape)
            direction[index] = 1
            pairs[row] = problem.gradients[name][index], slope_along(problem.loss, array, direction)
        found[name] = pairs
    return found


def of_layer(
    forward: Callable[[], np.ndarray],
    backward: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    arrays: Mapping[str, np.ndarray],
    zero: Collection[str] = (),
    seed: int = 0,
) -> Problem:
    """The problem of a layer: ``forward()`` computes y from the arrays, ``backward(dy)`` the gradient of each.

    The loss is Σ u · y with a random upstream gradient u. ``backward`` gets a copy of u that it may write over.
    """
    upstream = np.random.default_rng(seed + 1).normal(size=forward().shape)
    gradients = backward(upstream.copy())
    return Problem(lambda: float(np.vdot(upstream, forward())), arrays, gradients, zero)


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
