"""Masking: which tokens are predicted, and what replaces them in the input.

Masked language modelling: Devlin et al., "BERT", NAACL 2019. That corruption and prediction are two settings:
Wettig et al., "Should You Mask 15% in Masked Language Modeling?", EACL 2023.

This file chooses the tokens. Rates that change during training are in :mod:`minibert.data.masking_rates`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from minibert.config import MaskingConfig, require_option
from minibert.data.masking_rates import ScheduledMasking, implement_adaptive_masking
from minibert.data.tokenizer import FIRST_ORDINARY, MASK
from minibert.data.vocabulary import Vocabulary
from minibert.errors import unknown_name

IGNORED = -100
"""The label where nothing is predicted."""


@dataclass(frozen=True)
class UniformMasking:
    """Every ordinary token of a sequence is equally likely to be chosen; special tokens never are.

    Of n ordinary tokens, rate · n are chosen, rounded up or down at random such that the mean is exact. The count
    in a sequence differs from rate · n by less than one token. The tokens have one random order. Corruption and
    prediction both take tokens from its front, so the smaller set is a subset of the larger one. With the same
    random numbers, the set of a lower rate is a subset of that of a higher rate.
    """

    vocab_size: int
    """Random replacements have ids below it. It should be the size of the tokenizer's vocabulary."""
    corruption_rate: float
    prediction_rate: float
    mask: float = 0.8
    """Of the corrupted tokens, the share replaced by [MASK]."""
    random: float = 0.1
    """Of the corrupted tokens, the share replaced by a uniformly drawn ordinary token; the rest stays."""

    draws: ClassVar[int] = 3
    """Random numbers for each token: its order, the kind of its replacement, and the replacing token."""

    def at(self, step: int) -> "UniformMasking":
        """The masking of a step, counted from 0: the same one at every step."""
        return self

    def settings(self, step: int) -> dict[str, float]:
        """The values that change from step to step, for the log: none."""
        return {}

    def apply(
        self, input_ids: np.ndarray, generators: Iterable[np.random.Generator]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) ids and one generator a row -> (corrupted, labels), (B, T) int32 each.

        ``labels`` holds the original id where it is predicted and ``IGNORED`` elsewhere. A row depends on its own
        ids and its own generator only. A short row may be left without predictions.
        """
        rows, length = input_ids.shape
        uniforms = np.stack([generator.random(self.draws * length + 1) for generator in generators])
        order, kind, replacement, *more = uniforms[:, 1:].reshape(rows, self.draws, length).swapaxes(0, 1)

        corrupted, predicted = self.choose(input_ids, uniforms[:, :1], order, *more)
        drawn = FIRST_ORDINARY + (replacement * (self.vocab_size - FIRST_ORDINARY)).astype(np.int32)
        seen = np.where(corrupted & (kind < self.mask), MASK, input_ids)
        seen = np.where(corrupted & (kind >= self.mask) & (kind < self.mask + self.random), drawn, seen)
        return seen.astype(np.int32), np.where(predicted, input_ids, IGNORED).astype(np.int32)

    def choose(self, input_ids, rounding, order) -> tuple[np.ndarray, np.ndarray]:
        """Which tokens are corrupted and which predicted, (B, T) bool each.

        ``rounding`` (B, 1) and ``order`` (B, T) are uniform random numbers from 0 to 1.
        """
        rows, length = input_ids.shape
        ordinary = input_ids >= FIRST_ORDINARY
        order = np.where(ordinary, self.keys(input_ids, order), np.inf)
        rank = np.empty((rows, length), np.int32)
        np.put_along_axis(rank, order.argsort(axis=1), np.arange(length, dtype=np.int32)[None], axis=1)
        count = ordinary.sum(axis=1, keepdims=True)
        corrupted = rank < np.floor(self.corruption_rate * count + rounding)
        return corrupted, rank < np.floor(self.prediction_rate * count + rounding)

    def keys(self, input_ids, order) -> np.ndarray:
        """(B, T): the tokens with the smallest keys are chosen first. With uniform ones all are equally likely."""
        return order


@dataclass(frozen=True)
class FrequencyMasking(UniformMasking):
    """Rare words are chosen more often: each token with probability proportional to (c + 1)^−exponent.

    c is how often the word occurs in the training text. An exponent of 0 is uniform masking. Tokens are taken
    in the order of −log(1 − u) (c + 1)^exponent, u uniform. This equals drawing one after the other without
    replacement: Efraimidis & Spirakis, "Weighted random sampling with a reservoir", 2006. The rate is as exact as
    in uniform masking. Choosing by the root of a frequency: Mikolov et al., "Distributed
    Representations of Words and Phrases and their Compositionality", NIPS 2013.
    """

    delay: np.ndarray = field(kw_only=True, compare=False, repr=False)
    """(V,): (c + 1)^exponent"""

    def keys(self, input_ids, order) -> np.ndarray:
        return -np.log1p(-order) * self.delay[input_ids]


@dataclass(frozen=True)
class WholeWordMasking(UniformMasking):
    """All pieces of a word are chosen together.

    The words have one random order, and are taken from its front until the rate is reached. The last word often
    does not fit whole: if f of its s tokens fit, it is taken with probability f / s, which makes the mean exact.
    So the count in a sequence differs from the rate by less than one word, and not at all on average. A long word
    is more often the one that does not fit, so it is chosen less often than a short one. At a rate of 0.15, on the
    default corpus, a word of one piece is chosen with probability 0.151, of two 0.145, of three 0.139, of four
    0.130.

    Whole-word masking: the 2019 update of Devlin et al.'s BERT (github.com/google-research/bert).
    """

    continues: np.ndarray = field(kw_only=True, compare=False, repr=False)
    """(V,) bool: True where a token continues a word"""

    def choose(self, input_ids, rounding, order, *more) -> tuple[np.ndarray, np.ndarray]:
        ordinary = input_ids >= FIRST_ORDINARY
        before, size = places_of_units(np.where(ordinary, self.unit_keys(input_ids, order, *more), np.inf))
        needed = before + (1 - rounding) * size
        count = ordinary.sum(axis=1, keepdims=True)
        return needed < self.corruption_rate * count, needed < self.prediction_rate * count

    def unit_keys(self, input_ids, order) -> np.ndarray:
        """(B, T): tokens that are chosen together have the same key. The smallest keys are chosen first."""
        first = np.where(self.begins_word(input_ids), np.arange(input_ids.shape[1]), 0)
        return np.take_along_axis(order, np.maximum.accumulate(first, axis=1), axis=1)

    def begins_word(self, input_ids) -> np.ndarray:
        """(B, T) bool. The first token of a row or piece begins a word, even if it is the rest of a cut word."""
        begins = ~self.continues[input_ids]
        begins[:, 1:] |= input_ids[:, :-1] < FIRST_ORDINARY
        begins[:, 0] = True
        return begins


@dataclass(frozen=True)
class SpanMasking(WholeWordMasking):
    """Spans of whole words, their lengths geometric: P(ℓ) ∝ p (1 − p)^(ℓ−1) for ℓ words up to the longest.

    The words of a sequence have one random order. A span begins at each word in this order, and takes the words
    that earlier spans did not take, until the rate is reached. The last span is taken whole or not at all, with
    the probability that makes the mean exact, like the last word in whole-word masking. No span crosses [SEP].

    A span extends to the right of its first word. So the first words of a piece, which few spans can reach, are
    chosen less often. The last words, where spans are cut short, are chosen more often. At a rate of 0.15, on the
    default corpus, position 1 is chosen with probability 0.05, position 5 with 0.13, positions 10 to 59 with 0.15
    to 0.16, position 62 with 0.17.

    Joshi et al., "SpanBERT", TACL 2020: p = 0.2 and at most 10 words, 3.8 on average.
    """

    p: float = field(kw_only=True, default=0.2)
    longest: int = field(kw_only=True, default=10)
    """Words"""

    draws: ClassVar[int] = 4
    """One more: the length of the span that begins at the token."""

    def unit_keys(self, input_ids, order, length) -> np.ndarray:
        begins = self.begins_word(input_ids)
        word = np.cumsum(begins, axis=1) - 1
        first = np.argsort(~begins, axis=1, kind="stable")  # where each word begins; unused after the last word
        is_word = np.arange(input_ids.shape[1]) <= word[:, -1:]
        special = np.take_along_axis(input_ids, first, axis=1) < FIRST_ORDINARY
        keys = np.where(is_word & ~special, np.take_along_axis(order, first, axis=1), np.inf)
        lengths = self.span_lengths(np.take_along_axis(length, first, axis=1))
        stretch = np.cumsum(special, axis=1)

        earliest = keys.copy()
        for ahead in range(1, min(self.longest, keys.shape[1])):
            reaches = (lengths[:, :-ahead] > ahead) & (stretch[:, ahead:] == stretch[:, :-ahead])
            np.minimum(earliest[:, ahead:], np.where(reaches, keys[:, :-ahead], np.inf), out=earliest[:, ahead:])
        return np.take_along_axis(earliest, word, axis=1)

    def span_lengths(self, uniforms) -> np.ndarray:
        """The inverse of P(length ≤ ℓ) = (1 − (1 − p)^ℓ) / (1 − (1 − p)^longest): 1 to ``longest``, in words."""
        within = 1 - (1 - self.p) ** self.longest
        lengths = np.ceil(np.log1p(-uniforms * within) / np.log1p(-self.p))
        return np.clip(lengths, 1, self.longest).astype(np.int32)


def places_of_units(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens with equal keys form a unit. For each token: the tokens in earlier units, and those in its own unit.

    (B, T) keys -> (B, T) ints each. A unit is earlier than another if its key is smaller.
    """
    order = keys.argsort(axis=1)
    ordered = np.take_along_axis(keys, order, axis=1)
    place = np.arange(keys.shape[1])
    begins = np.ones(keys.shape, bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    start = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    next_start = np.full(keys.shape, keys.shape[1])
    next_start[:, :-1] = np.where(begins[:, 1:], place[1:], keys.shape[1])
    end = np.minimum.accumulate(next_start[:, ::-1], axis=1)[:, ::-1]
    before, size = np.empty(keys.shape, np.int64), np.empty(keys.shape, np.int64)
    np.put_along_axis(before, order, start, axis=1)
    np.put_along_axis(size, order, end - start, axis=1)
    return before, size


def build_masking(config: MaskingConfig, vocab_size: int, vocabulary: Vocabulary | None = None, steps: int = 1):
    """The masking that ``config.name`` names. Rates that are not set are ``config.rate``.

    All maskings except the uniform one need ``vocabulary``, the facts about the tokens. ``steps`` is the number of
    training steps, over which a scheduled rate changes.
    """
    require_option(config, MaskingConfig, "masking.")
    if config.name not in MASKINGS:
        raise unknown_name("masking.name", config.name, MASKINGS)
    return MASKINGS[config.name](config, vocab_size, vocabulary, steps)


def _rates(config: MaskingConfig) -> tuple[float, float]:
    corruption = config.rate if config.corruption_rate is None else config.corruption_rate
    prediction = config.rate if config.prediction_rate is None else config.prediction_rate
    return corruption, prediction


def _uniform(config, vocab_size, vocabulary, steps):
    return UniformMasking(vocab_size, *_rates(config), config.mask, config.random)


def _whole_word(config, vocab_size, vocabulary, steps):
    return WholeWordMasking(
        vocab_size, *_rates(config), config.mask, config.random, continues=vocabulary.continues
    )


def _span(config, vocab_size, vocabulary, steps):
    return SpanMasking(
        vocab_size,
        *_rates(config),
        config.mask,
        config.random,
        continues=vocabulary.continues,
        p=config.p,
        longest=config.longest,
    )


def _frequency(config, vocab_size, vocabulary, steps):
    delay = (vocabulary.counts + 1.0) ** config.exponent
    return FrequencyMasking(vocab_size, *_rates(config), config.mask, config.random, delay=delay)


def _scheduled(config, vocab_size, vocabulary, steps):
    return ScheduledMasking(MASKINGS[config.chosen](config, vocab_size, vocabulary, steps), config, steps)


def _adaptive(config, vocab_size, vocabulary, steps):
    return implement_adaptive_masking(config, MASKINGS[config.chosen](config, vocab_size, vocabulary, steps))


MASKINGS = {
    "uniform": _uniform,
    "whole_word": _whole_word,
    "span": _span,
    "frequency": _frequency,
    "scheduled": _scheduled,
    "adaptive": _adaptive,
}
"""The maskings that ``masking.name`` can name."""
