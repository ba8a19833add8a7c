"""What a position scheme may do, and the scheme ``none``, which does nothing."""

from typing import Any, ClassVar

import numpy as np

from minibert.config import ModelConfig
from minibert.errors import MinibertError
from minibert.model.parameters import Block


class Places:
    """The order of one pass's tokens as attention sees it: made once, used by every layer.

    Queries are (B, H, R, K) where R of a sequence's T positions ask, keys (B, H, T, K), scores (B, H, R, T). Every
    method works in place and has its backward pass beside it. A scheme overrides what it needs.
    """

    def at(self, rows: np.ndarray) -> "Places":
        """The same for a layer in which only the positions ``rows`` (B, R) ask."""
        return self

    def rotate(self, query, key) -> None:
        """Turn queries and keys before they meet."""

    def rotate_backward(self, dquery, dkey) -> None:
        """The gradients with respect to the unturned queries and keys."""

    def add_to_scores(self, scores, query, prefix, params) -> None:
        """Add to the products q · k, before they are divided by √K."""

    def add_to_scores_backward(self, dscores, query, dquery, prefix, params, grads) -> None:
        """Add to dquery and to the parameters' gradients. dscores are those of the products q · k."""

    def add_to_context(self, context, weights, prefix, params) -> np.ndarray | None:
        """Add to the averaged values, context (B, H, R, K). Returns what the backward pass takes."""

    def add_to_context_backward(self, dcontext, cache, dweights, prefix, params, grads) -> None:
        """Add to dweights and to the parameters' gradients."""


NOWHERE = Places()
"""Attention that is not told of any order."""


class PositionScheme:
    """How the network learns the order of tokens. A scheme overrides what it needs; the rest does nothing."""

    name: ClassVar[str]
    """The word on the command line: ``position=name``. A class without a name is no option."""

    def __init__(self, config: ModelConfig):
        self.config = config
        self.settings: Any = config.position
        """The scheme's own settings"""

    def blocks(self, config: ModelConfig) -> list[Block]:
        """Parameters that the whole network shares."""
        return []

    def layer_blocks(self, prefix: str, config: ModelConfig) -> list[Block]:
        """Parameters of the attention ``prefix`` of one layer."""
        return []

    def embed(self, x: np.ndarray, position_ids: np.ndarray | None, params) -> None:
        """Add to the embeddings x (B, T, D), in place. Positions are 0 to T - 1, or (B, T) as given."""

    def embed_backward(self, dx: np.ndarray, position_ids: np.ndarray | None, grads) -> None:
        """Add the gradients of what :meth:`embed` added; dx is (B, T, D)."""

    def places(self, position_ids: np.ndarray | None, batch: int, tokens: int, bias, params) -> Places:
        """What attention does in a pass over sequences at these positions, under the mask ``bias`` (or None)."""
        return NOWHERE

    def local_places(self, everywhere: Places, position_ids: np.ndarray | None, tokens: int) -> Places:
        """:meth:`places` in layers that see a window only: by default those of all layers, ``everywhere``."""
        return everywhere


class NoPositions(PositionScheme):
    """The network is not told the order of tokens: it is permutation-equivariant.

    Haviv et al., "Transformer Language Models without Positional Encodings Still Learn Positional Information",
    Findings of EMNLP 2022, found that causal networks learn the order all the same, and that masked ones do not.
    """

    name = "none"


def refuse_beyond_training(needed: int, config: ModelConfig) -> None:
    """Tables of positions end where training did.

    Raises :class:`MinibertError` for a sequence of more than ``model.max_length`` tokens.
    """
    if needed > config.max_length:
        raise MinibertError(
            f"A sequence of {needed} tokens is longer than the position table. "
            f"Allowed: at most model.max_length={config.max_length}. "
            "Cut the text or train with a larger max_length."
        )


def length(position_ids, tokens: int) -> int:
    """The length that a sequence with these positions has, or would have if it was not cut."""
    return tokens if position_ids is None else int(position_ids.max()) + 1


def distances(position_ids, tokens: int, bias) -> np.ndarray:
    """How far key j stands behind query i, p_j - p_i: (1, T, T) where all sequences agree, else (B, T, T).

    In a row packed with several pieces, positions start at 0 in each, but the distance within a piece is j - i
    as everywhere. Where the mask keeps pieces apart, no other distance matters, and all rows share one table.
    """
    columns = np.arange(tokens)
    plain = columns - columns[:, None]
    if position_ids is None:
        return plain[None]
    given = position_ids[:, None, :].astype(np.int64) - position_ids[:, :, None]
    differ = given != plain
    if bias is not None:
        differ &= bias[:, 0] == 0
    return given if differ.any() else plain[None]


def take_queries(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What belongs to the queries that ask: x (1 or B, T, ...), rows (B, R) -> (B, R, ...)"""
    return x[0][rows] if len(x) == 1 else x[np.arange(len(rows))[:, None], rows]
