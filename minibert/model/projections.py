"""The projections of attention: queries, keys and values, for all rows or for some.

Where every position asks, one product makes all three. In a trimmed layer only some rows ask: one product makes
their queries, another the keys and values of all positions.
"""

from typing import NamedTuple

import numpy as np

from minibert.config import ModelConfig
from minibert.model.ops import column_sums, linear, linear_backward
from minibert.model.parameters import Block, linear_blocks
from minibert.model.workspace import NEW_ARRAYS

THREE = ("query", "key", "value")


class Projections(NamedTuple):
    """Queries, keys and values of the heads, or the gradients with respect to them."""

    arrays: tuple[np.ndarray, ...]
    """What the three are views of: (N, 3D) where all rows ask; else (B·R, D) of queries and (N, 2D) of the rest"""
    query: np.ndarray
    """(B, H, R, K)"""
    key: np.ndarray
    """(B, H, T, K)"""
    value: np.ndarray
    """(B, H, T, K)"""


def projection_blocks(prefix: str, config: ModelConfig) -> list[Block]:
    size, parts = config.hidden_size, tuple(f"{prefix}.{name}" for name in THREE)
    return linear_blocks(f"{prefix}.query_key_value", size, 3 * size, config.attention_bias, parts)


def project(x, query_input, batch, rows, prefix, params, config: ModelConfig, work=NEW_ARRAYS) -> Projections:
    """Q = x_R W_Q + b_Q, K = x W_K + b_K, V = x W_V + b_V, with x_R = ``query_input`` the rows of x that ask.

    x (B·T, D), query_input (B·R, D), rows (B, R) or None where all ask and query_input is x.
    """
    weight, bias = params[f"{prefix}.query_key_value.weight"], params.get(f"{prefix}.query_key_value.bias")
    if rows is None:
        arrays = (linear(x, weight, bias, work)[0],)
    else:
        size = config.hidden_size
        query, _ = linear(query_input, weight[:, :size], None if bias is None else bias[:size], work)
        key_value, _ = linear(x, weight[:, size:], None if bias is None else bias[size:], work)
        arrays = (query, key_value)
    return _by_head(arrays, batch, config.heads)


def empty_projections(query, key, rows, work=NEW_ARRAYS) -> Projections:
    """Arrays for the gradients with respect to queries, keys and values, in the layout of :func:`project`.

    query (B, H, R, K), key (B, H, T, K)
    """
    batch, heads, tokens, head_size = key.shape
    size = heads * head_size
    shapes = [(batch * tokens, 3 * size)] if rows is None else [(rows.size, size), (batch * tokens, 2 * size)]
    return _by_head(tuple(work.empty(shape, query.dtype) for shape in shapes), batch, heads)


def project_backward(
    dprojections: Projections, x, query_input, rows, prefix, params, grads, work=NEW_ARRAYS, dquery_more=None
):
    """dW_Q += x_Rᵀ dQ, dW_K += xᵀ dK, dW_V += xᵀ dV, and biases alike.

    dx = dK W_Kᵀ + dV W_Vᵀ, plus dQ W_Qᵀ at the rows that ask. ``dquery_more`` (B·R, D), or None, is the gradient
    that reaches the rows that ask in another way; it is added there.
    """
    joint = f"{prefix}.query_key_value"
    if rows is None:
        dx = linear_backward(dprojections.arrays[0], x, joint, params, grads, work)
        return dx if dquery_more is None else np.add(dx, dquery_more, out=dx)
    dquery, dkey_value = dprojections.arrays
    size = dquery.shape[1]
    for name, dvectors in (("key", dkey_value[:, :size]), ("value", dkey_value[:, size:])):
        grads.add_product(f"{prefix}.{name}.weight", x.T, dvectors)
        if f"{prefix}.{name}.bias" in params:
            grads.add(f"{prefix}.{name}.bias", column_sums(dvectors))
    dx = np.matmul(dkey_value, params[f"{joint}.weight"][:, size:].T, out=work.empty(x.shape, x.dtype))
    dquery_input = linear_backward(dquery, query_input, f"{prefix}.query", params, grads, work)
    if dquery_more is not None:
        dquery_input += dquery_more
    add_at_rows(dx, rows, dquery_input)
    return dx


def take_rows(x, rows):
    """x (B·T, D), rows (B, R) -> (B·R, D)"""
    batch = len(rows)
    return x.reshape(batch, -1, x.shape[1])[np.arange(batch)[:, None], rows].reshape(-1, x.shape[1])


def add_at_rows(x, rows, values):
    """x[b, rows[b, r]] += values[b, r].    x (B·T, D), values (B·R, D), rows (B, R), no row twice in a sequence"""
    batch, asking = rows.shape
    x.reshape(batch, -1, x.shape[1])[np.arange(batch)[:, None], rows] += values.reshape(batch, asking, x.shape[1])


def split_heads(projected, batch, parts, heads):
    """(B·T, parts·D) -> ``parts`` views (B, H, T, K). Nothing is copied: a product reads the views in place."""
    size = projected.shape[1] // (parts * heads)
    return projected.reshape(batch, -1, parts, heads, size).transpose(2, 0, 3, 1, 4)


def _by_head(arrays, batch, heads) -> Projections:
    parts = (3,) if len(arrays) == 1 else (1, 2)
    split = (split_heads(array, batch, count, heads) for array, count in zip(arrays, parts, strict=True))
    return Projections(arrays, *(view for views in split for view in views))
