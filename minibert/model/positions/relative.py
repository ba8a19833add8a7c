"""A vector for every distance, beside every key and every value."""

import numpy as np
from scipy.sparse import csr_array

from minibert.model.parameters import Block
from minibert.model.positions.scheme import (
    NoPositions,
    Places,
    distances,
    length,
    refuse_beyond_training,
    take_queries,
)


class RelativePositions(NoPositions):
    """s_ij = qᵢ · (kⱼ + a[c(j - i)]) / √K and Cᵢ = Σⱼ w_ij (vⱼ + r[c(j - i)]), with a and r learned tables
    (2d + 1, K) of each layer, which its heads share, and c(x) = max(-d, min(x, d)) + d.

    Distances beyond ``distance`` = d share the table's ends. ``keys`` and ``values`` switch the two terms.

    With the clipped distance n in place of the key j, the terms are small products: M_in = qᵢ · a_n and
    W_in = Σ_{j: c(j - i) = n} w_ij give

        s_ij += M_{i, c(j - i)} / √K         Cᵢ += Σ_n W_in r_n.

    *Spreading* M over the keys and *gathering* w over the distances are a matrix of zeros and ones and its
    transpose, so each is the other's backward pass.

    Clipping would give every length a score, but not one that training has seen: longer sequences are refused.

    Shaw, Uszkoreit and Vaswani, "Self-Attention with Relative Position Representations", NAACL 2018.
    """

    def layer_blocks(self, prefix, config):
        position = config.position
        shape = (2 * position.distance + 1, config.hidden_size // config.heads)
        names = (relative_names(prefix), (position.keys, position.values))
        return [Block(name, shape) for name, wanted in zip(*names, strict=True) if wanted]

    def places(self, position_ids, batch, tokens, bias, params):
        refuse_beyond_training(length(position_ids, tokens), self.config)
        position = self.config.position
        apart = np.clip(distances(position_ids, tokens, bias), -position.distance, position.distance)
        return RelativePlaces(apart + position.distance, batch, self.config)


def relative_names(prefix: str) -> tuple[str, str]:
    """The tables a, of the keys, and r, of the values, of an attention."""
    return f"{prefix}.relative_key.weight", f"{prefix}.relative_value.weight"


class RelativePlaces(Places):
    """index (1 or B, R or T, T): the clipped distance of every pair, from 0 on"""

    def __init__(self, index: np.ndarray, batch: int, config):
        self.index, self.batch, self.config = index, batch, config
        distinct = 2 * config.position.distance + 1
        asking = index.shape[1]
        queries = batch * config.heads * asking
        start = (np.arange(queries, dtype=np.int32) * distinct).reshape(batch, config.heads, asking, 1)
        column = (start + index[:, None].astype(np.int32)).reshape(-1)
        one_each = np.arange(column.size + 1, dtype=np.int32)
        self.spread = csr_array(
            (np.ones(column.size, config.dtype), column, one_each), shape=(column.size, queries * distinct)
        )
        """(B·H·R·T, B·H·R·(2d + 1)): spreads what each query has for a distance over the keys at that distance"""

    def at(self, rows):
        return RelativePlaces(take_queries(self.index, rows), self.batch, self.config)

    def add_to_scores(self, scores, query, prefix, params):
        if self.config.position.keys:
            a = params[relative_names(prefix)[0]]
            scores += self._spread(np.matmul(query, a.T)).reshape(scores.shape)

    def add_to_scores_backward(self, dscores, query, dquery, prefix, params, grads):
        """With M = Q aᵀ: dQ += dM a, da += dMᵀ Q"""
        if self.config.position.keys:
            name = relative_names(prefix)[0]
            dproducts = self._gather(dscores)
            dquery += np.matmul(dproducts, params[name])
            grads.add(name, np.matmul(dproducts.swapaxes(2, 3), query).sum(axis=(0, 1)))

    def add_to_context(self, context, weights, prefix, params):
        if not self.config.position.values:
            return None
        weights_by_distance = self._gather(weights)
        context += np.matmul(weights_by_distance, params[relative_names(prefix)[1]])
        return weights_by_distance

    def add_to_context_backward(self, dcontext, weights_by_distance, dweights, prefix, params, grads):
        """With C += W r: dW = dC rᵀ, dr += Wᵀ dC"""
        if self.config.position.values:
            name = relative_names(prefix)[1]
            dweights += self._spread(np.matmul(dcontext, params[name].T)).reshape(dweights.shape)
            grads.add(name, np.matmul(weights_by_distance.swapaxes(2, 3), dcontext).sum(axis=(0, 1)))

    def _spread(self, products):
        """(B, H, R, 2d + 1) -> (B·H·R·T,)"""
        return self.spread @ products.reshape(-1)

    def _gather(self, scores):
        """(B, H, R, T) -> (B, H, R, 2d + 1)"""
        sums = self.spread.T @ scores.reshape(-1)
        return sums.reshape(*scores.shape[:3], -1)
