"""Cloze prompts: ranks of a network whose scores are known, ties, baselines, and what is left out."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from minibert.config import PositionConfig
from minibert.config.evaluation import FactsConfig
from minibert.data.annotated import gensim_files
from minibert.data.annotated.cloze import Cloze
from minibert.data.tokenizer import load_tokenizer, train_tokenizer
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation.facts.instrument import INSTRUMENT, read_data
from minibert.evaluation.facts.measures import probe_factual_knowledge
from minibert.evaluation.facts.ranks import Rank, precision, reciprocal
from minibert.evaluation.word_vectors import vocabulary_words
from tests.support.subjects import tiny_network, tiny_subject

COUNTRIES = {"paris": "france", "rome": "italy", "madrid": "spain", "berlin": "germany"}
CLOZES = [
    Cloze(f"{city} is the capital of [MASK] .", (country,), "country") for city, country in COUNTRIES.items()
]


@pytest.fixture(scope="module")
def tokenizer():
    words = " ".join([*COUNTRIES, *COUNTRIES.values(), "is the capital of . people are dollar"])
    return train_tokenizer([f"{words} " * 20], 150, lowercase=True)


def lookup(tokenizer, scores: dict[str, float], **settings):
    """A network that gives every position these scores; all other tokens score 0."""
    model = tiny_network(tokenizer.get_vocab_size(), **settings)
    model.params["embeddings.token.weight"][...] = 0
    bias = np.zeros(tokenizer.get_vocab_size())
    for token, score in scores.items():
        bias[tokenizer.token_to_id(token)] = score
    model.params["mlm_head.bias"] = bias
    return model


# --- ranks


def test_ranks_are_those_of_the_known_scores(tokenizer):
    scores = {"the": 5, "france": 4, "italy": 3, "is": 2.5, "spain": 2, "germany": -1, "[CLS]": 9}
    model = lookup(tokenizer, scores)
    found = probe_factual_knowledge(model, tokenizer, CLOZES)
    words = len(vocabulary_words(tokenizer))
    ranks = {each.answers[0]: each.rank for each in found.completions}
    assert ranks == {"france": 2, "italy": 3, "spain": 5, "germany": words}
    assert {each.guess for each in found.completions} == {"the"}  # [CLS] is no word
    relation, every = found.relations
    assert relation.model.precision_at_1.value == 0 and relation.model.precision_at_10.value == 0.75
    assert relation.model.mean_reciprocal_rank == pytest.approx((1 / 2 + 1 / 3 + 1 / 5 + 1 / words) / 4)
    assert relation.choice.value == 0.25  # among the four countries, France is always the likeliest
    assert (relation.choice_by_chance, relation.choice_by_frequency) == (0.25, 0.25)
    assert (every.relation, every.model.precision_at_10.value, found.candidates) == ("all", 0.75, words)


def test_the_probability_is_over_the_whole_vocabulary(tokenizer):
    model = lookup(tokenizer, {"france": 3})
    completion = probe_factual_knowledge(model, tokenizer, CLOZES[:1]).completions[0]
    assert completion.probability == pytest.approx(np.exp(3) / (np.exp(3) + tokenizer.get_vocab_size() - 1))


def test_of_several_answers_the_best_counts_and_the_others_are_no_candidates(tokenizer):
    model = lookup(tokenizer, {"the": 5, "spain": 4, "italy": 3})
    clozes = [Cloze("people are the [MASK] .", ("italy", "spain"), "r"), Cloze("the [MASK] .", ("italy",), "r")]
    both, one = probe_factual_knowledge(model, tokenizer, clozes).completions
    assert (both.rank, one.rank) == (2, 3)
    (relation, _) = probe_factual_knowledge(model, tokenizer, clozes).relations
    assert relation.choice.value == 0.5  # first prompt: all answers are right; second: Spain is wrong and likelier


def test_special_tokens_may_have_other_ids(tokenizer, tmp_path):
    """As in BERT's own vocabulary, whose first tokens are [PAD] and [unused0] to [unused98]."""
    words = sorted(vocabulary_words(tokenizer))
    tokens = [
        "[PAD]",
        *(f"[unused{number}]" for number in range(9)),
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        ".",
        *words,
    ]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens))
    other = load_tokenizer(tmp_path)
    found = probe_factual_knowledge(lookup(other, {"france": 3, "[unused0]": 9}), other, CLOZES)
    assert [each.rank for each in found.completions] == [1, 2, 2, 2]
    assert (found.unknown, found.candidates) == (0, len(words))


def test_words_of_equal_score_come_in_random_order():
    ranks = [Rank(0, 0), Rank(0, 1), Rank(1, 0), Rank(0, 3), Rank(9, 1)]
    assert list(precision(ranks, 1)) == [1, 0.5, 0, 0.25, 0]
    assert list(precision(ranks, 10)) == [1, 1, 1, 1, 0.5]
    np.testing.assert_allclose(
        reciprocal(ranks), [1, 3 / 4, 1 / 2, (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, (1 / 10 + 1 / 11) / 2]
    )


def test_batches_of_any_number_of_lanes_give_the_same(tokenizer):
    model = tiny_network(tokenizer.get_vocab_size())
    clozes = [*CLOZES, Cloze("the [MASK] .", ("people",), "short"), *CLOZES]
    one, three = (probe_factual_knowledge(model, tokenizer, clozes, lanes=lanes) for lanes in (1, 3))
    assert one == three
    assert [each.prompt for each in one.completions] == [cloze.prompt for cloze in clozes]


# --- baselines


def test_frequent_words_are_a_baseline(tokenizer):
    counts = np.zeros(tokenizer.get_vocab_size(), int)
    for word, count in (("the", 50), ("france", 40), ("is", 30), ("italy", 30)):
        counts[tokenizer.token_to_id(word)] = count
    counts[tokenizer.token_to_id(".")] = 90  # is no word
    relation, _ = probe_factual_knowledge(lookup(tokenizer, {}), tokenizer, CLOZES[:2], counts).relations
    assert relation.frequent_words is not None
    assert relation.frequent_words.precision_at_1.value == 0
    assert relation.frequent_words.mean_reciprocal_rank == pytest.approx((1 / 2 + (1 / 3 + 1 / 4) / 2) / 2)
    assert probe_factual_knowledge(lookup(tokenizer, {}), tokenizer, CLOZES).relations[0].frequent_words is None


def test_the_most_frequent_answer_of_the_relation_is_a_baseline(tokenizer):
    clozes = [Cloze(f"{city} [MASK] .", (answer,), "r") for city, answer in
              (("paris", "france"), ("rome", "france"), ("berlin", "italy"), ("madrid", "spain"))]  # fmt: skip
    relation, _ = probe_factual_knowledge(lookup(tokenizer, {}), tokenizer, clozes).relations
    assert relation.most_frequent_answers.precision_at_1.value == 0.5
    assert relation.choice_by_frequency == 0.5
    assert relation.most_frequent_answers.mean_reciprocal_rank == pytest.approx(
        (1 + 1 + 2 * (1 / 2 + 1 / 3) / 2) / 4
    )


def test_all_is_the_mean_over_relations_not_over_prompts(tokenizer):
    model = lookup(tokenizer, {"france": 3})
    clozes = [*[CLOZES[0]] * 3, Cloze("[MASK] .", ("italy",), "other")]
    *_, every = probe_factual_knowledge(model, tokenizer, clozes).relations
    assert every.model.precision_at_1.value == 0.5
    assert (every.asked, every.given) == (4, 4)


# --- what is left out


def test_what_cannot_be_asked_is_counted(tokenizer):
    long = " ".join(["paris"] * 40)
    clozes = [
        *CLOZES, Cloze("the [MASK] .", ("germanyfrance", "猫"), "country"),
        Cloze(f"{long} [MASK]", ("italy",), "long"), Cloze("the [MASK] .", (".",), "country"),
        Cloze("猫 is [MASK] .", ("germanyfrance", "spain"), "country"),
    ]  # fmt: skip
    model = lookup(tokenizer, {}, position=PositionConfig("absolute"))
    found = probe_factual_knowledge(model, tokenizer, clozes)
    assert (found.no_answer, found.too_long, found.unknown) == (2, 1, 1)
    assert (found.relations[0].asked, found.relations[0].given) == (5, 7)
    assert found.completions[-1].answers == ("spain",)
    assert [each.relation for each in found.relations] == ["country", "all"]


def test_errors_say_what_was_given(tokenizer):
    model = lookup(tokenizer, {})
    with pytest.raises(MinibertError, match="no prompts were given"):
        probe_factual_knowledge(model, tokenizer, [])
    for prompt, count in (("the people .", 0), ("[MASK] is [MASK] .", 2)):
        with pytest.raises(MinibertError, match=rf"has {count} \[MASK\]. Allowed: exactly one"):
            probe_factual_knowledge(model, tokenizer, [Cloze(prompt, ("italy",), "r")])
    with pytest.raises(Unavailable, match=r"none of 1 prompts can be asked\. 1 have no answer"):
        probe_factual_knowledge(model, tokenizer, [Cloze("the [MASK] .", ("猫",), "r")])


# --- the instrument


@pytest.mark.parametrize("quick", [False, True])
def test_the_instrument_states_its_controls(tokenizer, tmp_path, quick):
    file = tmp_path / "capitals.tsv"
    rows = [f"{cloze.prompt}\t{cloze.answers[0]}|none\t{cloze.relation}" for cloze in CLOZES]
    file.write_text("\n".join(["prompt\tanswers\trelation", *rows, "The [MASK] .\tgermanyfrance\tcountry"]))
    subject = tiny_subject(tokenizer, ["paris is the capital . " * 20], tmp_path, quick=quick)
    found = INSTRUMENT.measure(subject, FactsConfig(data=[str(file)]))
    assert found == INSTRUMENT.measure(subject, FactsConfig(data=[str(file)]))
    json.dumps(asdict(found), allow_nan=False)
    wanted = {
        f"facts/{who}{quantity}{part}"
        for who in ("", "untrained_", "frequent_answer_", "unigram_")
        for quantity in ("precision_at_1", "precision_at_10", "mean_reciprocal_rank")
        for part in ("", "/country")
    }
    assert wanted <= set(found.metrics)
    assert found.metrics["facts/coverage"] == 0.8
    assert any("1 of 5 prompts have no answer" in note for note in found.notes)
    assert any("no better than the control" in note for note in found.notes)
    for table in found.tables:
        assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
    one, several = INSTRUMENT.conclude({7: found}), INSTRUMENT.conclude({0: found, 7: found})
    assert set(one.figures) == {"facts", "choice_among_answers"}
    assert set(several.figures) == {*one.figures, "facts_over_steps"}


def test_a_relation_of_any_name_gives_metrics_that_can_be_recorded(tokenizer, tmp_path):
    (tmp_path / "own.tsv").write_text("prompt\tanswers\trelation\nthe [MASK] .\titaly\tborn in (city)/née")
    found = INSTRUMENT.measure(
        tiny_subject(tokenizer, [], tmp_path), FactsConfig(data=[str(tmp_path / "own.tsv")])
    )
    assert "facts/precision_at_1/born_in__city__n_e" in found.metrics


def test_templates_without_the_package_are_named(monkeypatch):
    monkeypatch.setattr(gensim_files, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"templates is left out: questions-words.txt"):
        read_data(FactsConfig().data)
    with pytest.raises(Unavailable, match="names no prompts"):
        read_data([])
