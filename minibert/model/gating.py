"""Gated attention: each head's output passes a gate of its own."""

import numpy as np

from minibert.config import ModelConfig
from minibert.model.ops import linear, linear_backward, sigmoid
from minibert.model.parameters import Block
from minibert.model.workspace import NEW_ARRAYS


def gate_blocks(prefix: str, config: ModelConfig) -> list[Block]:
    if config.attention != "gated":
        return []
    shape = (config.hidden_size, config.heads)
    return [Block(f"{prefix}.gate.weight", shape), Block(f"{prefix}.gate.bias", shape[1:])]


def gate_heads(context, x, prefix, params, config: ModelConfig, work=NEW_ARRAYS):
    """C'_h = g_h · C_h with g = σ(x W_gate + b_gate), one number for each head and position.

    context (N, D), the heads' outputs side by side, x (N, D), the layer's input at the same positions -> (N, D),
    and the gate (N, H). Without a gate, the context itself, which is what a gate of 1 gives, and None.

    Softmax weights sum to one, so a head must attend to something. A gate lets it do nothing, which networks
    otherwise learn by attending to separators, with ever larger activations.

    Bondarenko, Nagel and Blankevoort, "Quantizable Transformers: Removing Outliers by Helping Attention Heads Do
    Nothing", NeurIPS 2023; Qiu et al., "Gated Attention for Large Language Models", NeurIPS 2025.
    """
    if config.attention != "gated":
        return context, None
    gate, _ = linear(x, params[f"{prefix}.gate.weight"], params[f"{prefix}.gate.bias"], work)
    sigmoid(gate, out=gate)
    gated = work.empty(context.shape, x.dtype)
    np.multiply(_heads(context, gate), gate[..., None], out=_heads(gated, gate))
    return gated, gate


def gate_heads_backward(dgated, context, gate, x, prefix, params, grads, work=NEW_ARRAYS):
    """dC_h = g_h · dC'_h, and through dg_h = dC'_h · C_h and σ' = g (1 - g) to x and the gate's parameters.

    Returns the gradients with respect to the context and to x; without a gate, ``dgated`` itself and None.
    """
    if gate is None:
        return dgated, None
    dgate = np.einsum("nhk,nhk->nh", _heads(dgated, gate), _heads(context, gate))
    dgate *= gate * (1 - gate)
    dx = linear_backward(dgate, x, f"{prefix}.gate", params, grads, work)
    _heads(dgated, gate)[...] *= gate[..., None]
    return dgated, dx


def _heads(context, gate):
    """(N, D) -> (N, H, K)"""
    return context.reshape(*gate.shape, -1)
