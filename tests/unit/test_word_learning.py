"""The instrument ``word_learning``: whose contexts are looked at, and when a word is learnt."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from minibert.config import ModelConfig
from minibert.config.evaluation import WordLearningConfig
from minibert.data.baselines import log_unigram_frequencies, unigram_counts
from minibert.data.packing import Sequences, cut_documents
from minibert.data.tokenizer import encode_documents, train_tokenizer
from minibert.data.vocabulary import describe_vocabulary
from minibert.errors import Unavailable
from minibert.evaluation.instruments import Findings, Subject
from minibert.evaluation.word_learning.contexts import follow_words
from minibert.evaluation.word_learning.curves import Curve
from minibert.evaluation.word_learning.instrument import INSTRUMENT
from minibert.model.bert import MiniBERT

VOCABULARY = 64
STEPS = [0, *(2**power for power in range(12))]
FREQUENT, LONG, RARE = "the", "unhappiness", "snow"
SENTENCE = "the well - known cat don't see the unhappiness of the dog , dogs run . "


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([(SENTENCE + "snow . ") * 20], VOCABULARY, lowercase=True)


@pytest.fixture(scope="module")
def held_out(tokenizer) -> Sequences:
    return cut_documents(encode_documents(tokenizer, [SENTENCE * 20 + "snow . snow . ☃ ."]), 32)


@pytest.fixture(scope="module")
def continues(tokenizer):
    return describe_vocabulary(tokenizer, np.zeros(VOCABULARY)).continues


def network(**settings) -> MiniBERT:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "layers": 1, "heads": 2, "feed_forward_size": 32}
    return MiniBERT(ModelConfig(**sizes | {"max_length": 32} | settings), 3)


@pytest.fixture
def subject(tokenizer, held_out, tmp_path) -> Subject:
    counts = unigram_counts(held_out, VOCABULARY)
    return Subject(network(), tokenizer, network, "key", tmp_path, held_out=held_out, unigram_counts=counts)


def follow(tokenizer, held_out, continues, wanted=(), count=60, most=5):
    followed, notes = follow_words(tokenizer, held_out, continues, wanted, count, most)
    return {each.word: each for each in followed}, notes


def test_words_of_punctuation_hyphens_and_contractions_are_found_whole(tokenizer, held_out, continues):
    wanted = ["don't", "well-known", "Unhappiness", "dog", ","]
    found, notes = follow(tokenizer, held_out, continues, wanted, most=1000)
    assert list(found) == wanted and not notes
    for word, each in found.items():
        ids = tokenizer.encode(word, add_special_tokens=False).ids
        spans = zip(each.contexts.rows, each.contexts.starts, each.contexts.stops, strict=True)
        assert all(held_out.input_ids[row, start:stop].tolist() == ids for row, start, stop in spans)
        assert 8 <= each.count <= 20  # a row's end cuts some in two
    # "dogs" is another word, though it may begin with the piece "dog".
    text = [tokenizer.id_to_token(int(token)) for token in held_out.input_ids.ravel()]
    whole = sum(one == "dog" and not other.startswith("##") for one, other in pairwise(text))
    assert found["dog"].count == whole


def test_unknown_and_rare_words_are_left_out_and_named(tokenizer, held_out, continues):
    found, notes = follow(tokenizer, held_out, continues, ["cat", "☃", "snow", "cat , ☃"])
    assert list(found) == ["cat"]
    assert notes == [
        "Left out, as the tokenizer does not know them: ☃, cat , ☃.",
        "Left out, with fewer than 8 occurrences in the held-out text: snow.",
    ]


def test_without_a_wish_words_of_letters_of_all_frequencies_are_taken(tokenizer, held_out, continues):
    found, notes = follow(tokenizer, held_out, continues)
    assert all(word.isalpha() for word in found)
    assert {"the", "unhappiness", "dogs"} <= set(found) and "snow" not in found
    assert notes == [f"{len(found)} of 60 words: the held-out text has no more words of letters with at least 8 "
                     "occurrences."]  # fmt: skip
    few, none = follow(tokenizer, held_out, continues, count=3)
    assert len(few) == 3 and "the" in few and not none
    assert all(len(each.contexts) == 5 for each in few.values())


def test_contexts_are_the_same_every_time(tokenizer, held_out, continues):
    one, other = (follow(tokenizer, held_out, continues)[0]["the"].contexts for _ in range(2))
    assert one.rows.tolist() == other.rows.tolist() and one.starts.tolist() == other.starts.tolist()


# --- what is measured at a checkpoint


def test_an_untrained_network_knows_no_word_better_than_chance(subject):
    found = INSTRUMENT.measure(subject, WordLearningConfig())
    json.dumps(found.values, allow_nan=False)
    assert found.summary.endswith("of them are below the surprisal of their frequency.")
    for row in found.values["words"]:
        assert row["surprisal"] == pytest.approx(row["pieces"] * np.log(VOCABULARY), abs=0.3 * row["pieces"])
        assert row["baselines"]["chance"] == pytest.approx(row["pieces"] * np.log(VOCABULARY))
    mean = np.mean([row["surprisal"] for row in found.values["words"]])
    chance, unigram = (
        np.mean([row["baselines"][name] for row in found.values["words"]]) for name in ("chance", "unigram")
    )
    assert found.metrics == {
        "word_learning/mean_surprisal": pytest.approx(mean),
        "word_learning/chance_mean_surprisal": pytest.approx(chance),
        "word_learning/unigram_mean_surprisal": pytest.approx(unigram),
    }
    (headline,) = found.headlines
    assert headline.controls == {"chance": pytest.approx(chance), "word frequencies": pytest.approx(unigram)}
    assert headline.low < headline.value < headline.high and not headline.higher_is_better
    assert "word frequencies" in headline.not_better_than, "an untrained network knows less than they do"


def test_the_unigram_surprisal_of_a_word_is_that_of_its_pieces(subject, tokenizer):
    (row,) = INSTRUMENT.measure(subject, WordLearningConfig(words=["unhappiness"])).values["words"]
    ids = tokenizer.encode("unhappiness", add_special_tokens=False).ids
    logs = log_unigram_frequencies(subject.unigram_counts)
    assert row["baselines"]["unigram"] == pytest.approx(-logs[ids].sum())
    assert row["pieces"] == len(ids)


def test_quick_takes_fewer_contexts_and_words(subject):
    settings = WordLearningConfig(words=["the"], contexts=32)
    (full,), (few,) = (
        INSTRUMENT.measure(replace(subject, quick=quick), settings).values["words"] for quick in (False, True)
    )
    assert (full["contexts"], few["contexts"]) == (32, 8)


@pytest.mark.parametrize("lanes", [1, 3])
def test_lanes_change_nothing(subject, lanes):
    settings = WordLearningConfig(contexts=8)
    assert INSTRUMENT.measure(replace(subject, lanes=lanes), settings) == INSTRUMENT.measure(subject, settings)


def test_what_cannot_be_measured_is_told(subject):
    with pytest.raises(Unavailable, match="recorded run instead of a folder"):
        INSTRUMENT.measure(replace(subject, held_out=None), WordLearningConfig())
    with pytest.raises(Unavailable, match=r"no word to follow\. Left out, as the tokenizer does not know them: ☃"):
        INSTRUMENT.measure(subject, WordLearningConfig(words=["☃"]))


# --- what all checkpoints show


def planted(middles: dict[str, float], steps=STEPS, high=9.0, low=1.0) -> dict[int, Findings]:
    """Words that fall from chance to one nat around 10^middle steps; the earlier, the more frequent."""
    found = {}
    for step in steps:
        rows = [
            {
                "word": word,
                "frequency": 0.1 * 10**-middle,
                "surprisal": float(Curve(high, low, middle, 0.1, 1.0).at(step)),
                "baselines": {"chance": 9.0, "unigram": 5.0},
            }
            for word, middle in middles.items()
        ]
        found[step] = Findings("", values={"words": rows})
    return found


MIDDLES = {"a": 1.0, "be": 1.3, "sea": 1.6, "deep": 1.9, "great": 2.2, "planet": 2.5, "unhappy": 2.8}


def test_planted_ages_are_found_and_go_with_frequency_and_length(tmp_path):
    found = INSTRUMENT.conclude(planted(MIDDLES))
    metrics = found.metrics
    assert metrics["word_learning/learnt_share"] == 1.0
    assert metrics["word_learning/median_age"] == pytest.approx(10**1.9 - 1, rel=0.05)
    # Half-way from the frequency, 3, is later than half-way from chance, 5.
    later = 10 ** (1.9 + 0.1 * np.log((9 - 3) / (3 - 1))) - 1
    assert metrics["word_learning/median_age_above_unigram"] == pytest.approx(later, rel=0.05)
    assert metrics["word_learning/age_frequency_correlation"] == pytest.approx(-1.0)
    assert metrics["word_learning/age_length_correlation"] == pytest.approx(1.0)
    assert sorted(found.figures) == ["age_of_acquisition", "learning_curves"]
    for name, drawing in found.figures.items():
        drawing.figure.savefig(tmp_path / f"{name}.png", dpi=20)
    json.dumps([[table.rows for table in found.tables], metrics], allow_nan=False)


def test_flat_curves_are_not_learnt_and_have_no_age(tmp_path):
    found = INSTRUMENT.conclude(planted(MIDDLES, high=9.0, low=8.9))
    assert found.metrics == {
        "word_learning/learnt_share": 0.0,
        "word_learning/learnt_share_above_unigram": 0.0,
    }
    assert found.tables[0].rows[0][1:5] == [0, 0, 7, 0]
    assert any("No word is learnt, from random chance" in note for note in found.notes)
    found.figures["learning_curves"].figure.savefig(tmp_path / "flat.png", dpi=20)


def test_words_known_from_the_start_are_told():
    found = INSTRUMENT.conclude(planted(MIDDLES, high=4.0))
    assert found.metrics["word_learning/median_age"] == 0.0
    assert found.tables[0].rows[0][1:5] == [0, 7, 0, 0]
    assert found.notes[0].startswith("7 of 7 words are known at the first checkpoint")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_checkpoints_say_how_to_keep_more(count):
    found = INSTRUMENT.conclude(planted(MIDDLES, steps=STEPS[:count]))
    assert not found.metrics and not found.figures
    (note,) = found.notes
    assert note.startswith(f"No learning curves: {count} checkpoints were asked")
    assert "training.checkpoints_per_doubling" in note and "evaluation.steps=all" in note


def test_only_words_that_were_followed_at_every_step_have_a_curve():
    by_step = planted(MIDDLES)
    by_step[0] = Findings("", values={"words": by_step[0].values["words"][1:]})
    table = INSTRUMENT.conclude(by_step).tables[1]
    assert [row[0] for row in table.rows] == list(MIDDLES)[1:]
    by_step[0] = Findings("")
    assert "no word was followed at all of the steps" in INSTRUMENT.conclude(by_step).notes[0]


def test_three_words_have_ages_and_no_correlation():
    found = INSTRUMENT.conclude(planted({"a": 1.0, "sea": 1.6, "planet": 2.5}))
    assert found.metrics["word_learning/learnt_share"] == 1.0
    assert not any("correlation" in name for name in found.metrics)
    assert found.tables[0].rows[0][-4:] == [None] * 4
