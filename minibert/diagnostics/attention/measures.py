"""Measures of attention weights: how widely each head attends, how far, to what, and how heads differ.

Every quantity is computed row by row, and averaged over the rows that count, in float64. A row is one position
that attends: its weights over all positions sum to one. Padding neither attends nor is attended to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minibert.data.packing import spread_evenly
from minibert.data.tokenizer import encode_texts
from minibert.errors import MinibertError

PATTERNS = ("self", "previous", "next")
"""Pattern -> the attended position relative to the row's own: itself, the one before, the one after"""
CLOSE = 0.05
"""Nats: heads whose mean Jensen-Shannon divergence is below this are one group of :func:`cluster_heads`"""


@dataclass(frozen=True)
class AttentionRows:
    """The rows that count, of one or several passes: made by :func:`attention_rows`."""

    weights: np.ndarray
    """(H, N, T): of every head, the weights of N rows over the T positions of their sequence"""
    places: np.ndarray
    """(N,) ints: the position of each row in its sequence"""
    visible: np.ndarray
    """(N, T) bool: where each row may attend"""
    input_ids: np.ndarray | None = None
    """(N, T): the tokens of each row's sequence"""

    @property
    def uniform(self) -> "AttentionRows":
        """One head with uniform attention on the same rows, to compare with."""
        weights = self.visible / self.visible.sum(axis=1, keepdims=True, dtype=np.float32)
        return AttentionRows(weights[None], self.places, self.visible, self.input_ids)

    def spread(self, most: int) -> "AttentionRows":
        """At most this many of the rows, evenly spaced."""
        kept = spread_evenly(len(self.places), most)
        ids = None if self.input_ids is None else self.input_ids[kept]
        return AttentionRows(self.weights[:, kept], self.places[kept], self.visible[kept], ids)


def attention_rows(
    attention_weights, attention_mask=None, rows=None, chosen=None, input_ids=None
) -> AttentionRows:
    """The rows of one pass that count: those of real tokens; where ``chosen`` is given, those chosen of them.

    Parameters
    ----------
    attention_weights : (B, H, R, T), before dropout, where R positions of each sequence ask; or (H, T, T) of one
        sequence. An :class:`AttentionRows` is returned as it is
    attention_mask : (B, T) bool, True at real tokens, or (B, T, T) bool, True where i may attend to j (a token
        is real then where any may attend to it); None where every row may attend to every position
    rows : (B, R) ints, which positions ask; None when all do
    chosen : (B, R) bool, which of these to count
    input_ids : (B, T), for measures that depend on tokens

    Raises :class:`MinibertError` for shapes that do not fit, and for rows that do not sum to one.
    """
    if isinstance(attention_weights, AttentionRows):
        return attention_weights
    weights = np.asarray(attention_weights)
    weights = weights[None] if weights.ndim == 3 else weights
    weights = weights if weights.dtype in (np.float32, np.float64) else weights.astype(np.float32)
    if weights.ndim != 4:
        raise MinibertError(
            f"attention_weights: shape {weights.shape} was given. Allowed: (batch, heads, rows, tokens), such as "
            "cache.layers[0].attention.weights, or (heads, tokens, tokens) of one sequence."
        )
    batch, _, asking, tokens = weights.shape
    if rows is None and asking != tokens:
        raise MinibertError(
            f"attention_weights: {asking} rows over {tokens} tokens were given. Say which positions these are: "
            "rows=cache.layers[-1].attention.rows, and chosen=cache.chosen for which of them are read."
        )
    mask = np.ones((batch, tokens), bool) if attention_mask is None else np.asarray(attention_mask, bool)
    _check_shape("attention_mask", mask, (batch, tokens), (batch, tokens, tokens))
    if rows is None:
        places = np.broadcast_to(np.arange(tokens), (batch, tokens))
    else:
        places = np.asarray(rows)
        _check_shape("rows", places, (batch, asking))
    real = mask if mask.ndim == 2 else mask.any(axis=1)
    counted = np.take_along_axis(real, places, axis=1)
    if chosen is not None:
        chosen = np.asarray(chosen, bool)
        _check_shape("chosen", chosen, (batch, asking))
        counted = counted & chosen
    sequence, row = np.nonzero(counted)
    place = places[sequence, row]
    visible = mask[sequence] if mask.ndim == 2 else mask[sequence, place]
    # A row that may attend to no position has no weights of its own: the network lets it attend to every position.
    sees = visible.any(axis=1)
    if not sees.all():
        sequence, row, place, visible = sequence[sees], row[sees], place[sees], visible[sees]
    if input_ids is not None:
        input_ids = np.asarray(input_ids)
        _check_shape("input_ids", input_ids, (batch, tokens))
        input_ids = input_ids[sequence]
    by_head = weights.transpose(1, 0, 2, 3)
    everything = len(place) == batch * asking
    taken = by_head.reshape(len(by_head), -1, tokens) if everything else by_head[:, sequence, row]
    sums = taken @ np.ones(tokens, taken.dtype)
    if not np.all(np.abs(sums - 1) < 0.02):
        raise MinibertError(
            f"attention_weights: rows sum to between {sums.min():.3g} and {sums.max():.3g}. "
            "Allowed: weights after the softmax and before dropout, whose rows sum to 1."
        )
    return AttentionRows(taken, place, visible, input_ids)


def join_rows(parts: list[AttentionRows]) -> AttentionRows:
    """The rows of several passes over sequences of one length as one, such as those of a step's lanes."""
    if len(parts) == 1:
        return parts[0]
    ids = [part.input_ids for part in parts if part.input_ids is not None]
    return AttentionRows(
        np.concatenate([part.weights for part in parts], axis=1),
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.visible for part in parts]),
        np.concatenate(ids) if len(ids) == len(parts) else None,
    )


def compute_attention_entropy(attention_weights, attention_mask=None, rows=None, chosen=None, share: bool = False):
    """Mean over rows i of Hᵢ = -Σⱼ wᵢⱼ log wᵢⱼ, for each head: how widely it attends.    -> (H,), nats

    From 0, all weight on one token, to log nᵢ, the same weight on all nᵢ that row i may attend to. With ``share``,
    the mean of Hᵢ / log nᵢ, from 0 to 1, over the rows that have a choice (nᵢ > 1). No row at all gives NaN.

    Arguments and errors as in :func:`attention_rows`. Clark et al., "What Does BERT Look At?", BlackboxNLP 2019;
    Zhai et al., "Stabilizing Transformer Training by Preventing Attention Entropy Collapse", ICML 2023, who follow
    it in training.

    >>> uniform = np.full((1, 1, 4, 4), 0.25)
    >>> compute_attention_entropy(uniform, share=True)
    array([1.])
    """
    taken = attention_rows(attention_weights, attention_mask, rows, chosen)
    entropies = _entropies(taken.weights)
    if not share:
        return _mean(entropies)
    most = np.log(taken.visible.sum(axis=1))
    return _mean(entropies[:, most > 0] / most[most > 0])


def compute_attention_distance(attention_weights, attention_mask=None, rows=None, chosen=None):
    """Mean over rows i of Σⱼ wᵢⱼ |i - j|, for each head: how far it attends.    -> (H,), tokens

    In a row that is packed with several pieces, whose positions start anew with each, a token attends to its own
    piece only, and there |i - j| is the difference of the positions.

    Arguments and errors as in :func:`attention_rows`. "Attention distance" of Vig and Belinkov, "Analyzing the
    Structure of Attention in a Transformer Language Model", BlackboxNLP 2019.

    >>> previous = np.eye(4, k=-1)[None, None]
    >>> compute_attention_distance(previous + np.diag([1.0, 0, 0, 0]))
    array([0.75])
    """
    taken = attention_rows(attention_weights, attention_mask, rows, chosen)
    columns = np.arange(taken.weights.shape[2])
    distances = np.abs(columns - taken.places[:, None]).astype(taken.weights.dtype)
    return _mean(np.einsum("hnt,nt->hn", taken.weights, distances))


def compute_attention_shares(
    attention_weights,
    attention_mask=None,
    rows=None,
    chosen=None,
    input_ids=None,
    tokens: Mapping[str, int] | None = None,
) -> dict[str, np.ndarray]:
    """Mean over rows of the weight on certain tokens, for each head.    -> {pattern: (H,)}, from 0 to 1

    ``self`` is wᵢᵢ, ``previous`` wᵢ,ᵢ₋₁ and ``next`` wᵢ,ᵢ₊₁, each a mean over the rows that may attend to it. For
    every name and token id in ``tokens``, such as ``{"cls": 2, "sep": 3}``, the weight on all positions with this
    token, over the rows that may attend to one; ``input_ids`` is needed for that. NaN where there is no such row.

    Other arguments and errors as in :func:`attention_rows`. Clark et al., 2019; Kovaleva et al., "Revealing the
    Dark Secrets of BERT", EMNLP 2019.
    """
    taken = attention_rows(attention_weights, attention_mask, rows, chosen, input_ids)
    number, last = np.arange(len(taken.places)), taken.weights.shape[2] - 1
    shares = {}
    for name, step in zip(PATTERNS, (0, -1, 1), strict=True):
        column = taken.places + step
        there = (column >= 0) & (column <= last) & taken.visible[number, np.clip(column, 0, last)]
        shares[name] = _mean(taken.weights[:, number[there], column[there]])
    if tokens and taken.input_ids is None:
        raise MinibertError(
            "input_ids: none were given. They are needed for the share of attention on a token: give (B, T) ids."
        )
    for name, token in (tokens or {}).items():
        at = (taken.input_ids == token) & taken.visible
        there = at.any(axis=1)
        weight = np.einsum("hnt,nt->hn", taken.weights, at.astype(taken.weights.dtype))
        shares[name] = _mean(weight[:, there])
    return shares


def compute_head_distances(attention_weights, attention_mask=None, rows=None, chosen=None) -> np.ndarray:
    """Jensen-Shannon divergence between every two heads, as a mean over rows.    -> (H, H), nats

    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2 with H the entropy: from 0, the same weights, to log 2 = 0.693,
    no token that both attend to. It is the divergence itself; its square root is a metric (Endres and Schindelin,
    2003).

    To compare heads of several layers, stack their weights along the axis of heads. Time is H² N T for N rows:
    ``attention_rows(...).spread(256)`` bounds it. Arguments and errors as in :func:`attention_rows`. Lin,
    "Divergence measures based on the Shannon entropy", 1991; between heads: Clark et al., 2019.
    """
    weights = attention_rows(attention_weights, attention_mask, rows, chosen).weights
    entropy = _mean(_entropies(weights))
    distances = np.zeros((len(weights), len(weights)))
    for head in range(len(weights) - 1):
        others = slice(head + 1, None)
        mixed = weights[others] + weights[head]
        mixed *= mixed.dtype.type(0.5)
        # Rounding may give a tiny negative number.
        distances[head, others] = np.maximum(_mean(_entropies(mixed)) - (entropy[others] + entropy[head]) / 2, 0)
    return distances + distances.T


@dataclass(frozen=True)
class HeadClusters:
    """What :func:`cluster_heads` finds."""

    linkage: np.ndarray
    """(H - 1, 4): SciPy's linkage matrix; heights are square roots of divergences"""
    order: np.ndarray
    """(H,) ints: the heads as the leaves of the tree, neighbours alike"""
    labels: np.ndarray
    """(H,) ints: the group of each head, numbered from 0 by their first heads"""

    @property
    def count(self) -> int:
        return int(self.labels.max()) + 1


def cluster_heads(distances, within: float = CLOSE) -> HeadClusters:
    """Group heads by average linkage on the square roots of their Jensen-Shannon divergences (H, H), in nats.

    Two groups are joined if the mean root between their heads is at most √``within``. The same matrix gives the
    same groups. Raises :class:`MinibertError` for anything but a symmetric matrix of divergences.
    """
    distances = np.asarray(distances, np.float64)
    square = distances.ndim == 2 and distances.shape[0] == distances.shape[1] > 0
    if not square or not np.allclose(distances, distances.T) or not np.all(distances >= 0):
        raise MinibertError(
            f"distances: an array of shape {distances.shape} was given. Allowed: a symmetric matrix "
            "(heads, heads) of numbers from 0, as compute_head_distances gives it."
        )
    if len(distances) == 1:
        return HeadClusters(np.empty((0, 4)), np.zeros(1, int), np.zeros(1, int))
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage

    upper = np.sqrt(distances[np.triu_indices(len(distances), 1)])
    tree = linkage(upper, "average", optimal_ordering=True)
    groups = fcluster(tree, np.sqrt(within), "distance")
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return HeadClusters(tree, leaves_list(tree), first.argsort().argsort()[inverse])


def attention_of_text(model, text: str, tokenizer=None) -> tuple[np.ndarray, list[str]]:
    """The attention of every head on a text: weights (L, H, T, T) and the T tokens, with [CLS] and [SEP].

    ``model`` is a MiniBERT, with its ``tokenizer``, or a run of :func:`minibert.load_run`, which has both. [MASK]
    in the text is a mask. Raises :class:`MinibertError` without a tokenizer, and for a text that is longer than
    the network's ``max_length``.
    """
    model, tokenizer = network_and_tokenizer(model, tokenizer)
    (encoding,) = encode_texts(tokenizer, [text])
    if len(encoding.ids) > model.config.max_length:
        raise MinibertError(
            f"text: has {len(encoding.ids)} tokens with [CLS] and [SEP]. "
            f"Allowed: at most model.max_length={model.config.max_length}. Give a shorter text."
        )
    _, cache = model.forward(np.array([encoding.ids]))
    return np.stack([layer.attention.weights[0] for layer in cache.layers]), encoding.tokens


def network_and_tokenizer(model, tokenizer=None):
    """The MiniBERT and the tokenizer of a loaded run, or of a network and its tokenizer.

    Raises :class:`MinibertError` if there is no tokenizer.
    """
    tokenizer = getattr(model, "tokenizer", None) if tokenizer is None else tokenizer
    if tokenizer is None:
        raise MinibertError(
            f"tokenizer: none was given, and a {type(model).__name__} has none. "
            "Allowed: a run of load_run, which has both, or tokenizer=... beside a MiniBERT."
        )
    return getattr(model, "model", model), tokenizer


def _entropies(weights: np.ndarray) -> np.ndarray:
    """-Σ w log w over the last axis, 0 log 0 being 0"""
    logarithms = np.log(np.maximum(weights, np.finfo(weights.dtype).tiny))
    return -np.einsum("...t,...t->...", weights, logarithms)


def _mean(by_row: np.ndarray) -> np.ndarray:
    """(H, N) -> (H,), NaN where N is 0"""
    if not by_row.shape[1]:
        return np.full(len(by_row), np.nan)
    return by_row.mean(axis=1, dtype=np.float64)


def _check_shape(name: str, array: np.ndarray, *allowed: tuple[int, ...]) -> None:
    if array.shape not in allowed:
        shapes = " or ".join(map(str, allowed))
        raise MinibertError(
            f"{name}: shape {array.shape} was given. Allowed: {shapes}, to go with attention_weights."
        )
