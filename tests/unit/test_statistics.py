"""Statistics against numbers worked out by hand; t quantiles are those of printed tables."""

import math
import re

import numpy as np
import pytest
from omegaconf import OmegaConf

from analysis.statistics import first_crossing, holm, mean_curve, mean_interval, paired_difference
from minibert.config import CONF, ROOT
from tests.benchmarks.change_points import CURVES, DEVIATIONS
from tests.benchmarks.coverage import RATIOS, SEEDS, SLOW_TRIALS, TRIALS, coverage

T_2 = 4.302653  # 97.5 % quantile of Student's t, 2 degrees of freedom
T_1 = 12.706205


def test_the_interval_of_three_values_is_students():
    estimate = mean_interval([1.0, 2.0, 3.0])  # s = 1
    assert (estimate.n, estimate.mean) == (3, 2.0)
    assert estimate.half_width == pytest.approx(T_2 / math.sqrt(3), rel=1e-6)
    assert (estimate.low, estimate.high) == (2.0 - estimate.half_width, 2.0 + estimate.half_width)


def test_two_values_have_a_very_wide_interval():
    assert mean_interval([0.0, 2.0]).half_width == pytest.approx(T_1, rel=1e-6)  # s / √2 = 1


def test_one_value_has_a_mean_and_no_interval():
    estimate = mean_interval([5.5])
    assert (estimate.n, estimate.mean) == (1, 5.5)
    assert math.isnan(estimate.half_width)


@pytest.mark.parametrize("nothing", [[], [math.nan], [math.inf, -math.inf]])
def test_no_finite_value_has_no_mean(nothing):
    estimate = mean_interval(nothing)
    assert estimate.n == 0
    assert math.isnan(estimate.mean)


def test_values_that_are_not_finite_are_left_out_and_not_counted():
    assert mean_interval([1.0, math.nan, 2.0, math.inf, 3.0]) == mean_interval([1.0, 2.0, 3.0])


def test_equal_values_have_an_interval_of_width_zero():
    assert mean_interval([4.0, 4.0, 4.0]).half_width == 0.0


def test_differences_are_taken_seed_by_seed():
    difference = paired_difference({0: 5.0, 1: 6.0, 2: 7.0, 9: 0.0}, {2: 10.0, 1: 8.0, 0: 6.0, 8: 0.0})
    assert difference.by_seed == {0: -1.0, 1: -2.0, 2: -3.0}
    assert (difference.n, difference.mean) == (3, -2.0)
    assert difference.half_width == pytest.approx(T_2 / math.sqrt(3), rel=1e-6)
    # With 2 degrees of freedom, P(|T| > t) = 1 − t / √(t² + 2); here t = 2√3.
    assert difference.p_value == pytest.approx(1 - math.sqrt(12) / math.sqrt(14), rel=1e-9)


def test_a_constant_difference_over_noisy_seeds_is_certain():
    difference = paired_difference({0: 1.0, 1: 4.0}, {0: 0.5, 1: 3.5})
    assert (difference.mean, difference.half_width, difference.p_value) == (0.5, 0.0, 0.0)
    assert paired_difference({0: 1.0, 1: 4.0}, {0: 1.0, 1: 4.0}).p_value == 1.0


def test_one_common_seed_or_none_gives_no_p_value():
    assert math.isnan(paired_difference({0: 1.0}, {0: 2.0}).p_value)
    assert paired_difference({0: 1.0}, {1: 2.0}).n == 0


def test_a_diverged_run_is_no_pair():
    assert paired_difference({0: math.nan, 1: 2.0}, {0: 1.0, 1: 1.0}).by_seed == {1: 1.0}


def test_holm_multiplies_by_what_is_left_and_never_decreases():
    # Sorted: 0.01·3 = 0.03, 0.03·2 = 0.06, then 0.04·1, raised to 0.06.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])


def test_holm_does_not_count_comparisons_that_were_not_made():
    first, second = holm([math.nan, 0.02])
    assert math.isnan(first)
    assert second == pytest.approx(0.02)


def test_a_crossing_is_found_between_evaluations():
    steps, losses = np.array([0, 10, 20]), np.array([9.0, 7.0, 5.0])
    assert first_crossing(steps, losses, 6.0) == pytest.approx(15.0)
    assert first_crossing(steps, losses, 7.0) == pytest.approx(10.0)
    assert first_crossing(steps, losses, 9.5) == 0.0
    assert math.isnan(first_crossing(steps, losses, 4.9))


def test_the_first_of_several_crossings_counts():
    assert first_crossing(np.arange(4), np.array([4.0, 2.0, 4.0, 0.0]), 3.0) == pytest.approx(0.5)


def test_an_accuracy_crosses_from_below():
    assert first_crossing(np.array([0, 10]), np.array([0.0, 0.5]), 0.1, falling=False) == pytest.approx(2.0)


def test_a_curve_averages_the_runs_that_have_the_step():
    steps, estimates = mean_curve(
        [np.array([0, 50, 100]), np.array([0, 100])], [np.array([7.0, 6.0, 5.0]), np.array([9.0, 6.0])]
    )
    assert steps.tolist() == [0, 50, 100]
    assert [(estimate.n, estimate.mean) for estimate in estimates] == [(2, 8.0), (1, 6.0), (2, 5.5)]


@pytest.mark.parametrize(
    "name",
    [
        "t interval of a mean",
        "paired difference",
        "effect averaged over another setting",
        "interaction",
        "interaction, no common seeds",
        "cost up to a horizon, a sixth censored",
        "cost up to a horizon, half censored",
    ],
)
@pytest.mark.parametrize("seeds", SEEDS)
def test_the_intervals_that_the_report_prints_hold_the_true_value_in_93_to_97_of_100_cases(name, seeds):
    assert 93 <= coverage(TRIALS[name], seeds, draws=1500) <= 97


def test_the_ratios_that_are_simulated_are_those_of_the_experiment_on_masking_by_size():
    experiment = OmegaConf.load(CONF / "experiment" / "masking_by_size.yaml")
    swept = experiment.hydra.sweeper.params["masking.rate"]
    assert tuple(map(float, swept.split(","))) == RATIOS
    assert all(f"of {len(RATIOS)} ratios" in name for name in TRIALS if "ratios" in name)


def test_the_tables_of_the_page_on_statistics_have_every_row_that_is_simulated():
    """Also the two curves whose change point is simulated, at each deviation of the noise."""
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) (?:\([\d,]+ draws\) )?\|", page, re.MULTILINE)
    assert {*TRIALS, *SLOW_TRIALS, *CURVES} <= {*rows}
    assert f" | {' | '.join(f'{each:g}' for each in DEVIATIONS)} |\n" in page
