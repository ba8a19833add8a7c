"""What counting words and pairs of words reaches, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from minibert.data.baselines import (
    BigramModel,
    bigram_cross_entropy,
    log_unigram_frequencies,
    unigram_counts,
    unigram_cross_entropy,
    unigram_entropy,
)
from minibert.data.packing import Sequences, pack_documents
from minibert.data.tokenizer import CLS, UNK

A, B, C, D = 5, 6, 7, 8
VOCAB = 9


def text(*documents: list[int]) -> Sequences:
    return pack_documents([np.array(document, np.int32) for document in documents], sequence_length=12)


def test_counts_are_of_ordinary_tokens_only():
    assert unigram_counts(text([A, B, A, UNK], [A, C]), VOCAB).tolist() == [0, 0, 0, 0, 0, 3, 1, 1, 0]


def test_log_frequencies_are_add_one_smoothed_and_special_tokens_get_the_smallest():
    # Counts 3, 1, 1, 0 become 4, 2, 2, 1 of 9.
    logs = log_unigram_frequencies(np.array([0, 0, 0, 0, 0, 3, 1, 1, 0]))
    assert np.exp(logs) == pytest.approx(np.array([1, 1, 1, 1, 1, 4, 2, 2, 1]) / 9)
    assert logs.dtype == np.float64


def test_the_entropy_of_equally_frequent_words_is_the_log_of_their_number():
    assert unigram_entropy(np.array([0, 0, 0, 0, 0, 7, 7, 7, 7])) == pytest.approx(math.log(4))


def test_entropy_of_unequal_words():
    # ½ log 2 + 2 · ¼ log 4 = 1.5 log 2
    assert unigram_entropy(np.array([0, 0, 0, 0, 0, 2, 1, 1, 0])) == pytest.approx(1.5 * math.log(2))


def test_cross_entropy_uses_the_smoothed_training_frequencies():
    train, evaluation = np.array([0, 0, 0, 0, 0, 3, 1, 1, 0]), np.array([0, 0, 0, 0, 0, 1, 0, 0, 1])
    assert unigram_cross_entropy(train, evaluation) == pytest.approx((math.log(9 / 4) + math.log(9)) / 2)


@pytest.mark.parametrize("context", [CLS, UNK, A, B, C, D])
def test_bigram_probabilities_sum_to_one_after_every_context(context):
    model = BigramModel.fit(text([A, B, A, B, A, C], [A, B, B, UNK, C], [A, A]), VOCAB)
    words = np.arange(A, VOCAB)
    probabilities = np.exp(model.log_probability(np.full(len(words), context), words))
    assert probabilities.sum() == pytest.approx(1)
    assert (probabilities > 0).all()


def test_bigram_probabilities_by_hand():
    """Pairs of "a b a b" and "a c": [CLS]→a twice, a→b twice, b→a once, a→c once.

    Seen once: 2 pairs, seen twice: 2 pairs, so d = 2 / (2 + 4) = 1/3.
    Distinct predecessors: a 2 ([CLS], b), b 1, c 1; once: 2 words, twice: 1 word, so e = 2 / (2 + 2) = 1/2.
    4 distinct pairs, 3 words seen, 4 ordinary tokens: q = max(n − ½, 0) / 4 + ½ · 3/4 · 1/4,
    which is a 15/32, b 7/32, c 7/32, d 3/32.
    """
    model = BigramModel.fit(text([A, B, A, B], [A, C]), VOCAB)
    assert model.discount == pytest.approx(1 / 3)
    assert model.continuation[A:] == pytest.approx(np.array([15, 7, 7, 3]) / 32)

    contexts, words = np.array([A, A, A, B, D]), np.array([B, C, D, A, A])
    expected = [
        (2 - 1 / 3) / 3 + (1 / 3) * 2 / 3 * 7 / 32,
        (1 - 1 / 3) / 3 + (1 / 3) * 2 / 3 * 7 / 32,
        (1 / 3) * 2 / 3 * 3 / 32,
        (1 - 1 / 3) / 1 + (1 / 3) * 1 / 1 * 15 / 32,
        15 / 32,
    ]
    assert np.exp(model.log_probability(contexts, words)) == pytest.approx(expected)


def test_bigram_cross_entropy_is_the_mean_over_ordinary_tokens():
    # Scored: [CLS]→a and a→d of the model above; the unknown token is context but never scored.
    train, evaluation = text([A, B, A, B], [A, C]), text([A, D, UNK])
    first = (2 - 1 / 3) / 2 + (1 / 3) * 1 / 2 * 15 / 32
    second = (1 / 3) * 2 / 3 * 3 / 32
    expected = -(math.log(first) + math.log(second)) / 2
    assert bigram_cross_entropy(train, evaluation, VOCAB) == pytest.approx(expected)


def test_pairs_do_not_cross_sequences():
    model = BigramModel.fit(text([A], [B], [A, C]), VOCAB)
    assert A * VOCAB + B not in model.pairs


def test_bigrams_beat_unigrams_where_the_previous_word_tells_the_next():
    pattern = text([A, B, C, D, A, B, C, D, A, B])
    counts = unigram_counts(pattern, VOCAB)
    assert bigram_cross_entropy(pattern, pattern, VOCAB) < unigram_entropy(counts) / 2


def test_a_text_without_rare_pairs_still_leaves_something_for_unseen_ones():
    train = text(*[[A, B]] * 5)
    assert math.isfinite(bigram_cross_entropy(train, text([D, C]), VOCAB))
