"""Costs that are censored, areas, and intervals by resampling."""

import math

import numpy as np
import pytest

from analysis.statistics import (
    area_under_curve,
    bootstrap,
    hierarchical_bootstrap,
    mean_interval,
    paired_bootstrap,
    restricted_mean,
)


def test_where_all_runs_get_there_the_restricted_mean_is_the_mean_with_its_t_interval():
    costs = [12.0, 15.0, 11.0, 19.0]
    found, plain = restricted_mean(costs, [30.0] * 4), mean_interval(costs)
    assert (found.mean, found.half_width) == pytest.approx((plain.mean, plain.half_width))


def test_a_run_that_does_not_get_there_counts_with_its_end():
    found = restricted_mean([10.0, 20.0, math.nan], [30.0] * 3)
    assert found.mean == pytest.approx((10 + 20 + 30) / 3)
    assert found.half_width > 0


def test_runs_at_the_horizon_count_for_the_spread_and_cost_degrees_of_freedom():
    """By hand: 10, 20, 40 and 40 at the horizon have s = 15, and two get there: t₀.₉₇₅ of 2 degrees is 4.303."""
    found = restricted_mean([10.0, 20.0, math.nan, math.nan], [40.0] * 4)
    assert found.mean == 27.5 and found.half_width == pytest.approx(4.302653 * 15 / math.sqrt(4))
    three = restricted_mean([10.0, 20.0, 30.0, math.nan], [40.0] * 4)
    assert three.half_width == pytest.approx(mean_interval([10.0, 20.0, 30.0, 40.0]).half_width)


def test_a_run_that_was_stopped_early_is_neither_slow_nor_left_out():
    """By hand: Ŝ is 1 until 10, 3/4 until 20 (one of three left by then gets there), 3/8 until the horizon."""
    found = restricted_mean([10.0, math.nan, 20.0, math.nan], [40.0, 15.0, 40.0, 40.0], horizon=40.0)
    assert found.mean == pytest.approx(10 + 0.75 * 10 + 0.375 * 20)


@pytest.mark.parametrize("costs", [[math.nan] * 3, [45.0, 50.0, 60.0]])
def test_if_no_run_gets_there_in_time_the_horizon_is_all_that_is_known(costs):
    found = restricted_mean(costs, [60.0] * 3, horizon=40.0)
    assert found.mean == 40.0 and math.isnan(found.half_width)


def test_no_run_has_no_cost():
    assert restricted_mean([], []).n == 0


def test_the_area_is_the_mean_height_and_leaves_gaps_out():
    assert area_under_curve([0, 10, 30], [4.0, 2.0, 2.0]) == pytest.approx((30 + 40) / 30)
    assert area_under_curve([0, 10, 20, 30], [4.0, 2.0, math.nan, 2.0]) == pytest.approx((30 + 40) / 30)
    assert math.isnan(area_under_curve([0], [4.0]))


def test_a_bootstrap_interval_is_the_same_for_the_same_seed_and_lies_around_the_value():
    values = [5.1, 5.3, 4.9, 5.6, 5.2]
    found = bootstrap(values)
    assert found == bootstrap([*values, math.nan])
    assert found.low < found.value < found.high
    assert bootstrap(values, np.median).value == 5.2
    assert math.isnan(bootstrap([1.0]).low) and math.isnan(bootstrap([2.0, 2.0]).low)


def test_a_paired_bootstrap_takes_the_seeds_that_both_have():
    found = paired_bootstrap({0: 1.0, 1: 2.5, 2: 9.0}, {0: 0.5, 1: 1.0, 3: 7.0})
    assert found.value == pytest.approx(1.0)


def scores(generator, seeds, items, between_seeds, between_items, mean=0.0):
    return (
        mean
        + generator.normal(0, between_seeds, (seeds, 1))
        + generator.normal(0, between_items, (1, items))
        + generator.normal(0, 0.1, (seeds, items))
    )


def test_resampling_seeds_and_items_covers_the_mean_over_other_seeds_and_items():
    generator, covered = np.random.default_rng(0), 0
    for trial in range(200):
        found = hierarchical_bootstrap(scores(generator, 12, 40, 0.5, 0.5), draws=499, seed=trial)
        covered += found.low <= 0 <= found.high
    assert 0.89 <= covered / 200 <= 0.97


def test_two_models_are_compared_on_the_same_seeds_and_items():
    generator = np.random.default_rng(1)
    baseline = scores(generator, 8, 200, 0.5, 1.0)
    better = baseline + 0.1 + generator.normal(0, 0.05, baseline.shape)
    found = hierarchical_bootstrap(better, baseline)
    assert found.low > 0 and found.p_value == pytest.approx(2 / 10_000)
    assert hierarchical_bootstrap(baseline, baseline).p_value == 1.0
    assert hierarchical_bootstrap(better).high - hierarchical_bootstrap(better).low > 5 * (found.high - found.low)


def test_scores_of_other_shapes_are_refused_and_a_single_seed_has_no_interval():
    with pytest.raises(ValueError, match="same seeds and items"):
        hierarchical_bootstrap(np.ones((2, 3)), np.ones((2, 4)))
    assert math.isnan(hierarchical_bootstrap(np.ones((1, 5))).low)
