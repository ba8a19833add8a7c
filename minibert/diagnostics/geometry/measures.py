"""Measures of the geometry of token vectors: their distances, directions, dimension and length.

Vectors are rows, (n, D); hidden states of a batch are (B, T, D). All sums are in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minibert.diagnostics.plotting.series import place_names
from minibert.errors import MinibertError
from minibert.randomness import generator

SAME_POINT = 1e-5
"""Points that are closer than this share of their root mean square norm are equal up to rounding."""
ROWS_AT_ONCE = 128
"""Rows of the matrix of distances that are computed at once: they fit into the processor's cache."""
SAME_NORM = 6
"""Decimals to which two norms can be told apart, as a share of their mean."""


@dataclass(frozen=True)
class RepresentationGeometry:
    """What :func:`compute_representation_geometry` finds; each field by the function ``compute_<field>``."""

    token_diversity: float
    anisotropy: float
    isotropy: float
    intrinsic_dimension: float
    """Of one vector for each different token, where token ids were given"""
    norm_frequency_correlation: float | None
    """None where no token ids or counts were given"""
    tokens: int
    """How many vectors it is computed from"""


def token_vectors(hidden_states: np.ndarray, chosen: np.ndarray | None = None, least: int = 1) -> np.ndarray:
    """The vectors (n, D) in float64 of hidden states (..., D), those where ``chosen`` (...) is True.

    Raises :class:`MinibertError` for another shape, fewer than ``least`` vectors, and values that are not finite.
    """
    hidden_states = np.asarray(hidden_states)
    if hidden_states.ndim < 2 or (chosen is not None and np.shape(chosen) != hidden_states.shape[:-1]):
        raise MinibertError(
            f"hidden states of shape {hidden_states.shape}"
            + ("" if chosen is None else f" with a mask of shape {np.shape(chosen)}")
            + ": not allowed. Allowed: (n, D) or (B, T, D), with a mask of the same shape without D."
        )
    if chosen is None:
        vectors = hidden_states.reshape(-1, hidden_states.shape[-1]).astype(np.float64)
    else:
        vectors = hidden_states[np.asarray(chosen, bool)].astype(np.float64)
    if len(vectors) < least:
        raise MinibertError(f"{len(vectors)} vectors were given. At least {least} are needed: give more tokens.")
    if not np.isfinite(vectors).all():
        raise MinibertError("hidden states: some are infinite or NaN. Give those of an earlier step.")
    return vectors


def real_tokens(attention_mask: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """(B, T) bool, True at tokens that are not padding, from a mask (B, T), (B, T, T) or None."""
    if attention_mask is None:
        return np.ones(shape, bool)
    attention_mask = np.asarray(attention_mask, bool)
    if attention_mask.shape == (*shape, shape[1]):
        return np.einsum("btt->bt", attention_mask)
    if attention_mask.shape != shape:
        raise MinibertError(
            f"attention_mask: shape {attention_mask.shape} was given. "
            f"Allowed: {shape} or {(*shape, shape[1])}, to go with the hidden states."
        )
    return attention_mask


def compute_token_diversity(
    hidden_states: np.ndarray, attention_mask: np.ndarray | None = None, tokens: np.ndarray | None = None
) -> float:
    """How different the tokens of a sequence are: 1 - mean over i ≠ j of cos(hᵢ, hⱼ), as a mean over sequences.

    0 when all tokens of a sequence point in one direction, 1 when they are orthogonal on average, up to
    T / (T - 1). It is one minus the cosine similarity of Shi et al., "Revisiting Over-smoothing in BERT from the
    Perspective of Graph", ICLR 2022. A vector of zeros has cosine 0 with all others.

    Parameters
    ----------
    hidden_states : (B, T, D)
    attention_mask : (B, T), True at real tokens, or (B, T, T), True where i may attend to j: only such pairs count
    tokens : (B, T), True at those of them that are used; None is all

    Raises :class:`MinibertError` for another shape and where no sequence has two tokens.
    """
    shape = np.shape(hidden_states)
    if len(shape) != 3:
        raise MinibertError(f"hidden states of shape {shape} were given. Allowed: (B, T, D).")
    unit = _unit(token_vectors(hidden_states)).reshape(shape)
    real = real_tokens(attention_mask, shape[:2])
    looked_at = real if tokens is None else real & np.asarray(tokens, bool)
    pairs = looked_at[:, :, None] & looked_at[:, None, :] & ~np.eye(shape[1], dtype=bool)
    if attention_mask is not None and np.ndim(attention_mask) == 3:
        pairs &= np.asarray(attention_mask, bool)
    cosines = unit @ unit.transpose(0, 2, 1)
    counts = pairs.sum(axis=(1, 2))
    if not counts.any():
        raise MinibertError("No sequence has two tokens to compare. Give longer sequences.")
    sums = (cosines * pairs).sum(axis=(1, 2))
    return float(1 - (sums[counts > 0] / counts[counts > 0]).mean())


def compute_anisotropy(vectors: np.ndarray) -> float:
    """The mean cosine of two different tokens: (‖Σᵢ uᵢ‖² - Σᵢ ‖uᵢ‖²) / (n (n - 1)) with uᵢ = xᵢ / ‖xᵢ‖.

    0 when directions are spread evenly, 1 when all are the same. Exact over all n (n - 1) ordered pairs, where
    Ethayarajh, "How Contextual are Contextualized Word Representations?", EMNLP 2019, draws pairs at random.

    >>> compute_anisotropy(np.eye(3))
    0.0
    """
    unit = _unit(token_vectors(vectors, least=2))
    count = len(unit)
    total = unit.sum(axis=0)
    return float((total @ total - np.einsum("nd,nd->", unit, unit)) / (count * (count - 1)))


def compute_isotropy(vectors: np.ndarray, normalise: bool = True) -> float:
    """min Z(c) / max Z(c) with Z(c) = Σᵢ exp(c · xᵢ), over the unit eigenvectors c of XᵀX and their negatives.

    1 when Z is the same in all directions. Mu and Viswanath, "All-but-the-Top", ICLR 2018. An eigenvector has no
    sign, so both are taken. The measure follows the scale of the vectors: short ones have isotropy near 1
    whatever their directions. So they are divided by their root mean square norm first, and layers and steps can
    be compared; vectors that are all the same then have e⁻² = 0.135. With ``normalise=False`` it is the paper's
    number. Vectors of zeros have isotropy 1.
    """
    vectors = token_vectors(vectors)
    scale = np.sqrt(np.einsum("nd,nd->", vectors, vectors) / len(vectors))
    if scale == 0:
        return 1.0
    if normalise:
        vectors /= scale
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    projections = vectors @ directions
    logs = [_log_mean_exp(projections), _log_mean_exp(-projections)]
    return float(np.exp(np.min(logs) - np.max(logs)))


def compute_intrinsic_dimension(
    vectors: np.ndarray, discard: float = 0.1, most: int = 1000, seed: int = 0
) -> float:
    """The dimension d of the manifold that the points lie on, by TwoNN: the slope of -log(1 - F(μ)) over log μ.

    μᵢ = r₂ / r₁ is the ratio of the distances from point i to its second and to its nearest neighbour. Where the
    density is even on that scale, μ has the distribution F(μ) = 1 - μ⁻ᵈ. The line through the origin is fitted
    with the empirical F = rank / n, without the largest ``discard`` of the ratios, which are noisy (the paper's
    10 %): d = Σ xy / Σ x². Facco et al., "Estimating the intrinsic dimension of datasets by a minimal
    neighborhood information", Scientific Reports 7, 2017.

    Points that coincide, to within 1e-5 of their root mean square norm, count once: the distance 0 has no ratio.
    At most ``most`` points are taken, drawn with ``seed``. With so few, high dimensions come out too low: 1000
    points of a Gaussian in 10, 20, 50 and 192 dimensions give 9, 16, 31 and 68.

    Points that all coincide have dimension 0. NaN where the dimension is undefined: of two different points,
    and if the two nearest neighbours are equally far from every point, to within 1e-5 of the root mean square
    norm, as in a regular grid, on a line of equal steps or between orthogonal vectors of one length. The method
    assumes an even density on that scale; without it, d has no bound.

    Raises :class:`MinibertError` for fewer than three vectors and a ``discard`` that is not in [0, 1).
    """
    if not 0 <= discard < 1:
        raise MinibertError(f"discard={discard}: not allowed. Allowed: a share from 0 to below 1.")
    vectors = token_vectors(vectors, least=3)
    if len(vectors) > most:
        vectors = vectors[np.sort(generator(seed).choice(len(vectors), most, replace=False))]
    same = SAME_POINT**2 * float(np.vdot(vectors, vectors)) / len(vectors)
    vectors -= vectors.mean(axis=0)
    nearest, second, repeated = _two_nearest(vectors, same)
    if repeated.any():
        vectors = vectors[~repeated]
        nearest, second, _ = _two_nearest(vectors, same)
    count = len(vectors)
    if count < 3:
        return 0.0 if count < 2 else float("nan")
    x = 0.5 * np.log(second / nearest)
    order = np.argsort(x)
    kept = min(max(int(count * (1 - discard)), 1), count - 1)  # the last has F = 1, of which there is no logarithm
    first = order[:kept]
    if (np.sqrt(second[first]) - np.sqrt(nearest[first]) <= np.sqrt(same)).all():
        return float("nan")
    x, y = x[first], -np.log1p(-np.arange(1, kept + 1) / count)
    return float(x @ y / (x @ x))


def compute_norms_by_token(
    vectors: np.ndarray, token_ids: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each different token with its mean norm and its frequency.

    vectors (n, D), token_ids (n,), counts (V,) of the training text -> ids (m,), mean ‖x‖ (m,), counts (m,), for
    the tokens that occur in the training text; special tokens have no count.
    """
    vectors, token_ids, counts = token_vectors(vectors), np.asarray(token_ids), np.asarray(counts)
    if token_ids.shape != (len(vectors),) or (token_ids.size and token_ids.max() >= len(counts)):
        raise MinibertError(
            f"token_ids of shape {token_ids.shape} for {len(vectors)} vectors and {len(counts)} counts: not "
            "allowed. Allowed: one id for each vector, below the number of counts."
        )
    counted = counts[token_ids] > 0
    ids, places, occurrences = np.unique(token_ids[counted], return_inverse=True, return_counts=True)
    norms = np.bincount(places, np.linalg.norm(vectors[counted], axis=1), len(ids)) / np.maximum(occurrences, 1)
    return ids, norms, counts[ids]


def compute_norm_frequency_correlation(vectors: np.ndarray, token_ids: np.ndarray, counts: np.ndarray) -> float:
    """Spearman's rank correlation of a token's mean norm with its frequency, each different token once.

    Positive where frequent tokens are long, negative where rare ones are, as in the embeddings of BERT: Li et al.,
    "On the Sentence Embeddings from Pre-trained Language Models", EMNLP 2020. Norms that agree to six digits are
    tied; 0 where all norms or all frequencies are the same.

    Arguments as of :func:`compute_norms_by_token`. Raises :class:`MinibertError` for fewer than three different
    tokens.
    """
    ids, norms, frequencies = compute_norms_by_token(vectors, token_ids, counts)
    if len(ids) < 3:
        raise MinibertError(f"{len(ids)} different tokens have a count. At least 3 are needed: give more tokens.")
    return correlate_norms(norms, frequencies)


def correlate_norms(norms: np.ndarray, frequencies: np.ndarray) -> float:
    """Spearman's ρ of norms (m,) with frequencies (m,), as :func:`compute_norm_frequency_correlation` takes it."""
    ranks = _ranks(np.round(norms / (norms.mean() or 1), SAME_NORM)), _ranks(frequencies)
    first, second = (rank - rank.mean() for rank in ranks)
    size = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / size) if size else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values at the mean of theirs, as ``scipy.stats.rankdata`` gives them."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def compute_representation_geometry(
    hidden_states: np.ndarray,
    attention_mask: np.ndarray | None = None,
    token_ids: np.ndarray | None = None,
    counts: np.ndarray | None = None,
    tokens: np.ndarray | None = None,
) -> RepresentationGeometry:
    """All measures of this file on the hidden states (B, T, D) of one place in the network.

    With ``token_ids``, the intrinsic dimension is that of one vector for each different token, its first. The
    vectors of a repeated word are each other's nearest neighbours. The ratios of distances then measure such
    clusters, not the manifold: after 300 steps, layer 0 of a tiny network has 6 dimensions with all vectors and 25
    with one vector a token.

    Parameters
    ----------
    hidden_states : (B, T, D)
    attention_mask : (B, T) or (B, T, T), True at real tokens (:func:`compute_token_diversity`); None is all
    token_ids : (B, T), for the intrinsic dimension
    counts : (V,), with ``token_ids`` for the correlation of norm and frequency, which is left out without both
    tokens : (B, T), True at those of the real tokens that are used; None is all

    Raises :class:`MinibertError` for shapes that do not fit and for fewer than three different tokens.
    """
    for name, given in (("token_ids", token_ids), ("tokens", tokens)):
        if given is not None and np.shape(given) != np.shape(hidden_states)[:2]:
            raise MinibertError(
                f"{name}: shape {np.shape(given)} was given. "
                f"Allowed: {np.shape(hidden_states)[:2]}, to go with the hidden states."
            )
    diversity = compute_token_diversity(hidden_states, attention_mask, tokens)
    chosen = real_tokens(attention_mask, np.shape(hidden_states)[:2])
    if tokens is not None:
        chosen = chosen & np.asarray(tokens, bool)
    vectors = token_vectors(hidden_states, chosen, least=3)
    correlation, distinct = None, vectors
    if token_ids is not None:
        ids = np.asarray(token_ids)[chosen]
        distinct = vectors[np.sort(np.unique(ids, return_index=True)[1])]
        if counts is not None:
            correlation = compute_norm_frequency_correlation(vectors, ids, counts)
    return RepresentationGeometry(
        diversity,
        compute_anisotropy(vectors),
        compute_isotropy(vectors),
        compute_intrinsic_dimension(distinct),
        correlation,
        len(vectors),
    )


def analyze_representation_geometry(
    hidden_states: Sequence[np.ndarray],
    attention_mask: np.ndarray | None = None,
    token_ids: np.ndarray | None = None,
    counts: np.ndarray | None = None,
    tokens: np.ndarray | None = None,
) -> dict[str, RepresentationGeometry]:
    """:func:`compute_representation_geometry` at every place of a network, from the embeddings to the last layer.

    >>> _, cache = model.forward(input_ids)  # doctest: +SKIP
    >>> analyze_representation_geometry(cache.hidden_states)["layer_0"].anisotropy  # doctest: +SKIP

    ``hidden_states`` are L + 1 arrays (B, T, D) of a pass over all positions; the other arguments go for all.
    """
    return {
        place: compute_representation_geometry(states, attention_mask, token_ids, counts, tokens)
        for place, states in zip(place_names(len(hidden_states)), hidden_states, strict=True)
    }


def _two_nearest(vectors: np.ndarray, same: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distances to the two nearest other points, and whether a point repeats an earlier one.

    Two points repeat each other if their squared distance is at most ``same``.
    """
    count = len(vectors)
    squares = np.einsum("nd,nd->n", vectors, vectors)
    nearest, second, repeated = np.empty(count), np.empty(count), np.zeros(count, bool)
    for start in range(0, count, ROWS_AT_ONCE):
        block = slice(start, start + ROWS_AT_ONCE)
        distances = vectors[block] @ vectors.T
        distances *= -2
        distances += squares
        distances += squares[block, None]
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf
        closest = distances.argmin(axis=1)
        nearest[block] = distances[rows, closest]
        suspects = rows[nearest[block] <= same]
        for row in suspects:
            repeated[start + row] = (distances[row, : start + row] <= same).any()
        distances[rows, closest] = np.inf
        second[block] = distances.min(axis=1)
    return nearest, second, repeated


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    """log of the mean of exp(values) over the first axis, without overflow."""
    largest = values.max(axis=0)
    return largest + np.log(np.exp(values - largest).mean(axis=0))
