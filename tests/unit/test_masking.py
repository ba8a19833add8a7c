"""Which tokens are chosen, how many, and what is put in their place."""

import numpy as np
import pytest

from minibert.config import MaskingConfig
from minibert.data.masking import IGNORED, UniformMasking, build_masking
from minibert.data.tokenizer import CLS, FIRST_ORDINARY, MASK, PAD, SEP, UNK
from minibert.errors import MinibertError
from minibert.randomness import generator

VOCAB = 1000


def sequences(rows: int, words: int, padding: int = 0) -> np.ndarray:
    """(rows, words + padding + 2) ids: [CLS] random words [SEP] [PAD]…"""
    text = np.random.default_rng(1).integers(FIRST_ORDINARY, VOCAB, size=(rows, words))
    ends = [np.full((rows, 1), CLS), text, np.full((rows, 1), SEP), np.full((rows, padding), PAD)]
    return np.concatenate(ends, axis=1).astype(np.int32)


def generators(rows: int, seed: int = 3) -> list[np.random.Generator]:
    return [generator(seed, 0, row) for row in range(rows)]


def masked(input_ids, corruption=0.15, prediction=0.15, **settings):
    masking = UniformMasking(VOCAB, corruption, prediction, **settings)
    return masking.apply(input_ids, generators(len(input_ids)))


def always_mask(input_ids, corruption, prediction):
    """With every corrupted token replaced by [MASK], what is corrupted can be read off."""
    seen, labels = masked(input_ids, corruption, prediction, mask=1.0, random=0.0)
    return seen == MASK, labels != IGNORED


def test_labels_hold_the_original_ids():
    input_ids = sequences(64, 62)
    _, labels = masked(input_ids)
    predicted = labels != IGNORED
    assert predicted.any()
    assert (labels[predicted] == input_ids[predicted]).all()


def test_what_is_not_corrupted_stays():
    input_ids = sequences(64, 62)
    seen, labels = masked(input_ids)
    assert (seen[labels == IGNORED] == input_ids[labels == IGNORED]).all()


def test_special_tokens_are_never_chosen():
    input_ids = sequences(200, 20, padding=10)
    input_ids[:, 5] = UNK
    input_ids[:, 6] = MASK
    seen, labels = masked(input_ids, corruption=0.9, prediction=0.9)
    special = input_ids < FIRST_ORDINARY
    assert (seen[special] == input_ids[special]).all()
    assert (labels[special] == IGNORED).all()


def test_random_replacements_are_spread_over_all_ordinary_tokens():
    small = 10
    masking = UniformMasking(small, corruption_rate=0.99, prediction_rate=0.99, mask=0.0, random=1.0)
    input_ids = np.full((400, 50), 7, np.int32)
    seen, labels = masking.apply(input_ids, generators(400))
    drawn = np.bincount(seen[labels != IGNORED], minlength=small)
    assert drawn[:FIRST_ORDINARY].sum() == 0
    assert len(drawn) == small
    # About 19,800 draws over 5 tokens: 3960 each with a standard deviation of 56.
    assert np.abs(drawn[FIRST_ORDINARY:] - 3960).max() < 5 * 56


@pytest.mark.parametrize("rate", [0.15, 0.25, 0.4, 0.6, 0.8])
def test_a_sequence_has_its_rate_of_tokens_to_within_one(rate):
    words = 62
    _, labels = masked(sequences(500, words), rate, rate)
    counts = (labels != IGNORED).sum(axis=1)
    assert set(counts) <= {int(np.floor(rate * words)), int(np.ceil(rate * words))}


def test_the_rounding_of_counts_is_unbiased():
    # 0.15 · 62 = 9.3: a count is 10 with probability 0.3, else 9. The mean of 4000 has a deviation of 0.0072.
    _, labels = masked(sequences(4000, 62))
    assert abs((labels != IGNORED).sum(axis=1).mean() - 9.3) < 5 * 0.0072


def test_a_short_sequence_may_have_no_prediction_but_has_its_share_on_average():
    # 0.15 · 2 = 0.3 predictions a row; over 4000 rows the mean has a deviation of 0.0072.
    _, labels = masked(sequences(4000, 2))
    counts = (labels != IGNORED).sum(axis=1)
    assert set(counts) == {0, 1}
    assert abs(counts.mean() - 0.3) < 5 * 0.0072


def test_every_place_of_a_sequence_is_equally_likely():
    rows, words = 4000, 20
    _, labels = masked(sequences(rows, words), 0.25, 0.25)
    chosen = (labels != IGNORED).sum(axis=0)[1:-1]
    # 5 of 20 places a row: each is chosen 1000 times with a deviation of √(4000 · ¼ · ¾) = 27.4.
    assert np.abs(chosen - 1000).max() < 5 * 27.4


def test_corrupted_tokens_are_masked_replaced_and_kept_in_the_shares_given():
    input_ids = sequences(2000, 62)
    seen, labels = masked(input_ids, 0.5, 0.5)
    chosen = labels != IGNORED
    total = chosen.sum()
    masks = (seen[chosen] == MASK).sum() / total
    kept = (seen[chosen] == input_ids[chosen]).sum() / total
    # 62,000 tokens: deviations of √(0.8 · 0.2 / 62000) = 0.0016 and √(0.1 · 0.9 / 62000) = 0.0012. A random token
    # is the original one in 995 times.
    assert abs(masks - 0.8) < 5 * 0.0016
    assert abs(kept - (0.1 + 0.1 / 995)) < 5 * 0.0012


@pytest.mark.parametrize(("mask", "random"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_the_shares_can_be_all_or_nothing(mask, random):
    input_ids = sequences(50, 62)
    seen, labels = masked(input_ids, 0.5, 0.5, mask=mask, random=random)
    chosen = labels != IGNORED
    assert (seen[chosen] == MASK).all() == (mask == 1.0)
    assert (seen == input_ids).all() == (mask == random == 0.0)


@pytest.mark.parametrize(("corruption", "prediction"), [(0.4, 0.15), (0.15, 0.4)])
def test_the_smaller_of_corruption_and_prediction_lies_inside_the_larger(corruption, prediction):
    corrupted, predicted = always_mask(sequences(300, 62), corruption, prediction)
    assert abs(corrupted.sum() / (300 * 62) - corruption) < 0.01
    assert abs(predicted.sum() / (300 * 62) - prediction) < 0.01
    smaller, larger = sorted((corrupted, predicted), key=np.sum)
    assert not (smaller & ~larger).any()


def test_equal_rates_predict_exactly_what_is_corrupted():
    corrupted, predicted = always_mask(sequences(300, 62), 0.3, 0.3)
    assert (corrupted == predicted).all()


def test_without_corruption_the_input_is_the_original():
    input_ids = sequences(50, 62)
    seen, labels = masked(input_ids, corruption=0.0, prediction=0.15)
    assert (seen == input_ids).all()
    assert (labels != IGNORED).any()


def test_with_the_same_draws_a_lower_rate_lies_inside_a_higher_one():
    input_ids = sequences(300, 61)
    _, low = masked(input_ids, 0.15, 0.15)
    _, high = masked(input_ids, 0.4, 0.4)
    assert not ((low != IGNORED) & (high == IGNORED)).any()


def test_a_row_depends_on_itself_and_its_generator_only():
    input_ids = sequences(8, 62)
    masking = UniformMasking(VOCAB, 0.15, 0.15)
    together = masking.apply(input_ids, generators(8))
    alone = masking.apply(input_ids[5:6], [generator(3, 0, 5)])
    for whole, part in zip(together, alone, strict=True):
        assert (whole[5] == part[0]).all()


def test_the_input_is_left_as_it_was_and_results_are_int32():
    input_ids = sequences(4, 62)
    before = input_ids.copy()
    seen, labels = masked(input_ids, 0.5, 0.5)
    assert (input_ids == before).all()
    assert seen.dtype == labels.dtype == np.int32


def test_unset_rates_follow_the_common_rate():
    assert build_masking(MaskingConfig(rate=0.3), VOCAB) == UniformMasking(VOCAB, 0.3, 0.3)
    assert build_masking(MaskingConfig(rate=0.3, corruption_rate=0.0), VOCAB) == UniformMasking(VOCAB, 0.0, 0.3)
    assert build_masking(MaskingConfig(rate=0.3, prediction_rate=0.1), VOCAB) == UniformMasking(VOCAB, 0.3, 0.1)


def test_an_unknown_masking_is_answered_with_the_nearest_one():
    with pytest.raises(MinibertError, match=r"masking.name=unifrom: not allowed .did you mean 'uniform'"):
        build_masking(MaskingConfig(name="unifrom"), VOCAB)
