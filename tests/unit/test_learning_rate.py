"""The range test against curves whose lowest point, steepest point and divergence are known."""

import math

import numpy as np
import pytest

from minibert.diagnostics import analyze_learning_rate_sensitivity
from minibert.errors import MinibertError

BOWL = np.linspace(-5, -1, 401)
"""log₁₀ of rates, a hundred a decade"""


def bowl(places=BOWL):
    """4 + (u + 3)²: 8 at the first rate, lowest at 1e-3, and half way back at u = -3 + √2."""
    return 4 + (places + 3) ** 2


def analyze(places, losses, **settings):
    return analyze_learning_rate_sensitivity(10.0**places, losses, **settings)


def test_a_cosine_is_steepest_at_a_quarter_lowest_at_a_half_and_lost_at_three_quarters():
    """Smoothing a cosine makes it flatter and moves nothing; its slope is half the steepest at π/6 and 5π/6."""
    places = np.linspace(0, 2 * np.pi, 600)
    found = analyze(places, 6 + np.cos(places))
    decades = {
        "steepest_rate": np.pi / 2, "lowest_loss_rate": np.pi, "divergence_rate": 3 * np.pi / 2,
        "learning_from": np.pi / 6, "learning_to": 5 * np.pi / 6,
    }  # fmt: skip
    for name, place in decades.items():
        assert math.log10(getattr(found, name)) == pytest.approx(place, abs=0.03), name
    assert found.suggested_rate == found.lowest_loss_rate / 2
    assert found.learning_decades == pytest.approx(2 * np.pi / 3, abs=0.06)
    middle = slice(100, 500)
    assert found.smoothed[middle] == pytest.approx(6 + math.exp(-0.02) * np.cos(places[middle]), abs=1e-4)


def test_a_bowl_is_lowest_in_its_middle_and_lost_half_way_up_even_with_noise():
    noise = np.random.default_rng(0).normal(0, 0.1, BOWL.size)
    for losses in (bowl(), bowl() + noise):
        found = analyze(BOWL, losses)
        assert math.log10(found.lowest_loss_rate) == pytest.approx(-3, abs=0.1)
        assert math.log10(found.divergence_rate) == pytest.approx(-3 + math.sqrt(2), abs=0.05)
        assert math.log10(found.steepest_rate) < -4.5
        assert math.log10(found.learning_to) == pytest.approx(-4, abs=0.15)


def test_a_straight_line_is_left_as_it_is_and_never_diverges():
    losses = 6 - BOWL / 10
    found = analyze(BOWL, losses)
    assert found.smoothed == pytest.approx(losses)
    assert found.lowest_loss_rate == pytest.approx(0.1)
    assert found.divergence_rate is None


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_training_that_breaks_down_diverges_there_and_what_comes_after_does_not_count(broken):
    losses = bowl()
    losses[250] = broken
    losses[300:] = 0.0
    found = analyze(BOWL, losses)
    assert found.divergence_rate == pytest.approx(10**-2.5)
    assert math.log10(found.lowest_loss_rate) == pytest.approx(-3, abs=0.02)
    assert np.isfinite(found.smoothed[:250]).all() and np.isnan(found.smoothed[250:]).all()


def test_a_jump_does_not_reach_back_through_the_smoother():
    losses = bowl()
    losses[300:] = 1e9
    found = analyze(BOWL, losses)
    assert math.log10(found.lowest_loss_rate) == pytest.approx(-3, abs=0.02)
    assert math.log10(found.divergence_rate) == pytest.approx(-2, abs=0.3)


def test_the_unit_of_the_loss_does_not_matter():
    one, other = analyze(BOWL, bowl()), analyze(BOWL, 3 * bowl() - 20)
    for name in ("steepest_rate", "lowest_loss_rate", "divergence_rate", "learning_from", "learning_to"):
        assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize("losses", [6 + BOWL * 0, 12 + BOWL])
def test_a_loss_that_never_falls_suggests_nothing(losses):
    found = analyze(BOWL, losses)
    assert (found.suggested_rate, found.steepest_rate, found.learning_decades) == (None, None, None)


def test_three_losses_are_enough_and_a_bandwidth_narrower_than_their_distance_is_widened():
    found = analyze(np.array([-4.0, -3.0, -2.0]), [6.0, 5.0, 7.0], bandwidth=0.01)
    assert found.lowest_loss_rate in (1e-4, 1e-3)
    assert np.isfinite(found.smoothed).all()


@pytest.mark.parametrize(
    ("rates", "losses", "settings", "words"),
    [
        ([1, 2, 3], [1, 2], {}, ["(2,)", "(3,)", "one for each rate"]),
        ([1, 2], [2, 1], {}, ["losses: 2", "at least 3"]),
        ([1, 2, 3, 4], [2, 1, math.nan, 1], {}, ["losses: 2", "at least 3", "schedule.start"]),
        ([1, 3, 2], [3, 2, 1], {}, ["rates[2]=2.0", "rates[1]=3.0", "each above the one before"]),
        ([0, 1, 2], [3, 2, 1], {}, ["rates[0]=0.0", "positive"]),
        ([1, 2, math.nan], [3, 2, 1], {}, ["rates[2]=nan", "positive"]),
        ([1, 2, 3], [3, 2, 1], {"bandwidth": 0}, ["bandwidth=0", "above 0"]),
    ],
)
def test_bad_input_is_refused_with_what_is_allowed(rates, losses, settings, words):
    with pytest.raises(MinibertError) as caught:
        analyze_learning_rate_sensitivity(rates, losses, **settings)
    for word in words:
        assert word in str(caught.value)
