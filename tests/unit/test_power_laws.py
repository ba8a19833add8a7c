"""Power laws and rank correlations: points whose law is known, and points that have none."""

import numpy as np
import pytest
from scipy import optimize, stats

from analysis.questions.masking_by_size_runs import lowest_point
from analysis.questions.power_laws import (
    EXPONENTS,
    best_size,
    fit_floored,
    fit_parabola,
    fit_pure,
    lack_of_fit,
)
from analysis.questions.rank_correlations import rank_correlations
from minibert.errors import MinibertError

SIZES = np.repeat([25e3, 150e3, 440e3, 1.5e6, 3.6e6], 3)


def floored(seed=0, deviation=0.03):
    """Losses of a floor of 2.5 nats and an exponent of 0.3."""
    return 2.5 + 60 * SIZES**-0.3 + np.random.default_rng(seed).normal(0, deviation, SIZES.size)


def test_a_law_without_noise_is_found_again():
    law = fit_floored(SIZES, floored(deviation=0))
    assert (law.a, law.b, law.c) == pytest.approx((2.5, 60, 0.3), rel=1e-4)
    assert law.identified and law.c_low - 1e-6 <= 0.3 <= law.c_high + 1e-6
    assert law.at([25e3]) == pytest.approx([2.5 + 60 * 25e3**-0.3])


def test_the_fit_is_that_of_curve_fit():
    losses, middle = floored(1), 400e3
    law = fit_floored(SIZES, losses)
    (a, b, c), _ = optimize.curve_fit(lambda n, a, b, c: a + b * (n / middle) ** -c, SIZES, losses, p0=(2, 1, 0.5))
    assert (law.a, law.c, law.b * middle**-law.c) == pytest.approx((a, c, b), rel=1e-3)


def test_intervals_hold_the_parameters_about_as_often_as_they_say():
    laws = [fit_floored(SIZES, floored(seed)) for seed in range(30)]
    assert sum(law.c_low <= 0.3 <= law.c_high for law in laws) >= 25
    assert sum(law.a_low <= 2.5 <= law.a_high for law in laws) >= 25
    assert sum(law.lack_of_fit < 0.05 for law in laws) <= 5
    assert all(law.a_low <= law.a <= law.a_high and law.c_low <= law.c <= law.c_high for law in laws)


@pytest.mark.parametrize("bend, noise", [
    (-0.1 * np.log10(SIZES), 0.02),  # a floor far below, or a straight line
    (0.0 * SIZES, 0.02),
    (0.1 * (np.log10(SIZES) - 5.5) ** 2, 0.02),
])  # fmt: skip
def test_losses_that_many_laws_fit_identify_none(bend, noise):
    law = fit_floored(SIZES, 5 + bend + np.random.default_rng(0).normal(0, noise, SIZES.size))
    assert not law.identified
    assert law.c_low == EXPONENTS[0] or law.c_high == EXPONENTS[-1]


def test_three_sizes_or_four_runs_are_too_few_for_three_parameters():
    assert fit_floored(SIZES[:9], floored()[:9]) is None
    assert fit_floored(SIZES[::3][:4], floored()[::3][:4]) is None
    assert fit_floored(SIZES[::3], floored()[::3]) is not None


def test_a_pure_law_is_a_line_of_logarithms_and_may_rise():
    law = fit_pure(SIZES, 30 * SIZES**-0.1 * np.exp(np.tile([-0.01, 0, 0.01], 5)))
    assert law.c == pytest.approx(0.1) and law.b == pytest.approx(30)
    assert law.c_low < 0.1 < law.c_high and law.at([1e6]) == pytest.approx([30 * 1e6**-0.1])
    assert fit_pure(SIZES, SIZES**0.05).c == pytest.approx(-0.05)
    assert fit_pure(SIZES[:3], [3, 3, 3]) is None


def test_one_run_a_size_gives_laws_without_intervals_and_without_a_verdict():
    laws = fit_floored(SIZES[::3], floored()[::3]), fit_pure(SIZES[::3], floored()[::3])
    for law, ends in zip(laws, (("a_low", "a_high", "c_low", "c_high"), ("c_low", "c_high")), strict=True):
        assert all(np.isnan(getattr(law, end)) for end in ends)
        assert np.isfinite(law.c) and np.isnan(law.lack_of_fit) and not law.holds
    assert not laws[0].identified


def test_two_runs_of_one_size_are_enough_for_an_interval():
    law = fit_pure([SIZES[0], *SIZES[2::3]], [floored()[0], *floored()[2::3]])
    assert law.c_low < law.c < law.c_high and np.isfinite(law.lack_of_fit)


def test_a_law_that_misses_the_means_does_not_hold_and_one_that_meets_them_does():
    losses, x = floored(), np.log10(SIZES)
    valley = 4 + 0.3 * (x - 5.5) ** 2 + np.random.default_rng(0).normal(0, 0.03, SIZES.size)
    assert fit_floored(SIZES, losses).holds and not fit_pure(SIZES, losses).holds
    assert fit_parabola(SIZES, valley).holds and not fit_pure(SIZES, valley).holds
    kinked = fit_parabola(SIZES, 4 + np.maximum(0, x - 6.2) + np.tile([-0.01, 0, 0.01], 5))
    assert kinked.lack_of_fit < 0.05 and not kinked.holds


def test_a_parabola_is_that_of_least_squares_and_needs_three_sizes():
    x = np.log10(SIZES)
    found = fit_parabola(SIZES, 3 + 0.5 * (x - 5) ** 2)
    assert found.coefficients == pytest.approx((0.5, -5, 15.5)) and found.at([1e6]) == pytest.approx([3.5])
    assert fit_parabola(SIZES[:6], floored()[:6]) is None


def test_lack_of_fit_compares_means_with_the_spread_within_a_size():
    sizes, values = np.repeat([1.0, 2, 3, 4], 2), np.array([1, 3, 3, 5, 2, 4, 8, 10.0])
    line = stats.linregress(sizes, values)
    squares = np.sum((values - line.intercept - line.slope * sizes) ** 2)
    # Both values of each size are 1 off their mean: S₀ = 8, of 8 − 4 degrees of freedom.
    by_hand = ((squares - 8) / 2) / (8 / 4)
    assert lack_of_fit(sizes, values, squares, 2) == pytest.approx(stats.f.sf(by_hand, 2, 4))
    assert np.isnan(lack_of_fit(sizes[::2], values[::2], 1.0, 2))


def test_what_is_no_loss_is_refused():
    for sizes, losses in (([1, 2], [1]), ([1, 2, 3], [1, np.nan, 2]), ([0, 1, 2], [1, 2, 3])):
        with pytest.raises(MinibertError, match="Allowed: a positive number"):
            fit_pure(sizes, losses)


def test_the_best_size_is_the_lowest_point_of_a_parabola_within_the_sizes():
    sizes = np.unique(SIZES)

    def losses(place, curvature=0.2):
        return dict(zip(sizes, 4 + curvature * (np.log10(sizes) - place) ** 2, strict=True))

    found = best_size({("0",): losses(5.4), ("1",): losses(5.6)})
    assert found.n == 2 and found.mean == pytest.approx(5.5)
    beyond = {("0",): losses(5.4), ("1",): losses(9.0), ("2",): losses(5.5, curvature=-0.2)}
    assert best_size(beyond).n == 1
    assert best_size({("0",): dict(list(losses(5.4).items())[:2])}).n == 0


def test_ranks_are_correlated_with_the_loss_and_with_what_is_left_of_the_size():
    random = np.random.default_rng(0)
    settings = np.repeat(list("abcdefghi"), 3)
    loss = np.repeat(random.permutation(9), 3) + random.normal(0, 0.1, 27)
    size = np.repeat(random.permutation(9), 3)
    follows, own = -loss, size - 0.3 * loss + random.normal(0, 0.05, 27)
    with_loss, with_size = rank_correlations(follows, size, loss, settings)
    assert with_loss.value == pytest.approx(-1) and with_loss.told and with_loss.n == 27
    assert not with_size.told
    with_loss, with_size = rank_correlations(own, size, loss, settings)
    assert with_loss.value == pytest.approx(stats.spearmanr(own, loss).statistic)
    assert with_size.value > 0.9 and with_size.told and with_size.low < with_size.value < with_size.high


def test_the_seeds_of_a_setting_are_not_counted_as_independent():
    random = np.random.default_rng(1)
    first, second = random.normal(size=9), random.normal(size=9)
    one = rank_correlations(first, range(9), second, [str(place) for place in range(9)])[0]
    repeated = [np.repeat(each, 5) for each in (first, np.arange(9), second)]
    five = rank_correlations(*repeated, np.repeat([str(place) for place in range(9)], 5))[0]
    assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.15)


def test_undefined_correlations_are_nan_and_missing_values_are_left_out():
    settings = list("abcde")
    flat = rank_correlations([1, 1, 1, 1, 1], range(5), [3, 1, 2, 5, 4], settings)[0]
    assert np.isnan(flat.value) and not flat.told
    few = rank_correlations([1, np.nan, np.nan, np.nan, 2], range(5), range(5), settings)[0]
    assert few.n == 2 and np.isnan(few.value)
    some = rank_correlations([1, np.nan, 2, 3, 4], range(5), [4, 9, 3, 2, 1], settings)[0]
    assert some.n == 4 and some.value == pytest.approx(-1)


def test_the_lowest_point_is_that_of_the_mean_parabola_and_no_seed_is_left_out():
    ratios = (0.15, 0.25, 0.40, 0.60)

    def losses(place, curvature):
        return {ratio: 4 + curvature * (np.log10(ratio) - place) ** 2 for ratio in ratios}

    parabolas = {("0",): (np.log10(0.30), 1.0), ("1",): (np.log10(0.75), 0.6)}  # the second, beyond what was tried
    found = lowest_point({seed: losses(*each) for seed, each in parabolas.items()})
    weights = np.array([curvature for _, curvature in parabolas.values()])
    places = np.array([place for place, _ in parabolas.values()])
    assert set(found) == set(parabolas)
    assert np.mean([*found.values()]) == pytest.approx(weights @ places / weights.sum())
    assert found["0",] < found["1",]
    assert lowest_point({("0",): losses(np.log10(0.75), 1.0)}) == {}
    assert lowest_point({("0",): losses(np.log10(0.30), -1.0)}) == {}
    assert lowest_point({("0",): dict(list(losses(-0.5, 1.0).items())[:2])}) == {}
