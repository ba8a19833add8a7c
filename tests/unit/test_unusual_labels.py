"""Downstream with unusual data: it ends, with a remark or one clear error."""

import warnings
from dataclasses import replace

import pytest
from support.subjects import tiny_subject

from minibert.config.evaluation import DownstreamConfig
from minibert.data.tokenizer import train_tokenizer
from minibert.errors import MinibertError
from minibert.evaluation.downstream.instrument import INSTRUMENT

PLAIN = [("the red cat", "good"), ("a blue dog", "bad")] * 4
LONG = " ".join(["red"] * 90)
SETTINGS = DownstreamConfig(
    encoders=["frozen"], epochs=1, seeds=1, rates=[1e-3], frozen_rates=[1e-3], forgetting=0
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["the red cat and a blue dog"] * 4, 60, lowercase=True)


@pytest.fixture
def measure(tokenizer, tmp_path):
    def measure(end="\n", mark="", quick=False, **parts):
        for part in ("train", "dev", "test"):
            rows = parts.get(part, parts.get("all", PLAIN))
            content = mark + "".join(f"{text}\t{label}{end}" for text, label in rows)
            (tmp_path / f"{part}.tsv").write_bytes(content.encode())
        subject = tiny_subject(tokenizer, [], tmp_path / "cache", note=lambda message: None, quick=quick)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return INSTRUMENT.measure(subject, replace(SETTINGS, data=str(tmp_path)))

    return measure


@pytest.mark.parametrize(
    "parts",
    [
        {"all": [(text, label) for text, label in PLAIN], "end": "\r\n", "mark": "\ufeff"},
        {"test": PLAIN[:1], "dev": PLAIN[1:2]},
        {"all": PLAIN[:2]},
        {"train": [*PLAIN, ("one alone", "neutral")]},
        {"all": [("the cat", "0.5"), ("a dog", "-1"), ("red", "é $x$")] * 3},
        {"all": [("_ __", "a"), ("___", "b")] * 3},
        {"all": [("\x01\x02", "a"), ("\u200b", "b"), ("文字", "b")] * 3},
        {"all": [(f"cat {place}", f"l{place % 150}") for place in range(300)], "quick": True},
    ],
    ids=["marks", "one_row", "two_rows", "one_of_a_class", "labels", "no_words", "no_pieces", "many_classes"],
)
def test_unusual_sentences_and_labels_are_measured(measure, parts):
    found = measure(**parts)
    assert 0 <= found.metrics["downstream/frozen_accuracy"] <= 1


def test_what_is_long_and_what_was_trained_on_is_counted(measure):
    notes = " ".join(
        measure(all=[(LONG, "a"), (LONG + " CAT", "b")], test=[(LONG.upper(), "a"), ("new", "b")]).notes
    )
    assert "1 of 2 test sentences are training sentences too" in notes
    assert "2 of 2 dev sentences are training sentences too" in notes


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"train": [("a", f"label {place}") for place in range(3000)]},
            r"3,000 labels. Allowed: 2 to 200. Is the",
        ),
        ({"train": PLAIN[:1]}, r"train.tsv: all labels are 'good'"),
        ({"all": [("a", "same")] * 5}, r"train.tsv: all labels are 'same'"),
        ({"dev": [(" ", "good")]}, r"dev.tsv, line 1: an empty sentence"),
        ({"test": [("a", " ")]}, r"test.tsv, line 1: an empty label"),
        ({"test": []}, r"test.tsv: is empty"),
    ],
)
def test_what_cannot_be_learnt_is_refused(measure, parts, said):
    with pytest.raises(MinibertError, match=said):
        measure(**parts)
