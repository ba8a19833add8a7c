"""Multi-head self-attention.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017.
"""

from typing import NamedTuple

import numpy as np

from minibert.config import ModelConfig
from minibert.model.gating import gate_blocks, gate_heads, gate_heads_backward
from minibert.model.norms import RMSNormCache, rms_norm, rms_norm_backward
from minibert.model.ops import dropout, linear, linear_backward, softmax, softmax_backward
from minibert.model.parameters import Block, linear_blocks
from minibert.model.positions import NOWHERE, Places, PositionScheme
from minibert.model.projections import (
    empty_projections,
    project,
    project_backward,
    projection_blocks,
    split_heads,
    take_rows,
)
from minibert.model.workspace import NEW_ARRAYS


class AttentionCache(NamedTuple):
    input: np.ndarray
    """(N, D)"""
    rows: np.ndarray | None
    """(B, R) positions within each sequence that ask (have a query); None when all do. R = T then."""
    query_input: np.ndarray
    """(B·R, D): the input at the rows that ask"""
    query: np.ndarray
    """(B, H, R, K): as it meets the keys"""
    key: np.ndarray
    """(B, H, T, K): as it meets the queries"""
    value: np.ndarray
    """(B, H, T, K)"""
    weights: np.ndarray
    """(B, H, R, T): softmax of the scores, before dropout"""
    dropout: np.ndarray | None
    """(B, H, R, T) mask"""
    dropped_weights: np.ndarray
    """(B, H, R, T): what the values are averaged with; the same array as ``weights`` without dropout"""
    weights_by_distance: np.ndarray | None
    """(B, H, R, 2d + 1): sums of the dropped weights, for a scheme with a value for each distance"""
    context: np.ndarray
    """(B·R, D): the heads' outputs side by side"""
    gate: np.ndarray | None
    """(B·R, H), in gated attention"""
    gated_context: np.ndarray
    """(B·R, D): what the output projection reads; the same array as ``context`` without a gate"""
    query_norm: RMSNormCache | None
    key_norm: RMSNormCache | None
    places: Places
    """The order of the tokens, as seen by the rows that ask"""


def attention_blocks(prefix: str, config: ModelConfig, position: PositionScheme) -> list[Block]:
    size = config.hidden_size
    normalised = ("query", "key") if config.qk_norm else ()
    return [
        *projection_blocks(prefix, config),
        *linear_blocks(f"{prefix}.output", size, size, config.attention_bias),
        *gate_blocks(prefix, config),
        *(Block(f"{prefix}.{name}_norm.gain", (size // config.heads,)) for name in normalised),
        *position.layer_blocks(prefix, config),
    ]


def attention_bias(attention_mask, dtype):
    """What a mask adds to the scores: 0 where attention may go, a number that ends as weight 0 elsewhere.

    (B, T) True at real tokens -> (B, 1, 1, T);  (B, T, T) True where i may attend to j -> (B, 1, T, T)
    """
    if attention_mask is None:
        return None
    # A row that may attend to no position (padding that asks) attends to all: its output needs a right gradient.
    attention_mask = attention_mask | ~attention_mask.any(axis=-1, keepdims=True)
    blocked = np.finfo(dtype).min / 2
    bias = np.where(attention_mask, np.dtype(dtype).type(0), np.dtype(dtype).type(blocked))
    return bias[:, None, None, :] if bias.ndim == 2 else bias[:, None]


def attention(
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
    """softmax(Q Kᵀ / √K + bias) V, heads side by side, times W_O.

    x (N, D), N = B·T -> y (B·R, D), where R rows of each sequence ask: all T of them, or ``rows`` (B, R). What
    ``places`` adds to it is in :mod:`minibert.model.positions`, what a gate does in :mod:`minibert.model.gating`.

    With ``qk_norm``, each head's queries and keys are brought to a mean square of one and multiplied by learned
    gains (K,), which the heads share: scores stay bounded however large the projections grow. Henry et al.,
    "Query-Key Normalization for Transformers", Findings of EMNLP 2020; Dehghani et al., ICML 2023.
    """
    heads, head_size = config.heads, config.hidden_size // config.heads
    tokens = len(x) // batch
    query_input, places = (x, places) if rows is None else (take_rows(x, rows), places.at(rows))
    _, query, key, value = project(x, query_input, batch, rows, prefix, params, config, work)
    asking = query.shape[2]
    query_norm = key_norm = None
    if config.qk_norm:
        query, query_norm = rms_norm(query, params[f"{prefix}.query_norm.gain"], config.norm_epsilon, work)
        key, key_norm = rms_norm(key, params[f"{prefix}.key_norm.gain"], config.norm_epsilon, work)
    places.rotate(query, key)

    scores = np.matmul(query, key.transpose(0, 1, 3, 2), out=work.empty((batch, heads, asking, tokens), x.dtype))
    places.add_to_scores(scores, query, prefix, params)
    scores *= x.dtype.type(head_size**-0.5)
    if bias is not None and rows is not None and bias.shape[2] > 1:
        bias = _take_queries(bias, rows)
    weights = softmax(scores, bias)

    mask = masks and masks.draw(config.attention_dropout, (batch, heads, tokens, tokens), x.dtype, work)
    if mask is None:
        dropped = weights
    else:
        mask = mask if rows is None else _take_queries(mask, rows)
        dropped = np.multiply(weights, mask, out=work.empty(weights.shape, x.dtype))
    context = work.empty((batch, asking, heads, head_size), x.dtype)
    np.matmul(dropped, value, out=context.transpose(0, 2, 1, 3))
    weights_by_distance = places.add_to_context(context.transpose(0, 2, 1, 3), dropped, prefix, params)
    context = context.reshape(batch * asking, heads * head_size)
    gated_context, gate = gate_heads(context, query_input, prefix, params, config, work)
    y, _ = linear(gated_context, params[f"{prefix}.output.weight"], params.get(f"{prefix}.output.bias"), work)
    return y, AttentionCache(
        x,
        rows,
        query_input,
        query,
        key,
        value,
        weights,
        mask,
        dropped,
        weights_by_distance,
        context,
        gate,
        gated_context,
        query_norm,
        key_norm,
        places,
    )


def attention_backward(dy, cache: AttentionCache, batch, prefix, params, grads, work=NEW_ARRAYS):
    """With W the weights, A the dropped weights (W without dropout) and S the scores:

    dC = dy W_Oᵀ,  dV = Aᵀ dC,  dA = dC Vᵀ,  dS = W · (dW - Σⱼ dWᵢⱼ Wᵢⱼ),  dQ = dS K / √K,  dK = dSᵀ Q / √K

    The sum over j equals dCᵢ · Cᵢ (both are Σⱼ Aᵢⱼ dCᵢ · Vⱼ), which is K numbers a row instead of T.
    """
    query, key, value = cache.query, cache.key, cache.value
    _, heads, _, head_size = query.shape
    dcontext = linear_backward(dy, cache.gated_context, f"{prefix}.output", params, grads, work)
    dcontext, dgate_input = gate_heads_backward(
        dcontext, cache.context, cache.gate, cache.query_input, prefix, params, grads, work
    )
    (dcontext_heads,) = split_heads(dcontext, batch, 1, heads)
    (context_heads,) = split_heads(cache.context, batch, 1, heads)
    row_dot = np.einsum("bhrk,bhrk->bhr", dcontext_heads, context_heads)[..., None]

    dweights = np.matmul(
        dcontext_heads, value.transpose(0, 1, 3, 2), out=work.empty(cache.weights.shape, dy.dtype)
    )
    places = cache.places
    places.add_to_context_backward(dcontext_heads, cache.weights_by_distance, dweights, prefix, params, grads)
    dropout(dweights, cache.dropout)
    dscores = softmax_backward(dweights, cache.weights, row_dot)
    dscores *= dy.dtype.type(head_size**-0.5)

    dprojections = empty_projections(cache.query, cache.key, cache.rows, work)
    _, dquery, dkey, dvalue = dprojections
    np.matmul(dscores, key, out=dquery)
    np.matmul(dscores.transpose(0, 1, 3, 2), query, out=dkey)
    np.matmul(cache.dropped_weights.transpose(0, 1, 3, 2), dcontext_heads, out=dvalue)
    places.add_to_scores_backward(dscores, query, dquery, prefix, params, grads)
    places.rotate_backward(dquery, dkey)
    for name, dvectors, norm_cache in (("query", dquery, cache.query_norm), ("key", dkey, cache.key_norm)):
        if norm_cache is not None:
            gain = f"{prefix}.{name}_norm.gain"
            rms_norm_backward(dvectors, norm_cache, params[gain], grads, gain, work)  # written over them

    return project_backward(
        dprojections, cache.input, cache.query_input, cache.rows, prefix, params, grads, work, dgate_input
    )


def _take_queries(x, rows):
    """x (B, H, T, T), rows (B, R) -> (B, H, R, T)"""
    return np.take_along_axis(x, rows[:, None, :, None], axis=2)
