"""Intervals of shares, rank correlations and ratios: cases computed by hand."""

import numpy as np
import pytest

from minibert.evaluation.intervals import (
    Interval,
    half_width,
    mean,
    mean_of_shares,
    mean_over_seeds,
    rank_correlation,
    ratio,
    share,
)


def test_tied_values_share_their_mean_rank():
    """Ranks 1, 2.5, 2.5, 4, 5 and 1, 4, 2.5, 2.5, 5: ρ = 7.25 / 9.5."""
    found = rank_correlation(np.array([1.0, 2, 2, 4, 5]), np.array([1.0, 3, 2, 2, 5]))
    assert found.value == pytest.approx(7.25 / 9.5)
    # tanh(1.00387 ± 1.96 √((1 + 0.58241 / 2) / 2))
    assert (found.low, found.high) == (pytest.approx(-0.516, abs=1e-3), pytest.approx(0.9886, abs=1e-3))


def test_only_the_order_counts():
    values = np.arange(10.0)
    assert rank_correlation(values, np.exp(values)).value == pytest.approx(1)
    assert rank_correlation(values, -(values**3)).value == pytest.approx(-1)
    assert rank_correlation(values, -values).low >= -1


@pytest.mark.parametrize(("first", "second"), [([1, 2, 3], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4]), ([], [])])
def test_too_few_or_constant_values_have_no_correlation(first, second):
    assert np.isnan(rank_correlation(np.array(first, float), np.array(second, float))).all()


def test_a_share_has_the_interval_of_wilson():
    """7 of 10: (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n) with z = 1.96."""
    found = share(7, 10)
    assert found == (0.7, pytest.approx(0.3968, abs=1e-4), pytest.approx(0.8922, abs=1e-4))
    assert np.isnan(share(0, 0)).all()


def test_the_mean_of_shares_is_over_their_number_not_their_counts():
    found = mean_of_shares([Interval(0.5, 0.4, 0.6), Interval(0.7, 0.4, 0.8)])
    assert found.value == pytest.approx(0.6)
    assert found.low == pytest.approx(0.6 - np.hypot(0.1, 0.3) / 2)
    assert found.high == pytest.approx(0.6 + np.hypot(0.1, 0.1) / 2)
    assert mean_of_shares([share(0, 4)]) == pytest.approx(share(0, 4))
    assert np.isnan(mean_of_shares([])).all()


def test_a_ratio_takes_sequences_as_independent_and_not_their_predictions():
    assert mean(np.array([2.0, 4.0])) == (3, pytest.approx(3 - 1.96, abs=1e-3), pytest.approx(3 + 1.96, abs=1e-3))
    # r = 6 / 4; rest 2 - 1.5, 4 - 4.5; variance 2 · 0.5 / 16
    found = ratio(np.array([2.0, 4.0]), np.array([1, 3]))
    assert found.value == 1.5
    assert found.high - 1.5 == pytest.approx(1.96 / 4, abs=1e-3)
    assert np.isnan(ratio(np.array([1.0]), np.array([2])).low) and np.isnan(ratio(np.zeros(2), np.zeros(2))).all()


def test_half_of_an_interval_counts_clusters_not_values():
    values = np.array([1.0, 2.0, 4.0, 7.0])
    usual = 1.959964 * values.std(ddof=1) / 2
    assert half_width(values, np.arange(4)) == pytest.approx(usual)
    assert half_width(np.repeat(values, 3), np.repeat(np.arange(4), 3)) == pytest.approx(usual)
    assert half_width(values, np.arange(4)) == pytest.approx(mean(values).high - 3.5)
    uneven = ratio(np.array([3.0, 4.0, 7.0]), np.array([2, 1, 1]))
    assert half_width(values, np.array([5, 5, 0, 2])) == pytest.approx(uneven.high - uneven.value)
    assert np.isnan(half_width(values, np.zeros(4, int)))


def test_a_few_seeds_have_the_wider_interval_of_student():
    three = mean_over_seeds([1.0, 2.0, 3.0])
    assert three.value == 2.0
    assert three.high - 2 == pytest.approx(4.3027 / np.sqrt(3), abs=1e-4) == 2 - three.low
    assert mean_over_seeds([0.5])[0] == 0.5 and np.isnan(mean_over_seeds([0.5])[1:]).all()
    assert np.isnan(mean_over_seeds([])).all()
