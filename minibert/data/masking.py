"""Which tokens are predicted, and what the network sees in their place.

Masked language modelling: Devlin et al., "BERT", NAACL 2019. That corruption and prediction are two settings:
Wettig et al., "Should You Mask 15% in Masked Language Modeling?", EACL 2023.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minibert.config import MaskingConfig
from minibert.data.tokenizer import FIRST_ORDINARY, MASK
from minibert.errors import unknown_name

IGNORED = -100
"""The label where nothing is predicted."""


@dataclass(frozen=True)
class UniformMasking:
    """Every ordinary token of a sequence is equally likely to be chosen; special tokens never are.

    Of n ordinary tokens, rate · n are chosen, rounded up or down at random such that the mean is exact: a
    sequence's count never strays from its rate by a whole token. The tokens stand in one random order, and
    corruption and prediction each take theirs from its front, so the smaller set lies inside the larger, and with
    the same draws the set of a lower rate lies inside that of a higher one.
    """

    vocab_size: int
    """Random replacements are drawn below it, so it is best the tokenizer's own size."""
    corruption_rate: float
    prediction_rate: float
    mask: float = 0.8
    """Of the corrupted tokens, the share replaced by [MASK]."""
    random: float = 0.1
    """Of the corrupted tokens, the share replaced by a uniformly drawn ordinary token; the rest stays."""

    def apply(
        self, input_ids: np.ndarray, generators: Sequence[np.random.Generator]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) ids and one generator a row -> (corrupted, labels), (B, T) int32 each.

        ``labels`` holds the original id where it is predicted and ``IGNORED`` elsewhere. A row depends on its own
        ids and its own generator only. A short row may be left without predictions.
        """
        rows, length = input_ids.shape
        uniforms = np.stack([generator.random(3 * length + 1) for generator in generators])
        order, kind, replacement = uniforms[:, 1:].reshape(rows, 3, length).swapaxes(0, 1)

        ordinary = input_ids >= FIRST_ORDINARY
        order = np.where(ordinary, order, 2.0)
        rank = np.empty((rows, length), np.int32)
        np.put_along_axis(rank, order.argsort(axis=1), np.arange(length, dtype=np.int32)[None], axis=1)
        count = ordinary.sum(axis=1, keepdims=True)
        corrupted = rank < np.floor(self.corruption_rate * count + uniforms[:, :1])
        predicted = rank < np.floor(self.prediction_rate * count + uniforms[:, :1])

        drawn = FIRST_ORDINARY + (replacement * (self.vocab_size - FIRST_ORDINARY)).astype(np.int32)
        seen = np.where(corrupted & (kind < self.mask), MASK, input_ids)
        seen = np.where(corrupted & (kind >= self.mask) & (kind < self.mask + self.random), drawn, seen)
        return seen.astype(np.int32), np.where(predicted, input_ids, IGNORED).astype(np.int32)


def build_masking(config: MaskingConfig, vocab_size: int) -> UniformMasking:
    """The masking that ``config.name`` names. Rates that are not set are ``config.rate``."""
    if config.name not in MASKINGS:
        raise unknown_name("masking.name", config.name, MASKINGS)
    corruption = config.rate if config.corruption_rate is None else config.corruption_rate
    prediction = config.rate if config.prediction_rate is None else config.prediction_rate
    return MASKINGS[config.name](vocab_size, corruption, prediction, config.mask, config.random)


MASKINGS = {"uniform": UniformMasking}
"""The maskings that ``masking.name`` can name."""
