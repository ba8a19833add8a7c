"""Every optimizer under the trainer: resumed to the bit, and Lookahead's two sets of weights."""

from itertools import pairwise

import numpy as np
import pytest
from support.batches import RandomBatches
from support.trainers import small_config, small_model, small_trainer

from minibert.config import AdamWConfig
from minibert.config.averaging import EMAConfig, LastConfig
from minibert.config.optimizers import (
    OPTIMIZERS,
    AdaptiveClippingConfig,
    DepthRatesConfig,
    LionConfig,
    LookaheadConfig,
    PercentileClippingConfig,
    RatioRatesConfig,
)
from minibert.data.batches import Batch
from minibert.model.bert import MiniBERT
from minibert.model.saved import load_checkpoint
from minibert.training.observers import Checkpoints

MODEL = small_model(dropout=0.1, attention_dropout=0.1)
STEPS = 10


def trainer(steps=STEPS, **groups):
    return small_trainer(small_config(MODEL, steps, **groups), RandomBatches())


CASES = {name: {"optimizer": schema()} for name, schema in OPTIMIZERS.items()} | {
    "lookahead(muon)": {"optimizer": LookaheadConfig(inner=OPTIMIZERS["muon"](), period=4)},
    "lookahead(adafactor)": {"optimizer": LookaheadConfig(inner=OPTIMIZERS["adafactor"](), period=4)},
    "percentile": {"clipping": PercentileClippingConfig(percentile=40, window=3)},
    "adaptive": {"clipping": AdaptiveClippingConfig()},
    "depth": {"layer_rates": DepthRatesConfig()},
    "ratio": {"layer_rates": RatioRatesConfig()},
    "ema": {"averaging": EMAConfig(half_life=0.2)},
    "last(muon)": {"averaging": LastConfig(share=0.7), "optimizer": OPTIMIZERS["muon"]()},
}


@pytest.mark.parametrize("groups", CASES.values(), ids=CASES)
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(groups, tmp_path):
    with trainer(**groups) as uninterrupted:
        uninterrupted.train()
    with trainer(**groups) as first:
        for _ in range(STEPS // 2):
            first.step()
        first.save(tmp_path / "resume.safetensors")
    with trainer(**groups) as second:
        second.resume(tmp_path / "resume.safetensors")
        second.train()
    assert second.params.vector.tobytes() == uninterrupted.params.vector.tobytes()
    assert second.optimizer.state.keys() == uninterrupted.optimizer.state.keys()
    for name, array in second.optimizer.state.items():
        assert array.tobytes() == uninterrupted.optimizer.state[name].tobytes(), name


@pytest.mark.parametrize("groups", CASES.values(), ids=CASES)
def test_one_batch_is_learnt(groups):
    """Not how fast, only that every variant's default settings go downhill."""

    class OneBatch(RandomBatches):
        def at(self, step):
            return super().at(0)

    with trainer(steps=40, **groups) as one:
        one.batches = OneBatch()
        losses = [one.step().loss for _ in range(40)]
    assert losses[-1] < losses[0] - 0.02


def test_the_peak_of_the_schedule_is_the_rate_times_its_factor():
    with trainer(optimizer=AdamWConfig(learning_rate=0.002, rate_factor=3.0)) as one:
        assert one.step().learning_rate == pytest.approx(0.006)  # a warm-up of one step


LOOKAHEAD = LookaheadConfig(learning_rate=1e-3, period=4, inner=LionConfig())


def test_observers_find_the_slow_weights_and_steps_the_fast_ones():
    seen = []

    def observer(one, _step):
        seen.append(one.model.params.vector.copy())
        assert one.model.params["mlm_head.bias"].base is not one.params.vector

    with trainer(optimizer=LOOKAHEAD) as one:
        start = one.params.vector.copy()
        one.train([observer])
        assert one.model.params is one.params
    moved = [(before != after).any() for before, after in pairwise(seen)]
    assert seen[0].tobytes() == start.tobytes()
    assert moved == [False, False, False, True] * 2 + [False, True]
    assert one.params.vector.tobytes() == seen[-1].tobytes()


def test_scores_within_the_context_are_those_of_a_model_with_the_slow_weights():
    with trainer(optimizer=LOOKAHEAD) as one:
        for _ in range(6):
            one.step()
        batch = RandomBatches().at(99)
        with one.evaluation_parameters():
            (found,) = one.lanes.evaluate([batch], lambda logits, labels: logits.copy())
        fast, _ = one.model.score(batch.input_ids, batch.labels)
    slow = MiniBERT(MODEL, seed=1)
    slow.params.vector[...] = one.optimizer.state["slow_weights"]
    expected, _ = slow.score(batch.input_ids, batch.labels)
    assert found == pytest.approx(expected, abs=1e-6)
    assert np.abs(found - fast).max() > 1e-3


def test_the_memory_that_a_resumed_run_reports_counts_the_steps_before_the_interruption(tmp_path):
    class Shrinking(RandomBatches):
        def at(self, step):
            batch = super().at(step)
            rows = 6 if step < 2 else 2
            return Batch(batch.input_ids[:rows], batch.labels[:rows], None, rows * 12, rows)

    def begin():
        one = trainer(4)
        one.batches = Shrinking()
        return one

    with begin() as uninterrupted:
        uninterrupted.train()
    with begin() as first:
        for _ in range(3):
            first.step()
        first.save(tmp_path / "resume.safetensors")
    with begin() as resumed:
        resumed.resume(tmp_path / "resume.safetensors")
        resumed.train()
    assert resumed.memory_report() == uninterrupted.memory_report()


def test_kept_checkpoints_hold_the_slow_weights_and_the_state_to_resume_from_both(tmp_path):
    with trainer(optimizer=LOOKAHEAD) as one:
        keep = Checkpoints(
            one.config.training,
            tmp_path / "resume.safetensors",
            lambda name, write: write(tmp_path / name),
            secure=lambda ask_store: None,
            wish_to_end=lambda: None,
        )
        one.train([keep])
    kept, _ = load_checkpoint(tmp_path / f"step_{STEPS:07d}.safetensors")
    resume, _ = load_checkpoint(tmp_path / "resume.safetensors")
    slow = one.optimizer.evaluated(one.params)
    for name, array in one.params.items():
        assert kept[name].tobytes() == slow[name].tobytes()
        assert resume[name].tobytes() == array.tobytes()
    assert resume["optimizer.slow_weights"].tobytes() == slow.vector.tobytes()


def test_without_lookahead_the_evaluation_parameters_are_those_that_are_trained():
    with trainer(optimizer=AdamWConfig()) as one, one.evaluation_parameters():
        assert one.model.params is one.params
