"""A toy language in which words are good or bad, and a network that knows which.

Each word stands for its kind along one direction of the embeddings of :func:`knowing`. Sentences to train on and
sentences to test have different words, so that only who knows the words already can classify the latter.
"""

from itertools import product

import numpy as np
from tokenizers import Tokenizer

from minibert.config import ModelConfig
from minibert.data.annotated.classified import LabelledSentence
from minibert.data.tokenizer import train_tokenizer
from minibert.evaluation.downstream import Splits
from minibert.model.bert import MiniBERT

FILLERS = ["the", "film", "was", "and", "it", "a", "plot", "with"]
WORDS = ["".join(letters) for letters in product("bdfgk", "aeiou", "lmnrst")]
KINDS = {"good": WORDS[::2][:60], "bad": WORDS[1::2][:60]}
TRAINED_ON = 20
"""Words of each kind that the training and dev sentences have"""
VOCABULARY = 240


def tokenizer() -> Tokenizer:
    made = train_tokenizer([" ".join([*FILLERS, *KINDS["good"], *KINDS["bad"]]) + " "] * 20, VOCABULARY, True)
    assert all(made.token_to_id(word) is not None for kind in KINDS.values() for word in kind)
    return made


def network(seed: int = 3, **settings) -> MiniBERT:
    """One layer that knows nothing."""
    sizes = {"hidden_size": 32, "layers": 1, "heads": 2, "feed_forward_size": 32, "max_length": 32}
    return MiniBERT(ModelConfig(**{"vocab_size": VOCABULARY} | sizes | settings), seed)


def knowing(made: Tokenizer, **settings) -> MiniBERT:
    """The same, with the kind of every word in its embedding."""
    model = network(**settings)
    direction = np.random.default_rng(0).normal(size=model.config.hidden_size)
    for kind, sign in (("good", 0.1), ("bad", -0.1)):
        for word in KINDS[kind]:
            model.params["embeddings.token.weight"][made.token_to_id(word)] += sign * direction
    return model


def sentences(count: int, words: slice, seed: int) -> list[LabelledSentence]:
    """Good and bad ones in turn, of four to nine words, two of them of the sentence's kind."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        kind = ("good", "bad")[number % 2]
        text = [*random.choice(FILLERS, random.integers(2, 8)), *random.choice(KINDS[kind][words], 2)]
        found.append(LabelledSentence(" ".join(random.permutation(text)), kind))
    return found


def splits(train: int = 160, dev: int = 60, test: int = 100) -> Splits:
    known, new = slice(0, TRAINED_ON), slice(TRAINED_ON, None)
    return Splits(sentences(train, known, 1), sentences(dev, known, 2), sentences(test, new, 3))
