"""Vectors of words: which occurrences count, and that they are the means they are said to be."""

import numpy as np
import pytest

from minibert.config import ModelConfig
from minibert.data.packing import Sequences, cut_documents, pack_documents
from minibert.data.tokenizer import encode_documents, train_tokenizer
from minibert.evaluation.word_vectors import (
    contextual_vectors,
    continuing,
    cosines,
    find_occurrences,
    spellings,
    spread_rows,
    static_vectors,
    text_inputs,
    vocabulary_words,
)
from minibert.model.bert import MiniBERT

VOCABULARY = 60
TEXTS = ["the cat runs . unhappy cats running", "a happy dog , the dog , the dog", "happy unhappiness the cat"]


@pytest.fixture(scope="module")
def tokenizer():
    words = "the cat cats dog dogs sees see runs run unhappy happiness a , . ;"
    return train_tokenizer([f"{words} " * 20], VOCABULARY, lowercase=True)


@pytest.fixture(scope="module")
def model() -> MiniBERT:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24}
    return MiniBERT(ModelConfig(**sizes, max_length=24, dtype="float64", init_gain=10.0), 3)


@pytest.fixture(scope="module")
def sequences(tokenizer) -> Sequences:
    return pack_documents(encode_documents(tokenizer, TEXTS), 16)


def occurrences(tokenizer, sequences, words):
    spelt = spellings(tokenizer, words)
    found = find_occurrences(sequences, list(spelt.values()), continuing(tokenizer, VOCABULARY))
    return dict(zip(spelt, found, strict=True))


def test_a_word_that_cannot_be_spelt_is_left_out(tokenizer):
    spelt = spellings(tokenizer, ["cat", "unhappycats", "猫", "cat", "", "Dog"])
    assert list(spelt) == ["cat", "unhappycats", "Dog"]
    assert len(spelt["cat"]) == 1 < len(spelt["unhappycats"])
    assert spelt["Dog"] == (tokenizer.token_to_id("dog"),)


def test_words_of_the_vocabulary_are_no_pieces_special_tokens_or_punctuation(tokenizer):
    words = vocabulary_words(tokenizer)
    assert {"the", "cat", "unhapp", "a"} <= set(words)
    assert not any(word.startswith(("##", "[")) or word in ",.;" for word in words)
    assert all(tokenizer.id_to_token(index) == word for word, index in words.items())


def test_static_vectors_are_means_over_pieces(model, tokenizer):
    spelt = spellings(tokenizer, ["cat", "unhappycats"])
    table = model.params["embeddings.token.weight"]
    vectors = static_vectors(model, list(spelt.values()))
    np.testing.assert_array_equal(vectors[0], table[tokenizer.token_to_id("cat")])
    np.testing.assert_allclose(vectors[1], np.mean([table[piece] for piece in spelt["unhappycats"]], axis=0))


def test_only_whole_words_are_found(tokenizer, sequences):
    found = occurrences(tokenizer, sequences, ["cat", "run", "running", "happy", "the dog"])
    spelt = spellings(tokenizer, ["cat", "run", "running", "happy", "the dog"])
    assert len(spelt["running"]) > 1 and spelt["running"][0] == spelt["run"][0]
    assert {word: len(places) for word, places in found.items()} == {
        "cat": 2, "run": 0, "running": 1, "happy": 2, "the dog": 2,
    }  # fmt: skip
    flat = sequences.input_ids.ravel()
    for word, places in found.items():
        for place in places:
            assert tuple(flat[place : place + len(spelt[word])]) == spelt[word]


def test_a_word_does_not_go_on_in_the_next_row():
    ids = np.array([[2, 7, 8, 5], [6, 9, 5, 3]], np.int32)  # 5 ends the first row, 6 begins the second
    rows = Sequences(ids, np.array([4, 4], np.int32), np.zeros(2, np.int32))
    continues = np.zeros(10, bool)
    continues[6] = True
    both, alone = find_occurrences(rows, [(5, 6), (5,)], continues)
    assert len(both) == 0 and list(alone) == [3, 6]


def test_covered_occurrences_are_passed_over(tokenizer, sequences):
    covered = np.zeros(sequences.input_ids.shape, bool)
    cat = spellings(tokenizer, ["cat"])["cat"]
    (places,) = find_occurrences(sequences, [cat], continuing(tokenizer, VOCABULARY))
    covered.ravel()[places[0]] = True
    (left,) = find_occurrences(sequences, [cat], continuing(tokenizer, VOCABULARY), covered)
    assert list(left) == list(places[1:])


@pytest.mark.parametrize("pack", [pack_documents, cut_documents])
def test_contextual_vectors_are_means_over_occurrences_and_pieces(model, tokenizer, pack):
    """Computed one piece of text at a time, by hand."""
    sequences = pack(encode_documents(tokenizer, TEXTS), 16)
    words = list(spellings(tokenizer, ["cat", "running", "the", "dogs"]).values())
    places = find_occurrences(sequences, words, continuing(tokenizer, VOCABULARY))
    found = contextual_vectors(model, sequences, words, places)
    assert list(found.contexts) == [2, 1, 4, 0]
    assert not found.vectors[:, 3].any()
    for number, (word, starts) in enumerate(zip(words[:3], places[:3], strict=True)):
        total = np.zeros((3, 16))
        for start in starts:
            row, column = divmod(int(start), 16)
            ids = sequences.input_ids[row]
            begin = np.flatnonzero(ids[: column + 1] == 2)[-1]
            end = begin + np.flatnonzero(ids[begin:] == 3)[0] + 1
            _, cache = model.forward(ids[None, begin:end])
            inside = slice(column - begin, column - begin + len(word))
            total += np.stack([states[0, inside].mean(axis=0) for states in cache.hidden_states])
        np.testing.assert_allclose(found.vectors[:, number], total / len(starts), rtol=1e-5, atol=1e-6)


def test_contextual_vectors_are_the_same_bits_for_any_number_of_lanes(model, tokenizer):
    sequences = cut_documents(encode_documents(tokenizer, TEXTS * 30), 16)
    words = list(spellings(tokenizer, ["cat", "dog", "running", "the"]).values())
    places = find_occurrences(sequences, words, continuing(tokenizer, VOCABULARY))
    one, three = (contextual_vectors(model, sequences, words, places, lanes) for lanes in (1, 3))
    np.testing.assert_array_equal(one.vectors, three.vectors)


def test_no_occurrence_at_all_gives_zeros(model, sequences):
    found = contextual_vectors(model, sequences, [(7,)], [np.empty(0, int)])
    assert found.vectors.shape == (3, 1, 16) and not found.vectors.any() and not found.contexts.any()


def test_rows_are_spread_evenly(sequences):
    fewer = spread_rows(sequences, 1)
    assert len(fewer) == 1
    np.testing.assert_array_equal(fewer.input_ids[0], sequences.input_ids[len(sequences) // 2])


def test_full_rows_of_one_piece_need_no_mask(tokenizer):
    rows = Sequences(np.array([[2, 7, 8, 3]], np.int32), np.array([4], np.int32), np.zeros(1, np.int32))
    assert text_inputs(rows, np.array([0])).mask is None
    short = Sequences(np.array([[2, 7, 3, 0]], np.int32), np.array([3], np.int32), np.zeros(1, np.int32))
    assert text_inputs(short, np.array([0])).mask.tolist() == [[True, True, True, False]]


def test_a_vector_of_zeros_has_the_cosine_zero():
    first, second = np.array([[1.0, 0], [3, 4], [0, 0]]), np.array([[2.0, 0], [4, -3], [1, 1]])
    np.testing.assert_allclose(cosines(first, second), [1, 0, 0], atol=1e-12)
