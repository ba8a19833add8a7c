"""Similarity of two representations of the same tokens, independent of their axes."""

from collections.abc import Sequence

import numpy as np

from minibert.diagnostics.geometry.measures import token_vectors
from minibert.errors import MinibertError

CONSTANT = 1e-12
"""If the variance is a smaller share of the mean square than this, all tokens are equal up to rounding."""


def compute_linear_cka(first: np.ndarray, second: np.ndarray, debiased: bool = True) -> float:
    """Linear centred kernel alignment of two representations of the same n tokens, of any sizes.

    CKA = HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) with K = XXᵀ, L = YYᵀ.    X (n, D), Y (n, E)

    1 for representations that are equal up to rotation, shift and scale. Kornblith et al., "Similarity of Neural
    Network Representations Revisited", ICML 2019. The plain estimator of HSIC finds similarity in noise: with D
    and E near n, independent Gaussians come out near 1. ``debiased`` takes the unbiased one,

    HSIC₁ = (tr K̃L̃ + (1ᵀK̃1)(1ᵀL̃1) / ((n - 1)(n - 2)) - 2 (1ᵀK̃L̃1) / (n - 2)) / (n (n - 3)),

    K̃ being K with a diagonal of zeros: Song et al., "Feature Selection via Dependence Maximization", JMLR 2012;
    in CKA, Nguyen et al., "Do Wide and Deep Networks Learn the Same Things?", ICLR 2021. It may then be a little
    below 0, where the plain one is never.

    A constant representation is like nothing: 0. Raises :class:`MinibertError` for different numbers of tokens,
    and for fewer than four.
    """
    return float(compute_layer_similarity([first], [second], debiased=debiased)[0, 0])


def compute_layer_similarity(
    hidden_states: Sequence[np.ndarray],
    others: Sequence[np.ndarray] | None = None,
    chosen: np.ndarray | None = None,
    debiased: bool = True,
) -> np.ndarray:
    """:func:`compute_linear_cka` of every place of a network with every other, a symmetric (L + 1, L + 1) matrix.

    ``hidden_states`` are L + 1 arrays (B, T, D) or (n, D) over the same tokens. With ``others``, the M hidden
    states of another network, or of another step, on the same tokens, the matrix is (L + 1, M). ``chosen`` (B, T)
    or (n,) is True at the tokens that are used.

    No matrix over pairs of tokens is made. With centred columns, K1 = 0, so 1ᵀK̃1 = -Σᵢ Kᵢᵢ and 1ᵀK̃L̃1 = Σᵢ Kᵢᵢ Lᵢᵢ,
    and tr K̃L̃ = ‖XᵀY‖² - Σᵢ Kᵢᵢ Lᵢᵢ. HSIC₁ does not change when columns are shifted.
    """
    rows = [_Centred(states, chosen) for states in hidden_states]
    columns = rows if others is None else [_Centred(states, chosen) for states in others]
    counts = {len(each.vectors) for each in (*rows, *columns)}
    if len(counts) > 1:
        raise MinibertError(
            f"representations of {sorted(counts)} tokens: not allowed. Allowed: of the same tokens."
        )
    lengths = [[np.sqrt(_alignment(each, each, debiased)) for each in rows]]
    lengths.append(
        lengths[0] if others is None else [np.sqrt(_alignment(each, each, debiased)) for each in columns]
    )
    matrix = np.zeros((len(rows), len(columns)))
    for row, first in enumerate(rows):
        for column, second in enumerate(columns):
            size = lengths[0][row] * lengths[1][column]
            if others is None and row >= column:
                matrix[row, column] = float(size > 0) if row == column else matrix[column, row]
            elif size > 0:
                matrix[row, column] = _alignment(first, second, debiased) / size
    return matrix


class _Centred:
    """Vectors (n, D) with columns of mean zero, scaled to unit mean square norm; zeros where they are constant."""

    def __init__(self, hidden_states: np.ndarray, chosen: np.ndarray | None):
        vectors = token_vectors(hidden_states, chosen, least=4)
        total = np.vdot(vectors, vectors)
        vectors -= vectors.mean(axis=0)
        variance = np.vdot(vectors, vectors)
        vectors *= np.sqrt(len(vectors) / variance) if variance > CONSTANT * total else 0
        self.vectors = vectors
        self.squares = np.einsum("nd,nd->n", vectors, vectors)
        """(n,): the diagonal of K"""


def _alignment(first: _Centred, second: _Centred, debiased: bool) -> float:
    """n (n - 3) HSIC₁, or ‖XᵀY‖² = (n - 1)² HSIC₀: the factor cancels in CKA."""
    products = first.vectors.T @ second.vectors
    whole = float(np.vdot(products, products))
    if not debiased:
        return whole
    count = len(first.vectors)
    both = float(first.squares @ second.squares)
    traces = float(first.squares.sum() * second.squares.sum())
    # HSIC₁ of a representation with itself is never negative, but for rounding.
    aligned = whole - both + traces / ((count - 1) * (count - 2)) - 2 * both / (count - 2)
    return max(aligned, 0.0) if first is second else aligned
