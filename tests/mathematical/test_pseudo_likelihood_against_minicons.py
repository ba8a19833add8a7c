"""The same pseudo-log-likelihoods as minicons 0.3.39, by numbers that it gave once (make_pll_references.py)."""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from make_pll_references import (
    KINDS,
    OWN,
    SAMPLES,
    SENTENCES,
    STORED,
    hashes,
    own_sentences,
    reference_model,
    reference_tokenizer,
    sampled_sentences,
)

from minibert.data.tokenizer import load_tokenizer
from minibert.evaluation.pseudo_likelihood import pseudo_log_likelihoods
from minibert.model.bert import MiniBERT

NATS = 1e-4
"""A sentence"""
FOLDER = "MINIBERT_MINIMAL_PAIRS"
"""Environment variable: a folder with files of BLiMP and Zorro, in any folders within"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The model and the tokenizer, read from the exported folder that minicons scored."""
    folder = tmp_path_factory.mktemp("exported")
    tokenizer = reference_tokenizer(folder)
    reference_model(tokenizer).save_pretrained(folder / "model", tokenizer)
    return MiniBERT.from_pretrained(folder / "model"), load_tokenizer(folder / "model")


@cache
def stored() -> dict:
    return json.loads(STORED.read_text())


def sentences_of(name: str) -> list[str]:
    if name in OWN:
        return own_sentences()[name]
    folder = os.environ.get(FOLDER)
    if not folder:
        pytest.skip(f"{FOLDER} names no folder with the files of {name}, whose texts are not in the repository")
    return sampled_sentences(Path(folder), name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*OWN, *SAMPLES])
def test_every_sentence_has_the_score_of_minicons(network, name, kind):
    sentences, expected = sentences_of(name), stored()["sets"][name]
    assert len(sentences) == SENTENCES
    assert hashes(sentences) == expected["hashes"], "other sentences than those scored: make the references anew"
    found = [score.log_likelihood for score in pseudo_log_likelihoods(*network, sentences, kind)]
    assert np.abs(np.array(found) - expected[kind]).max() < NATS


@pytest.mark.parametrize("name", [*OWN, *SAMPLES])
def test_the_two_ways_of_masking_could_not_be_taken_for_each_other(name):
    """Most sentences have a word of several pieces."""
    original, within_word = (np.array(stored()["sets"][name][kind]) for kind in KINDS)
    assert (np.abs(original - within_word) > 100 * NATS).mean() > 0.9


def test_the_references_are_of_the_stated_versions():
    assert stored()["versions"]["minicons"] == "0.3.39"
    assert stored()["versions"]["transformers"] == "4.57.6"
