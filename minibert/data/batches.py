"""Batches: sequences in an order, with masks. Both follow from seeds and places, so nothing has to be saved."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from minibert.data.masking import UniformMasking
from minibert.data.packing import Sequences, pieces, positions_within
from minibert.randomness import generator


@dataclass(frozen=True)
class Batch:
    """What one step, or one part of an evaluation, is computed on."""

    input_ids: np.ndarray
    """(B, T) int32, corrupted"""
    labels: np.ndarray
    """(B, T) int32: the original id where it is predicted, IGNORED elsewhere"""
    attention_mask: np.ndarray | None
    """(B, T) bool, True at tokens that are not padding; (B, T, T), True where i may look at j, when a row holds
    several pieces; None when every row is one full piece"""
    tokens: int
    """Tokens that are not padding, [CLS] and [SEP] included."""
    predictions: int
    """Tokens that are predicted."""
    position_ids: np.ndarray | None = None
    """(B, T) position of each token in its piece; None when every row is one piece"""


class Batches:
    """The batch of any step as a pure function of the step, so that resuming needs no state.

    The sequences of one epoch after the other, each epoch in its own random order without replacement, form an
    endless row; step s takes the sequences s·B to s·B + B − 1 of it. Every batch is full; one may straddle epochs.
    """

    def __init__(
        self, sequences: Sequences, masking: UniformMasking, batch_size: int, data_seed: int, masking_seed: int
    ):
        if not len(sequences):
            raise ValueError("there are no sequences to make batches of")
        self.sequences = sequences
        self.masking = masking
        self.batch_size = batch_size
        self.data_seed = data_seed
        self.masking_seed = masking_seed
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0. Its masks are keyed by (masking seed, step, row)."""
        generators = [generator(self.masking_seed, step, row) for row in range(self.batch_size)]
        return _masked_batch(self.sequences, self.indices(step), self.masking, generators)

    def indices(self, step: int) -> np.ndarray:
        """(B,) int64: which sequences are in the batch of a step."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, offsets = np.divmod(places, len(self.sequences))
        return np.concatenate([self._order(int(epoch))[offsets[epochs == epoch]] for epoch in np.unique(epochs)])

    def epoch(self, step: int) -> float:
        """How often the corpus has been passed through before this step."""
        return step * self.batch_size / len(self.sequences)

    def _draw_order(self, epoch: int) -> np.ndarray:
        return generator(self.data_seed, epoch).permutation(len(self.sequences))


def frozen_batches(
    sequences: Sequences, rate: float, count: int, batch_size: int, mask_seed: int, vocab_size: int
) -> list[Batch]:
    """The evaluation set: ``count`` sequences spread evenly over all, corrupted 80/10/10, the same for every run.

    A sequence's draws are keyed by (``mask_seed``, its index) alone, whatever ``rate``, ``count`` and
    ``batch_size`` are; so the masked positions of a lower rate lie inside those of a higher one. Where there are
    fewer sequences than ``count``, all are taken. The last batch may be smaller.
    """
    count = min(count, len(sequences))
    chosen = (2 * np.arange(count) + 1) * len(sequences) // (2 * count)
    masking = UniformMasking(vocab_size, corruption_rate=rate, prediction_rate=rate)
    batches = []
    for start in range(0, count, batch_size):
        indices = chosen[start : start + batch_size]
        generators = [generator(mask_seed, int(index)) for index in indices]
        batches.append(_masked_batch(sequences, indices, masking, generators))
    return batches


def _masked_batch(sequences: Sequences, indices: np.ndarray, masking: UniformMasking, generators: list) -> Batch:
    original = sequences.input_ids[indices]
    input_ids, labels = masking.apply(original, generators)
    lengths = sequences.lengths[indices]
    real = np.arange(input_ids.shape[1]) < lengths[:, None]
    attention_mask, position_ids = None if real.all() else real, None
    piece = pieces(original)
    if piece[:, -1].max() > 1:
        attention_mask = (piece[:, :, None] == piece[:, None, :]) & real[:, None, :]
        position_ids = positions_within(piece)
    tokens, predictions = int(lengths.sum()), int((labels >= 0).sum())
    return Batch(input_ids, labels, attention_mask, tokens, predictions, position_ids)
