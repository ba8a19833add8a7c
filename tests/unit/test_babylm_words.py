"""Surprisals for the BabyLM pipeline: each piece of the word is masked alone, and the file is in its form."""

import json

import numpy as np
import pytest

from minibert.config import ModelConfig, PositionConfig
from minibert.data.tokenizer import MASK, encode_texts, train_tokenizer
from minibert.errors import MinibertError
from minibert.evaluation.word_learning.babylm import (
    context_surprisals,
    read_word_contexts,
    write_babylm_surprisals,
)
from minibert.model.bert import MiniBERT

VOCABULARY = 64
CONTEXTS = {"dog": ["I see the ", "a  big"], "unhappiness": ["she felt"], "ice cream": ["we want some"]}


@pytest.fixture(scope="module")
def tokenizer():
    text = "i see the a big dog she felt unhappy happiness we want some ice cream . ' "
    return train_tokenizer([text * 20], VOCABULARY, lowercase=True)


@pytest.fixture(scope="module")
def model() -> MiniBERT:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24}
    settings = ModelConfig(**sizes, max_length=16, dtype="float64", init_gain=10.0, position=PositionConfig())
    return MiniBERT(settings, 3)


def by_hand(model, tokenizer, context: str, word: str) -> float:
    (whole, before) = encode_texts(tokenizer, [f"{context.strip()} {word}", context.strip()])
    total = 0.0
    for place in range(len(before.ids) - 1, len(whole.ids) - 1):
        ids = np.array(whole.ids)
        ids[place] = MASK
        logits, _ = model.forward(ids[None])
        total -= logits[0, place, whole.ids[place]] - np.log(np.exp(logits[0, place]).sum())
    return total


@pytest.mark.parametrize("lanes", [1, 2])
def test_each_piece_of_the_word_is_masked_alone(model, tokenizer, lanes):
    found = context_surprisals(model, tokenizer, CONTEXTS, lanes)
    expected = [(word, number, text) for word, texts in CONTEXTS.items() for number, text in enumerate(texts)]
    assert [(each.target_word, each.context_id, each.context) for each in found] == expected
    surprisals = [by_hand(model, tokenizer, text, word) for word, _, text in expected]
    np.testing.assert_allclose([each.surprisal for each in found], surprisals, rtol=1e-10)
    assert len(encode_texts(tokenizer, ["unhappiness"])[0].ids) > 3


def test_a_text_longer_than_the_model_has_no_surprisal(model, tokenizer):
    long, short = context_surprisals(model, tokenizer, {"dog": ["the " * 15, "the"]})
    assert np.isnan(long.surprisal) and short.surprisal > 0
    (alone,) = context_surprisals(model, tokenizer, {"dog": ["the " * 15]})
    assert np.isnan(alone.surprisal)
    assert context_surprisals(model, tokenizer, {}) == []


def test_the_file_has_what_the_pipeline_reads(model, tokenizer, tmp_path):
    found = context_surprisals(model, tokenizer, {"dog": ["the"]})
    path = tmp_path / "results" / "tiny" / "surprisal.json"
    write_babylm_surprisals(path, "tiny", {"chck_1M": found, "chck_20M": found})
    written = json.loads(path.read_text())
    assert written["metadata"] == {
        "model_name": "tiny", "use_bos_only": False, "total_steps": 2, "completed_steps": 2
    }  # fmt: skip
    assert written["results"][1] == {
        "step": "chck_20M",
        "word_count": 20_000_000,
        "target_word": "dog",
        "context_id": 0,
        "context": "the",
        "surprisal": found[0].surprisal,
    }


def test_a_checkpoint_with_another_name_is_refused(tmp_path):
    with pytest.raises(MinibertError, match=r"checkpoint step_512: .*Allowed: chck_<n>M"):
        write_babylm_surprisals(tmp_path / "x.json", "tiny", {"step_512": []})
    assert not list(tmp_path.iterdir())


def test_words_and_contexts_are_read_and_words_of_one_letter_left_out(tmp_path):
    file = tmp_path / "cdi_childes.json"
    content = {"dog": [{"context": "the", "count": 3}, {"context": "a"}], "a": [{"context": "see"}], "no": []}
    file.write_text(json.dumps(content), encoding="utf-8-sig")
    assert read_word_contexts(file) == {"dog": ["the", "a"], "no": []}


@pytest.mark.parametrize(
    "content", ["[1, 2]", "{", '{"dog": [{"text": "the"}]}', '{"dog": 3}', '["dog"]', '{"dog": [], "dog": []}']
)
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(MinibertError, match="is no file of words and contexts"):
        read_word_contexts(tmp_path / "other.json")


def test_a_missing_file_says_where_it_is(tmp_path):
    with pytest.raises(MinibertError, match=r"cannot be read .*https://osf\.io/ryjfm/"):
        read_word_contexts(tmp_path / "nowhere.json")
