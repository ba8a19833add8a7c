"""Curvature of the loss: eigenvalues and trace of its Hessian, without computing the whole matrix.

Everything is computed from products H v, and these from differences of exact gradients. The functions take
``gradients_at(points) -> gradients`` of flat float64 vectors, so that they serve any loss.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from minibert.diagnostics.landscape.directions import choose_parameters, display_name, indices_of
from minibert.diagnostics.landscape.frozen_loss import FrozenLoss
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.randomness import generator

GradientFunction = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]

DIFFERENCE = 1e-5
"""ε: a step of this length, in parameters, to either side. The error is ε²/6 of a third derivative plus
rounding, 1e-16/ε: for networks here both are far below what a few random probes can tell."""
BASIS = 6
"""Lanczos vectors kept, beside two for every eigenvalue wanted: each is as large as the parameters."""
START, PROBES = 0, 1
"""Keys of the random numbers under a seed."""


def compute_hessian_products(
    gradients_at: GradientFunction,
    parameters: np.ndarray,
    vectors: Sequence[np.ndarray],
    difference: float = DIFFERENCE,
) -> list[np.ndarray]:
    """H v ≈ ‖v‖ (g(θ + ε v/‖v‖) - g(θ - ε v/‖v‖)) / 2ε for each of the vectors, with g the gradient.

    parameters (n,), vectors (n,) each -> (n,) each. Exact for a quadratic loss; else off by O(ε²).
    Pearlmutter, "Fast Exact Multiplication by the Hessian", 1994, discusses this and the exact way.
    """
    norms = [float(np.linalg.norm(vector)) for vector in vectors]
    points = []
    for vector, norm in zip(vectors, norms, strict=True):
        step = vector * (difference / (norm or 1.0))
        points += [parameters + step, parameters - step]
    gradients = gradients_at(points)
    pairs = zip(gradients[::2], gradients[1::2], norms, strict=True)
    return [(ahead - behind) * (norm / (2 * difference)) for ahead, behind, norm in pairs]


class Eigenpairs(NamedTuple):
    """The largest eigenvalues of a Hessian, largest first."""

    values: np.ndarray
    """(k,), nats per unit²"""
    vectors: np.ndarray
    """(n, k) of unit length"""
    residuals: np.ndarray
    """(k,): ‖H v - λ v‖. Within this distance of λ there is an eigenvalue; λ itself is off by about its square
    over the gap to the next one"""
    difference_error: float
    """‖H_ε v - H_{ε/2} v‖ / ‖H_{ε/2} v‖ of the first vector: what differences of gradients cost"""
    products: int
    """H v computed"""


def compute_top_eigenvalues(
    gradients_at: GradientFunction,
    parameters: np.ndarray,
    count: int = 1,
    *,
    indices: np.ndarray | None = None,
    seed: int = 0,
    tolerance: float = 0.01,
    most_products: int = 500,
) -> Eigenpairs:
    """The ``count`` algebraically largest eigenvalues λ of the Hessian, H v = λ v, by restarted Lanczos (ARPACK).

    With ``indices``, those of the diagonal block of these parameters, the others held where they are. The residual
    ‖H v - λ v‖ / |λ| that is good enough is ``tolerance``. It begins at the gradient, much of which lies among the
    top eigenvectors (Gur-Ari, Roberts and Dyer, 2018), plus as much of a random direction.

    Raises :class:`MinibertError` where ``most_products`` are not enough.

    Lanczos, 1950; Lehoucq, Sorensen and Yang, "ARPACK Users' Guide", 1998; for networks Ghorbani, Krishnan and
    Xiao, "An Investigation into Neural Net Optimization via Hessian Eigenvalue Density", ICML 2019.
    """
    indices = np.arange(len(parameters)) if indices is None else indices
    size, products = len(indices), 0
    if not 1 <= count <= size:
        raise MinibertError(f"eigenvalues: {count} was given. Allowed: 1 to {size}, the number of parameters.")

    def multiply(vectors, difference=DIFFERENCE) -> list[np.ndarray]:
        nonlocal products
        products += len(vectors)
        full = [np.zeros(len(parameters)) for _ in vectors]
        for vector, place in zip(vectors, full, strict=True):
            place[indices] = np.reshape(vector, -1)
        return [result[indices] for result in compute_hessian_products(gradients_at, parameters, full, difference)]

    basis = 2 * count + BASIS
    gradient = gradients_at([parameters])[0][indices]
    start = _start(gradient, seed)
    if not gradient.any() and not multiply([start])[0].any():
        # The loss does not depend on these parameters at all, which ARPACK takes for a bad starting vector.
        vectors = np.linalg.qr(np.column_stack([start, np.eye(size, count - 1)]))[0]
        return Eigenpairs(np.zeros(count), vectors, np.zeros(count), 0.0, products)
    if size <= basis:
        hessian = np.array(multiply(list(np.eye(size))))
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    else:
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

        # SciPy's stubs know neither the function LinearOperator(shape, matvec) nor a tolerance that is no integer.
        make_operator, find = cast(Any, LinearOperator), cast(Any, eigsh)
        operator = make_operator((size, size), matvec=lambda vector: multiply([vector])[0], dtype=np.float64)
        restarts = max(most_products // basis, 1)
        try:
            values, vectors = find(
                operator, count, which="LA", v0=start, ncv=basis, tol=tolerance, maxiter=restarts
            )
        except ArpackNoConvergence as error:
            raise MinibertError(
                f"eigenvalues: {len(error.eigenvalues)} of {count} were found within {products} products at "
                f"tolerance={tolerance}. A larger tolerance, or more of most_products, helps."
            ) from error
    order = np.argsort(values)[::-1][:count]
    values, vectors = values[order], vectors[:, order]
    results = multiply(list(vectors.T), DIFFERENCE / 2)
    residuals = np.linalg.norm(np.column_stack(results) - values * vectors, axis=0)
    coarse, fine = multiply([vectors[:, 0]])[0], results[0]
    error = np.linalg.norm(coarse - fine) / (np.linalg.norm(fine) or 1.0)
    return Eigenpairs(values, vectors, residuals, float(error), products)


def _start(gradient: np.ndarray, seed: int) -> np.ndarray:
    random = generator(seed, START).standard_normal(len(gradient))
    random /= np.linalg.norm(random)
    norm = np.linalg.norm(gradient)
    return random + gradient / norm if norm else random


class TraceEstimate(NamedTuple):
    """Hutchinson's estimate of the trace of a diagonal block."""

    value: float
    """Nats per unit²"""
    standard_error: float
    """Standard deviation of the probes over the root of their number"""
    samples: np.ndarray
    """(m,): what each probe gave"""


def estimate_traces(
    gradients_at: GradientFunction,
    parameters: np.ndarray,
    blocks: Mapping[str, np.ndarray],
    probes: int = 16,
    *,
    seed: int = 0,
) -> dict[str, TraceEstimate]:
    """tr H_bb for every block b of parameters, as the mean of z_b · (H z)_b over random signs z.

    E[zᵢ zⱼ] is 1 for i = j and else 0, so that the mean is Σᵢ Hᵢᵢ; the same product serves all blocks, as what one
    does to another has mean zero too. ``blocks`` are indices into the flat vector; z is zero outside of them.

    Raises :class:`MinibertError` for fewer than two probes: one says nothing of its error.

    Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix", 1990; Yao et al., "PyHessian", 2020.
    """
    if probes < 2:
        raise MinibertError(f"probes: {probes} was given. Allowed: at least 2, for a standard error.")
    touched = np.unique(np.concatenate(list(blocks.values())))
    samples: dict[str, list[float]] = {name: [] for name in blocks}
    for probe in range(probes):
        signs = np.zeros(len(parameters))
        signs[touched] = generator(seed, PROBES, probe).integers(0, 2, len(touched)) * 2.0 - 1
        (product,) = compute_hessian_products(gradients_at, parameters, [signs])
        for name, indices in blocks.items():
            samples[name].append(float(signs[indices] @ product[indices]))
    return {
        name: TraceEstimate(float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(probes)), np.array(found))
        for name, found in samples.items()
    }


@dataclass(frozen=True)
class BlockSharpness:
    """Curvature in the parameters of one group, the others held where they are."""

    top_eigenvalue: float
    """Nats per unit²; 0 for parameters that the loss does not depend on"""
    residual: float
    """‖H v - λ v‖"""
    trace: TraceEstimate
    size: int
    """Parameters"""


@dataclass(frozen=True)
class Sharpness:
    """Curvature of a loss at a network's parameters."""

    whole: BlockSharpness
    """Of all that was chosen"""
    groups: dict[str, BlockSharpness]
    """By group of the network: ``embeddings``, ``layer_0``, ..., ``mlm_head``; empty unless asked for, and where
    only one was chosen"""
    eigenpairs: Eigenpairs
    """Of all that was chosen, as many as asked for"""
    predictions: int
    """Number of predictions that the loss averages"""


def analyze_sharpness(
    model: MiniBERT,
    data_batch,
    param_name: str | None = None,
    *,
    eigenvalues: int = 1,
    probes: int = 16,
    by_group: bool = True,
    tolerance: float = 0.01,
    seed: int = 0,
    threads: int = 2,
) -> Sharpness:
    """Top eigenvalues and trace of the Hessian of the masked-token loss of a frozen batch, without dropout.

    Parameters
    ----------
    model : not changed: the parameters of copies in float64 are moved
    data_batch : a batch, or the pair (input_ids, labels)
    param_name : a parameter, a group or another start of names; None is the whole network
    eigenvalues : how many of the largest, for the whole choice; groups get one
    probes : random vectors of the trace
    by_group : also of the diagonal block of every group of the network in the choice

    Time goes into gradients: two for every probe, and 20 to 60 for an eigenvalue. Memory is some ten vectors as
    large as the parameters, in float64, and a network for every thread.

    Raises :class:`MinibertError` for an unknown ``param_name`` and for a batch without predictions.
    """
    names = choose_parameters(model.params, param_name)
    blocks = {"": indices_of(model.params, names)}
    groups: dict[str, tuple[str, ...]] = {}
    for group in model.params.groups:
        members = tuple(name for name in names if name.startswith(f"{group}."))
        groups |= {display_name(group): members} if members else {}
    if by_group and len(groups) > 1:
        blocks |= {group: indices_of(model.params, members) for group, members in groups.items()}
    with FrozenLoss(model, data_batch, threads) as loss:
        theta = loss.parameters
        traces = estimate_traces(loss.gradients, theta, blocks, probes, seed=seed)

        def examine(name: str, count: int = 1) -> tuple[BlockSharpness, Eigenpairs]:
            indices = blocks[name]
            pairs = compute_top_eigenvalues(
                loss.gradients, theta, count, indices=indices, seed=seed, tolerance=tolerance
            )
            value, residual = float(pairs.values[0]), float(pairs.residuals[0])
            return BlockSharpness(value, residual, traces[name], len(indices)), pairs

        whole, pairs = examine("", eigenvalues)
        by_name = {name: examine(name)[0] for name in blocks if name}
    return Sharpness(whole, by_name, pairs, loss.batch.predictions)
