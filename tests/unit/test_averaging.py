"""Averages of the weights: what they are equal to, where they are found, and that the last step counts."""

import numpy as np
import pytest
from support.batches import RandomBatches
from support.trainers import small_config, small_model, small_trainer

from minibert.config import AdamWConfig, Config, ScheduleConfig
from minibert.config.averaging import AveragingConfig, EMAConfig, LastConfig
from minibert.config.optimizers import OPTIMIZERS, LionConfig, LookaheadConfig
from minibert.config.training import SCHEDULES, RangeTestConfig
from minibert.errors import MinibertError
from minibert.mistakes.outputs import trajectories
from minibert.model.memory import estimate_training_memory
from minibert.model.saved import load_checkpoint
from minibert.training.observers import Checkpoints
from minibert.training.transforms.averaging import build_averaging

MODEL = small_model()
STEPS = 10


def trainer(averaging, steps=STEPS, **groups):
    return small_trainer(small_config(MODEL, steps, averaging=averaging, **groups), RandomBatches())


def test_the_exponential_average_is_the_weighted_sum_over_all_steps_without_the_initial_weights():
    """Of 20 steps with a half-life of a tenth of them, a step counts half as much as one two steps later."""
    trained, evaluated = trajectories(EMAConfig(half_life=0.1), 20)
    for step in range(1, 21):
        weights = 0.5 ** ((step - np.arange(1, step + 1)) / 2)
        assert evaluated[step - 1] == pytest.approx(weights @ trained[:step] / weights.sum(), abs=1e-14)
    assert evaluated[0] == pytest.approx(trained[0], abs=0)


def test_where_training_starts_does_not_count_in_the_exponential_average():
    """SGD's gradients here do not depend on the weights, so that a start elsewhere moves all by the same."""
    (_, near), (_, far) = (trajectories(EMAConfig(half_life=0.3), 5, start) for start in (0.0, 100.0))
    assert far - near == pytest.approx(np.full((5, 2), 100.0))


def test_the_mean_of_the_last_steps_is_that_and_before_it_the_trained_weights_are_evaluated():
    """A share of 0.3 of 10 steps: steps 8, 9 and 10."""
    trained, evaluated = trajectories(LastConfig(share=0.3), 10)
    assert evaluated[:7].tobytes() == trained[:7].tobytes()
    for step in (8, 9, 10):
        assert evaluated[step - 1] == pytest.approx(trained[7:step].mean(axis=0), abs=1e-14)


@pytest.mark.parametrize("averaging", [EMAConfig(), LastConfig(share=0.001)])
def test_a_run_of_few_steps_is_evaluated_near_its_last_weights(averaging):
    trained, evaluated = trajectories(averaging, 3)
    assert evaluated[-1] == pytest.approx(trained[-1], abs=1e-3)


@pytest.mark.parametrize("averaging", [EMAConfig(half_life=1.0), LastConfig(share=1.0)])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_average_changes_no_bit_of_training(averaging, optimizer):
    with trainer(AveragingConfig(), optimizer=OPTIMIZERS[optimizer]()) as plain:
        plain.train()
    with trainer(averaging, optimizer=OPTIMIZERS[optimizer]()) as averaged:
        averaged.train()
    assert np.array_equal(averaged.params.vector.view(np.uint32), plain.params.vector.view(np.uint32))
    assert (averaged.optimizer.evaluated(averaged.params).vector != plain.params.vector).any()


@pytest.mark.parametrize("averaging", [EMAConfig(half_life=0.2), LastConfig(share=0.5)])
def test_the_average_is_what_observers_find_and_checkpoints_keep(averaging, tmp_path):
    seen = []
    with trainer(averaging) as one:
        keep = Checkpoints(
            one.config.training,
            tmp_path / "resume.safetensors",
            lambda name, write: write(tmp_path / name),
            secure=lambda ask_store: None,
            wish_to_end=lambda: None,
        )
        one.train([keep, lambda one, _: seen.append(one.model.params.vector.copy())])
        assert one.model.params is one.params
    average = one.optimizer.evaluated(one.params)
    assert seen[-1].tobytes() == average.vector.tobytes() != one.params.vector.tobytes()
    kept, _ = load_checkpoint(tmp_path / f"step_{STEPS:07d}.safetensors")
    resume, _ = load_checkpoint(tmp_path / "resume.safetensors")
    for name, array in one.params.items():
        assert kept[name].tobytes() == average[name].tobytes()
        assert resume[name].tobytes() == array.tobytes()


EVALUATED = {
    "trained weights": {},
    "lookahead": {"optimizer": LookaheadConfig(learning_rate=1e-3, period=4, inner=LionConfig())},
    "ema": {"averaging": EMAConfig()},
    "last": {"averaging": LastConfig()},
}


@pytest.mark.parametrize("groups", EVALUATED.values(), ids=EVALUATED)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 7])
def test_the_last_step_changes_what_is_evaluated_under_every_schedule(groups, schedule, steps):
    config = RangeTestConfig() if schedule == "range_test" else ScheduleConfig(schedule)
    seen = []
    groups = {"averaging": AveragingConfig(), "optimizer": AdamWConfig()} | groups
    with trainer(steps=steps, schedule=config, **groups) as one:
        one.train([lambda one, _: seen.append(one.model.params.vector.copy())])
    assert (seen[-1] != seen[-2]).any()


def test_the_estimate_of_memory_counts_the_average():
    plain, averaged = (
        estimate_training_memory(Config(averaging=config)) for config in (AveragingConfig(), EMAConfig())
    )
    assert averaged["optimizer_state"] == plain["optimizer_state"] + plain["parameters"]


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(MinibertError, match=r"averaging\.name.*'last'"):
        build_averaging(AveragingConfig(name="lst"), 10)
