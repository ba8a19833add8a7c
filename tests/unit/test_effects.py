"""Effects, equivalence and planning, against other implementations and against what they promise."""

import math

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from analysis.statistics import (
    effect_size,
    equivalence,
    minimum_detectable,
    paired_difference,
    seeds_to_settle,
    small_margin,
    smallest_margin,
    spread_between_seeds,
    too_small,
    unpaired_difference,
)

BASELINE = {0: 5.10, 1: 5.30, 2: 5.05, 3: 5.22}
OTHER = {0: 5.02, 1: 5.24, 2: 5.01, 3: 5.08}
PAIRED = paired_difference(OTHER, BASELINE)
UNPAIRED = unpaired_difference([5.0, 5.2, 5.1], list(BASELINE.values()))


def test_groups_without_common_seeds_are_compared_by_welchs_test():
    values, baseline = [5.0, 5.2, 5.1], [5.4, 6.0, 4.9, 5.6]
    found, known = unpaired_difference(values, baseline), stats.ttest_ind(values, baseline, equal_var=False)
    interval = known.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.p_value, found.degrees) == pytest.approx((known.pvalue, known.df))
    assert found.n == 3 and found.by_seed == {}


@pytest.mark.parametrize("values", [[1.0], [], [math.nan, 2.0]])
def test_a_group_with_less_than_two_values_has_a_difference_without_an_interval(values):
    found = unpaired_difference(values, [1.0, 2.0])
    assert math.isnan(found.half_width) and math.isnan(found.p_value)
    assert math.isnan(effect_size(found).mean) and math.isnan(equivalence(found, 1.0))
    assert math.isnan(minimum_detectable(found)) and seeds_to_settle(found) is None


@pytest.mark.parametrize("margin", [0.05, 0.12, 0.5])
def test_equivalence_is_that_of_two_one_sided_tests(margin):
    ours = equivalence(PAIRED, margin)
    theirs = ttost_paired(np.array(list(OTHER.values())), np.array(list(BASELINE.values())), -margin, margin)[0]
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("difference", [PAIRED, UNPAIRED])
def test_the_smallest_margin_is_where_equivalence_begins(difference):
    margin = smallest_margin(difference)
    assert equivalence(difference, margin) == pytest.approx(0.05)
    assert equivalence(difference, 1.01 * margin) < 0.05 < equivalence(difference, 0.99 * margin)


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.04, 0.08])
@pytest.mark.parametrize("paired", [True, False])
def test_what_is_too_small_to_matter_is_equivalence_at_half_of_the_pooled_deviation(shift, paired):
    seeds = {seed: 5 + 0.1 * math.sin(seed) for seed in range(6)}
    others = {seed: value + shift + 0.01 * math.cos(seed) for seed, value in seeds.items()}
    found = (
        paired_difference(others, seeds) if paired else unpaired_difference([*others.values()], [*seeds.values()])
    )
    pooled = math.sqrt((np.var([*seeds.values()], ddof=1) + np.var([*others.values()], ddof=1)) / 2)
    assert small_margin(found) == pytest.approx(pooled / 2)
    assert too_small(found) == (equivalence(found, pooled / 2) < 0.05) == (paired and shift < 0.03)


def test_a_deviation_is_pooled_over_groups_by_their_degrees_of_freedom():
    groups = [[1.0, 2.0, 4.0], [5.0, math.nan], [7.0, 9.0]]
    assert spread_between_seeds(groups) == pytest.approx(math.sqrt((2 * np.var([1, 2, 4], ddof=1) + 2.0) / 3))
    assert math.isnan(spread_between_seeds([[1.0], []]))
    assert not too_small(paired_difference({0: 1.0}, {0: 1.0}))


def test_a_difference_without_noise_has_itself_as_margin_and_no_effect_size():
    found = paired_difference({0: 2.0, 1: 3.0}, {0: 1.0, 1: 2.0})
    assert smallest_margin(found) == 1.0
    assert math.isnan(effect_size(found).mean)


def test_the_effect_size_is_worked_out_by_hand():
    found = effect_size(PAIRED)  # differences −0.08, −0.06, −0.04, −0.14: s = 0.0432, ν = 3
    assert found.mean == pytest.approx((1 - 3 / 11) * -0.08 / 0.0432049, rel=1e-5)


def test_the_interval_of_an_effect_size_holds_the_distributions_that_t_is_likely_in():
    """Cumming and Finch (2001) invert the noncentral t distribution: checked at both ends for one sample."""
    found = effect_size(PAIRED)
    t, scale = PAIRED.mean / PAIRED.standard_error, (1 - 3 / 11) / 2
    bounds = (
        optimize.root_scalar(lambda c: stats.nct.cdf(t, 3, c) - 0.975, bracket=(-15, 5)),
        optimize.root_scalar(lambda c: stats.nct.cdf(t, 3, c) - 0.025, bracket=(-15, 5)),
    )
    assert 2 * found.half_width == pytest.approx(scale * (bounds[1].root - bounds[0].root), rel=1e-6)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_minimum_detectable_difference_is_found_four_times_of_five(seeds):
    generator = np.random.default_rng(seeds)
    draws = dict(enumerate(stats.norm.ppf((np.arange(seeds) + 0.5) / seeds)))
    found = paired_difference(draws, dict.fromkeys(draws, 0.0))
    noise = found.standard_error * math.sqrt(seeds)
    trials = generator.normal(minimum_detectable(found), noise, (4000, seeds))
    detected = stats.ttest_1samp(trials, 0.0, axis=1).pvalue < 0.05
    assert detected.mean() == pytest.approx(0.8, abs=0.03)


def test_the_seeds_to_settle_are_those_of_a_power_analysis():
    noisy = paired_difference({0: 0.3, 1: -0.1, 2: 0.2, 3: 0.05}, dict.fromkeys(range(4), 0.0))
    effect = noisy.mean / (noisy.standard_error * 2)
    assert seeds_to_settle(noisy) == math.ceil(TTestPower().solve_power(effect, power=0.8, alpha=0.05))


def test_no_number_of_seeds_settles_a_difference_that_is_not_there():
    assert seeds_to_settle(paired_difference({0: 1.0, 1: -1.0}, {0: 0.0, 1: 0.0})) is None
    assert seeds_to_settle(paired_difference({0: 1.001, 1: -1.0}, {0: 0.0, 1: 0.0})) is None
