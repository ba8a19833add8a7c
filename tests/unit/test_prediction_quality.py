"""The instrument ``intrinsic`` agrees with the evaluation of training, and shows the control of each number."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from minibert.config import EvaluationConfig, ModelConfig, PositionConfig
from minibert.config.evaluation import IntrinsicConfig
from minibert.data.baselines import log_unigram_frequencies, unigram_counts
from minibert.data.batches import frozen_batches
from minibert.data.packing import Sequences, cut_documents
from minibert.data.tokenizer import encode_documents, train_tokenizer
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation.instruments import Subject
from minibert.evaluation.intrinsic import instrument
from minibert.evaluation.intrinsic.held_out import evaluate
from minibert.evaluation.intrinsic.instrument import INSTRUMENT
from minibert.model.bert import MiniBERT
from minibert.training.lanes import Lanes

TEXT = "the cat cats dog dogs sees see runs run unhappy happiness a , . ; - ' don t well known"
WORDS = TEXT.split()
TREEBANK = """\
# text = The cats run.
1\tThe\tthe\tDET\t_\t_\t2\tdet\t_\t_
2\tcats\tcat\tNOUN\t_\t_\t3\tnsubj\t_\t_
3\trun\trun\tVERB\t_\t_\t0\troot\t_\t_
4\t.\t.\tPUNCT\t_\t_\t3\tpunct\t_\t_

1\tWell-known\twell-known\tADJ\t_\t_\t2\tamod\t_\t_
2\tdogs\tdog\tNOUN\t_\t_\t5\tnsubj\t_\t_
3-4\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
3\tdo\tdo\tAUX\t_\t_\t5\taux\t_\t_
4\tn't\tnot\tPART\t_\t_\t5\tadvmod\t_\t_
5\tsee\tsee\tVERB\t_\t_\t0\troot\t_\t_
6\t☃\t☃\tSYM\t_\t_\t5\tobj\t_\t_
7\t\u200b\t_\tX\t_\t_\t5\tdep\t_\t_

"""
VOCABULARY = 64


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([" ".join(WORDS * 20)], VOCABULARY, lowercase=True)


@pytest.fixture(scope="module")
def held_out(tokenizer) -> Sequences:
    """Every word is followed by one and the same other: there is something to learn."""
    random = np.random.default_rng(1)
    texts = [
        " ".join(WORDS[(start + 2 * place) % len(WORDS)] for place in range(300))
        for start in random.permutation(6)
    ]
    return cut_documents(encode_documents(tokenizer, texts), 24)


def network(seed: int = 3, **settings) -> MiniBERT:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "layers": 1, "heads": 2, "feed_forward_size": 32}
    return MiniBERT(ModelConfig(**sizes | {"max_length": 24} | settings), seed)


@pytest.fixture(scope="module")
def trained(held_out) -> MiniBERT:
    """A network after some steps of Adam on the text itself, under other masks."""
    model = network()
    first, second = np.zeros((2, len(model.params.vector)), np.float32)
    with threadpool_limits(1, user_api="blas"):
        for step in range(1, 121):
            (batch,) = frozen_batches(held_out, 0.2, 32, 32, 100 + step, VOCABULARY)
            _, grads = model.loss_and_gradients(batch.input_ids, batch.labels, batch.attention_mask)
            first += 0.1 * (grads.vector - first)
            second += 0.02 * (grads.vector**2 - second)
            model.params.vector -= 0.01 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.98**step)) + 1e-8)
    return model


@pytest.fixture(scope="module")
def subject(trained, tokenizer, held_out, tmp_path_factory) -> Subject:
    cache = tmp_path_factory.mktemp("cache")
    counts = unigram_counts(held_out, VOCABULARY)
    return Subject(
        trained, tokenizer, network, "key", cache, held_out=held_out, unigram_counts=counts, bits_of_a_nat=0.5
    )


@pytest.fixture(scope="module")
def findings(subject):
    return INSTRUMENT.measure(subject, IntrinsicConfig(examples=3))


def rows(findings, title: str) -> dict[str, dict]:
    (table,) = [table for table in findings.tables if table.title == title]
    return {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}


def test_the_loss_is_that_of_the_frozen_masks(findings, trained, held_out):
    frozen = EvaluationConfig()
    batches = frozen_batches(held_out, frozen.rate, frozen.sequences, 32, frozen.mask_seed, VOCABULARY)
    with Lanes(trained, 2) as lanes:
        expected = evaluate(lanes, batches)
    assert findings.metrics["intrinsic/loss/all"] == pytest.approx(expected["loss"], rel=1e-5)
    assert findings.metrics["intrinsic/accuracy/all"] == pytest.approx(expected["masked_accuracy"])


def test_a_model_that_learnt_beats_its_controls_in_every_band(findings):
    whole = rows(findings, "Loss of masked tokens")["all"]
    assert whole["loss"] < 0.6 * whole["word frequencies"] and whole["word frequencies"] < whole["untrained"]
    assert whole["accuracy"] > 0.5
    assert not any("No better" in note for note in findings.notes)
    words = rows(findings, "Whole words")["nats a word"]
    assert words["model"] < 0.8 * words["word frequencies"]


def test_an_untrained_model_is_said_to_be_no_better(subject, findings):
    found = INSTRUMENT.measure(replace(subject, model=network()), IntrinsicConfig(examples=0))
    whole = rows(found, "Loss of masked tokens")["all"]
    assert whole["loss"] == whole["untrained"] == pytest.approx(np.log(VOCABULARY), abs=0.2)
    assert "No better than the untrained network, over all predictions." in found.notes
    assert not [table for table in found.tables if table.title == "Guesses"]


def test_bits_a_byte_are_nats_a_word_in_another_unit(findings, held_out):
    text = held_out.text_tokens
    begun = sum(not token.startswith("##") for token in _tokens(held_out))
    nats = findings.metrics["intrinsic/nats_per_word"]
    assert findings.metrics["intrinsic/bits_per_byte"] == pytest.approx(nats * begun / text * 0.5)


def _tokens(held_out) -> list[str]:
    tokenizer = train_tokenizer([" ".join(WORDS * 20)], VOCABULARY, lowercase=True)
    return [tokenizer.id_to_token(int(token)) for token in held_out.input_ids[held_out.input_ids > 4]]


def test_every_kind_has_its_metrics_and_its_table(findings):
    kinds = {name.split("/")[2] for name in findings.metrics if name.startswith("intrinsic/loss/")}
    assert kinds == {"all", "frequency", "position", "piece"}
    assert {"intrinsic/loss/piece/whole", "intrinsic/accuracy/piece/later"} <= set(findings.metrics)
    titles = [table.title for table in findings.tables]
    assert titles == [
        "Loss of masked tokens", "Loss by frequency", "Loss by position", "Loss by piece of a word", "Calibration",
        "Whole words", "Guesses",
    ]  # fmt: skip
    assert 0 <= findings.metrics["intrinsic/expected_calibration_error"] <= 1
    json.dumps([findings.values, findings.metrics, [table.rows for table in findings.tables]], allow_nan=False)


@pytest.mark.parametrize("lanes", [1, 3])
def test_the_same_model_gives_the_same_findings_on_any_number_of_lanes(subject, findings, lanes):
    found = INSTRUMENT.measure(replace(subject, lanes=lanes), IntrinsicConfig(examples=3))
    assert found == findings


def test_quick_takes_fewer_sequences(subject, findings):
    found = INSTRUMENT.measure(replace(subject, quick=True), IntrinsicConfig(examples=0))
    tokens = [rows(each, "Loss of masked tokens")["all"]["tokens"] for each in (found, findings)]
    assert tokens[0] < 0.8 * tokens[1]


def test_without_word_frequencies_there_is_no_unigram(subject):
    found = INSTRUMENT.measure(
        replace(subject, unigram_counts=None, bits_of_a_nat=None), IntrinsicConfig(examples=0)
    )
    assert "word frequencies" not in rows(found, "Loss of masked tokens")["all"]
    assert not [name for name in found.metrics if "frequency" in name or "bits" in name]


def test_without_text_the_instrument_is_not_available(subject):
    with pytest.raises(Unavailable, match=r"Give a treebank: evaluation\.intrinsic\.treebank"):
        INSTRUMENT.measure(replace(subject, held_out=None), IntrinsicConfig())
    empty = Sequences(np.zeros((1, 8), np.int32), np.array([2], np.int32), np.array([0], np.int32))
    with pytest.raises(Unavailable, match="too few tokens"):
        INSTRUMENT.measure(replace(subject, held_out=empty), IntrinsicConfig())


# --- parts of speech


@pytest.fixture
def treebank(tmp_path) -> Path:
    (tmp_path / "some.conllu").write_text(TREEBANK * 3, encoding="utf-8")
    return tmp_path / "some.conllu"


def test_words_are_counted_by_part_of_speech_and_unknown_ones_are_left_out(subject, treebank):
    found = INSTRUMENT.measure(replace(subject, held_out=None), IntrinsicConfig(treebank=str(treebank)))
    counts = {tag: row["words"] for tag, row in rows(found, "Loss by part of speech").items()}
    assert counts == {"ADJ": 3, "AUX": 3, "DET": 3, "NOUN": 6, "PART": 3, "PUNCT": 3, "VERB": 6}
    assert "3 of 33 words are known to the tokenizer only as [UNK]." in found.notes
    assert "3 of 33 words were left out: the tokenizer drops them." in found.notes
    assert found.metrics["intrinsic/loss/part_of_speech/DET"] > 0
    assert "accuracy" not in rows(found, "Loss by part of speech")["DET"]


def test_the_unigram_of_a_word_is_that_of_all_its_pieces(subject, treebank, tokenizer):
    found = INSTRUMENT.measure(subject, IntrinsicConfig(treebank=str(treebank), examples=0))
    logs = log_unigram_frequencies(subject.unigram_counts)
    ids = tokenizer.encode("well-known", add_special_tokens=False).ids
    assert len(ids) >= 3
    assert rows(found, "Loss by part of speech")["ADJ"]["word frequencies"] == pytest.approx(-logs[ids].sum())
    assert "intrinsic/loss/all" in found.metrics


def test_a_treebank_that_cannot_be_had_costs_the_parts_of_speech_alone(subject, monkeypatch):
    def refuse(*_):
        raise Unavailable("no network")

    monkeypatch.setattr("minibert.evaluation.treebank.dataset", refuse)
    found = INSTRUMENT.measure(subject, IntrinsicConfig(treebank="ud_english_ewt", examples=0))
    assert "Parts of speech are left out. no network" in found.notes
    with pytest.raises(Unavailable, match="no network"):
        INSTRUMENT.measure(replace(subject, held_out=None), IntrinsicConfig(treebank="ud_english_ewt"))


def test_a_model_too_short_for_every_sentence_is_told(subject, treebank):
    short = replace(subject, model=network(max_length=4, position=PositionConfig()), held_out=None)
    with pytest.raises(MinibertError, match=r"none of its 6 sentences fits into the model's 4 positions"):
        INSTRUMENT.measure(short, IntrinsicConfig(treebank=str(treebank)))


# --- figures


def test_figures_are_drawn_from_the_findings_alone(findings, tmp_path):
    again = json.loads(json.dumps(findings.values))
    one = INSTRUMENT.conclude({880: replace(findings, values=again)})
    assert sorted(one.figures) == ["loss_by_kind", "reliability"]
    several = INSTRUMENT.conclude({0: findings, 880: findings})
    assert "loss_by_frequency_over_steps" in several.figures
    for name, drawing in several.figures.items():
        drawing.figure.savefig(tmp_path / f"{name}.png", dpi=20)
    assert INSTRUMENT.conclude({}).figures == {}


def test_figures_show_what_there_is(subject, treebank, tmp_path):
    found = INSTRUMENT.measure(
        replace(subject, held_out=None, unigram_counts=None), IntrinsicConfig(treebank=str(treebank))
    )
    figures = INSTRUMENT.conclude({5: found}).figures
    assert list(figures) == ["loss_by_kind"]
    figures["loss_by_kind"].figure.savefig(tmp_path / "one.png", dpi=20)


def test_a_treebank_of_unknown_words_is_refused_before_anything_is_computed(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(instrument, "_losses", None)
    words = "".join(
        f"{place}\t{word}\t_\tNOUN\t_\t_\t{place - 1}\tdep\t_\t_\n" for place, word in enumerate("文字", 1)
    )
    (tmp_path / "foreign.conllu").write_text(words)
    with pytest.raises(MinibertError, match=r"treebank: the tokenizer knows none of its 2 words"):
        INSTRUMENT.measure(subject, IntrinsicConfig(treebank=str(tmp_path / "foreign.conllu")))
