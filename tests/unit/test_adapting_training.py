"""Masking and order that follow the course of training: told of every step, and resumed to the bit."""

import numpy as np
import pytest

from minibert.config import AdamWConfig, Config, ModelConfig
from minibert.config.data import (
    AdaptiveMaskingConfig,
    CurriculumConfig,
    LossCurriculumConfig,
    MaskingConfig,
    ObjectiveConfig,
    ShortRowsConfig,
)
from minibert.data.packing import pack_documents
from minibert.data.prepared import PreparedData
from minibert.data.tokenizer import train_tokenizer
from minibert.data.training_batches import build_batches
from minibert.model.bert import MiniBERT
from minibert.training.trainer import Trainer

VOCAB, STEPS = 60, 24
MASKING = AdaptiveMaskingConfig(name="adaptive", target=0.2, gain=0.05, memory=0.5)
CURRICULUM = LossCurriculumConfig(name="loss", stages=4, stride=2)


@pytest.fixture(scope="module")
def data() -> PreparedData:
    tokenizer = train_tokenizer(["a bad cab fed a deaf cafe. " * 20], VOCAB, True)
    size = tokenizer.get_vocab_size()
    texts = [np.random.default_rng(n).integers(5, size, 150).astype(np.int32) for n in range(8)]
    counts = np.bincount(np.concatenate(texts), minlength=VOCAB)
    train = pack_documents(texts, 16)
    return PreparedData(tokenizer, train, train, counts, "", "", "", "", {}, None)


def trainer(data, masking=None, curriculum=None, objective=None, lanes=2) -> Trainer:
    objective = objective or ObjectiveConfig()
    model = ModelConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        layers=2,
        heads=2,
        feed_forward_size=24,
        max_length=16,
        segments=2,
        auxiliary_heads=objective.tasks,
    )
    config = Config(
        model=model,
        optimizer=AdamWConfig(learning_rate=0.01),
        masking=masking or MaskingConfig(rate=0.15),
        curriculum=curriculum or CurriculumConfig(),
        objective=objective,
    )
    for stream, seed in {"init": 1, "data": 2, "masking": 3, "dropout": 4}.items():
        setattr(config.seeds, stream, seed)
    config.training.batch_size, config.training.steps, config.training.lanes = 8, STEPS, lanes
    config.training.sequence_length, config.training.log_every = 16, 1
    batches = build_batches(config, data)
    return Trainer(MiniBERT(model, 1), batches, config, batches.adapting)


def run(trainer, steps) -> list:
    """(loss, settings) of each step."""
    return [(step.loss, step.settings) for step in (trainer.step() for _ in range(steps))]


SETTINGS = {
    "adaptive": {"masking": MASKING},
    "loss": {"curriculum": CURRICULUM},
    "both": {"masking": MASKING, "curriculum": CURRICULUM},
    "tasks": {"objective": ObjectiveConfig(sop=1.0, replaced_token=1.0)},
    "short rows": {"curriculum": ShortRowsConfig(sequence_length=6, share=0.5)},
    "whole rows": {"curriculum": ShortRowsConfig(sequence_length=6, share=0.2), "masking": MASKING},
    "short rows, tasks": {"curriculum": ShortRowsConfig(sequence_length=8), "objective": ObjectiveConfig(nsp=1.0)},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(data, name, tmp_path):
    with trainer(data, **SETTINGS[name]) as whole:
        expected = run(whole, STEPS)
        measured = whole.meters.take_measured()
    with trainer(data, **SETTINGS[name]) as first:
        before = run(first, 7)  # in the middle of a stage of each curriculum
        first.save(tmp_path / "state.safetensors")
    with trainer(data, **SETTINGS[name]) as second:
        second.batches.at(5)  # whatever was looked at before
        second.resume(tmp_path / "state.safetensors")
        after = run(second, STEPS - 7)
        assert second.meters.take_measured() == measured
    assert before + after == expected
    assert second.params.vector.tobytes() == whole.params.vector.tobytes()


def test_the_adaptive_rate_moves_and_is_what_is_masked(data):
    with trainer(data, MASKING) as training:
        taken = run(training, STEPS)
    rates = [settings["masking/rate"] for _, settings in taken]
    assert rates[0] == MASKING.rate
    assert len(set(rates)) > STEPS / 2
    text = (data.train.input_ids >= 5).sum() / len(data.train)
    shares = training.progress.tokens_predicted / (STEPS * 8 * text)
    assert shares == pytest.approx(np.mean(rates), abs=0.01)


def test_the_rate_follows_the_accuracy_of_the_training_batches(data):
    with trainer(data, MASKING) as training:
        before = training.batches.masking.rate
        training.step()
        _, hits, count, steps = training.meters.measured["mlm"]
        accuracy = 0.5 * MASKING.target + 0.5 * hits / count
        assert steps == 1
        assert training.batches.masking.rate == pytest.approx(before + 0.05 * (accuracy - MASKING.target))


def test_the_curriculum_is_given_the_losses_of_the_network(data):
    with trainer(data, curriculum=CURRICULUM) as training:
        course = training.batches.curriculum
        rarity = course.state["scores"].copy()
        run(training, 3)  # stages begin at 0, 3, 6, 9 and 12
        scores = course.state["scores"]
        assert (scores != rarity).all()
        batches = course.probe(course.scored)
        (one,) = training.lanes.sequence_losses([batches[0]])[:1]
        batch = batches[0]
        loss, _ = training.model.loss_and_gradients(
            batch.input_ids[:1],
            batch.labels[:1],
            None if batch.attention_mask is None else batch.attention_mask[:1],
            position_ids=None if batch.position_ids is None else batch.position_ids[:1],
        )
        assert one == pytest.approx(loss, rel=1e-5)
        assert scores[0] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("task", ["nsp", "sop", "token_order", "replaced_token"])
def test_losses_and_accuracies_of_tasks_are_kept_apart(data, task):
    with trainer(data, objective=ObjectiveConfig(**{task: 2.0, "moved": 0.3})) as training:
        losses = [training.step().loss for _ in range(3)]
        measured = training.meters.take_measured()
    assert measured.keys() == {"mlm_loss", "mlm_accuracy", f"{task}_loss", f"{task}_accuracy"}
    assert np.mean(losses) == pytest.approx(measured["mlm_loss"] + 2 * measured[f"{task}_loss"], rel=1e-6)
    assert 0 <= measured[f"{task}_accuracy"] <= 1
    assert training.meters.take_measured() == {}


def test_lanes_change_nothing_but_rounding(data):
    objective = ObjectiveConfig(sop=1.0, token_order=1.0, moved=0.3)
    with trainer(data, objective=objective, lanes=1) as one, trainer(data, objective=objective, lanes=3) as three:
        (loss, _), (other, _) = run(one, 1)[0], run(three, 1)[0]
        assert other == pytest.approx(loss, rel=1e-5)
        one_measured, three_measured = one.meters.take_measured(), three.meters.take_measured()
        assert three_measured == pytest.approx(one_measured, rel=1e-5)


@pytest.mark.parametrize(
    "objective",
    [ObjectiveConfig(sop=1.0), ObjectiveConfig(mlm=False, replaced_token=1.0)],
    ids=["sop", "replaced_token alone"],
)
def test_flops_count_what_the_last_layer_computes_for_the_tasks(data, objective):
    with trainer(data, objective=objective) as training:
        training.step()
        flops = training.progress.flops
    with trainer(data) as plain:
        plain.step()
    assert flops > plain.progress.flops if objective.mlm else flops > 0


def test_nothing_is_measured_where_nobody_asks(data):
    with trainer(data) as training:
        training.step()
        assert training.meters.measured == {}


@pytest.mark.parametrize(("given", "mlm", "drawn"), [(20, True, 20), (1024, True, None), (20, False, None)])
def test_a_run_samples_the_vocabulary_where_that_is_smaller_and_words_are_masked(data, given, mlm, drawn):
    config = Config(model=ModelConfig(vocab_size=VOCAB), objective=ObjectiveConfig(mlm=mlm, replaced_token=1.0))
    for stream, seed in {"init": 1, "data": 2, "masking": 3, "dropout": 4}.items():
        setattr(config.seeds, stream, seed)
    config.training.softmax_words = given
    sampler = build_batches(config, data).sampler
    assert drawn is None if sampler is None else sampler.probabilities.sum() == pytest.approx(drawn)
