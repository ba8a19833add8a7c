"""Norms: rows of activations to a common scale, with a learned gain for each entry.

A network has one kind of norm throughout, ``model.norm_kind``. Their placement is the encoder's business.
"""

from typing import NamedTuple

import numpy as np

from minibert.config import ModelConfig
from minibert.model.ops import column_sums
from minibert.model.parameters import Block
from minibert.model.workspace import NEW_ARRAYS


class LayerNormCache(NamedTuple):
    normalized: np.ndarray
    """(N, D): zero mean, unit variance"""
    inverse_deviation: np.ndarray
    """(N, 1): 1 / sqrt(variance + epsilon)"""


class RMSNormCache(NamedTuple):
    normalized: np.ndarray
    """(N, D): unit mean square"""
    inverse_root: np.ndarray
    """(N, 1): 1 / sqrt(mean square + epsilon)"""


NormCache = LayerNormCache | RMSNormCache


def layer_norm(x, gain, bias, epsilon, work=NEW_ARRAYS):
    """y = x̂ · g + b with x̂ = (x - mean(x)) / sqrt(var(x) + ε), over the last axis.    (N, D) -> (N, D)

    Where the bias is None, y = x̂ · g: the next matrix's own bias could take its place.

    Ba, Kiros and Hinton, "Layer Normalization", 2016.
    """
    size = x.shape[1]
    mean = x @ np.full(size, 1 / size, x.dtype)
    normalized = np.subtract(x, mean[:, None], out=work.empty(x.shape, x.dtype))
    variance = np.einsum("nd,nd->n", normalized, normalized) / size
    inverse_deviation = (1 / np.sqrt(variance + x.dtype.type(epsilon)))[:, None]
    normalized *= inverse_deviation
    y = np.multiply(normalized, gain, out=work.empty(x.shape, x.dtype))
    if bias is not None:
        y += bias
    return y, LayerNormCache(normalized, inverse_deviation)


def layer_norm_backward(dy, cache, gain, grads, gain_name, bias_name, work=NEW_ARRAYS):
    """dx = (dx̂ - mean(dx̂) - x̂ · mean(dx̂ · x̂)) / σ with dx̂ = dy · g;  dg += Σₙ dy · x̂, db += Σₙ dy

    Without a bias, ``bias_name`` is None. The gain stands inside both means: a version with the gain outside is
    right only while all gains are 1. Written over ``dy``.
    """
    normalized, inverse_deviation = cache
    size = dy.shape[1]
    product = np.multiply(dy, normalized, out=work.empty(dy.shape, dy.dtype))
    grads.add(gain_name, column_sums(product))
    if bias_name is not None:
        grads.add(bias_name, column_sums(dy))
    mean_dx_hat = dy @ (gain / size)
    mean_product = product @ (gain / size)
    dx = np.multiply(dy, gain, out=dy)
    dx -= mean_dx_hat[:, None]
    dx -= np.multiply(normalized, mean_product[:, None], out=product)
    dx *= inverse_deviation
    return dx


def rms_norm(x, gain, epsilon, work=NEW_ARRAYS):
    """y = x̂ · g with x̂ = x / sqrt(mean(x²) + ε), over the last axis: the mean stays, and there is no bias.

    (..., D) -> (..., D).  Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.
    """
    mean_square = np.einsum("...d,...d->...", x, x) / x.shape[-1]
    inverse_root = (1 / np.sqrt(mean_square + x.dtype.type(epsilon)))[..., None]
    normalized = np.multiply(x, inverse_root, out=work.empty(x.shape, x.dtype))
    y = np.multiply(normalized, gain, out=work.empty(x.shape, x.dtype))
    return y, RMSNormCache(normalized, inverse_root)


def rms_norm_backward(dy, cache, gain, grads, gain_name, work=NEW_ARRAYS):
    """dx = (dx̂ - x̂ · mean(dx̂ · x̂)) / rms with dx̂ = dy · g;  dg += Σₙ dy · x̂

    With r = (mean(x²) + ε)^½: d(x/r) = dx/r - x (x · dx) / (D r³), and x/r is x̂.
    Written over ``dy``.
    """
    normalized, inverse_root = cache
    size = dy.shape[-1]
    product = np.multiply(dy, normalized, out=work.empty(dy.shape, dy.dtype))
    grads.add(gain_name, column_sums(product.reshape(-1, size)))
    mean_product = product @ (gain / size)
    dx = np.multiply(dy, gain, out=dy)
    dx -= np.multiply(normalized, mean_product[..., None], out=product)
    dx *= inverse_root
    return dx


def norm_blocks(name: str, config: ModelConfig) -> list[Block]:
    """The parameters of the network's kind of norm."""
    gain, bias = (Block(f"{name}.{part}", (config.hidden_size,)) for part in ("gain", "bias"))
    return [gain, bias] if config.norm_kind == "layer_norm" and config.norm_bias else [gain]


def norm(x, name: str, params, config: ModelConfig, work=NEW_ARRAYS):
    """The network's kind of norm, with the parameters ``name``.    (N, D) -> (N, D)"""
    if config.norm_kind == "rms_norm":
        return rms_norm(x, params[f"{name}.gain"], config.norm_epsilon, work)
    return layer_norm(x, params[f"{name}.gain"], params.get(f"{name}.bias"), config.norm_epsilon, work)


def norm_backward(dx, cache: NormCache, name: str, params, grads, work=NEW_ARRAYS):
    """The gradient of :func:`norm`, written over ``dx``."""
    gain, gain_name = params[f"{name}.gain"], f"{name}.gain"
    if isinstance(cache, RMSNormCache):
        return rms_norm_backward(dx, cache, gain, grads, gain_name, work)
    bias_name = f"{name}.bias" if f"{name}.bias" in params else None
    return layer_norm_backward(dx, cache, gain, grads, gain_name, bias_name, work)
