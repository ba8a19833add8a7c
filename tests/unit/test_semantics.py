"""Similarity of words and analogies: planted vectors, coverage, and what the instrument reports."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from minibert.config.evaluation import SemanticsConfig
from minibert.data.annotated import gensim_files
from minibert.data.annotated.analogies import Analogy
from minibert.data.annotated.word_pairs import WordPair
from minibert.data.packing import cut_documents
from minibert.data.tokenizer import encode_documents, train_tokenizer
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation.semantics.analogies import analogy_accuracies
from minibert.evaluation.semantics.instrument import INSTRUMENT, read_data
from minibert.evaluation.semantics.measures import probe_semantic_knowledge
from tests.support.subjects import tiny_network, tiny_subject

WORDS = (
    "king", "queen", "man", "woman", "boy", "girl", "uncle", "aunt", "paris", "france", "rome", "italy", "table",
    "chair", "lamp", "river",
)  # fmt: skip
PAIRS = {
    "people": [
        WordPair("king", "queen", 9), WordPair("man", "boy", 7), WordPair("man", "woman", 7),
        WordPair("king", "lamp", 2), WordPair("river", "uncle", 1), WordPair("table", "chairs", 8),
        WordPair("table", "猫", 5),
    ]
}  # fmt: skip
"""``chairs`` has several pieces, and the cat is unknown"""
ANALOGIES = [
    Analogy("man", "woman", "king", "queen", "family"),
    Analogy("Man", "woman", "boy", "girl", "family"),
    Analogy("France", "Paris", "Italy", "Rome", "capital"),
    Analogy("france", "paris", "spain", "madrid", "capital"),
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([f"{' '.join(WORDS)} the of . and " * 20], 150, lowercase=True)


@pytest.fixture(scope="module")
def text(tokenizer):
    draws = np.random.default_rng(0)
    texts = [" ".join(draws.choice([*WORDS[:12], "the", "of", "and", "."], 40)) for _ in range(30)]
    return cut_documents(encode_documents(tokenizer, texts), 32)


def network(tokenizer, **settings):
    return tiny_network(tokenizer.get_vocab_size(), **settings)


def plant(model, tokenizer, vectors) -> None:
    table = model.params["embeddings.token.weight"]
    for word, vector in vectors.items():
        table[tokenizer.token_to_id(word)] = vector


# --- similarity


@pytest.mark.parametrize("sign", [1, -1])
def test_vectors_as_alike_as_people_say_correlate_fully(tokenizer, sign):
    model = network(tokenizer)
    others = ("queen", "man", "lamp", "boy", "aunt")
    pairs = [WordPair("king", other, sign * score) for score, other in enumerate(others)]
    plant(model, tokenizer, {"king": np.eye(16)[0]})
    for score, other in enumerate(others):
        angle = np.pi / 2 * (1 - score / 6)
        plant(model, tokenizer, {other: np.cos(angle) * np.eye(16)[0] + np.sin(angle) * np.eye(16)[1]})
    (found,) = probe_semantic_knowledge(model, tokenizer, {"planted": pairs}).similarities
    assert (found.pairs, found.whole_pairs) == (5, 5)
    assert found.correlation.value == pytest.approx(sign) and found.whole.value == pytest.approx(sign)


def test_coverage_counts_spelt_whole_and_found_pairs(tokenizer, text):
    found = probe_semantic_knowledge(network(tokenizer), tokenizer, PAIRS, sequences=text)
    (coverage,) = found.coverage
    assert (coverage.pairs, coverage.spelt, coverage.whole, coverage.found) == (7, 6, 5, 3)
    by_vectors = {each.vectors: each for each in found.similarities}
    assert list(by_vectors) == ["static", "static_found", "embeddings", "layer_0", "layer_1"]
    assert (by_vectors["static"].pairs, by_vectors["static"].whole_pairs) == (6, 5)
    assert {by_vectors[name].pairs for name in list(by_vectors)[1:]} == {3}
    assert np.isnan(by_vectors["layer_1"].correlation.value)  # of three pairs


def test_without_positions_the_embeddings_in_context_are_the_static_ones(tokenizer, text):
    """The first place holds the token embeddings alone, if nothing is added to them."""
    pairs = {"data": [WordPair(WORDS[number], WORDS[number + 3], number) for number in range(9)]}
    model = network(tokenizer, dtype="float64")
    found = probe_semantic_knowledge(model, tokenizer, pairs, sequences=text)
    correlations = {each.vectors: each.correlation.value for each in found.similarities}
    assert correlations["embeddings"] == pytest.approx(correlations["static_found"])
    assert correlations["layer_1"] != pytest.approx(correlations["embeddings"], abs=1e-6)


# --- analogies


def test_planted_relations_are_found(tokenizer):
    model = network(tokenizer)
    axes = np.eye(16)
    royal, young, italian, female, capital = axes[:5]
    others = ("table", "chair", "lamp", "river", "uncle", "aunt")
    vectors = {word: axes[5 + number] for number, word in enumerate(others)}
    vectors |= {"man": axes[11], "woman": axes[11] + female, "king": axes[11] + royal}
    vectors |= {"queen": axes[11] + royal + female, "boy": axes[11] + young, "girl": axes[11] + young + female}
    vectors |= {"france": axes[12], "paris": axes[12] + capital, "italy": italian, "rome": italian + capital}
    for index in range(tokenizer.get_vocab_size()):
        model.params["embeddings.token.weight"][index] = axes[13]
    plant(model, tokenizer, vectors)
    found = {each.section: each for each in probe_semantic_knowledge(model, tokenizer, {}, ANALOGIES).analogies}
    assert list(found) == ["family", "capital", "all"]
    assert [each.accuracy.value for each in found.values()] == [1, 1, 1]
    assert [(each.questions, each.given) for each in found.values()] == [(2, 2), (1, 2), (3, 4)]
    assert found["all"].accuracy.low > 0.4
    untrained = probe_semantic_knowledge(network(tokenizer), tokenizer, {}, ANALOGIES).analogies
    assert untrained[-1].accuracy.value == 0


def test_the_three_given_words_are_no_answers_and_the_nearest_word_is_a_baseline():
    """b and c are nearest to b - a + c; without the relation, e is nearest to c."""
    places = {word: number for number, word in enumerate("abcde")}
    vectors = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0.2], [1, 0.9, 0.2], [1, -0.1, 0.2]], float)
    (section, every) = analogy_accuracies([Analogy(*"abcd", "s")], places, vectors, "planted")
    assert section.accuracy.value == every.accuracy.value == 1
    assert section.nearest == 0 and section.chance == 0.5
    (other, _) = analogy_accuracies([Analogy(*"abce", "s")], places, vectors, "planted")
    assert (other.accuracy.value, other.nearest) == (0, 1)


def test_the_most_frequent_answer_is_that_of_the_section():
    places = {word: number for number, word in enumerate("abcdefgh")}
    answers = [("d", "one"), ("d", "one"), ("e", "one"), ("f", "two"), ("g", "two")]
    asked = [Analogy("a", "b", "c", answer, section) for answer, section in answers]
    one, two, every = analogy_accuracies(asked, places, np.eye(8), "v")
    assert (one.most_frequent, two.most_frequent, every.most_frequent) == (pytest.approx(2 / 3), 0.5, 0.6)


def test_equal_scores_are_no_right_answers():
    places = {word: number for number, word in enumerate("abcdef")}
    (_, every) = analogy_accuracies([Analogy(*"abcd", "s")], places, np.ones((6, 4)), "constant")
    assert every.accuracy.value == every.nearest == 0


def test_a_section_without_known_words_has_no_accuracy():
    lost, every = analogy_accuracies([Analogy(*"abcd", "s")], {"a": 0}, np.ones((6, 4)), "v")
    assert (lost.questions, lost.given) == (0, 1)
    assert np.isnan([lost.accuracy.value, lost.most_frequent, every.accuracy.value]).all()


# --- errors


def test_nothing_given_and_nothing_known_are_told(tokenizer):
    model = network(tokenizer)
    with pytest.raises(MinibertError, match="neither word pairs nor analogies were given"):
        probe_semantic_knowledge(model, tokenizer, {"none": []})
    with pytest.raises(Unavailable, match="all words of none of the 1 word pairs and 1 analogies"):
        probe_semantic_knowledge(
            model, tokenizer, {"cats": [WordPair("猫", "犬", 1)]}, [Analogy("x", "y", "z", "猫", "s")]
        )


# --- the instrument


def files(folder) -> list[str]:
    lines = [f"{pair.first}\t{pair.second}\t{pair.score}" for pair in PAIRS["people"]]
    (folder / "people.tsv").write_text("\n".join(lines))
    sections = "".join(f": {each.section}\n{' '.join(each[:4])}\n" for each in ANALOGIES)
    (folder / "relations.txt").write_text(sections)
    return [str(folder / "people.tsv"), str(folder / "relations.txt")]


@pytest.mark.parametrize("quick", [False, True])
def test_the_instrument_states_its_controls_and_what_it_left_out(tokenizer, text, tmp_path, quick):
    subject = tiny_subject(tokenizer, ["the king and the queen . " * 30], tmp_path, held_out=text, quick=quick)
    settings = SemanticsConfig(data=files(tmp_path))
    found = INSTRUMENT.measure(subject, settings)
    assert found == INSTRUMENT.measure(subject, settings)
    json.dumps(asdict(found), allow_nan=False)
    wanted = {
        "semantics/spearman/people/static", "semantics/untrained_spearman/people/static",
        "semantics/coverage/people", "semantics/analogy_accuracy", "semantics/analogy_accuracy/family",
        "semantics/untrained_analogy_accuracy", "semantics/analogy_accuracy_in_context/layer_1",
    }  # fmt: skip
    assert wanted <= set(found.metrics)
    assert found.metrics["semantics/coverage/people"] == pytest.approx(6 / 7)
    assert any("1 of 7 pairs" in note for note in found.notes)
    assert any("no better than the control" in note for note in found.notes)
    for table in found.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    one = INSTRUMENT.conclude({5: found})
    several = INSTRUMENT.conclude({0: found, 5: found})
    assert set(one.figures) == {"word_similarity", "analogies"}
    assert set(several.figures) == {*one.figures, "semantics_over_steps"}


def test_without_text_only_static_vectors_are_asked(tokenizer, tmp_path):
    subject = tiny_subject(tokenizer, [], tmp_path)
    found = INSTRUMENT.measure(subject, SemanticsConfig(data=files(tmp_path)))
    assert "semantics/spearman/people/static" in found.metrics
    assert not any("layer" in name for name in found.metrics)
    assert any("no held-out text" in note for note in found.notes)
    assert INSTRUMENT.conclude({0: found}).figures


def test_files_of_one_name_stay_apart(tmp_path):
    (tmp_path / "other").mkdir()
    names = [files(tmp_path)[0], files(tmp_path / "other")[0]]
    assert list(read_data(names)[0]) == ["people", names[1]]


def test_lists_that_are_not_installed_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(gensim_files, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"wordsim353 is left out: .*analogies is left out: "):
        read_data(SemanticsConfig().data)
    pairs, analogies, notes = read_data([*files(tmp_path), "simlex999"])
    assert (list(pairs), len(analogies), len(notes)) == (["people"], 4, 1)
    with pytest.raises(Unavailable, match="names no data set"):
        read_data([])
