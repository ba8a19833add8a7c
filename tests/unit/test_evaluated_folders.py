"""Models in folders that transformers reads, as ``minibert evaluate checkpoint=FOLDER`` takes them."""

import json
import os

import numpy as np
import pytest
from support.subjects import tiny_network
from tokenizers import Tokenizer

from minibert.command_line.arguments import StoreWords
from minibert.data.annotated.conllu import read_conllu
from minibert.data.tokenizer import train_tokenizer
from minibert.errors import MinibertError
from minibert.evaluation.asking import Outcome
from minibert.evaluation.intrinsic.parts_of_speech import loss_by_part_of_speech
from minibert.running.evaluation import Evaluation, asked_by_name, evaluate, every_one_answered
from minibert.running.folders import load_folder
from minibert.running.progress import Display

TEXT = "the cat is here and the cats are there in france or germany . paris rome dog red blue"
TREEBANK = "1\tthe\t_\tDET\t_\t_\t2\tdet\t_\t_\n2\tcat\t_\tNOUN\t_\t_\t0\troot\t_\t_\n"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([TEXT] * 4, 150, lowercase=True)


def saved(folder, tokenizer, embeddings=0, **settings):
    network = tiny_network(embeddings or tokenizer.get_vocab_size(), **settings)
    network.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return network


def renumbered(tokenizer, change):
    plain = json.loads(tokenizer.to_str())
    change(plain)
    return Tokenizer.from_str(json.dumps(plain))


def test_a_model_and_its_own_tokenizer(tmp_path, tokenizer):
    told = []
    saved(tmp_path, tokenizer)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10**30}))
    model, found = load_folder(tmp_path, told.append)
    assert found.get_vocab() == tokenizer.get_vocab() and model.config.max_length == 32 and not told


def test_tokens_without_an_embedding_are_refused(tmp_path, tokenizer):
    saved(tmp_path, tokenizer, tokenizer.get_vocab_size() - 3)
    with pytest.raises(MinibertError, match=r"the tokenizer does not fit. 3 of its .* have no embedding"):
        load_folder(tmp_path, print)


def test_embeddings_without_a_token_are_told(tmp_path, tokenizer):
    told = []
    saved(tmp_path, tokenizer, tokenizer.get_vocab_size() + 45)
    load_folder(tmp_path, told.append)
    assert len(told) == 1 and f"its tokenizer {tokenizer.get_vocab_size()} tokens" in told[0]


def test_a_tokenizer_without_special_tokens_is_refused(tmp_path, tokenizer):
    saved(tmp_path, tokenizer)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n")
    with pytest.raises(MinibertError, match=r"lacks \[MASK\]"):
        load_folder(tmp_path, print)


def test_a_tokenizer_that_marks_no_ends_is_refused(tmp_path, tokenizer):
    saved(tmp_path, renumbered(tokenizer, lambda plain: plain.update(post_processor=None)))
    with pytest.raises(MinibertError, match=r"does not put \[CLS\] and \[SEP\] around a text"):
        load_folder(tmp_path, print)


def test_what_is_no_folder_is_refused_before_it_is_read(tmp_path, tokenizer):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    for name, said in (("pipe", "is no folder"), ("file", "is no folder"), ("none", "is not there")):
        with pytest.raises(MinibertError, match=said):
            load_folder(tmp_path / name, print)
    with pytest.raises(MinibertError, match="the home folder ~nobody"):
        evaluate(Evaluation(checkpoint="~nobody-of-this-name/x"), ["evaluation=minimal_pairs"], Display())


def test_words_are_masked_with_the_mask_of_the_tokenizer(tmp_path, tokenizer):
    """The same network and vocabulary with [MASK] and [UNK] at other ids give the same losses."""
    size = tokenizer.get_vocab_size()
    places = {1: size - 1, size - 1: 1, 4: size - 2, size - 2: 4}

    def move(plain):
        plain["model"]["vocab"] = {
            token: places.get(index, index) for token, index in plain["model"]["vocab"].items()
        }
        for token in plain["added_tokens"]:
            token["id"] = places.get(token["id"], token["id"])

    network, other = tiny_network(size), tiny_network(size)
    order = [places.get(index, index) for index in range(size)]
    for name in ("embeddings.token.weight", "mlm_head.bias"):
        other.params[name][...] = network.params[name][order]
    (tmp_path / "own.conllu").write_text(TREEBANK)
    sentences = read_conllu(tmp_path)
    own, _ = loss_by_part_of_speech(network, lambda ask: ask(network), tokenizer, sentences)
    moved, _ = loss_by_part_of_speech(other, lambda ask: ask(other), renumbered(tokenizer, move), sentences)
    assert [band.loss for band in moved] == pytest.approx([band.loss for band in own], rel=1e-5)
    assert np.ptp([band.loss for band in own]) > 0


def test_a_folder_stands_at_no_step_and_what_is_asked_by_name_and_has_no_data_is_told_by_the_exit_code(
    tmp_path, tokenizer, capsys
):
    saved(tmp_path / "model", tokenizer)
    (tmp_path / "pairs.tsv").write_text("good\tbad\n" + "the cat is here\tthe cat are here\n" * 8)
    pairs = f"evaluation.minimal_pairs.data=[{tmp_path}/pairs.tsv]"
    asked = Evaluation(checkpoint=str(tmp_path / "model"), tracking=StoreWords(folder=str(tmp_path / "store")))
    assert evaluate(asked, ["evaluation=minimal_pairs", pairs], Display())
    assert not evaluate(
        asked, ["evaluation=[minimal_pairs,word_learning]", pairs], Display()
    )  # a folder has no text
    printed = capsys.readouterr()
    assert "word_learning is left out" in printed.err and "step 0" not in printed.out + printed.err
    (page,) = (tmp_path / "store" / "evaluations").glob("*/evaluation.html")
    assert "step 0" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "answered"),
    [
        (["evaluation=full"], True),
        (["evaluation=zero_shot", "evaluation.quick=true"], True),
        (["evaluation=facts"], False),
        (["evaluation=[composition, facts]"], False),
        (["evaluation=full", "evaluation.facts.data=[templates]"], False),
    ],
)
def test_an_instrument_without_data_is_a_failure_only_where_it_is_named(words, answered):
    assert every_one_answered(Outcome(skipped={"facts": "no gensim"}), asked_by_name(words)) is answered
    assert not every_one_answered(Outcome(failed={"probing": "line 3"}), asked_by_name(words))
