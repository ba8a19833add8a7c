"""The words that a step's softmax is computed over: their chances, what they stand for, when they are drawn."""

from dataclasses import replace

import numpy as np
import pytest
from support.trainers import small_config, small_model, small_trainer

from minibert.config import TrainingConfig
from minibert.data.batches import Batches
from minibert.data.masking import UniformMasking
from minibert.data.packing import pack_documents
from minibert.data.tokenizer import FIRST_ORDINARY
from minibert.data.training_batches import OneBatch
from minibert.data.word_sampling import WordSampler, drawing_probabilities
from minibert.errors import MinibertError
from minibert.randomness import generator

VOCABULARY, SIZE = 400, 60
COUNTS = np.r_[np.zeros(FIRST_ORDINARY, int), 100_000 // np.arange(1, VOCABULARY - FIRST_ORDINARY + 1)]
"""As Zipf has it"""
LABELS = np.array([[-100, 390, 399], [7, -100, 390]])


@pytest.mark.parametrize("size", [1, 10, SIZE, 200, VOCABULARY - 1])
def test_chances_sum_to_the_size_and_grow_with_the_counts(size):
    chances = drawing_probabilities(COUNTS, size)
    assert chances.sum() == pytest.approx(size)
    assert chances.max() <= 1 and chances.min() > 0
    assert (np.diff(chances[FIRST_ORDINARY:]) <= 0).all()
    assert (chances[:FIRST_ORDINARY] <= chances[FIRST_ORDINARY:].min()).all()


def test_chances_are_those_of_the_formula():
    """Of counts 0, 15 and 80, weights 1, 8 and 27: the last would have 27 · 2 / 41 > 1, so it is certain."""
    counts = np.r_[np.zeros(FIRST_ORDINARY + 1), 15, 80]
    chances = drawing_probabilities(counts, 2)
    np.testing.assert_allclose(chances, np.r_[np.full(FIRST_ORDINARY + 1, 1), 8, 14] / 14)


def test_a_sample_has_every_label_once_and_in_order():
    sample = WordSampler(COUNTS, SIZE, seed=1).at(3, LABELS)
    assert (np.diff(sample.ids) > 0).all()
    predicted = LABELS[LABELS >= 0]
    assert np.isin(predicted, sample.ids).all()
    assert (sample.raised[sample.places(predicted)] == 0).all()
    assert (sample.ids[sample.places(predicted)] == predicted).all()


def test_the_sum_over_samples_is_on_average_the_sum_over_all_words():
    """Within four standard errors; and the words are drawn anew at every step."""
    sampler = WordSampler(COUNTS, SIZE, seed=1, dtype="float64")
    scores = np.random.default_rng(0).normal(size=VOCABULARY)
    sums = []
    for step in range(2000):
        sample = sampler.at(step, LABELS)
        sums.append(np.exp(scores[sample.ids] + sample.raised).sum())
    error = np.std(sums) / np.sqrt(len(sums))
    assert error > 0
    assert abs(np.mean(sums) - np.exp(scores).sum()) < 4 * error


def test_a_sample_depends_on_seed_and_step_alone():
    sampler = WordSampler(COUNTS, SIZE, seed=1)
    sampler.at(5, LABELS)
    again = WordSampler(COUNTS, SIZE, seed=1).at(2, LABELS)
    assert np.array_equal(sampler.at(2, LABELS).ids, again.ids)
    assert not np.array_equal(sampler.at(2, LABELS).ids, sampler.at(3, LABELS).ids)
    assert not np.array_equal(WordSampler(COUNTS, SIZE, seed=2).at(2, LABELS).ids, again.ids)


def sampled_batches(size: int | None) -> Batches:
    words = np.random.default_rng(0).integers(5, 50, size=400).astype(np.int32)
    counts = np.bincount(words, minlength=50)
    sampler = None if size is None else WordSampler(counts, size, seed=2)
    return Batches(pack_documents([words], 12), UniformMasking(50, 0.3, 0.3), 4, 1, 2, sampler=sampler)


def test_a_run_stopped_and_resumed_draws_the_same_words(tmp_path):
    config = small_config(small_model(), 12)
    with small_trainer(config, sampled_batches(15)) as whole:
        whole.train()
    with small_trainer(config, sampled_batches(15)) as first:
        for _ in range(7):
            first.step()
        first.save(tmp_path / "checkpoint.safetensors")
    with small_trainer(config, sampled_batches(15)) as second:
        second.resume(tmp_path / "checkpoint.safetensors")
        second.train()
    np.testing.assert_array_equal(second.params.vector, whole.params.vector)
    assert second.progress.flops == whole.progress.flops


def test_lanes_share_the_words_of_a_step():
    """One lane and three give the same loss and gradients, up to rounding."""
    results = []
    for lanes in (1, 3):
        config = small_config(small_model(dtype="float64"), 2)
        config.training.lanes = lanes
        with small_trainer(config, sampled_batches(15)) as trainer:
            step = trainer.step()
            results.append((step.loss, trainer.params.vector.copy()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9, atol=1e-12)


def test_fewer_words_take_less_arithmetic():
    flops = {}
    for size in (None, 15):
        with small_trainer(small_config(small_model(), 2), sampled_batches(size)) as trainer:
            trainer.step()
            flops[size] = trainer.progress.flops
    assert flops[15] < flops[None]


def test_every_step_draws_its_own_words_also_for_one_batch():
    batches = sampled_batches(15)
    assert batches.at(0).words.ids.tolist() != batches.at(1).words.ids.tolist()
    one = OneBatch(batches.sequences, batches.masking, 4, 1, 2, sampler=batches.sampler)
    assert one.at(0).labels.tolist() == one.at(7).labels.tolist()
    assert one.at(0).words.ids.tolist() == batches.at(0).words.ids.tolist() != one.at(7).words.ids.tolist()


@pytest.mark.parametrize(("given", "drawn"), [(None, None), (49, 49), (50, None), (1024, None)])
def test_as_many_words_as_there_are_is_the_whole_vocabulary(given, drawn):
    assert TrainingConfig(softmax_words=given).sampled_words(50) == drawn


def test_the_words_are_drawn_from_another_stream_than_masks_and_questions():
    """Of row 0 and of the step: a place of its own."""
    used = WordSampler(COUNTS, SIZE, seed=2).at(3, np.full((1, 2), -100)).ids
    chances = drawing_probabilities(COUNTS, SIZE)
    for place in ((3, 0), (3, 0, 1), (3, 0, 2)):
        assert np.flatnonzero(generator(2, *place).random(VOCABULARY) < chances).tolist() != used.tolist()


@pytest.mark.parametrize("fields", [{}, {"tie_word_embeddings": False}], ids=str)
def test_parts_of_a_batch_and_lanes_sum_to_the_whole(fields):
    gradients = []
    for lanes, parts in ((1, 1), (1, 3), (2, 2)):
        config = small_config(small_model(dtype="float64", **fields), 2)
        config.training.lanes, config.training.accumulation = lanes, parts
        with small_trainer(config, sampled_batches(15)) as trainer:
            trainer._pass(trainer.batches.at(1), None)
            gradients.append(trainer.lanes.grads[0].vector.copy())
    for other in gradients[1:]:
        np.testing.assert_allclose(other, gradients[0], rtol=1e-10, atol=1e-14)


def test_a_sample_is_never_empty():
    batches = sampled_batches(1)
    batches.sampler.probabilities[:] = 0
    assert batches.sampler.at(0, np.full((1, 2), -100)).ids.tolist() == [0]


def test_a_batch_without_predictions_trains():
    batches = sampled_batches(1)
    batches.sampler.probabilities[:] = 0
    empty = np.full_like(batches.at(0).labels, -100)
    nothing = replace(batches.at(0), labels=empty, predictions=0, words=batches.sampler.at(0, empty))
    batches.at = lambda step: nothing
    with small_trainer(small_config(small_model(), 2), batches) as trainer:
        assert trainer.step().loss == 0


def test_a_state_that_cannot_be_read_may_be_deleted_to_start_again(tmp_path):
    (tmp_path / "resume.safetensors").write_bytes(b"no state of a run")
    told = pytest.raises(MinibertError, match=r"is no checkpoint .*Delete it to start the run again")
    with small_trainer(small_config(small_model(), 12), sampled_batches(15)) as trainer, told:
        trainer.resume(tmp_path / "resume.safetensors")
