"""Schemes that add a number to each score: how far apart query and key stand, and nothing of what they are.

The number is multiplied by √K where it is made, since scores are divided by √K after it has been added.
"""

import numpy as np

from minibert.model.parameters import Block
from minibert.model.positions.scheme import Places, PositionScheme, distances, take_queries


class AlibiPositions(PositionScheme):
    """s_ij = qᵢ · kⱼ / √K - m_h |i - j|: a penalty on distance, with a slope for each head, nothing learned.

    Slopes are 2^(-8/H), 2^(-16/H), ..., 2^-8 for H heads, a power of two. Another number of heads takes the slopes
    of the next smaller power, and then every second slope of twice that power. The paper's networks attend only to
    earlier tokens; an encoder attends both ways, so the penalty is symmetric here. Any length has its penalties.

    Press, Smith and Lewis, "Train Short, Test Long: Attention with Linear Biases", ICLR 2022.
    """

    name = "alibi"

    def places(self, position_ids, batch, tokens, bias, params):
        config = self.config
        apart = np.abs(distances(position_ids, tokens, bias))[:, None]
        slopes = alibi_slopes(config.heads) * np.sqrt(config.hidden_size // config.heads)
        return BiasPlaces((-slopes[:, None, None] * apart).astype(config.dtype))


def alibi_slopes(heads: int) -> np.ndarray:
    """The slope of every head, (H,): a geometric sequence that ends at 2^-8.

    >>> alibi_slopes(4)
    array([0.25      , 0.0625    , 0.015625  , 0.00390625])
    """
    power = 2 ** int(np.log2(heads))
    slopes = 2.0 ** (-8 / power * np.arange(1, power + 1))
    between = 2.0 ** (-4 / power * np.arange(1, 2 * power, 2))
    return np.concatenate([slopes, between[: heads - power]])


class RelativeBiasPositions(PositionScheme):
    """s_ij = qᵢ · kⱼ / √K + b_h[bucket(j - i)], b a learned table (buckets, H) that all layers share.

    Half of the buckets are for keys behind the query, half for those before it and at it. In each half, the first
    half of the buckets is for one distance each, and the others grow in size geometrically up to distance
    ``farthest``; the last one holds all beyond, so that any length has its buckets (:func:`bucket_edges`).

    The gradient of a bucket is the sum of dscores over all pairs in it. T5 itself does not divide by √K.

    Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", JMLR 2020.
    """

    name = "relative_bias"

    NAME = "embeddings.relative_bias.weight"

    def blocks(self, config):
        return [Block(self.NAME, (self.settings.buckets, config.heads))]

    def places(self, position_ids, batch, tokens, bias, params):
        config = self.config
        index = self.bucket(distances(position_ids, tokens, bias))
        scale = np.sqrt(config.hidden_size // config.heads)
        table = params[self.NAME].T * params[self.NAME].dtype.type(scale)
        return LearnedBiasPlaces(table[:, index].transpose(1, 0, 2, 3), index, self.NAME, scale)

    def bucket(self, apart: np.ndarray) -> np.ndarray:
        """The bucket of each distance j - i: below buckets / 2 where the key does not stand behind the query."""
        edges = bucket_edges(self.settings.buckets // 2, self.settings.farthest)
        return np.searchsorted(edges, np.abs(apart), side="right") - 1 + (apart > 0) * len(edges)


def bucket_edges(buckets: int, farthest: int) -> np.ndarray:
    """The smallest distance in each of ``buckets`` buckets for one direction.

    n = buckets // 2 buckets for 0, 1, ..., n - 1; bucket n + r begins at n (farthest / n)^(r / (buckets - n)).
    """
    exact = buckets // 2
    growth = np.arange(buckets - exact) / (buckets - exact)
    # A distance that the formula meets exactly is not to be lost to rounding.
    grown = np.ceil(exact * (farthest / exact) ** growth - 1e-9)
    return np.concatenate([np.arange(exact), grown]).astype(np.int64)


class BiasPlaces(Places):
    """bias (1 or B, H, R or T, T), times √K"""

    def __init__(self, bias: np.ndarray):
        self.bias = bias

    def at(self, rows):
        return BiasPlaces(self._bias_at(rows))

    def add_to_scores(self, scores, query, prefix, params):
        scores += self.bias

    def _bias_at(self, rows):
        return take_queries(self.bias.transpose(0, 2, 1, 3), rows).transpose(0, 2, 1, 3)


class LearnedBiasPlaces(BiasPlaces):
    """index (1 or B, R or T, T): the bucket of every pair"""

    def __init__(self, bias: np.ndarray, index: np.ndarray, name: str, scale: float):
        super().__init__(bias)
        self.index, self.name, self.scale = index, name, scale

    def at(self, rows):
        return LearnedBiasPlaces(self._bias_at(rows), take_queries(self.index, rows), self.name, self.scale)

    def add_to_scores_backward(self, dscores, query, dquery, prefix, params, grads):
        """db_h[n] += √K Σ dscores over the pairs of bucket n"""
        batch, heads = dscores.shape[:2]
        if len(self.index) == 1:
            together = np.ones((1, batch), dscores.dtype) @ dscores.reshape(batch, -1)
            dscores = together.reshape(1, *dscores.shape[1:])
        buckets = len(grads[self.name])
        index = self.index[:, None] + buckets * np.arange(heads)[:, None, None]
        sums = np.bincount(index.reshape(-1), dscores.reshape(-1), heads * buckets)
        grads.add(self.name, self.scale * sums.reshape(heads, buckets).T)
