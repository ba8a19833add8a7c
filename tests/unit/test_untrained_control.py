"""What is computed once for all checkpoints of a run: the control of the untrained network, and the treebank."""

from dataclasses import replace

import numpy as np
import pytest

from minibert.data.packing import cut_documents
from minibert.data.tokenizer import encode_documents, train_tokenizer
from minibert.errors import MinibertError
from minibert.evaluation.treebank import treebank_sentences
from minibert.evaluation.untrained import of_untrained
from tests.support.subjects import tiny_network, tiny_subject

TEXT = "the sea runs to the sky . " * 20
SENTENCE = "1\twe\t_\tPRON\t_\t_\t2\tnsubj\t_\t_\n2\tsee\t_\tVERB\t_\t_\t0\troot\t_\t_\n\n"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([TEXT], 60, lowercase=True)


@pytest.fixture
def subject(tokenizer, tmp_path):
    return tiny_subject(tokenizer, [TEXT], tmp_path)


class Measured:
    """A measurement that counts how often it is made."""

    def __init__(self):
        self.networks = []

    def __call__(self, network):
        self.networks.append(network)
        return float(network.params.vector.sum())


def test_the_control_of_all_checkpoints_is_measured_once(subject, tokenizer):
    measured = Measured()
    checkpoints = [replace(subject, model=tiny_network(60, seed), key=str(seed), step=seed) for seed in (1, 2)]
    first, second = (of_untrained(each, "one", [("a", 0.5)], measured) for each in checkpoints)
    assert first == second == float(subject.untrained().params.vector.sum())
    assert len(measured.networks) == 1
    of_untrained(subject, "another", [("a", 0.5)], measured)
    of_untrained(subject, "one", [("a", 0.5)], measured)
    assert len(measured.networks) == 2


@pytest.mark.parametrize(
    "changed",
    ["asked", "network", "sizes", "tokenizer", "seed", "quick", "text", "rows of the text", "no text", "counts"],
)
def test_a_control_of_anything_else_is_measured_again(subject, tokenizer, changed):
    text = subject.held_out
    shorter = cut_documents(encode_documents(tokenizer, [TEXT[:100]]), 32)
    moved = replace(text, input_ids=text.input_ids[::-1])
    other = train_tokenizer([TEXT + "ships of all nations "], 60, lowercase=True)
    changes = {
        "asked": {}, "network": {"untrained": lambda: tiny_network(60, 9)}, "tokenizer": {"tokenizer": other},
        "sizes": {"untrained": lambda: tiny_network(60, 4, dropout=0.5)}, "seed": {"seed": 7},
        "quick": {"quick": True}, "text": {"held_out": moved}, "rows of the text": {"held_out": shorter},
        "no text": {"held_out": None}, "counts": {"unigram_counts": subject.unigram_counts + 1},
    }  # fmt: skip
    measured = Measured()
    of_untrained(subject, "one", ["a"], measured)
    of_untrained(replace(subject, **changes[changed]), "one", ["b" if changed == "asked" else "a"], measured)
    assert len(measured.networks) == 2


def test_what_cannot_be_measured_is_not_kept(subject):
    def fail(network):
        raise MinibertError("no data")

    with pytest.raises(MinibertError):
        of_untrained(subject, "failing", (), fail)
    assert np.isfinite(of_untrained(subject, "failing", (), Measured()))


def test_a_treebank_is_parsed_once_and_again_when_it_was_edited(subject, tmp_path):
    folder = tmp_path / "treebank"
    folder.mkdir()
    file = folder / "a.conllu"
    file.write_text(SENTENCE)
    first = treebank_sentences(str(folder), subject)
    assert treebank_sentences(str(folder), subject) is first and len(first) == 1
    file.write_text(SENTENCE * 2)
    assert len(treebank_sentences(str(folder), subject)) == 2
    (folder / "b.conllu").write_text(SENTENCE)
    assert len(treebank_sentences(str(folder), subject)) == 3
    assert len(treebank_sentences(str(file), subject)) == 2
