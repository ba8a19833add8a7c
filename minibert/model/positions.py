"""Position schemes: how the network knows the order of tokens.

A scheme may *embed* (add a vector to the token embeddings), *rotate* queries and keys, or *bias* the
attention scores. Each is an object that does nothing for what it leaves out.
"""

import numpy as np

from minibert.config import ModelConfig
from minibert.errors import MinibertError
from minibert.model.parameters import Block


class NoPositions:
    """The order of tokens is not told: the network is permutation-equivariant."""

    def blocks(self, config: ModelConfig) -> list[Block]:
        """The parameters of the scheme."""
        return []

    def embed(self, x: np.ndarray, params) -> None:
        """Add to the embeddings x (B, T, D), in place."""

    def embed_backward(self, dx: np.ndarray, grads) -> None:
        """Add the gradients of what :meth:`embed` added; dx is (B, T, D)."""


class AbsolutePositions(NoPositions):
    """x_t += P_t with a learned table P (max_length, D).

    Devlin et al., "BERT", NAACL 2019.
    """

    NAME = "embeddings.position.weight"

    def blocks(self, config):
        return [Block(self.NAME, (config.max_length, config.hidden_size))]

    def embed(self, x, params):
        table = params[self.NAME]
        if x.shape[1] > len(table):
            raise MinibertError(
                f"A sequence of {x.shape[1]} tokens is longer than the position table. "
                f"Allowed: at most model.max_length={len(table)}. Cut the text or train with a larger max_length."
            )
        x += table[: x.shape[1]]

    def embed_backward(self, dx, grads):
        gradient = np.zeros_like(grads[self.NAME])
        dx.sum(axis=0, out=gradient[: dx.shape[1]])
        grads.add(self.NAME, gradient)


POSITIONS = {"absolute": AbsolutePositions}
