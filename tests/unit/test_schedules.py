import pytest

from minibert.config import ScheduleConfig
from minibert.training.schedules import build_schedule


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 100 steps, 10 of warm-up, final 0.2: step 5 is half the warm-up, step 55 half of the rest.
        ("linear", {5: 0.5, 10: 1.0, 55: 0.6, 100: 0.2}),
        ("cosine", {5: 0.5, 10: 1.0, 55: 0.6, 100: 0.2}),
        # A decay over the last 20 steps: flat up to step 80, half way down at step 90.
        ("warmup_stable_decay", {5: 0.5, 10: 1.0, 55: 1.0, 80: 1.0, 90: 0.6, 100: 0.2}),
    ],
)
def test_factors_at_chosen_steps(name, expected):
    factor = build_schedule(ScheduleConfig(name=name, warmup=0.1, decay=0.2, final=0.2), 100)
    assert {step: factor(step) for step in expected} == pytest.approx(expected)


def test_cosine_is_flat_at_both_ends():
    factor = build_schedule(ScheduleConfig(name="cosine", warmup=0.0, final=0.0), 1000)
    assert 1 - factor(10) < 0.001 and factor(990) < 0.001


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_no_warm_up_and_nothing_but_warm_up(warmup):
    factor = build_schedule(ScheduleConfig(warmup=warmup), 10)
    assert factor(10) == (1.0 if warmup else 0.0)
    assert 0 < factor(1) <= 1
