"""Change points: curves whose kinks are known, and curves that have none."""

import numpy as np
import pytest

from analysis.questions.change_points import find_change_point, fit_pieces
from analysis.questions.curves import binned, first_below
from minibert.errors import MinibertError

X = np.linspace(0, 10, 60)
FALL = -0.3 * np.maximum(0, X - 4) + 0.3 * np.maximum(0, X - 6)
"""Level until 4, falls by 0.6 until 6, level after that"""


def noise(seed: int, deviation: float, memory: float = 0.0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(0, deviation, len(X))
    for place in range(1, len(drawn)):
        drawn[place] += memory * drawn[place - 1]
    return drawn


def test_a_fall_is_dated_where_it_begins_and_not_where_it_ends():
    found = find_change_point(X, FALL)
    assert found.place == pytest.approx(4, abs=0.01)
    assert found.change == pytest.approx(-0.6, abs=0.01)
    assert found.pieces.kinks == pytest.approx([4, 6], abs=0.01)
    assert found.pieces.slopes == pytest.approx([0, -0.3, 0], abs=0.01)
    assert found.pieces.at([5.0]) == pytest.approx([-0.3], abs=0.01)


def test_the_interval_covers_the_place_and_widens_with_the_noise():
    found = {
        deviation: [find_change_point(X, FALL + noise(seed, deviation)) for seed in range(8)]
        for deviation in (0.01, 0.04)
    }
    for each in found.values():
        assert sum(point.low <= 4 <= point.high for point in each) >= 7
        assert all(point.low <= point.place <= point.high for point in each)
    narrow, wide = (np.median([point.high - point.low for point in each]) for each in found.values())
    assert 0.05 < narrow < wide / 2


@pytest.mark.parametrize("x, y, kinks", [
    (np.arange(60.0), 2 * np.maximum(0, np.arange(60.0) - 30), [30]),
    (np.arange(60.0), 2 * np.maximum(0, np.arange(60.0) - 30.37), [30.37]),  # between two points
    (X, FALL, [4, 6]),
    (X, 1e6 + 1e3 * FALL, [4, 6]),
    (X, FALL + np.maximum(0, X - 8.123), [4, 6, 8.123]),
    (1e5 + X, FALL, [1e5 + 4, 1e5 + 6]),
    (X**2, np.maximum(0, X**2 - 20), [20]),
])  # fmt: skip
def test_curves_without_noise_have_the_kinks_that_they_were_made_of_and_no_others(x, y, kinks):
    pieces = fit_pieces(x, y)
    assert pieces.kinks == pytest.approx(kinks, abs=1e-7 * np.ptp(x))
    found = find_change_point(x, y)
    assert found.low <= found.place <= found.high and found.high - found.low < 1e-3
    assert any(found.low <= kink <= found.high for kink in kinks)


def test_intervals_hold_the_place_as_often_as_they_say():
    """The table of find_change_point on fewer curves: two standard errors of 0.95 are 0.04 here."""
    x, held, found = np.arange(60.0), 0, 0
    for seed, deviation in enumerate([0.001, 0.01, 0.03, 0.3]):
        for drawn in np.random.default_rng(seed).normal(0, deviation, (30, 60)):
            point = find_change_point(x, 2 * np.maximum(0, x - 30) + drawn)
            found += 1
            held += point.low <= 30 <= point.high
    assert 0.92 <= held / found <= 0.97, held


def test_where_nothing_changes_no_change_is_found():
    assert all(find_change_point(X, noise(seed, 0.03)) is None for seed in range(12))
    assert find_change_point(X, 0.2 * X + noise(0, 0.03)) is None
    assert find_change_point(X, np.ones_like(X)) is None
    assert find_change_point(X, 2.0 - 0.5 * X) is None


def test_noise_that_resembles_its_neighbours_counts_as_fewer_points():
    white, red = fit_pieces(X, noise(1, 0.03), 0), fit_pieces(X, noise(1, 0.03, memory=0.8), 0)
    assert white.effective_points > 50 > 20 > red.effective_points
    found = [find_change_point(X, noise(seed, 0.03, memory=0.6)) for seed in range(12)]
    assert sum(point is None for point in found) >= 9


def test_a_curve_that_changes_fastest_at_once_has_no_time_before_it():
    assert find_change_point(X, np.minimum(X, 5.0)) is None


def test_a_change_that_is_smaller_than_asked_for_is_none():
    assert find_change_point(X, FALL, least_change=0.59) is not None
    assert find_change_point(X, FALL, least_change=0.61) is None


def test_too_few_points_for_two_pieces_give_no_change():
    assert find_change_point([0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 1, 2, 3]) is None
    assert find_change_point([0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 0, 1, 2, 3, 4]) is not None


def test_units_of_both_axes_do_not_matter():
    first = find_change_point(X, FALL + noise(3, 0.02))
    other = find_change_point(100 + 7 * X, 5 - 1000 * (FALL + noise(3, 0.02)))
    assert [(value - 100) / 7 for value in (other.place, other.low, other.high)] == pytest.approx(
        [first.place, first.low, first.high], abs=1e-6
    )


def test_what_is_not_finite_is_left_out():
    y = FALL + noise(4, 0.02)
    holes = y.copy()
    holes[[5, 30]] = np.nan, np.inf
    kept = np.isfinite(holes)
    assert find_change_point(X, holes).place == find_change_point(X[kept], y[kept]).place


@pytest.mark.parametrize("x, y", [([1, 2], [1, 2, 3]), ([1, 1, 2], [0, 0, 0]), ([3, 2], [0, 0]), ([1], [1])])
def test_what_is_no_curve_is_refused(x, y):
    with pytest.raises(MinibertError, match="Allowed: two"):
        find_change_point(x, y)


def test_first_below_is_where_the_curve_goes_below_for_good():
    steps, losses = [0, 10, 20, 30, 40], [6.4, 6.2, 6.4, 6.0, 5.0]
    assert first_below(steps, losses, 6.3) == pytest.approx(20 + 10 * 0.1 / 0.4)
    assert first_below(steps, losses, 7.0) == 0
    assert np.isnan(first_below(steps, losses, 5.0))
    assert np.isnan(first_below([], [], 5.0))


def test_bins_hold_what_begins_with_them():
    x, y = binned([0.0, 0.1, 0.25, 0.49, 0.5, 3 * 0.25], [1.0, 3.0, 4.0, 6.0, np.nan, 8.0], 0.25)
    assert x == pytest.approx([0.05, 0.37, 0.75]) and y == pytest.approx([2, 5, 8])
