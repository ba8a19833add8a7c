"""Vectors of words: which tokens they come from, and that they are computed once."""

import numpy as np
import pytest

from minibert.config import ModelConfig, PositionConfig
from minibert.data.annotated.pieces import encode_words
from minibert.data.tokenizer import train_tokenizer
from minibert.errors import MinibertError
from minibert.evaluation import representations
from minibert.evaluation.representations import (
    cached_representations,
    representations_file,
    word_representations,
)
from minibert.model.bert import MiniBERT

SENTENCES = [
    ("The", "unhappy", "cat", "sees", "dogs", "."),
    ("dogs", "run"),
    ("A", "well-known", "dog", "does", "n't", "see", "(", "cats", ")"),
    ("cats", "see"),
    ("the", "猫", "sees", "a", "dog", "."),
]
STARTS = np.cumsum([0, *map(len, SENTENCES)])


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(
        ["the cat cats dog dogs see sees run happy un well known a does n ' t - ( ) . " * 20], 80, True
    )


@pytest.fixture(scope="module")
def model() -> MiniBERT:
    return network()


def network(seed: int = 3, **settings) -> MiniBERT:
    sizes = {"vocab_size": 80, "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24}
    return MiniBERT(ModelConfig(**sizes | {"max_length": 24, "init_gain": 10.0} | settings), seed)


def by_hand(model, tokenizer, words, first: bool):
    """One sentence at a time: the hidden states of each word (L + 1, W, D), and of the sentence (L + 1, D)."""
    ids, owners = encode_words(tokenizer, words)
    _, cache = model.forward(ids[None])
    states = np.stack([states[0] for states in cache.hidden_states])
    vectors = []
    for word in range(len(words)):
        own = states[:, owners == word]
        vectors.append(own[:, 0] if first else own.mean(axis=1))
    return np.stack(vectors, axis=1), states[:, owners >= 0].mean(axis=1)


@pytest.mark.parametrize("word", ["mean", "first"])
@pytest.mark.parametrize("lanes", [1, 3])
def test_vectors_of_batches_are_those_of_one_sentence_at_a_time(model, tokenizer, word, lanes):
    found = word_representations(model, tokenizer, SENTENCES, word, lanes)
    assert found.layers == 3
    for number, words in enumerate(SENTENCES):
        of_words, of_sentence = by_hand(model, tokenizer, words, word == "first")
        np.testing.assert_allclose(
            found.words[:, STARTS[number] : STARTS[number + 1]], of_words, rtol=0, atol=1e-5
        )
        np.testing.assert_allclose(found.sentences[:, number], of_sentence, rtol=0, atol=1e-5)


def test_the_number_of_lanes_changes_no_bit(model, tokenizer):
    one, two = (word_representations(model, tokenizer, SENTENCES * 40, lanes=lanes) for lanes in (1, 2))
    assert (one.words == two.words).all() and (one.sentences == two.sentences).all()


def test_words_have_as_many_pieces_as_the_tokenizer_gives_them(model, tokenizer):
    mean, first = (word_representations(model, tokenizer, SENTENCES, word) for word in ("mean", "first"))
    pieces = dict(zip([word for words in SENTENCES for word in words], mean.pieces, strict=True))
    assert (pieces["cat"], pieces["well-known"], pieces["n't"], pieces["猫"]) == (1, 3, 3, 1)
    same = (mean.words == first.words).all(axis=(0, 2))
    assert (same == (mean.pieces == 1)).all()


def test_a_word_that_the_tokenizer_drops_has_no_vector(model, tokenizer):
    found = word_representations(model, tokenizer, [("a", "\u200b", "dog"), ("\u200b",)])
    assert found.pieces.tolist() == [1, 0, 1, 0]
    assert not found.words[:, [1, 3]].any() and not found.sentences[:, 1].any()


def test_a_sentence_longer_than_the_positions_has_no_vectors(tokenizer):
    short = network(max_length=8, position=PositionConfig("absolute"))
    found = word_representations(short, tokenizer, SENTENCES)
    fits = [len(encode_words(tokenizer, words)[0]) <= 8 for words in SENTENCES]
    assert True in fits and False in fits
    for number, fit in enumerate(fits):
        rows = slice(STARTS[number], STARTS[number + 1])
        assert (
            (found.pieces[rows] > 0).all() == found.words[:, rows].any() == found.sentences[:, number].any() == fit
        )
    with pytest.raises(MinibertError, match="none of the 1 given fits"):
        word_representations(short, tokenizer, [SENTENCES[2]])


def test_another_way_to_represent_a_word_is_refused(model, tokenizer):
    with pytest.raises(MinibertError, match="word=last: no way to represent a word"):
        word_representations(model, tokenizer, SENTENCES, "last")


# --- the cache


def test_vectors_are_computed_once(model, tokenizer, tmp_path, monkeypatch):
    found = cached_representations(model, tokenizer, SENTENCES, "key", tmp_path)
    monkeypatch.setattr(representations, "word_representations", lambda *args: pytest.fail("computed again"))
    again = cached_representations(model, tokenizer, SENTENCES, "key", tmp_path)
    assert (again.words == found.words).all() and (again.pieces == found.pieces).all()


@pytest.mark.parametrize("damage", ["cut", "empty", "nonsense", "of another network", "with other arrays"])
def test_a_damaged_file_is_written_anew(model, tokenizer, tmp_path, damage):
    found = cached_representations(model, tokenizer, SENTENCES, "key", tmp_path)
    file = representations_file(SENTENCES, "key", tmp_path)
    whole = file.read_bytes()
    if damage == "of another network":
        cached_representations(network(layers=1), tokenizer, SENTENCES, "other", tmp_path)
        file.write_bytes(representations_file(SENTENCES, "other", tmp_path).read_bytes())
    elif damage == "with other arrays":
        representations.save_file({"words": found.words}, file)
    else:
        file.write_bytes({"cut": whole[:-100], "empty": b"", "nonsense": b"{" * 100}[damage])
    again = cached_representations(model, tokenizer, SENTENCES, "key", tmp_path)
    assert (again.words == found.words).all()
    assert file.read_bytes() == whole


def test_models_sentences_and_ways_have_files_of_their_own(tmp_path):
    files = [
        representations_file(SENTENCES, "one", tmp_path),
        representations_file(SENTENCES, "two", tmp_path),
        representations_file(SENTENCES[:4], "one", tmp_path),
        representations_file([*SENTENCES[:-1], (*SENTENCES[-1], "")], "one", tmp_path),
        representations_file(SENTENCES, "one", tmp_path, "first"),
    ]
    assert len(set(files)) == len(files)
