"""Whole words: which stand in a row, and how surprising each is while all of its pieces are masked."""

import numpy as np
import pytest

from minibert.config import ModelConfig
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.packing import Sequences, cut_documents, pack_documents
from minibert.data.tokenizer import CLS, MASK, PAD, SEP, UNK, encode_texts, train_tokenizer
from minibert.data.vocabulary import describe_vocabulary
from minibert.evaluation.pseudo_likelihood import pseudo_log_likelihoods
from minibert.evaluation.whole_words import (
    Words,
    padded,
    unigram_surprisals,
    word_surprisals,
    words_at_random,
    words_begun,
    words_of,
)
from minibert.model.bert import MiniBERT

VOCABULARY = 16
CONTINUES = np.zeros(VOCABULARY, bool)
CONTINUES[[10, 11]] = True


@pytest.fixture(scope="module")
def model() -> MiniBERT:
    return network()


def network(**settings) -> MiniBERT:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24}
    return MiniBERT(ModelConfig(**sizes | {"max_length": 24, "dtype": "float64", "init_gain": 10.0} | settings), 3)


def as_rows(*rows) -> Sequences:
    return padded([np.array(row, np.int32) for row in rows])


def spans(words: Words) -> list[tuple[int, int, int]]:
    return [tuple(map(int, each)) for each in zip(words.rows, words.starts, words.stops, strict=True)]


def test_a_word_is_its_pieces_and_unknown_words_are_none():
    text = as_rows([CLS, 5, 10, 11, UNK, 6, SEP], [CLS, 7, SEP], [CLS, UNK, SEP])
    assert spans(words_of(text, CONTINUES)) == [(0, 1, 4), (0, 5, 6), (1, 1, 2)]
    assert words_begun(text, CONTINUES) == 5


def test_a_word_that_the_end_of_a_row_cuts_is_left_out_on_both_sides():
    rows = cut_documents([np.array([5, 6, 7, 10, 8, 9, 6], np.int32), np.array([9, 9, 9], np.int32)], 5)
    assert rows.input_ids[1].tolist() == [CLS, 10, 8, 9, SEP]
    assert spans(words_of(rows, CONTINUES)) == [
        (0, 1, 2), (0, 2, 3), (1, 2, 3), (1, 3, 4), (2, 1, 2), (3, 1, 2), (3, 2, 3), (3, 3, 4)
    ]  # fmt: skip


def test_the_next_document_does_not_go_on_with_the_last_word_of_the_one_before():
    rows = Sequences(
        np.array([[CLS, 5, 6, SEP], [CLS, 10, 7, SEP]], np.int32), np.array([4, 4], np.int32), np.array([0, 1])
    )
    assert spans(words_of(rows, CONTINUES)) == [(0, 1, 2), (0, 2, 3), (1, 2, 3)]


def by_hand(model, ids, groups, spans) -> list[float]:
    """Every piece by itself: the pieces before it are shown, all else of the group is masked."""
    found = []
    for number, (_, start, stop) in enumerate(spans):
        total = 0.0
        for place in range(start, stop):
            seen = np.array(ids)
            for other, (_, begin, end) in enumerate(spans):
                if groups[other] == groups[number]:
                    seen[begin:end] = MASK
            seen[start:place] = ids[start:place]
            logits, _ = model.forward(seen[None])
            scores = logits[0, place]
            total -= scores[ids[place]] - np.log(np.exp(scores).sum())
        found.append(total)
    return found


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("groups", [[0, 1, 2, 3], [0, 0, 0, 0], [1, 1, 0, 1]])
def test_surprisals_are_those_of_one_piece_at_a_time(model, lanes, groups):
    ids = [CLS, 5, 10, 11, 6, UNK, 7, 10, 8, SEP]
    text = as_rows(ids)
    words = words_of(text, CONTINUES)
    found = word_surprisals(model, text, words, np.array(groups), lanes)
    np.testing.assert_allclose(found, by_hand(model, ids, groups, spans(words)), rtol=1e-10)
    assert (words.pieces > 1).sum() == 2


def test_each_word_is_masked_alone_where_no_groups_are_given(model):
    text = as_rows([CLS, 5, 10, 6, SEP], [CLS, 7, 8, 9, 10, 5, SEP])
    words = words_of(text, CONTINUES)
    np.testing.assert_array_equal(
        word_surprisals(model, text, words), word_surprisals(model, text, words, np.arange(len(words)))
    )


def test_words_masked_alone_sum_to_the_pseudo_log_likelihood_within_words():
    tokenizer = train_tokenizer(["the cat cats dog sees run unhappy happiness a , . - ' don t " * 20], 60, True)
    continues = describe_vocabulary(tokenizer, np.zeros(60)).continues
    model = network(vocab_size=60)
    sentences = ["the unhappiness - at cats , don't run .", "a dog's happiness", "dogcat"]
    text = padded([np.array(each.ids, np.int32) for each in encode_texts(tokenizer, sentences)])
    words = words_of(text, continues)
    # Their letters are known, so nothing is [UNK].
    assert not (text.input_ids == UNK).any()
    sums = np.bincount(words.rows, word_surprisals(model, text, words))
    expected = [-score.log_likelihood for score in pseudo_log_likelihoods(model, tokenizer, sentences)]
    np.testing.assert_allclose(sums, expected, rtol=1e-10)


def test_a_row_of_two_documents_is_read_one_by_one(model):
    packed = pack_documents([np.array([5, 6, 10], np.int32), np.array([7, 8, 9, 5], np.int32)], 11)
    apart = as_rows([CLS, 5, 6, 10, SEP], [CLS, 7, 8, 9, 5, SEP])
    together, alone = words_of(packed, CONTINUES), words_of(apart, CONTINUES)
    assert len(packed) == 1
    np.testing.assert_allclose(
        word_surprisals(model, packed, together), word_surprisals(model, apart, alone), rtol=1e-10
    )


def test_padding_and_the_order_of_rows_change_nothing(model):
    rows = [[CLS, 5, 10, 6, SEP], [CLS, 7, SEP], [CLS, 8, 9, 10, 11, 5, SEP]]
    words = words_of(as_rows(*rows), CONTINUES)
    found = word_surprisals(model, as_rows(*rows), words)
    alone = [word_surprisals(model, as_rows(row), words_of(as_rows(row), CONTINUES)) for row in rows]
    np.testing.assert_allclose(found, np.concatenate(alone), rtol=1e-10)
    assert PAD in as_rows(*rows).input_ids


def test_no_words_have_no_surprisals(model):
    text = as_rows([CLS, UNK, SEP])
    assert word_surprisals(model, text, words_of(text, CONTINUES)).shape == (0,)


def test_the_unigram_surprisal_is_that_of_all_pieces():
    counts = np.array([0] * 5 + [4, 3, 2, 1, 0, 6, 7] + [0] * 4)
    text = as_rows([CLS, 5, 10, 11, 6, SEP])
    logs = log_unigram_frequencies(counts)
    expected = [-logs[[5, 10, 11]].sum(), -logs[6]]
    np.testing.assert_allclose(unigram_surprisals(text, words_of(text, CONTINUES), counts), expected)


def test_words_at_random_are_a_share_of_the_words_of_rows_spread_over_the_text():
    text = as_rows(*[[CLS, *[5 + (row + place) % 5 for place in range(20)], SEP] for row in range(100)])
    words = words_of(text, CONTINUES)
    chosen = words_at_random(words, len(text), 50, 0.15)
    assert spans(chosen) == spans(words_at_random(words, len(text), 50, 0.15))
    assert spans(chosen) != spans(words_at_random(words, len(text), 50, 0.15, seed=1))
    assert np.unique(chosen.rows).tolist() == list(range(1, 100, 2))
    assert np.bincount(chosen.rows)[1::2].tolist() == [3] * 50
    some = words_at_random(words, len(text), 100, 0.111)  # 2.22 words a row
    assert 2.0 < len(some) / 100 < 2.45
