"""Baselines of the held-out loss: the cross-entropy of a unigram and of a bigram model on the same text.

All entropies are in nats per ordinary token. Special tokens, including [UNK], are never predicted.
"""

from dataclasses import dataclass

import numpy as np

from minibert.data.packing import Sequences
from minibert.data.tokenizer import FIRST_ORDINARY


def unigram_counts(sequences: Sequences, vocab_size: int) -> np.ndarray:
    """How often each ordinary token occurs: (V,) int64, zero for special tokens."""
    counts = np.bincount(sequences.input_ids.ravel(), minlength=vocab_size)
    counts[:FIRST_ORDINARY] = 0
    return counts


def log_unigram_frequencies(counts: np.ndarray) -> np.ndarray:
    """log p(w) with p(w) = (c(w) + 1) / Σ (c + 1) over ordinary tokens. (V,) counts -> (V,) float64.

    Special tokens get the smallest of these values; they are not part of the distribution.
    """
    logs = np.log(counts + 1.0)
    logs -= np.log((counts[FIRST_ORDINARY:] + 1.0).sum())
    logs[:FIRST_ORDINARY] = logs[FIRST_ORDINARY:].min()
    return logs


def unigram_entropy(counts: np.ndarray) -> float:
    """H = −Σ p(w) log p(w) of the counted text: the loss of a model that knows its word frequencies alone."""
    frequencies = counts[counts > 0] / counts.sum()
    return float(-(frequencies * np.log(frequencies)).sum())


def unigram_cross_entropy(train_counts: np.ndarray, evaluation_counts: np.ndarray) -> float:
    """−Σ p_evaluation(w) log p_train(w), with add-one smoothed training frequencies."""
    return float(-(evaluation_counts * log_unigram_frequencies(train_counts)).sum() / evaluation_counts.sum())


def bigram_cross_entropy(train: Sequences, evaluation: Sequences, vocab_size: int) -> float:
    """Mean −log p(w | previous token) of the evaluation's ordinary tokens, by bigrams of the training text.

    The first token of a sequence is predicted from [CLS]. The distribution is :class:`BigramModel`.
    """
    contexts, words = _pairs(evaluation)
    return float(-BigramModel.fit(train, vocab_size).log_probability(contexts, words).mean())


def text_baselines(train: Sequences, train_counts: np.ndarray, evaluation: Sequences) -> dict[str, float]:
    """All baselines of a held-out text, by name. ``train_counts`` (V,): :func:`unigram_counts` of ``train``."""
    vocab_size = len(train_counts)
    counts = unigram_counts(evaluation, vocab_size)
    return {
        "unigram_entropy": unigram_entropy(counts),
        "unigram_cross_entropy": unigram_cross_entropy(train_counts, counts),
        "bigram_cross_entropy": bigram_cross_entropy(train, evaluation, vocab_size),
    }


@dataclass(frozen=True)
class BigramModel:
    """Interpolated Kneser–Ney bigrams.

    p(w | v) = max(c(v, w) − d, 0) / c(v) + d · n(v ·) / c(v) · q(w)
    q(w)     = max(n(· w) − e, 0) / n + e · n₊ / n · 1 / (V − 5)

    where c counts pairs, n(v ·) and n(· w) count the distinct successors of v and the distinct predecessors of w,
    n all distinct pairs, and n₊ the words that occur. A context never seen gives q(w). The discounts d and e are
    n₁ / (n₁ + 2 n₂), from the number of pairs (words) seen once and twice.

    Kneser & Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995; the interpolated form and its
    discounts: Chen & Goodman, "An empirical study of smoothing techniques for language modeling", 1999.
    """

    vocab_size: int
    pairs: np.ndarray
    """(P,) int64, sorted: v · V + w of every pair seen"""
    pair_counts: np.ndarray
    """(P,) c(v, w)"""
    context_counts: np.ndarray
    """(V,) c(v)"""
    successors: np.ndarray
    """(V,) n(v ·)"""
    discount: float
    """d"""
    continuation: np.ndarray
    """(V,) q(w); zero for special tokens"""

    @classmethod
    def fit(cls, train: Sequences, vocab_size: int) -> "BigramModel":
        """Count the pairs (previous token, ordinary token) inside every sequence."""
        contexts, words = _pairs(train)
        pairs, pair_counts = np.unique(contexts * vocab_size + words, return_counts=True)
        seen_contexts, seen_words = np.divmod(pairs, vocab_size)

        predecessors = np.bincount(seen_words, minlength=vocab_size)
        discount = _discount(predecessors)
        spread = discount * np.count_nonzero(predecessors) / len(pairs) / (vocab_size - FIRST_ORDINARY)
        continuation = np.maximum(predecessors - discount, 0) / len(pairs) + spread
        continuation[:FIRST_ORDINARY] = 0
        return cls(
            vocab_size,
            pairs,
            pair_counts,
            context_counts=np.bincount(contexts, minlength=vocab_size),
            successors=np.bincount(seen_contexts, minlength=vocab_size),
            discount=_discount(pair_counts),
            continuation=continuation,
        )

    def log_probability(self, contexts: np.ndarray, words: np.ndarray) -> np.ndarray:
        """log p(word | context) of (n,) contexts and (n,) ordinary words -> (n,) float64"""
        wanted = contexts.astype(np.int64) * self.vocab_size + words
        places = np.searchsorted(self.pairs, wanted).clip(max=len(self.pairs) - 1)
        counts = np.where(self.pairs[places] == wanted, self.pair_counts[places], 0)
        totals = self.context_counts[contexts]
        known = totals > 0
        divisor = np.where(known, totals, 1)
        direct = np.maximum(counts - self.discount, 0) / divisor
        left_over = np.where(known, self.discount * self.successors[contexts] / divisor, 1.0)
        return np.log(direct + left_over * self.continuation[words])


def _pairs(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """(previous tokens, ordinary tokens), (n,) int64 each."""
    ordinary = sequences.ordinary[:, 1:]
    return (
        sequences.input_ids[:, :-1][ordinary].astype(np.int64),
        sequences.input_ids[:, 1:][ordinary].astype(np.int64),
    )


def _discount(counts: np.ndarray) -> float:
    once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    # If nothing occurs once, the formula gives 0, and unseen pairs would have probability zero: use one half.
    return once / (once + 2 * twice) if once else 0.5
