"""Batches of random tokens for small networks."""

import numpy as np

from minibert.data.batches import Batch


class RandomBatches:
    """Another batch for every step: six sequences of twelve tokens, of which about three in ten are predicted."""

    def __init__(self, vocab_size: int = 50):
        self.vocab_size = vocab_size

    def at(self, step: int) -> Batch:
        random = np.random.default_rng(step)
        input_ids = random.integers(5, self.vocab_size, (6, 12)).astype("int32")
        labels = np.where(random.random(input_ids.shape) < 0.3, input_ids, -100)
        return Batch(input_ids, labels, None, input_ids.size, int((labels != -100).sum()))


class OneBatch(RandomBatches):
    """The same batch at every step."""

    def at(self, step: int) -> Batch:
        return super().at(0)
