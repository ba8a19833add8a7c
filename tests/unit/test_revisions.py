"""Checkpoints as revisions: named by the words that were read until then."""

from types import SimpleNamespace

import numpy as np
import pytest

from minibert.data.tokenizer import PAD, train_tokenizer
from minibert.errors import MinibertError
from minibert.serving import revisions
from minibert.serving.export import as_checkpoints
from minibert.serving.revisions import revision_names, word_share, words_read

MILLION = 1_000_000


def test_checkpoints_near_a_milestone_have_its_name_and_the_nearest_has_it():
    words = {0: 0.0, 1: 0.96 * MILLION, 2: 1.01 * MILLION, 3: 1.06 * MILLION, 4: 10.4 * MILLION, 5: 205 * MILLION}
    assert revision_names(words) == {
        0: "chck_0M", 1: "chck_0.96M", 2: "chck_1M", 3: "chck_1.06M", 4: "chck_10M", 5: "chck_200M",
    }  # fmt: skip


def test_names_have_as_many_digits_as_tell_all_checkpoints_apart():
    words = {1000: 12.3416 * MILLION, 1001: 12.3449 * MILLION, 1002: 15.0 * MILLION, 5: 1234.0}
    assert revision_names(words) == {
        5: "chck_0.001234M", 1000: "chck_12.342M", 1001: "chck_12.345M", 1002: "chck_15M",
    }  # fmt: skip


def test_a_name_has_no_exponent():
    assert revision_names({1: 12.0}) == {1: "chck_0.000012M"}


@pytest.fixture
def tokenizer():
    return train_tokenizer(["the cat sees the dogs . unhappy , " * 20], 40, lowercase=True)


def prepared(monkeypatch, ids) -> None:
    data = SimpleNamespace(train=SimpleNamespace(input_ids=np.array(ids, np.int32)))
    monkeypatch.setattr(revisions, "prepare_data", lambda *settings: data)


CONFIG = SimpleNamespace(
    data=None, model=SimpleNamespace(vocab_size=64), training=SimpleNamespace(sequence_length=8)
)


def test_the_share_counts_what_begins_a_word_among_all_tokens_but_padding(tokenizer, monkeypatch):
    """[CLS] the a ##s . [SEP]: two of six."""
    tokens = ["[CLS]", "the", "a", "##s", ".", "[SEP]"]
    ids = [tokenizer.token_to_id(token) for token in tokens]
    assert None not in ids
    prepared(monkeypatch, [[*ids, PAD, PAD]])
    assert word_share(CONFIG, tokenizer) == pytest.approx(2 / 6)


def test_words_are_linear_between_records_of_the_tokens(tokenizer, monkeypatch):
    prepared(monkeypatch, [[tokenizer.token_to_id("the"), tokenizer.token_to_id(".")]])
    history = [SimpleNamespace(step=step, value=value) for step, value in ((10, 1000.0), (20, 3000.0))]
    client = SimpleNamespace(get_metric_history=lambda run, metric: history if metric == "tokens_seen" else [])
    saved = SimpleNamespace(id="abc", config=CONFIG, tokenizer=tokenizer)
    found = words_read(saved, SimpleNamespace(client=client, uri="here"), [0, 5, 10, 15, 20])
    assert found == {0: 0.0, 5: 250.0, 10: 500.0, 15: 1000.0, 20: 1500.0}
    history.clear()
    with pytest.raises(MinibertError, match="Run abc has no metric tokens_seen"):
        words_read(saved, SimpleNamespace(client=client, uri="here"), [0])


def test_checkpoints_are_all_or_steps():
    assert as_checkpoints("checkpoints=all", "checkpoints", "all") == "all"
    for value in ("0,512", "[512, 0,512]"):
        assert as_checkpoints(f"checkpoints={value}", "checkpoints", value) == [0, 512]
    with pytest.raises(
        MinibertError, match=r"checkpoints=last: names no checkpoints. Allowed: all, or steps such"
    ):
        as_checkpoints("checkpoints=last", "checkpoints", "last")
