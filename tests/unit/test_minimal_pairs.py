"""Minimal pairs: the formats, what a sentence scores, and which of two a model prefers."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from minibert.config import ModelConfig, PositionConfig
from minibert.data.annotated.agreement import ADJECTIVES, NOUNS, TEMPLATES, VERBS, agreement_pairs
from minibert.data.annotated.minimal_pairs import MinimalPair, read_minimal_pairs
from minibert.data.tokenizer import MASK, UNK, encode_texts, train_tokenizer
from minibert.errors import MinibertError
from minibert.evaluation.minimal_pairs import preferences, probe_syntactic_knowledge
from minibert.evaluation.pseudo_likelihood import pseudo_log_likelihoods
from minibert.model.bert import MiniBERT

SENTENCES = [
    "the cat sees the dogs .",
    "unhappiness",
    "a dog runs",
    "the cat sees the dogs .",
    "cats, dogs; unrunning",
    "a dog sees the cats .",
]
"""The first and the last are of one length, so their copies share a batch"""
VOCABULARY = 60


@pytest.fixture(scope="module")
def tokenizer():
    words = "the cat cats dog dogs sees see runs run unhappy happiness a , . ;"
    return train_tokenizer([f"{words} " * 20], VOCABULARY, lowercase=True)


@pytest.fixture(scope="module")
def model() -> MiniBERT:
    return network()


def network(**settings) -> MiniBERT:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24}
    return MiniBERT(ModelConfig(**sizes | {"max_length": 24, "dtype": "float64", "init_gain": 10.0} | settings), 3)


def by_hand(model, tokenizer, sentence: str, kind: str) -> float:
    """One copy at a time: its whole distribution over the vocabulary, at every position."""
    (encoding,) = encode_texts(tokenizer, [sentence])
    total = 0.0
    for place in range(1, len(encoding.ids) - 1):
        ids = np.array(encoding.ids)
        ids[place] = MASK
        if kind == "within_word":
            ids[
                [
                    other > place and word == encoding.word_ids[place]
                    for other, word in enumerate(encoding.word_ids)
                ]
            ] = MASK
        logits, _ = model.forward(ids[None])
        scores = logits[0, place]
        total += scores[encoding.ids[place]] - np.log(np.exp(scores).sum())
    return total


@pytest.mark.parametrize("kind", ["within_word", "original"])
@pytest.mark.parametrize("lanes", [1, 3])
def test_scores_are_those_of_one_copy_at_a_time(model, tokenizer, kind, lanes):
    found = pseudo_log_likelihoods(model, tokenizer, SENTENCES, kind, lanes)
    expected = [by_hand(model, tokenizer, sentence, kind) for sentence in SENTENCES]
    np.testing.assert_allclose([score.log_likelihood for score in found], expected, rtol=1e-10)
    assert found[0] == found[3]


def test_the_ways_differ_where_a_word_has_several_pieces_and_nowhere_else(model, tokenizer):
    whole, within = (
        pseudo_log_likelihoods(model, tokenizer, SENTENCES, kind) for kind in ("original", "within_word")
    )
    pieces = [len(encoding.ids) - 2 for encoding in encode_texts(tokenizer, SENTENCES)]
    assert [score.tokens for score in whole] == pieces
    assert pieces[1] > 1  # "unhappiness" is one word
    assert pieces[0] == pieces[-1]
    same = [one.log_likelihood == other.log_likelihood for one, other in zip(whole, within, strict=True)]
    assert same == [True, False, True, True, False, True]


def test_words_that_the_tokenizer_does_not_know_are_counted(model, tokenizer):
    (score,) = pseudo_log_likelihoods(model, tokenizer, ["the 猫 sees 犬"])
    assert (score.unknown, score.tokens) == (2, 4)
    assert encode_texts(tokenizer, ["猫"])[0].ids[1] == UNK


def test_a_sentence_longer_than_the_positions_has_no_score(tokenizer):
    short = network(max_length=8, position=PositionConfig("absolute"))
    long = "the cat sees the dogs . a dog"
    scores = pseudo_log_likelihoods(short, tokenizer, ["a dog", long])
    assert np.isfinite(scores[0].log_likelihood) and np.isnan(scores[1].log_likelihood)
    pairs = [MinimalPair("a dog runs", "a dog run", "p"), MinimalPair(long, "a dog", "p")]
    assert probe_syntactic_knowledge(short, tokenizer, pairs).left_out == 1
    with pytest.raises(MinibertError, match="every pair has a sentence longer"):
        probe_syntactic_knowledge(short, tokenizer, pairs[1:])


def test_an_unknown_way_to_score_is_refused(model, tokenizer):
    with pytest.raises(MinibertError, match="kind=best: no way to score a sentence"):
        pseudo_log_likelihoods(model, tokenizer, ["a dog"], "best")


# --- accuracies


def test_the_higher_score_wins_and_ties_count_half():
    pairs = [MinimalPair("g", "b", "one", "x")] * 4 + [MinimalPair("g", "b", "two", "x")] * 2
    pairs += [MinimalPair("g", "b", "three", "y")]
    one, two, three, x, y, every = preferences(pairs, np.array([1.0, 2.0, -1.0, 0.0, -1.0, -2.0, 3.0]))
    assert [each.level for each in (one, x, every)] == ["paradigm", "field", "all"]
    assert (one.accuracy, one.ties, one.pairs) == (0.625, 1, 4)
    assert (two.accuracy, three.accuracy) == (0.0, 1.0)
    assert (x.accuracy, y.accuracy) == (0.3125, 1.0)  # means over paradigms, not over pairs
    assert every.accuracy == pytest.approx((0.625 + 0 + 1) / 3)
    assert one.low < one.accuracy < one.high
    assert (two.low, three.high) == (pytest.approx(0), pytest.approx(1))


def test_the_interval_is_wilsons():
    """7 of 10: (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n) with z = 1.96."""
    found, _ = preferences([MinimalPair("g", "b", "p")] * 10, np.r_[np.ones(7), -np.ones(3)])
    assert (found.low, found.high) == (pytest.approx(0.3968, abs=1e-4), pytest.approx(0.8922, abs=1e-4))


def test_baselines_prefer_fewer_pieces_and_frequent_words(model, tokenizer):
    counts = np.zeros(VOCABULARY, int)
    for word, count in (("the", 90), ("a", 50), ("dog", 30), ("cat", 5)):
        counts[tokenizer.token_to_id(word)] = count
    pairs = [
        MinimalPair("the dog", "the cat", "frequent"), MinimalPair("a dog", "a dog .", "short"),
        MinimalPair("dog a", "a dog", "order"), MinimalPair("a dog", "a dog", "same"),
    ]  # fmt: skip
    found = probe_syntactic_knowledge(model, tokenizer, pairs, unigram_counts=counts)
    assert [each.accuracy for each in found.unigram] == [1.0, 1.0, 0.5, 0.5, 0.75]
    assert [each.accuracy for each in found.length] == [0.5, 1.0, 0.5, 0.5, 0.625]
    assert (found.identical, found.left_out, found.unknown) == (1, 0, 0)
    assert found.model[3].ties == 1
    with pytest.raises(MinibertError, match="minimal pairs: none were given"):
        probe_syntactic_knowledge(model, tokenizer, [])


# --- formats


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_every_format_gives_the_same_pairs(tmp_path, end, mark):
    entry = {
        "sentence_good": "A dog runs.",
        "sentence_bad": "A dog run.",
        "UID": "agreement",
        "field": "morphology",
    }
    contents = {
        "a.jsonl": [json.dumps(entry), json.dumps(entry)],
        "morphology-agreement.txt": ["A dog run.", "A dog runs.", "", "A dog run.", "A dog runs."],
        "c.tsv": ["field\tparadigm\tbad\tgood", *["morphology\tagreement\tA dog run.\tA dog runs."] * 2],
    }
    wanted = [MinimalPair("A dog runs.", "A dog run.", "agreement", "morphology")] * 2
    for name, lines in contents.items():
        (tmp_path / name).write_bytes((mark + end.join(lines) + end).encode())
        assert read_minimal_pairs(tmp_path / name) == wanted
    assert read_minimal_pairs(tmp_path) == wanted * 3


def test_a_paradigm_may_be_told_by_the_file_alone(tmp_path):
    (tmp_path / "gap.tsv").write_text('good\tbad\nA "quoted" dog\tA dog \'quoted\n')
    assert read_minimal_pairs(tmp_path) == [MinimalPair('A "quoted" dog', "A dog 'quoted", "gap", "")]


def test_one_field_in_two_spellings_is_one(tmp_path):
    entries = [{"sentence_good": "x", "sentence_bad": "y", "field": f"syntax{sign}semantics"} for sign in "_/"]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, entries)))
    assert [pair.field for pair in read_minimal_pairs(tmp_path)] == ["syntax_semantics"] * 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            '{"sentence_good": "x", "sentence_bad": "y"}\n{"sentence_good": "x"}\n',
            "line 2: no 'sentence_bad'",
        ),
        ("a.jsonl", '{"sentence_good": "x", "sentence_bad"', "line 1: no JSON object"),
        ("a.jsonl", "[1, 2]\n", "line 1: no JSON object"),
        (
            "a.jsonl",
            '{"sentence_good": "x", "sentence_bad": "y", "sentence_good": "z"}',
            "line 1: the key 'sentence_good' more than once",
        ),
        ("a.tsv", "good\tbad\tgood\nx\ty\tz\n", "line 1: the column good twice in the heading"),
        ("a.jsonl", '{"sentence_good": 5, "sentence_bad": "y"}', "line 1: the sentence 5"),
        ("a.jsonl", '{"sentence_good": " ", "sentence_bad": "y"}', "line 1: the sentence ' '"),
        ("a.txt", "one\ntwo\nthree\n", "line 3: an odd number of lines"),
        (
            "a.tsv",
            "right\twrong\nx\ty\n",
            "line 1: the heading right, wrong. Allowed: at least the columns good and bad",
        ),
        ("a.tsv", "good\tbad\nx\ty\nx\n", "line 3: 1 of 2 columns"),
        ("a.tsv", "", "is empty"),
        ("a.txt", " \n\n", "is empty"),
        ("a.csv", "good,bad\n", "is of another format"),
    ],
)
def test_what_is_no_pair_is_named_by_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(MinibertError, match=message) as refused:
        read_minimal_pairs(tmp_path / name)
    assert name in str(refused.value)


def test_a_path_without_pairs_is_refused(tmp_path):
    with pytest.raises(MinibertError, match="is not there"):
        read_minimal_pairs(tmp_path / "nowhere")
    with pytest.raises(
        MinibertError, match=r"has no such file. Give a file, or a folder of files, .* .jsonl, .txt, .tsv"
    ):
        read_minimal_pairs(tmp_path)
    (tmp_path / "latin.txt").write_bytes("caf\xe9\nx\n".encode("latin-1"))
    with pytest.raises(MinibertError, match="is not UTF-8, from byte 3 on"):
        read_minimal_pairs(tmp_path)


# --- agreement


@pytest.fixture(scope="module")
def english():
    forms = [form for both in (*NOUNS[:6], *VERBS) for form in both]
    return train_tokenizer([" ".join([*forms, *ADJECTIVES, "the of that we gave to ."] * 20)], 400, lowercase=True)


def test_agreement_differs_in_the_verb_alone_and_has_both_numbers_alike(english):
    pairs = agreement_pairs(english, count=50)
    assert len(set(pairs)) == len(pairs) == 50 * len(TEMPLATES)
    singular, plural = ({both[form] for both in VERBS} for form in (0, 1))
    for pair in pairs:
        good, bad = pair.good.split(), pair.bad.split()
        assert len(good) == len(bad)
        ((right, wrong),) = {(one, other) for one, other in zip(good, bad, strict=True) if one != other}
        assert {right, wrong} in [set(form.split()[0] for form in both) for both in VERBS]
    for paradigm in TEMPLATES:
        of_one = [
            any(f" {verb} " in pair.good for verb in singular) for pair in pairs if pair.paradigm == paradigm
        ]
        assert sum(of_one) == 25
    scores = pseudo_log_likelihoods(network(vocab_size=400), english, [pair.good for pair in pairs[:3]])
    assert not any(score.unknown for score in scores)
    assert singular.isdisjoint(plural)


def test_an_attractor_has_the_other_number(english):
    numbers = {form: number for both in NOUNS for number, form in enumerate(both)}
    for pair in agreement_pairs(english, count=20):
        found = [numbers[word] for word in pair.good.split() if word in numbers]
        assert found in ([[0, 1], [1, 0]] if pair.paradigm.startswith("attractor") else [[0], [1]])


def test_agreement_is_the_same_for_the_same_seed(english):
    assert agreement_pairs(english, 20) == agreement_pairs(english, 20) != agreement_pairs(english, 20, seed=1)


def test_a_vocabulary_without_the_words_is_told(tokenizer):
    with pytest.raises(MinibertError, match=r"agreement: 200 pairs .*, and 0 of simple can be made .*0 nouns"):
        agreement_pairs(tokenizer)


def test_a_tokenizer_with_other_numbers_gives_the_same_scores(model, tokenizer):
    """Other people's [MASK] and [UNK] have other ids: 103 and 100 in the vocabulary of BERT."""
    order = np.random.default_rng(0).permutation(VOCABULARY)
    settings = json.loads(tokenizer.to_str())
    settings["model"]["vocab"] = {token: int(order[id]) for token, id in settings["model"]["vocab"].items()}
    for added in settings["added_tokens"]:
        added["id"] = int(order[added["id"]])
    for special in settings["post_processor"]["special_tokens"].values():
        special["ids"] = [int(order[id]) for id in special["ids"]]
    renumbered, other = Tokenizer.from_str(json.dumps(settings)), network()
    other.params.vector[:] = model.params.vector
    for name in ("embeddings.token.weight", "mlm_head.bias"):
        other.params[name][order] = model.params[name]
    sentences = [*SENTENCES, "the zebra runs"]
    expected = pseudo_log_likelihoods(model, tokenizer, sentences)
    found = pseudo_log_likelihoods(other, renumbered, sentences)
    assert [score.unknown for score in found] == [score.unknown for score in expected]
    assert found[-1].unknown
    np.testing.assert_allclose(
        [score.log_likelihood for score in found], [score.log_likelihood for score in expected], rtol=1e-10
    )
