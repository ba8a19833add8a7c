"""The position-wise feed-forward network."""

from typing import NamedTuple

import numpy as np

from minibert.config import ModelConfig
from minibert.model.ops import activation, activation_backward, linear, linear_backward
from minibert.model.parameters import Block
from minibert.model.workspace import NEW_ARRAYS


class FeedForwardCache(NamedTuple):
    input: np.ndarray
    """(N, D)"""
    active: np.ndarray
    """(N, F): f of the pre-activation x W_in + b_in"""
    slope: np.ndarray
    """(N, F): f' of the pre-activation, in whose memory it stands"""


def feed_forward_blocks(prefix: str, config: ModelConfig) -> list[Block]:
    hidden, inner = config.hidden_size, config.feed_forward_size
    return [
        Block(f"{prefix}.in.weight", (hidden, inner)),
        Block(f"{prefix}.in.bias", (inner,)),
        Block(f"{prefix}.out.weight", (inner, hidden)),
        Block(f"{prefix}.out.bias", (hidden,)),
    ]


def feed_forward(x, prefix, params, config: ModelConfig, work=NEW_ARRAYS):
    """y = f(x W_in + b_in) W_out + b_out.    x (N, D) -> y (N, D)"""
    pre_activation, _ = linear(x, params[f"{prefix}.in.weight"], params[f"{prefix}.in.bias"], work)
    active, slope = activation(pre_activation, config.activation, work)
    y, _ = linear(active, params[f"{prefix}.out.weight"], params[f"{prefix}.out.bias"], work)
    return y, FeedForwardCache(x, active, slope)


def feed_forward_backward(dy, cache: FeedForwardCache, prefix, params, grads, work=NEW_ARRAYS):
    """dh = (dy W_outᵀ) · f',  dx = dh W_inᵀ,  dW_out += f(h)ᵀ dy,  dW_in += xᵀ dh"""
    dactive = linear_backward(
        dy, cache.active, params[f"{prefix}.out.weight"], grads, f"{prefix}.out.weight", f"{prefix}.out.bias", work
    )
    dpre = activation_backward(dactive, cache.slope)
    return linear_backward(
        dpre, cache.input, params[f"{prefix}.in.weight"], grads, f"{prefix}.in.weight", f"{prefix}.in.bias", work
    )
