"""Learning curves: a planted sigmoid is recovered, and the age is where it crosses half-way."""

import numpy as np
import pytest

from minibert.evaluation.word_learning.curves import Acquisition, Curve, acquisition, fit_curve

STEPS = [0, *(2**power for power in range(13))]
CHANCE = 9.0


def planted(high=8.0, low=2.0, middle=2.0, scale=0.2) -> np.ndarray:
    return Curve(high, low, middle, scale, 1.0).at(STEPS)


@pytest.mark.parametrize("middle", [0.9, 2.0, 3.1])
@pytest.mark.parametrize("scale", [0.05, 0.2, 0.5])
def test_a_planted_sigmoid_is_recovered(middle, scale):
    found = fit_curve(STEPS, planted(middle=middle, scale=scale))
    assert (found.middle, found.scale) == (pytest.approx(middle, abs=0.05), pytest.approx(scale, rel=0.3))
    np.testing.assert_allclose(found.at(STEPS), planted(middle=middle, scale=scale), atol=0.1)


def test_the_curve_is_half_way_at_its_middle_and_one_scale_on_at_27_percent():
    curve = Curve(8.0, 2.0, 2.0, 0.2, 1.0)
    assert curve.at(99) == pytest.approx(5.0)
    assert curve.at(10**2.2 - 1) == pytest.approx(2 + 6 / (1 + np.e))


def test_a_noisy_sigmoid_is_recovered_nearly():
    noise = 0.3 * np.random.default_rng(3).standard_normal(len(STEPS))
    found = fit_curve(STEPS, planted() + noise)
    assert found.middle == pytest.approx(2.0, abs=0.1)
    assert 0.9 < found.explained < 1


@pytest.mark.parametrize(
    "surprisals",
    [
        np.full(len(STEPS), 5.0),
        np.linspace(2, 8, len(STEPS)),  # it rises
        np.where(np.arange(len(STEPS)) % 2, 4.0, 6.0),
        np.full(len(STEPS), np.nan),
    ],
)
def test_what_does_not_fall_has_no_fit(surprisals):
    assert fit_curve(STEPS, surprisals) is None


def test_three_steps_are_too_few():
    assert fit_curve(STEPS[:3], [8.0, 5.0, 2.0]) is None


def age(surprisals, baseline=CHANCE) -> Acquisition:
    return acquisition(STEPS, surprisals, fit_curve(STEPS, surprisals), baseline)


def test_the_age_is_where_the_fit_is_half_way_between_baseline_and_minimum():
    """From 8 to 2 with chance at 8, half-way is the middle itself: step 10² − 1."""
    found = age(planted(scale=0.1), baseline=8.0)
    assert (found.state, found.step) == ("learnt", pytest.approx(99, rel=0.02))
    assert found.cutoff == pytest.approx(5.0, abs=0.01)
    # From chance at 10, half-way is 6: s = 2 + 6 / (1 + e^x) = 6 at e^x = 1/2.
    found = age(planted(scale=0.1), baseline=10.0)
    assert found.step == pytest.approx(10 ** (2.0 - 0.1 * np.log(2)) - 1, rel=0.03)


def test_a_curve_below_half_way_from_the_start_is_known_there():
    assert age(planted(high=4.0)) == Acquisition("known from the start", 0.0, pytest.approx(5.5, abs=0.1))


def test_a_word_is_not_learnt_before_its_probability_doubles():
    assert age(planted(high=9.0, low=8.4)) == Acquisition("not learnt")
    assert age(planted(high=9.0, low=8.2)).state == "learnt"
    assert age(np.full(len(STEPS), 9.3)).state == "not learnt"
    assert age(np.full(len(STEPS), np.nan)).state == "not learnt"


def test_an_age_is_never_after_the_last_step():
    """One measured surprisal lies far below the curve, which is half-way only after the last step."""
    late = Curve(9.0, 0.0, 5.0, 0.1, 0.6)
    found = acquisition(STEPS, [9.0] * (len(STEPS) - 1) + [2.0], late, CHANCE)
    assert found == Acquisition("learnt", STEPS[-1], 5.5)


def test_a_fall_without_a_sigmoid_is_counted_apart():
    zigzag = np.where(np.arange(len(STEPS)) % 2, 2.0, 8.0)
    assert age(zigzag).state == "no fit"
