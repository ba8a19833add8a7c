"""Facts about the tokens of a vocabulary: which continue a word, which end a sentence, how often each occurs."""

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

SENTENCE_ENDS = (".", "!", "?")


@dataclass(frozen=True)
class Vocabulary:
    """Facts about every token, each an array (V,) to be indexed with ids."""

    continues: np.ndarray
    """bool: True where the token continues a word that another one begins"""
    ends_sentence: np.ndarray
    """bool: True at the tokens . ! ?"""
    counts: np.ndarray
    """int64: how often the token occurs in the training text; zero for special tokens"""


def describe_vocabulary(tokenizer: Tokenizer, counts: np.ndarray) -> Vocabulary:
    """The facts about a tokenizer's ids. ``counts`` (V,) may be longer than the tokenizer's own vocabulary."""
    continues, ends = np.zeros((2, len(counts)), bool)
    for token, index in tokenizer.get_vocab().items():
        continues[index] = token.startswith("##")
        ends[index] = token in SENTENCE_ENDS
    return Vocabulary(continues, ends, counts)
