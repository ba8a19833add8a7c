"""Gradients and updates as numbers: how large they are, how noisy, and how much of a parameter a step changes.

All take named arrays, such as ``model.params`` and what :meth:`MiniBERT.backward` returns, and sum in float64.
Beside the parameters' own names, results are given for groups of them ("embeddings", "layer_0", ..., "final_norm",
"mlm_head") and for all of them, under "global".
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from minibert.errors import MinibertError

PIECE = 65536
"""Elements that are turned to float64 at a time: they stay in the cache."""

UPDATE_RATIO_OFTEN_QUOTED = 1e-3
"""Of ‖Δθ‖ / ‖θ‖: Karpathy, "Neural Networks Part 3: Learning and Evaluation", notes for CS231n, Stanford, 2015."""

Arrays = Mapping[str, np.ndarray]


class GradientMagnitude(NamedTuple):
    """How large the gradient of a group is, in nats per unit of a parameter."""

    norm: float
    """‖g‖₂"""
    root_mean_square: float
    """√(mean g²): comparable between groups of different sizes"""
    largest: float
    """max |g|"""


class ParameterUpdate(NamedTuple):
    """How far a step moves a parameter."""

    update_norm: float
    """‖Δθ‖₂"""
    parameter_norm: float
    """‖θ‖₂ before the step"""
    ratio: float
    """‖Δθ‖₂ / ‖θ‖₂; NaN where θ is zero"""


class GradientNoise(NamedTuple):
    """What :func:`compute_gradient_noise` estimates. A unit is what ``sizes`` count: sequences, say."""

    squared_norm: float
    """|G|², of the gradient without noise; by chance below zero where noise prevails"""
    trace: float
    """tr Σ, the summed variance of the gradient of one unit"""
    scale: float
    """tr Σ / |G|², in units; NaN where |G|² is not above zero"""


def inner_product(left: np.ndarray, right: np.ndarray) -> float:
    """Σ left · right over all elements, summed in float64."""
    same, left, right = left is right, left.reshape(-1), right.reshape(-1)
    total = 0.0
    for start in range(0, left.size, PIECE):
        part = left[start : start + PIECE].astype(np.float64, copy=False)
        other = part if same else right[start : start + PIECE].astype(np.float64, copy=False)
        total += float(part @ other)
    return total


def group_of(name: str) -> str:
    """The part of the network that a parameter belongs to: "layer_0" for "layers.0.attention.query.weight".

    >>> group_of("layers.0.attention.query.weight")
    'layer_0'
    """
    parts = name.split(".")
    return f"layer_{parts[1]}" if parts[0] == "layers" else parts[0]


def sum_by_group(values: Mapping[str, float]) -> dict[str, float]:
    """The values of parameters, and their sums over each group and over all ("global")."""
    sums = dict(values)
    for name, value in values.items():
        for key in (group_of(name), "global"):
            sums[key] = sums.get(key, 0.0) + value
    return sums


def check_same_parameters(first: Arrays, second: Arrays, what: str) -> None:
    """Raises :class:`MinibertError` unless both have the same names with the same shapes, and any at all."""
    if not len(first):
        raise MinibertError(f"{what}: no parameter was given. Allowed: named arrays, such as model.params.")
    differing = sorted(first.keys() ^ second.keys())
    differing += [name for name in first if name in second and first[name].shape != second[name].shape]
    if differing:
        raise MinibertError(
            f"{what}: {', '.join(differing[:5])}{' and others' if differing[5:] else ''} differ between the two. "
            "Allowed: the same names with the same shapes. Take both from the same model."
        )


def compute_gradient_rms(gradients: Arrays) -> dict[str, float]:
    """√(mean g²) of every parameter, of every group and of all, in nats per unit of a parameter.

    Unlike a norm it does not grow with the number of elements, so that layers and parameters can be compared:
    where it falls by orders of magnitude from one depth to another, gradients vanish or explode (Glorot and
    Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010).

    Raises :class:`MinibertError` without any gradient.
    """
    check_same_parameters(gradients, gradients, "gradients")
    squares = sum_by_group({name: inner_product(array, array) for name, array in gradients.items()})
    sizes = sum_by_group({name: array.size for name, array in gradients.items()})
    return {name: (squares[name] / sizes[name]) ** 0.5 for name in squares}


def analyze_gradient_magnitudes_by_layer(gradients: Arrays) -> dict[str, GradientMagnitude]:
    """Norm, root mean square and largest element of the gradient of every group, in the order of the network.

    >>> magnitudes = analyze_gradient_magnitudes_by_layer({"layers.0.attention.query.weight": np.ones((2, 2))})
    >>> magnitudes["layer_0"].norm
    2.0

    Raises :class:`MinibertError` without any gradient.
    """
    rms = compute_gradient_rms(gradients)
    sizes = sum_by_group({name: array.size for name, array in gradients.items()})
    largest: dict[str, float] = {}
    for name, array in gradients.items():
        group = group_of(name)
        largest[group] = max(largest.get(group, 0.0), float(np.abs(array).max()))
    return {
        group: GradientMagnitude(rms[group] * sizes[group] ** 0.5, rms[group], each)
        for group, each in largest.items()
    }


def analyze_parameter_updates(params_before: Arrays, params_after: Arrays) -> dict[str, ParameterUpdate]:
    """How far a step moved every parameter, every group and all: ‖Δθ‖, ‖θ‖ and their ratio, Δθ = θ' - θ.

    ``params_before`` has to be a copy, since a step changes parameters in place:

    >>> before = {name: array.copy() for name, array in model.params.items()}  # doctest: +SKIP

    A ratio about 1e-3 is often called healthy: a heuristic of Karpathy's notes for the course CS231n, "Neural
    Networks Part 3: Learning and Evaluation" (Stanford, 2015), which were about plain gradient descent.

    Raises :class:`MinibertError` when the two are not of the same parameters.
    """
    check_same_parameters(params_before, params_after, "parameter updates")
    return measure_updates(
        params_before, {name: params_after[name] - params_before[name] for name in params_before}
    )


def measure_updates(params: Arrays, update: Arrays) -> dict[str, ParameterUpdate]:
    """:func:`analyze_parameter_updates` for the update itself: Δθ."""
    check_same_parameters(params, update, "parameter updates")
    moved = sum_by_group({name: inner_product(update[name], update[name]) for name in params})
    present = sum_by_group({name: inner_product(params[name], params[name]) for name in params})
    return {name: _update(moved[name] ** 0.5, present[name] ** 0.5) for name in moved}


def _update(update_norm: float, parameter_norm: float) -> ParameterUpdate:
    ratio = update_norm / parameter_norm if parameter_norm else float("nan")
    return ParameterUpdate(update_norm, parameter_norm, ratio)


def compute_update_ratios(params: Arrays, update: Arrays) -> dict[str, float]:
    """‖Δθ‖ / ‖θ‖ of every parameter, of every group and of all; NaN where θ is zero, as biases are at first.

    Raises :class:`MinibertError` when the two are not of the same parameters.
    """
    return {name: each.ratio for name, each in measure_updates(params, update).items()}


def compute_gradient_cosines(first: Arrays, second: Arrays) -> dict[str, float]:
    """cos(g, g') = g · g' / (‖g‖ ‖g'‖) of every group and of all ("global"); NaN where one of them is zero.

    Of the gradients of two independent batches at nearly the same parameters, the expected g · g' is |G|²,
    without the noise that both have. So their cosine is about 1 / (1 + B_noise / B), with
    :func:`compute_noise_scale`; below zero for long, steps overshoot along steep directions.

    Raises :class:`MinibertError` when the two are not of the same parameters.
    """
    check_same_parameters(first, second, "gradient cosines")
    pairs = {"both": (first, second), "first": (first, first), "second": (second, second)}
    products = {
        key: sum_by_group({name: inner_product(left[name], right[name]) for name in first})
        for key, (left, right) in pairs.items()
    }
    cosines = {}
    for name, product in products["both"].items():
        if name not in first:
            norms = (products["first"][name] * products["second"][name]) ** 0.5
            cosines[name] = product / norms if norms else float("nan")
    return cosines


def compute_gradient_noise(shares: Sequence[np.ndarray], sizes: Sequence[float]) -> GradientNoise:
    """|G|² and tr Σ, both without bias, and the gradient noise scale B = tr Σ / |G|², from the parts of one batch.

    Parameters
    ----------
    shares : m flat gradients, each of a part's share of the batch's mean loss: their sum is the batch's gradient ḡ
    sizes : m sizes nᵢ of the parts, in units: with the size n of all, gᵢ = share · n / nᵢ is a part's own mean
        gradient

    With gradients of units that are independent, of mean G and covariance Σ, each gᵢ has mean G and covariance
    Σ / nᵢ, ḡ has Σ / n, and

        tr Σ ≈ 1/(m - 1) Σᵢ nᵢ |gᵢ - ḡ|²,        |G|² ≈ |ḡ|² - tr Σ / n.

    For parts of one size b these are the estimates of McCandlish, Kaplan and Amodei, "An Empirical Model of
    Large-Batch Training", 2018 (appendix A.1), from the two batch sizes b and n. A batch of B units has as much
    noise as signal, |G|² = tr Σ / B: well below it, twice the batch allows nearly twice the step; well above, a
    larger one helps little.

    Each is unbiased, their ratio is not, and two parts of one batch say little about |G|² where B is far above n:
    average both over many steps and divide then (:func:`compute_noise_scale`). Parts of size zero are left out.

    Raises :class:`MinibertError` for other than as many sizes as shares, and with fewer than two parts to compare.
    """
    if len(shares) != len(sizes):
        raise MinibertError(
            f"gradient noise: {len(shares)} shares and {len(sizes)} sizes were given. "
            "Allowed: as many of one as of the other."
        )
    parts = [(share, float(size)) for share, size in zip(shares, sizes, strict=True) if size > 0]
    if len(parts) < 2:
        raise MinibertError(
            f"gradient noise: {len(parts)} parts of a batch were given. "
            "Allowed: two or more of a size above zero. In training, lanes are the parts: training.lanes=2."
        )
    shares, counts = [share for share, _ in parts], np.array([size for _, size in parts])
    products = np.zeros((len(parts), len(parts)))
    for start in range(0, shares[0].size, PIECE):
        stacked = np.stack([share[start : start + PIECE] for share in shares]).astype(np.float64, copy=False)
        products += stacked @ stacked.T
    total = counts.sum()
    whole = products.sum()
    # Σᵢ nᵢ |gᵢ - ḡ|² = Σᵢ nᵢ |gᵢ|² - n |ḡ|²
    trace = (total**2 * (np.diag(products) / counts).sum() - total * whole) / (len(parts) - 1)
    squared_norm = whole - trace / total
    return GradientNoise(float(squared_norm), float(trace), compute_noise_scale(squared_norm, trace))


def compute_noise_scale(squared_norms, traces) -> float:
    """B_noise = mean tr Σ / mean |G|² over estimates of :func:`compute_gradient_noise`, in units.

    NaN where the mean |G|² is not above zero: B_noise is then too large for so few estimates.
    """
    squared_norm, trace = float(np.mean(squared_norms)), float(np.mean(traces))
    return trace / squared_norm if squared_norm > 0 else float("nan")
