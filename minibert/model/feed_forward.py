"""The position-wise feed-forward network, plain or as a gated linear unit."""

from typing import NamedTuple

import numpy as np

from minibert.config import ModelConfig
from minibert.model.ops import activation, activation_backward, linear, linear_backward
from minibert.model.parameters import Block, linear_blocks
from minibert.model.workspace import NEW_ARRAYS

GATED = {"swiglu": "silu", "geglu": "gelu"}
"""Gated linear units -> the activation of their gate"""


class FeedForwardCache(NamedTuple):
    input: np.ndarray
    """(N, D)"""
    active: np.ndarray
    """(N, F): what W_out reads"""
    slope: np.ndarray
    """(N, F): f' of the pre-activation, in whose memory it stands"""
    gate: np.ndarray | None
    """(N, F): f of the gate's pre-activation, in a gated linear unit"""
    value: np.ndarray | None
    """(N, F): what the gate lets through"""


def feed_forward_blocks(prefix: str, config: ModelConfig) -> list[Block]:
    hidden, inner, bias = config.hidden_size, inner_size(config), config.feed_forward_bias
    return [
        *(linear_blocks(f"{prefix}.gate", hidden, inner, bias) if config.activation in GATED else []),
        *linear_blocks(f"{prefix}.in", hidden, inner, bias),
        *linear_blocks(f"{prefix}.out", inner, hidden, bias),
    ]


def inner_size(config: ModelConfig) -> int:
    """F: ``feed_forward_size``, or, matched, the F' whose gated unit has as many parameters as a plain network.

    2DF + F + D = 3DF' + 2F' + D, so F' = F (2D + 1) / (3D + 2), about two thirds of F, rounded.
    """
    hidden, inner = config.hidden_size, config.feed_forward_size
    if not (config.match_feed_forward and config.activation in GATED):
        return inner
    return max(round(inner * (2 * hidden + 1) / (3 * hidden + 2)), 1)


def head_activation(config: ModelConfig) -> str:
    """The element-wise activation that goes with ``model.activation``: a gated unit's is that of its gate."""
    return GATED.get(config.activation, config.activation)


def feed_forward(x, prefix, params, config: ModelConfig, work=NEW_ARRAYS):
    """y = f(x W_in + b_in) W_out + b_out; gated, y = (f(x W_gate + b_gate) · (x W_in + b_in)) W_out + b_out.

    x (N, D) -> y (N, D).  Gated: Shazeer, "GLU Variants Improve Transformer", 2020, who leaves the biases
    out, as ``model.feed_forward_bias=false`` does.
    """
    inner, _ = linear(x, params[f"{prefix}.in.weight"], params.get(f"{prefix}.in.bias"), work)
    gate = value = None
    if config.activation in GATED:
        pre_gate, _ = linear(x, params[f"{prefix}.gate.weight"], params.get(f"{prefix}.gate.bias"), work)
        gate, slope = activation(pre_gate, GATED[config.activation], work)
        value = inner
        active = np.multiply(gate, value, out=work.empty(value.shape, value.dtype))
    else:
        active, slope = activation(inner, config.activation, work)
    y, _ = linear(active, params[f"{prefix}.out.weight"], params.get(f"{prefix}.out.bias"), work)
    return y, FeedForwardCache(x, active, slope, gate, value)


def feed_forward_backward(dy, cache: FeedForwardCache, prefix, params, grads, work=NEW_ARRAYS):
    """da = dy W_outᵀ, dW_out += aᵀ dy, where a is what W_out reads.

    Plain: a = f(h), dh = da · f'. Gated: a = f(g) · h, dh = da · f(g), dg = da · h · f'(g). Then
    dx = dh W_inᵀ (+ dg W_gateᵀ), dW_in += xᵀ dh, dW_gate += xᵀ dg.
    """
    dactive = linear_backward(dy, cache.active, f"{prefix}.out", params, grads, work)
    if cache.gate is None:
        dinner = activation_backward(dactive, cache.slope)
        return linear_backward(dinner, cache.input, f"{prefix}.in", params, grads, work)
    dvalue = np.multiply(dactive, cache.gate, out=work.empty(dactive.shape, dactive.dtype))
    dx = linear_backward(dvalue, cache.input, f"{prefix}.in", params, grads, work)
    dactive *= cache.value
    dgate = activation_backward(dactive, cache.slope)
    dx += linear_backward(dgate, cache.input, f"{prefix}.gate", params, grads, work)
    return dx
