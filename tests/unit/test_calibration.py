"""Calibration: known errors, and what chance alone shows."""

import numpy as np
import pytest

from minibert.evaluation.intrinsic.calibration import bins_of, calibrate, expected_calibration_error, reliability


def test_the_error_of_two_bins_is_that_worked_out_by_hand():
    confidence = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    hits = np.array([False, True, True, False, True])
    # Below a half: said 0.3, right 0.5. Above: said 0.8, right 2/3.
    expected = 2 / 5 * abs(0.5 - 0.3) + 3 / 5 * abs(2 / 3 - 0.8)
    assert expected_calibration_error(confidence, hits, bins=2) == pytest.approx(expected)
    # The three least sure: said 0.4, right 2/3. The two surest: said 0.9, right 0.5.
    expected = 3 / 5 * abs(2 / 3 - 0.4) + 2 / 5 * abs(0.5 - 0.9)
    assert expected_calibration_error(confidence, hits, bins=2, equal_mass=True) == pytest.approx(expected)


def test_bins_are_closed_above():
    confidence = np.array([0.0, 0.1, 0.1000001, 0.5, 0.9, 0.95, 1.0])
    assert bins_of(confidence, 10).tolist() == [0, 0, 1, 4, 8, 9, 9]


def test_bins_of_equal_mass_differ_by_one_guess_even_with_ties():
    assert np.bincount(bins_of(np.full(23, 0.3), 5, equal_mass=True)).tolist() == [5, 5, 5, 4, 4]
    assert bins_of(np.array([0.9, 0.1, 0.5]), 3, equal_mass=True).tolist() == [2, 0, 1]


def test_more_bins_than_guesses_leave_some_empty():
    found = reliability(np.array([0.25, 0.75]), np.array([True, True]), bins=10, equal_mass=True)
    assert found.counts.sum() == 2 and np.isnan(found.accuracy[found.counts == 0]).all()
    assert found.error == pytest.approx(0.5 * 0.75 + 0.5 * 0.25)


def test_always_sure_and_half_right_is_half_a_point_off():
    hits = np.arange(100) % 2 == 0
    assert expected_calibration_error(np.ones(100), hits) == pytest.approx(0.5)
    assert expected_calibration_error(np.full(100, 0.5), hits) == pytest.approx(0.0)


def guesses(shift: float, count: int = 3000):
    random = np.random.default_rng(5)
    confidence = random.uniform(0.1, 0.9, count)
    return confidence, random.random(count) < confidence + shift, np.arange(count) // 10


def test_a_calibrated_model_shows_the_error_of_chance_and_an_overconfident_one_more():
    right = calibrate(*guesses(0.0))
    assert right.equal_width.error == pytest.approx(right.by_chance, abs=0.01)
    assert right.low < 0.005
    over = calibrate(*guesses(-0.1))
    assert over.low < 0.1 < over.high + 0.01
    assert over.low > over.by_chance
    assert over.mean_confidence - over.accuracy == pytest.approx(0.1, abs=0.02)
    assert over.equal_mass.error == pytest.approx(over.equal_width.error, abs=0.02)


def test_the_interval_is_of_sequences():
    confidence, hits, _ = guesses(-0.1, 300)
    repeated = [np.repeat(each, 10) for each in (confidence, hits)]
    honest = calibrate(*repeated, np.repeat(np.arange(300), 10))
    naive = calibrate(*repeated, np.arange(3000))
    assert honest.high - honest.low > 2 * (naive.high - naive.low)


def test_the_same_guesses_give_the_same_bits():
    assert calibrate(*guesses(0.0)).low == calibrate(*guesses(0.0)).low


def test_without_guesses_nothing_is_known():
    found = calibrate(np.zeros(0), np.zeros(0, bool), np.zeros(0, int))
    assert np.isnan([found.equal_width.error, found.low, found.high, found.by_chance, found.accuracy]).all()
