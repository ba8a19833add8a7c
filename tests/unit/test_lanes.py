"""Training over several threads."""

from dataclasses import replace

import numpy as np
import pytest

from minibert.config import AdamWConfig, Config, ModelConfig
from minibert.data.batches import Batch
from minibert.model.bert import MiniBERT
from minibert.model.passes import Pass
from minibert.training.lanes import Lanes
from minibert.training.trainer import Trainer

MODEL = ModelConfig(
    vocab_size=50, hidden_size=16, layers=2, heads=2, feed_forward_size=24, max_length=12,
    dropout=0.1, attention_dropout=0.1,
)  # fmt: skip


class RandomBatches:
    """Batches of random tokens, a function of the step."""

    def __init__(self, size=6, vocabulary=50):
        self.size = size
        self.vocabulary = vocabulary

    def at(self, step):
        random = np.random.default_rng(step)
        input_ids = random.integers(5, self.vocabulary, (self.size, 12)).astype("int32")
        labels = np.where(random.random(input_ids.shape) < 0.3, input_ids, -100)
        return Batch(input_ids, labels, None, input_ids.size, int((labels != -100).sum()))


def train(lanes, steps=8, size=6, accumulation=1, model=MODEL):
    config = Config(model=model, optimizer=AdamWConfig(learning_rate=0.01))
    config.seeds.dropout = 5
    config.training.lanes, config.training.steps, config.training.accumulation = lanes, steps, accumulation
    config.training.batch_size = size
    bert = MiniBERT(model, seed=1)
    losses = []
    with Trainer(bert, RandomBatches(size), config) as trainer:
        while not trainer.finished:
            losses.append(trainer.step().loss)
    return np.array(losses), bert.params.vector


def test_two_lanes_equal_themselves_to_the_bit():
    (losses, params), (again, params_again) = train(2), train(2)
    assert losses.tobytes() == again.tobytes()
    assert params.tobytes() == params_again.tobytes()


@pytest.mark.parametrize(("lanes", "accumulation"), [(2, 1), (3, 1), (1, 3), (2, 2)])
def test_lanes_and_accumulation_change_nothing_but_rounding(lanes, accumulation):
    """In float64, with dropout on, so that each sequence must get the same masks wherever it is computed."""
    model = ModelConfig(**(MODEL.__dict__ | {"dtype": "float64"}))
    (losses, params), (others, params_of_others) = train(1, model=model), train(lanes, 8, 6, accumulation, model)
    np.testing.assert_allclose(others, losses, rtol=1e-12)
    np.testing.assert_allclose(params_of_others, params, rtol=0, atol=1e-10)


def test_a_batch_smaller_than_the_lanes_is_computed_by_as_many_as_it_has_sequences():
    losses, _ = train(4, size=2)
    np.testing.assert_allclose(losses, train(1, size=2)[0], rtol=1e-4)


def test_the_norm_is_of_the_whole_gradient():
    model = MiniBERT(MODEL, seed=1)
    batch = RandomBatches().at(0)
    with Lanes(model, 2) as lanes:
        lanes.loss_and_gradients(batch, dropout_seed=5, step=0)
        expected = np.linalg.norm(sum(grads.vector.astype("float64") for grads in lanes.grads))
        assert lanes.reduce() == pytest.approx(expected, rel=1e-6)


def test_a_cache_says_which_sequences_of_the_batch_it_covers():
    batch, caches = RandomBatches().at(0), []
    with Lanes(MiniBERT(MODEL, seed=1), 2) as lanes:
        lanes.loss_and_gradients(batch, dropout_seed=5, step=0, parts=2, how=Pass(caches=caches))
    rows = np.arange(len(batch.input_ids))
    covered = [rows[cache.sequences] for cache in caches]
    assert list(np.concatenate(covered)) == list(rows[len(rows) // 2 :])
    for cache, sequences in zip(caches, covered, strict=True):
        np.testing.assert_array_equal(cache.embeddings.input_ids, batch.input_ids[sequences])


def test_evaluation_keeps_the_order_of_batches():
    model = MiniBERT(MODEL, seed=1)
    batches = [RandomBatches().at(step) for step in range(5)]
    with Lanes(model, 2) as lanes:
        counts = lanes.evaluate(batches, lambda logits, labels: len(labels))
    assert counts == [batch.predictions for batch in batches]


def test_the_memory_report_adds_up_and_checkpointing_shrinks_the_caches():
    def report(**settings):
        config = Config(model=ModelConfig(**(MODEL.__dict__ | {"layers": 4})))
        config.training.lanes, config.seeds.dropout = 2, 5
        config.training.checkpoint_activations = settings.get("checkpoint", False)
        bert = MiniBERT(config.model)
        with Trainer(bert, RandomBatches(), config) as trainer:
            trainer.step()
            return trainer.memory_report(), bert.params.vector.nbytes / 1e6

    plain, size = report()
    checkpointed, _ = report(checkpoint=True)
    assert plain["parameters"] == plain["lane_1/gradients"] == size
    assert plain["optimizer_state"] == pytest.approx(2 * size)
    assert checkpointed["lane_0/caches"] < plain["lane_0/caches"] / 2
    assert min(plain.values()) > 0


@pytest.mark.parametrize(
    "changes", [{}, {"activation": "geglu", "norm": "post"}, {"dropout": 0.0, "layers": 1}], ids=str
)
def test_the_first_step_fits_into_the_memory_reserved_before_it(changes):
    model = replace(MODEL, **changes)
    bert = MiniBERT(model, seed=1)
    with Lanes(bert, 2) as lanes:
        lanes.loss_and_gradients(RandomBatches(64).at(0), 0, 0)
        reserved = [work.nbytes for work in lanes.workspaces]
        assert all(0 < work.peak <= work.nbytes for work in lanes.workspaces)
        lanes.loss_and_gradients(RandomBatches(64).at(0), 0, 1)
        assert [work.nbytes for work in lanes.workspaces] == reserved


def test_caches_that_are_asked_for_outlast_the_backward_pass_and_others_save_memory():
    batch, caches = RandomBatches(8).at(0), []
    bert = MiniBERT(replace(MODEL, dropout=0.0, attention_dropout=0.0), seed=1)
    with Lanes(bert, 1) as lanes:
        lanes.loss_and_gradients(batch, 0, 0, how=Pass(caches=caches))
        with_caches = lanes.workspaces[0].peak
        _, expected = bert.forward(batch.input_ids, predicted=batch.labels >= 0)
        for kept, fresh in zip(caches[0].layers, expected.layers, strict=True):
            np.testing.assert_array_equal(kept.attention.weights, fresh.attention.weights)
            np.testing.assert_array_equal(kept.feed_forward.active, fresh.feed_forward.active)
    with Lanes(bert, 1) as lanes:
        lanes.loss_and_gradients(batch, 0, 0)
        assert lanes.workspaces[0].peak < with_caches
