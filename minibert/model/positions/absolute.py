"""Schemes that add a vector to the embeddings, one for each position."""

import numpy as np

from minibert.model.parameters import Block
from minibert.model.positions.scheme import PositionScheme, length, refuse_beyond_training


class AbsolutePositions(PositionScheme):
    """x_t += P_t with a learned table P (max_length, D). Longer sequences are refused.

    Devlin et al., "BERT", NAACL 2019.
    """

    name = "absolute"

    NAME = "embeddings.position.weight"

    def blocks(self, config):
        return [Block(self.NAME, (config.max_length, config.hidden_size))]

    def embed(self, x, position_ids, params):
        table = params[self.NAME]
        refuse_beyond_training(length(position_ids, x.shape[1]), self.config)
        x += table[: x.shape[1]] if position_ids is None else table[position_ids]

    def embed_backward(self, dx, position_ids, grads):
        if position_ids is not None:
            grads.add_rows(self.NAME, position_ids.reshape(-1), dx.reshape(-1, dx.shape[2]))
            return
        gradient = np.zeros_like(grads[self.NAME])
        dx.sum(axis=0, out=gradient[: dx.shape[1]])
        grads.add(self.NAME, gradient)


class SinusoidalPositions(PositionScheme):
    """x_t += σ P_t with P_t = (sin tω₀, cos tω₀, sin tω₁, cos tω₁, ...), ω_p = 10000^(-2p / D), nothing learned.

    A shift by s turns each pair (sin tω, cos tω) by the angle sω: a linear map, the same at every t, which is what
    a layer needs to attend by distance. Any length has its vectors.

    σ is ``model.init_scale``, the standard deviation of the token embeddings at initialisation. The paper scales
    the embeddings to a deviation of 1 instead, and its waves have amplitude 1. The sum has the same direction, and
    a norm keeps only the direction. The table keeps its scale for the output weights, which are tied to it. Waves
    many times as large as the embeddings would hide from the network which tokens it reads.

    Vaswani et al., "Attention Is All You Need", NeurIPS 2017.
    """

    name = "sinusoidal"

    BASE = 10000.0

    def embed(self, x, position_ids, params):
        needed = length(position_ids, x.shape[1])
        table = self.table(needed).astype(x.dtype)
        x += table if position_ids is None else table[position_ids]

    def table(self, tokens: int) -> np.ndarray:
        """σ P: (tokens, D)"""
        size = self.config.hidden_size
        angles = np.arange(tokens)[:, None] * self.BASE ** (-np.arange(0, size, 2) / size)
        waves = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(tokens, size)
        return self.config.init_scale * waves
