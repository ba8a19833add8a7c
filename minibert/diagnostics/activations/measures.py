"""Measures of activations: the size of every activation, and which feed-forward units are active.

:class:`minibert.diagnostics.activations.analyzer.MathematicalAnalyzer` shows the formulas step by step.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from minibert.errors import MinibertError
from minibert.model.bert import ForwardCache

BLOCK = 65536
"""Numbers in a block: it stays in the processor's cache between two passes over it."""


@dataclass(frozen=True)
class ActivationStatistics:
    """Size and spread of the numbers in an array."""

    shape: tuple[int, ...]
    mean: float
    deviation: float
    """√(mean (x - mean)²)"""
    minimum: float
    maximum: float

    @property
    def variance(self) -> float:
        return self.deviation**2

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.shape)) or "one number"
        return (
            f"{shape}: mean {self.mean:.4g}, deviation {self.deviation:.4g}, "
            f"from {self.minimum:.4g} to {self.maximum:.4g}"
        )


@dataclass(frozen=True)
class UnitActivity:
    """How often and how selectively each unit of a feed-forward layer is active."""

    positions: int
    """N, over which it was counted"""
    share: np.ndarray
    """(F,) share of the positions at which the unit is active"""
    selectivity: np.ndarray
    """(F,) from 0, the same response everywhere, to 1, a response at one position only; NaN where there is none"""

    @property
    def active_share(self) -> float:
        """Mean share: of all pairs of a unit and a position, those that are active."""
        return float(self.share.mean())

    @property
    def dead_units(self) -> np.ndarray:
        """Indices of the units that are active nowhere."""
        return np.flatnonzero(self.share == 0)

    @property
    def mean_selectivity(self) -> float:
        """Over the units that are active anywhere; NaN where none is."""
        alive = self.selectivity[np.isfinite(self.selectivity)]
        return float(alive.mean()) if len(alive) else float("nan")


@dataclass(frozen=True)
class TopTokens:
    """For each unit, the tokens that it responds to most."""

    tokens: np.ndarray
    """(F, k) ids, without repeats, the strongest first"""
    responses: np.ndarray
    """(F, k) the largest response to each"""


def compute_activation_statistics(parts: np.ndarray | Sequence[np.ndarray]) -> ActivationStatistics:
    """Mean, deviation and range of an array, or of several that differ in their first axis only, as of one.

    Block by block, each about its own mean, put together in float64: Chan, Golub and LeVeque, "Algorithms for
    computing the sample variance", 1983. Raises :class:`MinibertError` where there is no number at all.
    """
    parts = [parts] if isinstance(parts, np.ndarray) else list(parts)
    if not sum(part.size for part in parts):
        raise MinibertError("array: it is empty. Allowed: at least one number.")
    counts, means, squares, smallest, largest = [], [], [], [], []
    for block in (block for part in parts for block in _blocks(part)):
        mean = block.mean()
        centred = block - mean
        rest = float(centred.mean())  # what the rounding of the mean left over
        counts.append(block.size)
        means.append(float(mean) + rest)
        squares.append(float(centred @ centred) - block.size * rest * rest)
        smallest.append(block.min())
        largest.append(block.max())
    counts, means = np.array(counts, np.float64), np.array(means)
    mean = float(counts @ means / counts.sum())
    variance = float((sum(squares) + counts @ (means - mean) ** 2) / counts.sum())
    shape = parts[0].shape if len(parts) == 1 else (sum(len(part) for part in parts), *parts[0].shape[1:])
    return ActivationStatistics(shape, mean, max(variance, 0) ** 0.5, float(min(smallest)), float(max(largest)))


def _blocks(array: np.ndarray) -> Iterable[np.ndarray]:
    """Flat pieces of an array, in the order of its memory; what has gaps is copied a little at a time."""
    array = array.transpose(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        for start in range(0, flat.size, BLOCK):
            yield flat[start : start + BLOCK]
    elif array.size:
        step = max(BLOCK * len(array) // array.size, 1)
        for start in range(0, len(array), step):
            yield array[start : start + step].reshape(-1)


def real_positions(attention_mask: np.ndarray | None) -> np.ndarray | None:
    """(B, T) bool, where tokens stand that are not padding; None when all are.

    ``attention_mask`` is (B, T), or (B, T, T), where a real token is one that any may attend to, or None.
    """
    if attention_mask is None:
        return None
    given = np.asarray(attention_mask, bool)
    real = np.any(given, axis=1) if given.ndim == 3 else given
    return None if np.all(real) else real


def collect_activations(
    cache: ForwardCache, attention_mask: np.ndarray | None = None, places: Iterable[str] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of a forward pass by place: those of ``places``, or all of them.

    Left out are the rows of padding, and those rows of the last layer that only fill up a sequence with fewer
    predictions than another.

    ``embeddings`` and ``layer_0``, ``layer_1``, ...: the hidden states after them, the last as the head reads it.
    Of each layer i, with the shapes of its cache where no row is left out:

    * ``layer_i/attention/input`` (N, D), ``query``, ``key``, ``value`` (B, H, T, K), ``weights`` (B, H, R, T)
      before dropout, ``context`` (N, D); gated, ``gate`` (N, H) and ``gated_context`` (N, D)
    * ``layer_i/feed_forward/input`` (N, D), ``active`` (N, F), which W_out reads; gated, ``gate`` and ``value``

    ``head/transformed`` (P, D) is what is compared with the token embeddings. Where no row is left out, an array
    is the cache's own, not a copy.
    """
    found = {}
    batch = len(cache.hidden_states[0])
    real = real_positions(attention_mask)

    def take(place: str, array: np.ndarray | None, kept: np.ndarray | None) -> None:
        if array is not None and (places is None or place in places):
            found[place] = array if kept is None else _rows(array, kept, batch)

    take("embeddings", cache.hidden_states[0], real)
    for index in range(len(cache.layers)):
        layer = cache.layer(index)
        attention, inner, name = layer.attention, layer.feed_forward, f"layer_{index}"
        asked = real if attention.rows is None else cache.chosen
        take(f"{name}/attention/input", attention.input, real)
        take(f"{name}/attention/query", attention.query, asked)
        take(f"{name}/attention/key", attention.key, real)
        take(f"{name}/attention/value", attention.value, real)
        take(f"{name}/attention/weights", attention.weights, asked)
        take(f"{name}/attention/context", attention.context, asked)
        take(f"{name}/attention/gate", attention.gate, asked)
        if attention.gate is not None:
            take(f"{name}/attention/gated_context", attention.gated_context, asked)
        take(f"{name}/feed_forward/input", inner.input, asked)
        take(f"{name}/feed_forward/active", inner.active, asked)
        take(f"{name}/feed_forward/gate", inner.gate, asked)
        take(f"{name}/feed_forward/value", inner.value, asked)
        take(name, cache.hidden_states[index + 1], asked)
    take("head/transformed", cache.head.transformed, None)
    return found


def _rows(array: np.ndarray, kept: np.ndarray, batch: int) -> np.ndarray:
    """(B·R, ...), (B, R, ...) or (B, H, R, ...) -> (rows kept, ...), by kept (B, R)"""
    if array.ndim == 4:
        return array.transpose(0, 2, 1, 3)[kept]
    return array.reshape(batch, kept.shape[1], -1)[kept]


def compute_unit_activity(parts: np.ndarray | Sequence[np.ndarray]) -> UnitActivity:
    """How often units respond, and how selectively, from responses (N, F), or the parts of them.

    The response a is what the activation function gives: the activation itself, or the gate of a gated unit. A
    unit is *active* where a > 0, which for ReLU, GELU and SiLU is where its pre-activation is positive. It is
    *dead* when it is active nowhere. A dead ReLU has no gradient here either; a dead GELU or SiLU still has one
    where its pre-activation is not far below zero, so it may come back.

    Selectivity is the lifetime sparseness of the positive part r = max(a, 0) over the N positions,
    (1 - (Σ r)² / (N Σ r²)) / (1 - 1/N): Treves and Rolls, "What determines the capacity of autoassociative
    memories in the brain?", 1991, as scaled by Vinje and Gallant, "Sparse coding and decorrelation in primary
    visual cortex during natural vision", Science 2000. It needs no classes, and stays the same when a unit is
    scaled; a ReLU of normally distributed numbers of mean 0 has 1 - 1/π = 0.68.

    Raises :class:`MinibertError` where there are no responses.
    """
    parts = [parts] if isinstance(parts, np.ndarray) else list(parts)
    positions = sum(len(part) for part in parts)
    if not positions or any(part.ndim != 2 for part in parts):
        shapes = ", ".join(str(part.shape) for part in parts) or "none"
        raise MinibertError(
            f"responses: shapes {shapes} were given. Allowed: (positions, units), with a position."
        )
    active, total, squares = (np.zeros(parts[0].shape[1]) for _ in range(3))
    for part in parts:
        step = max(BLOCK // part.shape[1], 1)
        for start in range(0, len(part), step):
            positive = np.maximum(part[start : start + step], 0)
            total += np.ones(len(positive), positive.dtype) @ positive
            squares += np.einsum("nf,nf->f", positive, positive)
            active += np.count_nonzero(positive, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        even = total**2 / (positions * squares)
    selectivity = (1 - even) / (1 - 1 / positions) if positions > 1 else np.full(len(even), np.nan)
    return UnitActivity(positions, active / positions, np.clip(selectivity, 0, 1))


def find_top_tokens(responses: np.ndarray, token_ids: np.ndarray, top: int = 5) -> TopTokens:
    """For each unit the ``top`` tokens with the largest response at any position where they stand.

    responses (N, F), token_ids (N,) or of any shape with N entries, in the same order. Where there are fewer
    different tokens than ``top``, all of them.

    Raises :class:`MinibertError` where there is not one token for each row.
    """
    token_ids = np.asarray(token_ids).reshape(-1)
    if len(token_ids) != len(responses) or not len(token_ids):
        raise MinibertError(
            f"token_ids: {len(token_ids)} were given with {len(responses)} rows of responses. "
            "Allowed: one for each row, and at least one."
        )
    order = np.argsort(token_ids, kind="stable")
    different, starts = np.unique(token_ids[order], return_index=True)
    largest = np.maximum.reduceat(responses[order], starts, axis=0)
    strongest = np.argsort(-largest, axis=0, kind="stable")[:top]
    return TopTokens(different[strongest].T, np.take_along_axis(largest, strongest, axis=0).T)
