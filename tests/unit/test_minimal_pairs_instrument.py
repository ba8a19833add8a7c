"""The instrument ``minimal_pairs``: a language that is learnt, and what findings say of controls and limits."""

import json
from dataclasses import replace

import numpy as np
import pytest

from minibert.config import ModelConfig, PositionConfig
from minibert.config.evaluation import MinimalPairsConfig
from minibert.data.annotated.agreement import ADJECTIVES, NOUNS, TEMPLATES, VERBS, agreement_pairs
from minibert.data.annotated.minimal_pairs import MinimalPair
from minibert.data.batches import Batch
from minibert.data.tokenizer import MASK, PAD, encode_texts, train_tokenizer
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation.instruments import Subject
from minibert.evaluation.minimal_pairs import gains, instrument, sources
from minibert.evaluation.minimal_pairs.instrument import INSTRUMENT
from minibert.model.bert import IGNORED, MiniBERT
from tests.support.trainers import small_config, small_trainer

SIZES = {
    "vocab_size": 200, "hidden_size": 32, "layers": 2, "heads": 2, "feed_forward_size": 64, "max_length": 16,
    "dropout": 0.0, "position": PositionConfig("absolute"),
}  # fmt: skip
STEPS = 300


class Sentences:
    """Batches of 64 of these sentences, padded, with a masked token in each: in every other, it is the verb."""

    def __init__(self, tokenizer, sentences):
        self.ids = [encoding.ids for encoding in encode_texts(tokenizer, sentences)]
        self.verbs = {tokenizer.token_to_id(form.split()[0]) for both in VERBS for form in both}

    def at(self, step: int) -> Batch:
        random = np.random.default_rng(step)
        chosen = [self.ids[place] for place in random.integers(0, len(self.ids), 64)]
        text = np.full((64, max(map(len, chosen))), PAD, np.int32)
        for row, ids in zip(text, chosen, strict=True):
            row[: len(ids)] = ids
        places = np.array([random.integers(1, len(ids) - 1) for ids in chosen])
        places[::2] = np.isin(text[::2], list(self.verbs)).argmax(axis=1)
        masked, labels, rows = text.copy(), np.full(text.shape, IGNORED, np.int32), np.arange(64)
        labels[rows, places] = text[rows, places]
        masked[rows, places] = MASK
        return Batch(masked, labels, text != PAD, int((text != PAD).sum()), 64)


@pytest.fixture(scope="module")
def tokenizer():
    forms = [form for both in (*NOUNS, *VERBS) for form in both]
    return train_tokenizer([" ".join([*forms, *ADJECTIVES, "the of that we gave to ."] * 20)], 200, lowercase=True)


@pytest.fixture(scope="module")
def trained(tokenizer) -> MiniBERT:
    """After 300 batches of other sentences than those asked."""
    asked = {pair.good for pair in agreement_pairs(tokenizer, 50)}
    others = [pair.good for pair in agreement_pairs(tokenizer, 400, seed=1) if pair.good not in asked]
    config = small_config(ModelConfig(**SIZES), STEPS)
    config.optimizer.learning_rate = 1e-2
    with small_trainer(config, Sentences(tokenizer, others)) as trainer:
        for _ in range(STEPS):
            trainer.step()
        return trainer.model


@pytest.fixture
def subject(tokenizer, trained, tmp_path) -> Subject:
    counts = np.zeros(SIZES["vocab_size"], int)
    counts[tokenizer.token_to_id("is")] = 100
    return Subject(
        trained, tokenizer, lambda: MiniBERT(trained.config, seed=1), "key", tmp_path, quick=True,
        unigram_counts=counts, note=lambda message: None,
    )  # fmt: skip


def asked(**settings) -> MinimalPairsConfig:
    return MinimalPairsConfig(**{"enabled": True} | settings)


def write(path, pairs) -> str:
    path.write_text("\n".join(["good\tbad\tparadigm\tfield", *("\t".join(pair) for pair in pairs)]) + "\n")
    return str(path)


# --- what is learnt


def test_a_language_that_was_learnt_is_told_from_its_mistakes_and_an_untrained_network_is_at_chance(subject):
    found = INSTRUMENT.measure(replace(subject, quick=False), asked(pairs=100))
    assert found.metrics["minimal_pairs/accuracy"] > 0.9
    assert 0.3 < found.metrics["minimal_pairs/untrained_accuracy"] < 0.7
    assert found.metrics["minimal_pairs/length_accuracy"] == 0.5
    assert not [note for note in found.notes if "not clearly better than the untrained" in note]
    assert "Controls: an untrained network" in found.summary and "400 pairs of 4 paradigms" in found.summary


def test_where_the_model_is_no_better_than_its_control_the_notes_say_so(subject):
    same = replace(subject, untrained=lambda: subject.model)
    notes = INSTRUMENT.measure(same, asked()).notes
    assert any(
        "agreement: the trained model is not clearly better than the untrained one (+0.0 points" in note
        for note in notes
    )
    assert any(
        f"in 4 of 4 paradigms the model is not clearly better than the untrained network: {', '.join(TEMPLATES)}."
        in note
        for note in notes
    )


def test_where_the_shorter_sentence_explains_the_accuracy_the_notes_say_so(subject, tmp_path):
    """Of two paradigms, one has pairs of equal length: there, length can explain nothing."""
    nouns = [both[0] for both in NOUNS]
    pairs = [MinimalPair(f"the {noun} is new", f"the {noun} is is is new", "long", "f") for noun in nouns]
    pairs += [MinimalPair(f"the {noun} is new", f"the {noun} are new", "equal", "f") for noun in nouns]
    notes = INSTRUMENT.measure(subject, asked(data=[write(tmp_path / "pairs.tsv", pairs)])).notes
    told = "pairs: in 1 of 1 paradigms the model is not clearly better than the choice of fewer word pieces: long."
    assert told in notes


# --- metrics, tables, values


def test_every_number_has_its_controls_and_the_mean_is_over_data_sets(subject, tmp_path):
    pairs = agreement_pairs(subject.tokenizer, 10)
    swapped = [MinimalPair(pair.bad, pair.good, "swapped", "all wrong") for pair in pairs]
    file = write(tmp_path / "mistakes (old).tsv", [*swapped, *(pair._replace(field="right") for pair in pairs)])
    found = INSTRUMENT.measure(subject, asked(data=["agreement", file]))
    name = "mistakes__old_"
    quantities = ["accuracy", "untrained_accuracy", "length_accuracy", "unigram_accuracy"]
    parts = ["", "/agreement", f"/{name}", f"/{name}/swapped", "/agreement/simple"]
    assert {f"minimal_pairs/{quantity}{part}" for quantity in quantities for part in parts} <= set(found.metrics)
    both = [found.metrics[f"minimal_pairs/accuracy/{each}"] for each in ("agreement", name)]
    assert found.metrics["minimal_pairs/accuracy"] == pytest.approx(np.mean(both))
    assert found.metrics[f"minimal_pairs/accuracy/{name}/swapped"] < 0.1
    by_field, *by_paradigm = found.tables
    assert [row[:2] for row in by_field.rows] == [
        ["agreement", "all paradigms"], [name, "all wrong"], [name, "right"], [name, "all paradigms"],
        ["all", "mean of the data sets"],
    ]  # fmt: skip
    assert [len(table.rows) for table in by_paradigm] == [4, 5]
    assert all(len(row) == len(table.columns) for table in found.tables for row in table.rows)
    assert json.loads(json.dumps(found.values)) == found.values


def test_without_counts_of_the_training_text_there_is_no_unigram_baseline(subject):
    found = INSTRUMENT.measure(replace(subject, unigram_counts=None), asked())
    assert not [name for name in found.metrics if "unigram" in name]
    assert "more frequent" not in " ".join(found.tables[0].columns)


def test_what_cannot_be_asked_is_counted(subject, tmp_path):
    long = "the law is new . " * 4
    pairs = [MinimalPair("the law is new .", "the law are new .", "p", "f")] * 3
    odd = [
        MinimalPair(long, "the law is", "p", "f"), MinimalPair("the 猫 is new", "the 猫 are new", "p", "f"),
        MinimalPair("the law", "the law", "p", "f"),
    ]  # fmt: skip
    notes = INSTRUMENT.measure(subject, asked(data=[write(tmp_path / "odd.tsv", [*pairs, *odd])])).notes
    assert "odd: 1 of 6 pairs have a sentence longer than the model's 16 positions, and are left out." in notes
    assert "odd: 1 of 6 pairs have a word that the tokenizer does not know." in notes
    assert "odd: 1 of 6 pairs are ties, and count as half (1 of them have the same sentence twice)." in notes


# --- data


def test_a_data_set_that_cannot_be_had_is_left_out_by_name(subject, monkeypatch):
    def gone(given, cache, note):
        raise Unavailable(f"{given} cannot be downloaded")

    monkeypatch.setattr(sources, "dataset", gone)
    notes = INSTRUMENT.measure(subject, asked(data=["agreement", "blimp"])).notes
    assert notes[0] == "blimp is left out: blimp cannot be downloaded."
    with pytest.raises(Unavailable, match=r"blimp is left out.* zorro is left out"):
        INSTRUMENT.measure(subject, asked(data=["blimp", "zorro"]))


def test_a_vocabulary_without_the_words_of_the_templates_leaves_them_out(subject):
    other = train_tokenizer(["der Hund die Katze . " * 20], 200, lowercase=True)
    with pytest.raises(Unavailable, match=r"agreement is left out: agreement: 20 pairs .*, and 0 of simple"):
        INSTRUMENT.measure(replace(subject, tokenizer=other), asked())


def test_a_data_set_without_a_pair_that_fits_is_left_out(subject, tmp_path):
    long = "the law is new . " * 4
    file = write(tmp_path / "long.tsv", [MinimalPair(long, long, "p", "f")])
    found = INSTRUMENT.measure(subject, asked(data=["agreement", file]))
    assert any(note.startswith("long is left out: every pair has a sentence longer") for note in found.notes)
    with pytest.raises(Unavailable, match="long is left out"):
        INSTRUMENT.measure(subject, asked(data=[file]))


def test_two_data_sets_of_one_name_are_refused(subject, tmp_path):
    pairs = [MinimalPair("the law is new", "the law are new", "p", "f")]
    files = []
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        files.append(write(tmp_path / folder / "pairs.tsv", pairs))
    with pytest.raises(MinibertError, match="two data sets are called pairs"):
        INSTRUMENT.measure(subject, asked(data=files))


def test_a_bad_file_is_an_error_and_not_left_out(subject, tmp_path):
    (tmp_path / "bad.tsv").write_text("good\tbad\nx\n")
    with pytest.raises(MinibertError, match="line 2") as refused:
        INSTRUMENT.measure(subject, asked(data=[str(tmp_path / "bad.tsv")]))
    assert not isinstance(refused.value, Unavailable)


@pytest.mark.parametrize(("quick", "pairs", "expected"), [(True, None, 20), (True, 5, 5), (False, 30, 30)])
def test_the_first_pairs_of_each_paradigm_are_taken(subject, tmp_path, quick, pairs, expected):
    many = [MinimalPair(f"the law {n}", f"laws {n}", paradigm, "f") for n in range(40) for paradigm in ("p", "q")]
    file = write(tmp_path / "many.tsv", many)
    found, _ = sources.load_data_sets(replace(subject, quick=quick), asked(data=[file], pairs=pairs))
    assert [sum(pair.paradigm == paradigm for pair in found["many"]) for paradigm in "pq"] == [expected] * 2
    assert found["many"] == many[: 2 * expected]


def test_paradigms_of_one_name_in_two_fields_are_told_apart(subject, tmp_path):
    """Zorro has a paradigm in_question_with_aux of two subjects."""
    pairs = [MinimalPair("a", "b", name, field) for name, field in (("p", "x"), ("p", "y"), ("q", "x"))]
    found, _ = sources.load_data_sets(subject, asked(data=[write(tmp_path / "z.tsv", pairs)]))
    assert [pair.paradigm for pair in found["z"]] == ["x-p", "y-p", "q"]


# --- the control that all checkpoints share


def test_the_untrained_network_is_scored_once_for_all_checkpoints(subject, monkeypatch):
    scored = []
    score = instrument.pseudo_log_likelihoods

    def counting(model, *others):
        scored.append(model)
        return score(model, *others)

    monkeypatch.setattr(instrument, "pseudo_log_likelihoods", counting)
    first = INSTRUMENT.measure(subject, asked())
    assert INSTRUMENT.measure(replace(subject, step=5), asked()) == first
    assert len(scored) == 3
    INSTRUMENT.measure(replace(subject, untrained=lambda: MiniBERT(subject.model.config, seed=2)), asked())
    assert len(scored) == 5
    for file in subject.cache.rglob("*.npy"):
        file.write_bytes(b"damaged")
    assert INSTRUMENT.measure(subject, asked()) == first


# --- differences and figures


def test_a_gain_is_the_mean_difference_pair_by_pair():
    """Right in 3 of 4 against 1 of 4: differences 1, 1, 0, 0 have the mean 0.5 and s = 0.5774, so ± 0.5658."""
    pairs = [MinimalPair("g", "b", "p", "f")] * 4
    one, other = np.array([1.0, 1.0, 1.0, -1.0]), np.array([-1.0, -1.0, 1.0, -1.0])
    paradigm, field, whole = gains(pairs, one, other)
    assert (paradigm.value, field.value, whole.value) == (0.5, 0.5, 0.5)
    assert paradigm.high - 0.5 == pytest.approx(0.5658, abs=1e-4)
    assert whole.low == paradigm.low
    two = gains(pairs * 2, np.r_[one, one], np.r_[other, other])
    assert two[0].value == 0.5 and two[0].high < paradigm.high


def test_figures_show_the_last_step_and_all_steps(subject):
    first, last = (
        INSTRUMENT.measure(replace(subject, model=model), asked())
        for model in (subject.untrained(), subject.model)
    )
    one = INSTRUMENT.conclude({7: last})
    assert set(one.figures) == {"accuracy_by_field", "accuracy_by_paradigm_agreement"}
    several = INSTRUMENT.conclude({0: first, 7: last})
    assert set(several.figures) == {*one.figures, "accuracy_over_training"}
    line = several.figures["accuracy_over_training"].figure.axes[0].lines[0]
    assert list(line.get_xdata()) == [0, 7]
    expected = [each.metrics["minimal_pairs/accuracy"] for each in (first, last)]
    assert list(line.get_ydata()) == pytest.approx(expected)
    labels = [
        text.get_text() for text in one.figures["accuracy_by_paradigm_agreement"].figure.axes[0].get_yticklabels()
    ]
    assert sorted(labels) == sorted(name.replace("_", " ") for name in TEMPLATES)
