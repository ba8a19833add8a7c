"""What the singular values of a matrix tell: how many directions it uses, how large it is, how its tail falls off.

Every quantity takes a matrix, or the :class:`Spectrum` of one, so that several share one decomposition::

    spectrum = compute_spectrum(model.params["layers.0.attention.query.weight"])
    compute_effective_rank(spectrum), compute_stable_rank(spectrum)

σ₁ ≥ σ₂ ≥ ... ≥ σᵣ are the singular values, r = min(rows, columns), and λᵢ = σᵢ² the eigenvalues of the Gram
matrix. Nothing is centred without ``centred=True``: the question about weights is what they do to a vector; the
question about rows of activations is how they spread around their mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minibert.errors import MinibertError

RESOLUTION = 1e-7
"""Singular values below this share of the largest cannot be told from zero: it is the rounding of float32, and the
square root of that of the Gram matrix in float64."""
FEWEST_IN_TAIL = 10
"""Eigenvalues in the shortest tail that a power law is fitted to."""


@dataclass(frozen=True)
class Spectrum:
    """The singular values of a matrix."""

    values: np.ndarray
    """(r,) float64, largest first; 0 where they cannot be told from it (:func:`compute_spectrum`)"""
    shape: tuple[int, int]
    """Of the matrix"""


class PowerLawTail(NamedTuple):
    """A power law fitted to the largest of some positive numbers."""

    exponent: float
    """α of the density ρ(λ) ∝ λ^-α for λ ≥ ``cut``"""
    cut: float
    """The smallest number that counts as tail"""
    size: int
    """How many numbers the tail holds"""
    distance: float
    """Kolmogorov and Smirnov's: the largest gap between the tail's distribution and the law's, from 0 to 1"""


def compute_spectrum(matrix: np.ndarray, centred: bool = False) -> Spectrum:
    """Singular values as roots of the eigenvalues of the smaller Gram matrix, in float64.

    Twenty times as fast as a decomposition of an (8192, 192) matrix, at the price of :data:`RESOLUTION`.
    ``centred``: of the matrix less the mean of its rows; σᵢ/√rows are then the standard deviations along the
    principal axes. Singular values below ε‖X‖, with ‖X‖ taken before centring and the ε of the entries' own
    precision, are then 0 too: where a large mean is taken away, they are the rounding of the entries.

    Raises :class:`MinibertError` for what is not a matrix of finite numbers with at least one entry.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or not matrix.size:
        raise MinibertError(
            f"matrix: shape {matrix.shape} was given. Allowed: two axes and at least one entry; hidden states "
            "(B, T, D) are one as x.reshape(-1, D)."
        )
    precision = np.finfo(matrix.dtype if np.issubdtype(matrix.dtype, np.floating) else np.float64).eps
    matrix = matrix.astype(np.float64)
    rounding = 0.0
    if centred:
        rounding = precision * np.linalg.norm(matrix)
        matrix -= matrix.mean(axis=0)
        matrix -= matrix.mean(axis=0)  # what the rounding of the mean left over
    rows, columns = matrix.shape
    gram = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
    if not np.isfinite(np.trace(gram)):
        raise MinibertError("matrix: an entry is infinite or no number. Allowed: finite numbers.")
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0))
    values[values < max(RESOLUTION * values[0], rounding)] = 0
    return Spectrum(values, (rows, columns))


def compute_effective_rank(matrix: np.ndarray | Spectrum, centred: bool = False) -> float:
    """exp(-Σ pᵢ log pᵢ), pᵢ = σᵢ / Σ σ: the entropy of the normalised singular values, as a number of dimensions.

    From 1 (rank one) to r (all singular values equal); a zero matrix has 0. Of at least four quantities of this
    name, this is that of Roy and Vetterli, "The effective rank: A measure of effective dimensionality", EUSIPCO
    2007.

    >>> compute_effective_rank(np.eye(4))
    4.0
    """
    values = _spectrum(matrix, centred).values
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def compute_stable_rank(matrix: np.ndarray | Spectrum, centred: bool = False) -> float:
    """‖X‖²_F / ‖X‖²₂ = Σ σᵢ² / σ₁²: how often the largest direction's energy goes into the whole.

    From 1 to r, at most the rank, and hardly moved by small singular values. A zero matrix has 0. Rudelson and
    Vershynin, "Sampling from large matrices: An approach through geometric functional analysis", JACM 2007.

    >>> compute_stable_rank(np.diag([2.0, 1.0, 1.0]))
    1.5
    """
    values = _spectrum(matrix, centred).values
    return float((values**2).sum() / values[0] ** 2) if values[0] else 0.0


def compute_effective_dimensionality(matrix: np.ndarray | Spectrum, centred: bool = False) -> float:
    """The participation ratio (Σ λᵢ)² / Σ λᵢ², λᵢ = σᵢ²: over how many directions the energy spreads.

    From 1 to r. With rows of activations and ``centred=True``, λᵢ are the variances along the principal axes, and
    this is the dimensionality of Litwin-Kumar et al., "Optimal degrees of synaptic connectivity", Neuron 2017, and
    Gao et al., "A theory of multineuronal dimensionality, dynamics and measurement", 2017. A zero matrix has 0.
    """
    energies = _spectrum(matrix, centred).values ** 2
    return float(energies.sum() ** 2 / (energies**2).sum()) if energies[0] else 0.0


def compute_spectral_norm(matrix: np.ndarray | Spectrum, centred: bool = False) -> float:
    """σ₁ = max ‖xW‖ / ‖x‖: the most that the matrix stretches a vector."""
    return float(_spectrum(matrix, centred).values[0])


def compute_condition_number(matrix: np.ndarray | Spectrum, centred: bool = False) -> float:
    """σ₁ / σᵣ: the most that the matrix stretches a vector over the least. 1 is a rotation times a number.

    Infinite where σᵣ cannot be told from zero (:data:`RESOLUTION`).
    """
    values = _spectrum(matrix, centred).values
    return float(values[0] / values[-1]) if values[-1] else float("inf")


def compute_tail_exponent(matrix: np.ndarray | Spectrum, centred: bool = False) -> float:
    """α of a power law ρ(λ) ∝ λ^-α fitted to the largest eigenvalues λᵢ = σᵢ², by :func:`fit_tail`.

    Between 2 and 6 in most layers of large trained networks, the smaller the heavier the tail. A matrix of
    independent entries has an edge and no tail: what is fitted there is large and scatters, from 3 to 11 at 192 by
    192.

    NaN where fewer than ten eigenvalues are positive, infinite where all are equal. Martin and Mahoney,
    "Implicit Self-Regularization in Deep Neural Networks", JMLR 2021.
    """
    values = _spectrum(matrix, centred).values
    return fit_tail(values**2).exponent


def fit_tail(numbers: np.ndarray) -> PowerLawTail:
    """The power law ρ(λ) ∝ λ^-α, λ ≥ c, that the largest of the positive ``numbers`` (n,) follow best.

    For the k largest, with c the smallest of them, α = 1 + k / Σ log(λᵢ/c) is the most likely exponent (Hill, "A
    simple general approach to inference about the tail of a distribution", 1975). k, at least ten, is chosen for
    the smallest Kolmogorov-Smirnov distance between the tail and its law: Clauset, Shalizi and Newman, "Power-law
    distributions in empirical data", SIAM Review 2009.

    Of fewer than ten positive numbers all fields are NaN. Numbers without spread have an infinite exponent.
    """
    numbers = np.sort(np.asarray(numbers, np.float64).reshape(-1))[::-1]
    numbers = numbers[numbers > 0]
    count = len(numbers)
    if count < FEWEST_IN_TAIL:
        return PowerLawTail(float("nan"), float("nan"), 0, float("nan"))
    logs = np.log(numbers)
    sizes = np.arange(FEWEST_IN_TAIL, count + 1)
    spread = np.cumsum(logs)[sizes - 1] / sizes - logs[sizes - 1]
    sizes, spread = sizes[spread > 1e-6], spread[spread > 1e-6]  # less is rounding
    if not len(sizes):
        return PowerLawTail(float("inf"), float(numbers[-1]), count, float("nan"))
    # Of the k numbers of a tail, a share of i/k is at least the i-th largest; by the law it is (λᵢ/c)^(1-α).
    places = np.arange(1, count + 1)
    by_law = np.exp(-np.maximum(logs - logs[sizes - 1, None], 0) / spread[:, None])
    beyond = places / sizes[:, None]
    gaps = np.maximum(np.abs(by_law - beyond), np.abs(by_law - beyond + 1 / sizes[:, None]))
    distances = np.where(places <= sizes[:, None], gaps, 0).max(axis=1)
    best = int(distances.argmin())
    size = int(sizes[best])
    return PowerLawTail(float(1 + 1 / spread[best]), float(numbers[size - 1]), size, float(distances[best]))


QUANTITIES: dict[str, Callable[[Spectrum], float]] = {
    "effective_rank": compute_effective_rank,
    "stable_rank": compute_stable_rank,
    "participation_ratio": compute_effective_dimensionality,
    "spectral_norm": compute_spectral_norm,
    "condition_number": compute_condition_number,
    "tail_exponent": compute_tail_exponent,
}
"""Name of a metric -> how it is computed from a spectrum"""


def _spectrum(matrix: np.ndarray | Spectrum, centred: bool) -> Spectrum:
    """``centred`` belongs to a matrix: a spectrum has been taken one way or the other."""
    if not isinstance(matrix, Spectrum):
        return compute_spectrum(matrix, centred)
    if centred:
        raise MinibertError(
            "centred=True: goes with a matrix. A Spectrum is centred by compute_spectrum(x, centred=True)."
        )
    return matrix
