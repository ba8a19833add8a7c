"""What a forward pass keeps of the whole network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minibert.model.dropout import DropoutMasks
from minibert.model.embeddings import EmbeddingsCache
from minibert.model.encoder import LayerCache
from minibert.model.heads import HeadCache
from minibert.model.norms import NormCache
from minibert.model.workspace import NEW_ARRAYS


class RecomputedLayer(NamedTuple):
    """What takes the place of a layer's cache when activations are checkpointed: the means to compute it again.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
    """

    compute: Callable
    masks: DropoutMasks | None
    draws: int
    """How many masks had been drawn before the layer, so that it draws the same again"""

    def __call__(self, work) -> LayerCache:
        if self.masks is not None:
            self.masks.rewind(self.draws)
        return self.compute(masks=self.masks, work=work)[1]


@dataclass
class ForwardCache:
    """Everything that a forward pass computed and its backward pass needs, under the names that papers use."""

    embeddings: EmbeddingsCache
    layers: list[LayerCache | RecomputedLayer]
    final_norm: NormCache | None
    head: HeadCache
    hidden_states: list[np.ndarray]
    """L + 1 arrays (B, T, D): after the embeddings and after every layer. The last is what the head reads,
    after the final norm; where only predictions are scored it is (B, R, D), the rows that were computed."""
    chosen: np.ndarray | None
    """(B, R) bool: which of the last layer's rows are read; None when all are"""
    asked: np.ndarray | None
    """(B, T) bool: the positions that heads read, where some are read by auxiliary heads only; else None"""
    read: np.ndarray
    """(U, D): the final hidden states at the positions that heads read"""
    predicted: np.ndarray | None
    """(U,) bool: which of these the MLM head scores; None when it scores all"""
    sequences: slice
    """Which sequences of the batch the pass was over"""
    room: np.ndarray
    """(N, D): where the backward pass puts the gradient that it carries from layer to layer"""
    ends: list[int]
    """How much of the workspace was in use after the embeddings and after every layer"""

    def layer(self, index: int, work=NEW_ARRAYS) -> LayerCache:
        """The cache of a layer, computed again where activations are checkpointed."""
        kept = self.layers[index]
        return kept(work) if isinstance(kept, RecomputedLayer) else kept
