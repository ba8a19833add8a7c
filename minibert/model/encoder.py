"""The encoder: a stack of layers, each of two residual blocks, attention and feed-forward.

Pre-norm, x + f(norm(x)), is stable without warm-up; post-norm, norm(x + f(x)), is the original.
Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020.
"""

from typing import Any, NamedTuple

import numpy as np

from minibert.config import ModelConfig
from minibert.model.attention import AttentionCache, attention, attention_backward, attention_blocks
from minibert.model.feed_forward import FeedForwardCache, feed_forward, feed_forward_backward, feed_forward_blocks
from minibert.model.norms import NormCache, norm, norm_backward, norm_blocks
from minibert.model.ops import dropout
from minibert.model.parameters import Block
from minibert.model.positions import NOWHERE, PositionScheme
from minibert.model.projections import add_at_rows, take_rows
from minibert.model.workspace import NEW_ARRAYS


class LayerCache(NamedTuple):
    attention: AttentionCache
    attention_norm: Any
    """A :data:`NormCache`; None where the first attention reads the embeddings as they are"""
    attention_dropout: np.ndarray | None
    """(B·R, D) mask on the branch"""
    feed_forward: FeedForwardCache
    feed_forward_norm: NormCache
    feed_forward_dropout: np.ndarray | None
    """(B·R, D) mask on the branch"""


def encoder_blocks(config: ModelConfig, position: PositionScheme) -> list[Block]:
    blocks = []
    for index in range(config.layers):
        attend, feed = f"layers.{index}.attention", f"layers.{index}.feed_forward"
        blocks += attention_blocks(attend, config, position)
        if index or config.norm == "post" or config.first_attention_norm:
            blocks += norm_blocks(f"{attend}.norm", config)
        blocks += feed_forward_blocks(feed, config) + norm_blocks(f"{feed}.norm", config)
    return blocks + (norm_blocks("final_norm", config) if config.norm == "pre" else [])


def layer(
    x,
    batch,
    prefix,
    params,
    config: ModelConfig,
    bias=None,
    rows=None,
    masks=None,
    work=NEW_ARRAYS,
    places=NOWHERE,
):
    """Attention, then feed-forward, each as a residual block.    x (B·T, D) -> (B·R, D)

    With ``rows`` (B, R), only those positions of each sequence are computed. Every position still gives its
    key and value, so the result at the rows is what it is without ``rows``.
    """
    attend = f"{prefix}.attention"
    feed = f"{prefix}.feed_forward"
    pre = config.norm == "pre"
    attention_norm: Any = None
    feed_forward_norm: Any = None

    branch = x
    if pre and f"{attend}.norm.gain" in params:
        branch, attention_norm = norm(x, f"{attend}.norm", params, config, work)
    y, attention_cache = attention(branch, batch, attend, params, config, bias, rows, masks, work, places)
    attention_dropout = _drop(y, batch, len(x) // batch, rows, masks, config.dropout, work)
    y += x if rows is None else take_rows(x, rows)
    if not pre:
        y, attention_norm = norm(y, f"{attend}.norm", params, config, work)

    branch = y
    if pre:
        branch, feed_forward_norm = norm(y, f"{feed}.norm", params, config, work)
    z, feed_forward_cache = feed_forward(branch, feed, params, config, work)
    feed_forward_dropout = _drop(z, batch, len(x) // batch, rows, masks, config.dropout, work)
    z += y
    if not pre:
        z, feed_forward_norm = norm(z, f"{feed}.norm", params, config, work)
    return z, LayerCache(
        attention_cache,
        attention_norm,
        attention_dropout,
        feed_forward_cache,
        feed_forward_norm,
        feed_forward_dropout,
    )


def layer_backward(dz, cache: LayerCache, batch, prefix, params, config: ModelConfig, grads, work=NEW_ARRAYS):
    """The gradient with respect to the layer's input: residual path plus branch, block by block.

    dz (B·R, D) -> dx (B·T, D)
    """
    attend = f"{prefix}.attention"
    feed = f"{prefix}.feed_forward"
    pre = config.norm == "pre"

    if not pre:
        dz = norm_backward(dz, cache.feed_forward_norm, f"{feed}.norm", params, grads, work)
    dbranch = _undrop(dz, cache.feed_forward_dropout, work)
    dbranch = feed_forward_backward(dbranch, cache.feed_forward, feed, params, grads, work)
    if pre:
        dbranch = norm_backward(dbranch, cache.feed_forward_norm, f"{feed}.norm", params, grads, work)
    dy = np.add(dbranch, dz, out=dbranch)

    if not pre:
        dy = norm_backward(dy, cache.attention_norm, f"{attend}.norm", params, grads, work)
    dbranch = _undrop(dy, cache.attention_dropout, work)
    dbranch = attention_backward(dbranch, cache.attention, batch, attend, params, grads, work)
    if pre and cache.attention_norm is not None:
        dbranch = norm_backward(dbranch, cache.attention_norm, f"{attend}.norm", params, grads, work)
    if cache.attention.rows is None:
        dbranch += dy
    else:
        add_at_rows(dbranch, cache.attention.rows, dy)
    return dbranch


def final_norm(x, params, config: ModelConfig, work=NEW_ARRAYS):
    """Pre-norm networks normalise once more after the last layer; post-norm ones have done so already."""
    return (x, None) if config.norm == "post" else norm(x, "final_norm", params, config, work)


def final_norm_backward(dx, cache, params, grads, work=NEW_ARRAYS):
    return dx if cache is None else norm_backward(dx, cache, "final_norm", params, grads, work)


def _drop(y, batch, tokens, rows, masks, rate, work):
    """Dropout on a branch, in place. A position's mask does not depend on which rows are computed."""
    mask = masks and masks.draw(rate, (batch, tokens, y.shape[1]), y.dtype, work)
    if mask is not None:
        mask = mask.reshape(-1, y.shape[1])
        mask = mask if rows is None else take_rows(mask, rows)
    dropout(y, mask)
    return mask


def _undrop(dy, mask, work):
    """The gradient of :func:`_drop`, in a new array: dy is still needed for the residual path."""
    if mask is None:
        return dy
    return np.multiply(dy, mask, out=work.empty(dy.shape, dy.dtype))
