"""Which words of the vocabulary the softmax of a training step is computed over."""

import numpy as np

from minibert.model.words import WordSample
from minibert.randomness import generator

EXPONENT = 0.75
"""Between the frequencies (1), by which rare words are hardly ever drawn, and equal chances (0), by which frequent
words, which make up most of every softmax, are left to chance; as word2vec draws its negatives.
Mikolov et al., "Distributed Representations of Words and Phrases and their Compositionality", NeurIPS 2013."""


class WordSampler:
    """Draws every word by itself, word j with probability π_j = min(1, κ (c_j + 1)^(3/4)); κ such that Σ π_j = n.

    c_j are the counts of the training text, zero for special tokens. The words that a step predicts are added.
    The draws are keyed by (masking seed, step). Where nothing is predicted and nothing drawn, the sample is the
    first word: no sample is empty.
    """

    def __init__(self, counts: np.ndarray, size: int, seed: int, dtype: str = "float32"):
        """``counts`` (V,) and ``size`` n, below V."""
        self.seed = seed
        self.probabilities = drawing_probabilities(counts, size)
        self._raised = -np.log(self.probabilities).astype(dtype)

    def at(self, step: int, labels: np.ndarray) -> WordSample:
        """The sample of a step, with all ``labels`` that are not IGNORED."""
        size = len(self.probabilities)
        drawn = generator(self.seed, step, 0, 3).random(size) < self.probabilities
        certain = np.zeros(size, bool)
        certain[labels[labels >= 0]] = True
        certain[0] |= not (drawn.any() or certain.any())
        ids = np.flatnonzero(drawn | certain)
        return WordSample(ids, np.where(certain[ids], 0, self._raised[ids]).astype(self._raised.dtype))


def drawing_probabilities(counts: np.ndarray, size: int) -> np.ndarray:
    """π_j = min(1, κ (c_j + 1)^(3/4)) with Σ π_j = n.    counts (V,), n ``size`` < V -> (V,) float64

    With the k most frequent words certain, κ is what shares n - k among the others; k is the least that leaves no
    other above 1.
    """
    weights = (counts + 1.0) ** EXPONENT
    ordered = -np.sort(-weights)
    others = np.cumsum(ordered[::-1])[::-1]
    factors = (size - np.arange(size)) / others[:size]  # κ, for every k
    certain = int(np.argmax(factors * ordered[:size] <= 1))
    return np.minimum(1, factors[certain] * weights)
