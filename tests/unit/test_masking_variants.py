"""Whole words, spans, rare words; and rates that change in the course of training."""

import numpy as np
import pytest

from minibert.config.data import (
    AdaptiveMaskingConfig,
    FrequencyMaskingConfig,
    MaskingConfig,
    ScheduledMaskingConfig,
    SpanMaskingConfig,
)
from minibert.data import implement_adaptive_masking
from minibert.data.masking import IGNORED, UniformMasking, build_masking, places_of_units
from minibert.data.tokenizer import CLS, FIRST_ORDINARY, MASK, PAD, SEP, UNK, train_tokenizer
from minibert.data.vocabulary import Vocabulary, describe_vocabulary
from minibert.randomness import generator

VOCAB = 1000
RANDOM = np.random.default_rng(1)
COUNTS = np.where(np.arange(VOCAB) < FIRST_ORDINARY, 0, 100_000 // (1 + np.arange(VOCAB)))
PIECES = np.where(np.arange(VOCAB) < FIRST_ORDINARY, False, np.random.default_rng(2).random(VOCAB) < 0.3)
WORDS = Vocabulary(PIECES, np.zeros(VOCAB, bool), COUNTS)
CONFIGS = {
    "uniform": MaskingConfig,
    "whole_word": MaskingConfig,
    "span": SpanMaskingConfig,
    "frequency": FrequencyMaskingConfig,
    "scheduled": ScheduledMaskingConfig,
    "adaptive": AdaptiveMaskingConfig,
}


def build(name, steps=100, vocabulary=WORDS, **settings):
    return build_masking(CONFIGS[name](name=name, **settings), VOCAB, vocabulary, steps)


def text(rows: int, words=62) -> np.ndarray:
    """(rows, 64): two pieces [CLS] … [SEP] and some padding, with an [UNK] and a [MASK] in the text."""
    ids = np.random.default_rng(1).integers(FIRST_ORDINARY, VOCAB, size=(rows, 64)).astype(np.int32)
    ids[:, [0, 31]] = CLS
    ids[:, [30, 59]] = SEP
    ids[:, 60:] = PAD
    ids[:, 7], ids[:, 12] = UNK, MASK
    return ids


def chosen(masking, input_ids, seed=3):
    """(B, T) bool: what is predicted."""
    return masking.apply(input_ids, [generator(seed, 0, row) for row in range(len(input_ids))])[1] != IGNORED


ORDINARY = 64 - 4 - 4 - 2
"""Ordinary tokens in a row of ``text``"""


# --- what holds for all


@pytest.mark.parametrize("name", CONFIGS)
def test_special_tokens_are_never_chosen(name):
    input_ids = text(100)
    seen, labels = build(name, rate=0.55).at(0).apply(input_ids, [generator(3, 0, row) for row in range(100)])
    special = input_ids < FIRST_ORDINARY
    assert (labels[special] == IGNORED).all()
    assert (seen[special] == input_ids[special]).all()


@pytest.mark.parametrize("rate", [0.15, 0.4])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_realised_rate_is_the_rate(name, rate):
    """Unbiased for every row: 3000 rows whose counts have a deviation of at most 5 tokens, of a span, or of 2."""
    deviation = 5 if name == "span" else 2
    mean = chosen(build(name, rate=rate).at(0), text(3000)).sum(axis=1).mean()
    assert abs(mean - rate * ORDINARY) < 5 * deviation / np.sqrt(3000)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_row_depends_on_itself_and_its_generator_only(name):
    input_ids = text(8)
    masking = build(name).at(0)
    together = masking.apply(input_ids, [generator(3, 0, row) for row in range(8)])
    alone = masking.apply(input_ids[5:6], [generator(3, 0, 5)])
    for whole, part in zip(together, alone, strict=True):
        assert (whole[5] == part[0]).all()


@pytest.mark.parametrize("name", ["whole_word", "span", "frequency"])
def test_the_set_of_a_lower_rate_lies_inside_that_of_a_higher_one(name):
    low, high = (chosen(build(name, rate=rate), text(200)) for rate in (0.15, 0.5))
    assert not (low & ~high).any()


@pytest.mark.parametrize("name", ["whole_word", "span", "frequency"])
def test_the_smaller_of_corruption_and_prediction_lies_inside_the_larger(name):
    input_ids = text(300)
    masking = build(name, corruption_rate=0.4, prediction_rate=0.15, mask=1.0, random=0.0)
    seen, labels = masking.apply(input_ids, [generator(3, 0, row) for row in range(300)])
    predicted, corrupted = labels != IGNORED, (seen == MASK) & (input_ids != MASK)
    assert not (predicted & ~corrupted).any()
    assert abs(corrupted.sum() / (300 * ORDINARY) - 0.4) < 0.02


# --- whole words


def words_of(input_ids) -> np.ndarray:
    """(B, T) number of the word each token is in, token by token: specials stand alone."""
    numbers = np.zeros(input_ids.shape, int)
    for row, ids in enumerate(input_ids):
        word = 0
        for place, token in enumerate(ids):
            after_special = place and ids[place - 1] < FIRST_ORDINARY
            if place and not (PIECES[token] and not after_special):
                word += 1
            numbers[row, place] = word
    return numbers


@pytest.mark.parametrize("name", ["whole_word", "span"])
def test_a_word_is_chosen_with_all_its_pieces_or_not_at_all(name):
    input_ids = text(200)
    predicted, words = chosen(build(name, rate=0.3), input_ids), words_of(input_ids)
    several = 0
    for row in range(200):
        for word in np.unique(words[row]):
            inside = predicted[row][words[row] == word]
            assert inside.all() or not inside.any()
            several += inside.all() and len(inside) > 1
    assert several > 100


def test_without_continuations_whole_words_are_chosen_like_tokens():
    none = Vocabulary(np.zeros(VOCAB, bool), WORDS.ends_sentence, COUNTS)
    counts = chosen(build("whole_word", rate=0.15, vocabulary=none), text(2000)).sum(axis=1)
    # 0.15 · 54 = 8.1
    assert set(counts) == {8, 9}


def test_every_word_is_equally_likely():
    """One row, again and again: 30 words, of which 10 have two pieces; each is chosen a quarter of the times."""
    pieces = np.zeros(VOCAB, bool)
    pieces[500:] = True
    ids = np.concatenate([[CLS], *[[100 + n, 500 + n] for n in range(10)], np.arange(10, 30) + 100, [SEP]])
    vocabulary = Vocabulary(pieces, WORDS.ends_sentence, COUNTS)
    rows = np.tile(ids, (6000, 1)).astype(np.int32)
    shares = chosen(build("whole_word", rate=0.25, vocabulary=vocabulary), rows).mean(axis=0)[1:-1]
    # The deviation of a share is √(¼ · ¾ / 6000) = 0.0056. That the last may not fit costs long ones a little.
    assert np.abs(shares - 0.25).max() < 5 * 0.0056 + 0.01


def test_units_know_what_stands_before_them_and_how_large_they_are():
    before, size = places_of_units(np.array([[0.5, 0.2, 0.5, 0.9, 0.2, 0.2, np.inf, np.inf]]))
    assert before.tolist() == [[3, 0, 3, 5, 0, 0, 6, 6]]
    assert size.tolist() == [[2, 3, 2, 1, 3, 3, 2, 2]]


# --- spans


def test_span_lengths_are_those_of_spanbert():
    """P(ℓ) = 0.2 · 0.8^(ℓ−1) / (1 − 0.8¹⁰): a mean of 3.797, published as 3.8."""
    lengths = build("span").span_lengths((np.arange(100_000) + 0.5) / 100_000)
    expected = 0.2 * 0.8 ** np.arange(10)
    np.testing.assert_allclose(np.bincount(lengths)[1:] / 100_000, expected / expected.sum(), atol=2e-5)
    assert lengths.mean() == pytest.approx(3.797, abs=1e-3)


def test_a_single_span_is_a_run_of_words_of_the_drawn_length():
    """A rate so low that few rows have more than one span, in words of one piece: each is one run."""
    none = Vocabulary(np.zeros(VOCAB, bool), WORDS.ends_sentence, COUNTS)
    input_ids = np.random.default_rng(0).integers(FIRST_ORDINARY, VOCAB, (4000, 400)).astype(np.int32)
    predicted = chosen(build("span", rate=0.0001, vocabulary=none), input_ids)
    runs = np.diff(predicted.astype(int), axis=1, prepend=0) == 1
    taken = predicted.any(axis=1)
    assert taken.sum() > 20
    assert (runs.sum(axis=1)[taken] == 1).all()


def test_spans_cross_no_special_token_and_run_longer_than_chance():
    none = Vocabulary(np.zeros(VOCAB, bool), WORDS.ends_sentence, COUNTS)
    input_ids = text(500)
    spans, tokens = (chosen(build(name, rate=0.15, vocabulary=none), input_ids) for name in ("span", "uniform"))

    def mean_run(predicted):
        return predicted.sum() / (np.diff(predicted.astype(int), axis=1, prepend=0) == 1).sum()

    assert mean_run(tokens) == pytest.approx(1 / (1 - 0.15), abs=0.05)
    assert mean_run(spans) > 2.5


def test_a_longest_span_of_one_is_whole_word_masking():
    input_ids = text(50)
    single = build("span", longest=1)
    random = np.random.default_rng(0)
    order, length, rounding = random.random((50, 64)), random.random((50, 64)), random.random((50, 1))
    expected = build("whole_word").choose(input_ids, rounding, order)
    for one, other in zip(single.choose(input_ids, rounding, order, length), expected, strict=True):
        assert (one == other).all()


# --- rare words


def test_rare_words_are_chosen_more_often():
    input_ids = text(4000)
    predicted = chosen(build("frequency"), input_ids)
    ordinary = input_ids >= FIRST_ORDINARY
    frequent, rare = ordinary & (input_ids < 50), ordinary & (input_ids > 900)
    assert predicted[rare].mean() > 1.5 * predicted[frequent].mean()


def test_one_draw_is_in_proportion_to_the_weights():
    """Two words, counts 3 and 0: weights 4^−½ and 1, so that one of the two is drawn in a third and two thirds."""
    counts = np.zeros(VOCAB, int)
    counts[7] = 3
    vocabulary = Vocabulary(PIECES, WORDS.ends_sentence, counts)
    ids = np.tile(np.array([CLS, 7, 8, SEP], np.int32), (9000, 1))
    predicted = chosen(build("frequency", rate=0.5, vocabulary=vocabulary), ids)
    assert (predicted.sum(axis=1) == 1).all()
    # The deviation of the share is √(2/9 / 9000) = 0.005.
    assert abs(predicted[:, 1].mean() - 1 / 3) < 5 * 0.005


def test_an_exponent_of_zero_is_uniform_masking():
    assert (chosen(build("frequency", exponent=0.0), text(50)) == chosen(build("uniform"), text(50))).all()


# --- rates over time


@pytest.mark.parametrize(("shape", "a_quarter"), [("linear", 0.25), ("cosine", (1 - np.sqrt(0.5)) / 2)])
def test_the_scheduled_rate_goes_from_start_to_end_and_stays(shape, a_quarter):
    """Of a hundred steps it changes over forty. cos 45° = √½."""
    masking = build("scheduled", rate=0.3, end=0.1, shape=shape, share=0.4, steps=100)
    rates = [masking.rate(step) for step in (0, 10, 20, 40, 70)]
    assert rates == pytest.approx([0.3, 0.3 - 0.2 * a_quarter, 0.2, 0.1, 0.1])


@pytest.mark.parametrize(("start", "end"), [(0.3, 0.15), (0.1, 0.4)])
def test_the_scheduled_rate_is_realised_at_every_step(start, end):
    masking = build("scheduled", rate=start, end=end, steps=100)
    for step in (0, 40, 99):
        share = chosen(masking.at(step), text(1000)).sum() / (1000 * ORDINARY)
        assert share == pytest.approx(start + (end - start) * step / 100, abs=0.002)
        assert masking.settings(step) == {"masking/rate": masking.rate(step)}


def test_a_changing_rate_goes_with_any_way_of_choosing():
    masking = build("scheduled", rate=0.3, end=0.3, chosen="whole_word")
    assert (chosen(masking.at(5), text(50)) == chosen(build("whole_word", rate=0.3), text(50))).all()


def adaptive(**settings):
    config = AdaptiveMaskingConfig(name="adaptive", **settings)
    return implement_adaptive_masking(config, UniformMasking(VOCAB, 0.15, 0.15))


def test_the_adaptive_rate_by_hand():
    """Target ½, gain 0.1, memory ½: accuracy 1 makes the running one ¾, then ⅞; the rate 0.2 + 0.025 + 0.0375."""
    masking = adaptive(rate=0.2, target=0.5, gain=0.1, memory=0.5, lowest=0.1, highest=0.26)
    masking.observe(1, {"mlm": (2.0, 8, 8)}, None)
    assert masking.rate == pytest.approx(0.225)
    assert masking.settings(1) == {"masking/rate": masking.rate}
    masking.observe(2, {"mlm": (2.0, 8, 8)}, None)
    assert masking.rate == 0.26  # and not 0.2625
    masking.observe(3, {}, None)
    assert masking.rate == 0.26  # nothing was predicted


def test_the_adaptive_rate_brings_the_accuracy_to_its_target():
    """A network that is right in 0.6 − rate of all cases is at 0.35 when a quarter is masked."""
    masking = adaptive(rate=0.15, target=0.35)
    for step in range(3000):
        hits = (0.6 - masking.rate) * 1000
        masking.observe(step, {"mlm": (1.0, hits, 1000)}, None)
    assert masking.rate == pytest.approx(0.25, abs=1e-3)
    assert chosen(masking.at(0), text(1000)).sum() / (1000 * ORDINARY) == pytest.approx(0.25, abs=0.003)


def test_the_adaptive_rate_keeps_its_bounds():
    masking = adaptive(rate=0.15, target=0.5, lowest=0.1, highest=0.2, gain=0.1)
    for accuracy, bound in ((1.0, 0.2), (0.0, 0.1)):
        for step in range(500):
            masking.observe(step, {"mlm": (1.0, accuracy * 100, 100)}, None)
        assert masking.rate == bound


def test_the_adaptive_state_is_all_that_it_goes_by():
    one, other = adaptive(), adaptive()
    for step in range(20):
        one.observe(step, {"mlm": (1.0, step, 40)}, None)
    for name, array in one.state.items():
        other.state[name][...] = array
    other.restored()
    one.observe(20, {"mlm": (1.0, 7, 40)}, None)
    other.observe(20, {"mlm": (1.0, 7, 40)}, None)
    assert {name: array.tobytes() for name, array in one.state.items()} == {
        name: array.tobytes() for name, array in other.state.items()
    }


# --- the vocabulary


def test_the_vocabulary_tells_continuations_and_ends_of_sentences():
    tokenizer = train_tokenizer(["walk walked walking. talk talked! who? " * 20], 60, True)
    vocabulary = describe_vocabulary(tokenizer, np.zeros(80, int))
    ids = tokenizer.get_vocab()
    for token, index in ids.items():
        assert vocabulary.continues[index] == token.startswith("##")
        assert vocabulary.ends_sentence[index] == (token in {".", "!", "?"})
    assert vocabulary.continues.any() and not vocabulary.continues[len(ids) :].any()
