"""Matrices made orthogonal by a few matrix products, for Muon."""

from typing import Literal

import numpy as np

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan's coefficients: they lift small singular values fast, at the price of settling near 1, not at 1"""

POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
)
"""For every iteration the best odd quintic on what the one before leaves, from singular values in [0.001, 1] on.
The first three are made for an interval that begins a little higher, as the paper has it, against rounding"""
UPPER_ENDS = (1.0, 1.9917, 1.9659, 1.8657, 1.5604, 1.1235, 1.0011)
"""The largest singular value that each of them is made for"""
SHORTEST = 1e-7
"""Length of a matrix below which it is not lifted to 1, as in ``torch.optim.Muon``"""
USUAL = 5
"""Iterations of a full run through :data:`POLAR_EXPRESS`; also the most that are made on one Gram matrix, whose
rounding errors grow with each"""

Polynomials = Literal["jordan", "polar_express"]


def schedule(polynomials: Polynomials, iterations: int) -> tuple[float, list[tuple[float, float, float]]]:
    """The factor on the normalised matrix, and the (a, b, c) of each iteration.

    Fewer than five iterations of ``polar_express`` leave out the first ones. So all end with singular values
    between 0.88 and 1.12: those above 0.001 ‖M‖_F with five, 0.004 with four, 0.017 with three. After the last of
    the table, its limit (15, -10, 3) / 8 is used.
    """
    if polynomials == "jordan":
        return 1.0, [QUINTIC] * iterations
    first = max(USUAL - iterations, 0)
    limit = (1.875, -1.25, 0.375)
    chosen = [*POLAR_EXPRESS, *[limit] * iterations][first : first + iterations]
    return UPPER_ENDS[first], chosen


def orthogonalise(
    matrices: np.ndarray, iterations: int = USUAL, polynomials: Polynomials = "jordan"
) -> np.ndarray:
    """About U Vᵀ, where a matrix is U S Vᵀ: singular values near 1, the directions as they were.

    X = M / max(‖M‖_F, 1e-7), then ``iterations`` times X = P X with P = a I + b A + c A² and A = X Xᵀ, a
    Newton–Schulz iteration. matrices (…, in, out), transposed on the way if they are tall -> a new array of this
    shape. With ``jordan`` singular values end between 0.68 and 1.21, those below about 0.002 ‖M‖_F excepted after
    five iterations; with ``polar_express``: see :func:`schedule`. A zero matrix stays zero. One that has all but
    vanished stays small: its direction is rounding, and of entries below 1e-19 float32 does not hold the squares,
    so that the length would be too small and the iteration would diverge.

    Where X is much wider than A, and only then, the same is computed on the small side alone, because all these
    matrices commute: A = P (P A), Q = P Q, and X = Q X at the end.

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; Bernstein and Newhouse, "Old
    Optimizer, New Norm", 2024; Amsel, Persson, Musco and Gower, "The Polar Express: Optimal Matrix Sign Methods
    and Their Application to the Muon Algorithm", 2025.
    """
    kind = matrices.dtype.type
    tall = matrices.shape[-2] > matrices.shape[-1]
    start, coefficients = schedule(polynomials, iterations)
    lengths = np.sqrt(np.einsum("...io,...io->...", matrices, matrices))[..., None, None]
    factors = start / np.maximum(lengths, SHORTEST)
    x = np.ascontiguousarray(_transposed(matrices) if tall else matrices) * factors.astype(kind)
    while coefficients:
        now, coefficients = coefficients[:USUAL], coefficients[USUAL:]
        x = (_on_the_small_side if is_cheaper_small(x.shape, len(now)) else _as_stated)(x, now)
    return _transposed(x) if tall else x


def is_cheaper_small(shape: tuple[int, ...], iterations: int) -> bool:
    """Whether iterations of a wide matrix on its small side take fewer products.

    In products of two matrices of the small side n, with r n the other side, one as stated takes 1 + 2 r; all on
    the small side take 4 an iteration, three fewer at the ends, and 2 r for the first and the last product.
    """
    ratio = shape[-1] / shape[-2]
    return 4 * iterations - 3 + 2 * ratio < iterations * (1 + 2 * ratio)


def _as_stated(x: np.ndarray, coefficients) -> np.ndarray:
    gram = np.empty((*x.shape[:-1], x.shape[-2]), x.dtype)
    polynomial, other = np.empty_like(gram), np.empty_like(x)
    for one in coefficients:
        np.matmul(x, _transposed(x), out=gram)
        _evaluate(one, gram, polynomial)
        x, other = np.matmul(polynomial, x, out=other), x
    return x


def _on_the_small_side(x: np.ndarray, coefficients) -> np.ndarray:
    gram = x @ _transposed(x)
    polynomial, product, other = (np.empty_like(gram) for _ in range(3))
    for place, one in enumerate(coefficients):
        kept = product if place == 0 else polynomial
        np.copyto(other, gram)
        _evaluate(one, other, kept)
        if place:
            product, other = np.matmul(polynomial, product, out=other), product
        if place + 1 < len(coefficients):
            np.matmul(kept, gram, out=other)
            np.matmul(kept, other, out=gram)
    return product @ x


def _evaluate(coefficients: tuple[float, float, float], gram: np.ndarray, polynomial: np.ndarray) -> None:
    """a I + b A + c A² into ``polynomial``; A is used up."""
    a, b, c = map(gram.dtype.type, coefficients)
    np.matmul(gram, _transposed(gram), out=polynomial)  # of a symmetric matrix BLAS computes one half
    polynomial *= c
    gram *= b
    polynomial += gram
    np.einsum("...ii->...i", polynomial)[...] += a


def _transposed(matrices: np.ndarray) -> np.ndarray:
    return matrices.swapaxes(-1, -2)
