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

    def embed(self, x: np.ndarray, position_ids: np.ndarray | None, params) -> None:
        """Add to the embeddings x (B, T, D), in place. Positions are 0 to T - 1 in every row, or as given, (B, T)."""

    def embed_backward(self, dx: np.ndarray, position_ids: np.ndarray | None, grads) -> None:
        """Add the gradients of what :meth:`embed` added; dx is (B, T, D)."""


class AbsolutePositions(NoPositions):
    """x_t += P_t with a learned table P (max_length, D).

    Devlin et al., "BERT", NAACL 2019.
    """

    NAME = "embeddings.position.weight"

    def blocks(self, config):
        return [Block(self.NAME, (config.max_length, config.hidden_size))]

    def embed(self, x, position_ids, params):
        table = params[self.NAME]
        needed = x.shape[1] if position_ids is None else int(position_ids.max()) + 1
        if needed > len(table):
            raise MinibertError(
                f"A sequence of {needed} tokens is longer than the position table. "
                f"Allowed: at most model.max_length={len(table)}. Cut the text or train with a larger max_length."
            )
        x += table[: x.shape[1]] if position_ids is None else table[position_ids]

    def embed_backward(self, dx, position_ids, grads):
        if position_ids is not None:
            grads.add_rows(self.NAME, position_ids.reshape(-1), dx.reshape(-1, dx.shape[2]))
            return
        gradient = np.zeros_like(grads[self.NAME])
        dx.sum(axis=0, out=gradient[: dx.shape[1]])
        grads.add(self.NAME, gradient)


POSITIONS = {"absolute": AbsolutePositions}
