"""A part of the vocabulary, over which the softmax of a training step is estimated."""

from typing import NamedTuple

import numpy as np


class WordSample(NamedTuple):
    """Words drawn from the vocabulary, with what makes the sum over them stand for the sum over all.

    Where word j is drawn with probability π_j, and C is what was drawn, the sum of

        Σ_{j ∈ C} e^{s_j} / π_j = Σ_{j ∈ C} e^{s_j - log π_j}

    is on average the softmax's sum over all words (Horvitz and Thompson, "A Generalization of Sampling Without
    Replacement From a Finite Universe", 1952). So the loss is the usual cross-entropy of the words in C, with
    scores raised by -log π_j. Words that are predicted are always in C, with π = 1: given these, the sum is
    unbiased; its logarithm, by Jensen's inequality, is a little too small. Bengio and Senécal, "Quick Training of
    Probabilistic Neural Nets by Importance Sampling", AISTATS 2003.
    """

    ids: np.ndarray
    """(S,) ints, ascending, each once"""
    raised: np.ndarray
    """(S,): -log π_j, in the type of the network"""

    def places(self, labels: np.ndarray) -> np.ndarray:
        """Where the labels, all of them in the sample, stand in it."""
        return np.searchsorted(self.ids, labels)
