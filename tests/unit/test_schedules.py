import math

import pytest

from minibert.config import ScheduleConfig
from minibert.config.training import RangeTestConfig
from minibert.errors import MinibertError
from minibert.training.schedules import SCHEDULES, build_schedule


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 100 steps, 10 of warm-up, final 0.2: step 5 is half the warm-up; half of the rest lies behind step 56.
        ("constant", {5: 0.5, 10: 1.0, 55: 1.0, 100: 1.0}),
        ("linear", {5: 0.5, 10: 1.0, 11: 1.0, 56: 0.6, 100: 0.2 + 0.8 / 90}),
        ("cosine", {5: 0.5, 10: 1.0, 11: 1.0, 56: 0.6, 100: 0.2 + 0.4 * (1 - math.cos(math.pi / 90))}),
        # A decay over the last 20 steps: flat up to step 81, half way down at step 91.
        ("warmup_stable_decay", {5: 0.5, 10: 1.0, 55: 1.0, 81: 1.0, 91: 0.6, 100: 0.2 + 0.8 / 20}),
        # The root of 10 / t, which at step 250 would reach the final 0.2.
        ("inverse_square_root", {5: 0.5, 10: 1.0, 40: 0.5, 90: 1 / 3, 1000: 0.2}),
    ],
)
def test_factors_at_chosen_steps(name, expected):
    factor = build_schedule(ScheduleConfig(name=name, warmup=0.1, decay=0.2, final=0.2), 100)
    assert {step: factor(step) for step in expected} == pytest.approx(expected)


def test_a_range_test_rises_by_one_ratio_a_step_from_its_start_to_the_full_rate():
    # 101 steps over four decades: a decade every 25 steps.
    factor = build_schedule(RangeTestConfig(start=1e-4), 101)
    assert [factor(step) for step in (1, 26, 51, 101)] == pytest.approx([1e-4, 1e-3, 1e-2, 1.0])
    assert factor(2) / factor(1) == pytest.approx(factor(101) / factor(100)) == pytest.approx(10 ** (1 / 25))


def test_cosine_is_flat_at_both_ends():
    factor = build_schedule(ScheduleConfig(name="cosine", warmup=0.0, final=0.0), 1000)
    assert 1 - factor(10) < 0.001 and factor(990) < 0.001


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_no_warm_up_and_nothing_but_warm_up(warmup):
    factor = build_schedule(ScheduleConfig("linear", warmup=warmup), 10)
    assert factor(1) == pytest.approx(0.1 if warmup else 1.0)
    assert factor(10) == pytest.approx(1.0 if warmup else 0.1)


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"range_test"}))
@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
def test_every_step_moves_something_though_the_schedule_falls_to_zero(name, steps, warmup):
    factor = build_schedule(ScheduleConfig(name=name, warmup=warmup, decay=1 - warmup or 1.0, final=0.0), steps)
    assert all(0 < factor(step) <= 1 for step in range(1, steps + 1))


def test_after_the_warm_up_a_step_has_the_factor_of_its_index_in_transformers():
    # get_linear_schedule_with_warmup: (S - index) / (S - W), with the index of the last step S - 1.
    factor = build_schedule(ScheduleConfig(name="linear", warmup=0.25, final=0.0), 8)
    assert [factor(step) for step in range(3, 9)] == pytest.approx([(8 - index) / 6 for index in range(2, 8)])


def test_the_inverse_square_root_without_warm_up_starts_at_the_full_rate():
    factor = build_schedule(ScheduleConfig(name="inverse_square_root", warmup=0.0), 100)
    assert [factor(1), factor(4), factor(100)] == pytest.approx([1.0, 0.5, 0.1])


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(MinibertError, match=r"schedule\.name.*'cosine'"):
        build_schedule(ScheduleConfig(name="cosin"), 10)
