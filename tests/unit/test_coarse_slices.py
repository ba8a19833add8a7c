"""The two slices of the loss that every run ends with: along its last update and along a random direction."""

import numpy as np
import pytest
from support.batches import OneBatch
from support.records import MemoryRecord
from support.trainers import small_config, small_model, small_trainer

from minibert.config import AdamWConfig, Config, ModelConfig
from minibert.config.optimizers import LookaheadConfig, SGDConfig
from minibert.config.training import RangeTestConfig, ScheduleConfig
from minibert.diagnostics import compute_hessian_products
from minibert.diagnostics.catalogue import choose
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.engine.registry import AFTER_UPDATE
from minibert.diagnostics.landscape.directions import draw_direction, scale_to_weights
from minibert.diagnostics.landscape.figures import draw_coarse_slices
from minibert.diagnostics.landscape.frozen_loss import FrozenLoss
from minibert.diagnostics.landscape.measures import BY_FILTER, Direction, Slice, measure_slice
from minibert.diagnostics.landscape.recorded import NEAR, random_slice
from minibert.model.bert import MiniBERT
from minibert.training.trainer import Trainer

MODEL = small_model(layers=1)
NAMES = ("random_slice", "update_slice")
CONSTANT = ScheduleConfig(name="constant", warmup=0.0)
STEPS = 6


def trainer(record, names=NAMES, steps=STEPS, **groups) -> Trainer:
    groups = {"schedule": CONSTANT, "optimizer": AdamWConfig(learning_rate=0.01)} | groups
    config = small_config(MODEL, steps, **groups)
    diagnostics = Diagnostics(choose(names), (), steps, record)
    return small_trainer(config, OneBatch(), diagnostics, probe=OneBatch().at(0))


def train(names=NAMES, steps=STEPS, **groups):
    """A short training: the trainer, what was recorded, the parameters before every step and at the end."""
    record, params = MemoryRecord(), []
    with trainer(record, names, steps, **groups) as trained:
        trained.train([lambda trainer, _: params.append(trainer.params.vector.copy())])
    return trained, record, params


@pytest.fixture(scope="module")
def ended():
    return train()


class Quadratic:
    """L = 3 + 2 (θ · d) + 5 (θ · d)², about θ = 0, as a frozen loss gives it; d is the first axis."""

    model = type("Model", (), {"params": type("Params", (), {"vector": np.zeros(2)})})

    def losses(self, count, place):
        found = []
        for index in range(count):
            point = np.empty(2)
            place(index, point)
            found.append(3 + 2 * point[0] + 5 * point[0] ** 2)
        return np.array(found)


def test_slope_and_curvature_of_a_quadratic_are_its_own():
    found = measure_slice(Quadratic(), "update", np.array([1.0, 0.0]), BY_FILTER, np.array([-1, -0.1, 0, 0.1, 1]))
    assert (found.loss, found.direction.slope, found.direction.curvature) == pytest.approx((3, 2, 10))
    np.testing.assert_allclose(found.quadratic, found.losses)


def test_curvature_along_the_random_direction_is_that_of_exact_gradients():
    model = MiniBERT(ModelConfig(**(vars(MODEL) | {"dtype": "float64"})), seed=2)
    model.params.vector += 0.1 * np.random.default_rng(0).standard_normal(model.params.vector.size)
    found = random_slice(model, OneBatch().at(0), Config(model=MODEL))
    direction = draw_direction(model.params, tuple(model.params), 0, 0)
    with FrozenLoss(model, OneBatch().at(0)) as loss:
        (product,) = compute_hessian_products(loss.gradients, loss.parameters, [direction])
        assert found["losses"][5] == pytest.approx(loss.at_parameters(), rel=1e-12)
    assert found["landscape/random/curvature"] == pytest.approx(direction @ product, rel=0.02)


def test_an_update_is_scaled_to_the_length_of_a_random_direction():
    params = MiniBERT(MODEL, seed=1).params
    scaled = scale_to_weights(np.arange(params.vector.size), params)
    assert np.linalg.norm(scaled) == pytest.approx(np.linalg.norm(draw_direction(params, tuple(params), 0, 0)))
    assert scaled[2] == pytest.approx(2 * scaled[1])
    assert scale_to_weights(np.zeros(params.vector.size), params) is None


def test_both_are_recorded_once_at_the_last_step_around_the_last_network(ended):
    trained, record, _ = ended
    assert record.tags == {}
    assert set(record.metrics) >= {"landscape/random/curvature", "landscape/update/curvature"}
    assert all(list(points) == [STEPS] for points in record.metrics.values())
    with FrozenLoss(trained.model, OneBatch().at(0)) as loss:
        here = loss.at_parameters()
    for name in NAMES:
        assert list(record.stored[name]) == [STEPS]
        arrays = record.stored[name][STEPS]
        assert arrays["losses"].shape == arrays["distances"].shape == (11,)
        assert (arrays["distances"][5], arrays["losses"][5]) == (0, here)


@pytest.mark.parametrize("steps", [STEPS, 1])
def test_the_update_is_the_last_one(ended, steps):
    trained, record, params = ended if steps == STEPS else train(steps=steps)
    arrays = record.stored["update_slice"][steps]
    direction = scale_to_weights(params[-1] - params[-2], trained.params)
    with FrozenLoss(trained.model, OneBatch().at(0)) as loss:
        for place in (0, 4, 8):
            moved = trained.params.vector + (arrays["distances"][place] * direction).astype("float32")
            there = loss.losses(1, lambda _, vector, moved=moved: np.copyto(vector, moved))
            assert arrays["losses"][place] == pytest.approx(there[0], rel=1e-4)


def test_looking_changes_no_bit_and_twice_is_the_same(ended):
    trained, record, _ = ended
    again, repeated, _ = train()
    blind, _, _ = train(names=())
    assert trained.params.vector.tobytes() == again.params.vector.tobytes() == blind.params.vector.tobytes()
    assert record.metrics == repeated.metrics
    for name in NAMES:
        assert record.stored[name][STEPS]["losses"].tobytes() == repeated.stored[name][STEPS]["losses"].tobytes()


def test_a_resumed_run_records_the_same(ended, tmp_path):
    _, whole, _ = ended
    record = MemoryRecord()
    for left in (2, None):
        with trainer(record) as resumed:
            if left is None:
                resumed.resume(tmp_path / "resume.safetensors")
                resumed.train()
            else:
                for _ in range(left):
                    resumed.step()
                resumed.save(tmp_path / "resume.safetensors")
    assert record.metrics == whole.metrics


def test_under_lookahead_both_are_recorded():
    _, record, _ = train(optimizer=LookaheadConfig(period=2))
    assert set(record.stored) == set(NAMES) and record.tags == {}


def test_an_update_of_nothing_has_no_line_and_a_tag_says_so():
    _, record, _ = train(optimizer=SGDConfig(learning_rate=1e-60))
    assert list(record.stored) == ["random_slice"]
    assert record.tags == {"diagnostics.update_slice": "left out: the last update changed no parameter"}
    assert "last update is not among" in draw_coarse_slices(record)["coarse_slices"].caption


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("top", [1e3, 1e12])
def test_a_range_test_that_diverges_has_both_at_its_own_end(top):
    """At the larger rate the losses are no numbers any more: they are kept, and no metric is made of them."""
    trained, record, params = train(
        steps=80, schedule=RangeTestConfig(start=1e-7), optimizer=AdamWConfig(learning_rate=top)
    )
    end = trained.progress.step
    assert trained.range_test.diverged and end < 80 and record.tags == {}
    assert {name: list(looks) for name, looks in record.stored.items()} == {name: [end] for name in NAMES}
    assert all(np.isfinite(value) for points in record.metrics.values() for value in points.values())
    # Observers see the parameters before the first step and after each; the last step of these updates nothing.
    assert (params[-1] == params[-2]).all() and (params[-2] != params[-3]).any()


def test_a_width_ends_where_the_loss_overflows_and_needs_a_loss_to_begin_with():
    direction = Direction("update", np.zeros(1), BY_FILTER, 0.0, 0.0)
    distances = np.array([-2.0, -1, 0, 1, 2])
    overflowing = Slice(direction, distances, np.array([np.nan, 1.0, 1, 1.0, np.inf]), 1.0)
    assert overflowing.width == 1
    assert Slice(direction, distances, np.full(5, np.nan), np.nan).width is None


def test_afterwards_the_random_direction_can_be_had_and_the_last_update_cannot():
    random, update = choose(NAMES)
    assert not random.asks & AFTER_UPDATE
    assert update.asks & AFTER_UPDATE


def test_the_figure_has_a_line_for_each_and_leaves_out_what_is_no_number(ended):
    _, record, _ = ended
    (panel,) = draw_coarse_slices(record)["coarse_slices"].figure.axes
    assert panel.get_legend_handles_labels()[1] == ["last update", "random direction"]
    nothing = MemoryRecord()
    distances = np.array([*(-distance for distance in reversed(NEAR)), 0.0, *NEAR])
    losses = np.full(11, np.nan)
    nothing.log_arrays("random_slice", 3, {"distances": distances, "losses": losses, "quadratic": losses})
    assert draw_coarse_slices(nothing) == draw_coarse_slices(MemoryRecord()) == {}
