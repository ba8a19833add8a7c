"""Predictions of masked tokens by kind, and guesses to read."""

import numpy as np
import pytest

from minibert.config import ModelConfig
from minibert.data.batches import frozen_batches
from minibert.data.packing import Sequences, pack_documents
from minibert.data.tokenizer import CLS, MASK, PAD, SEP, UNK, train_tokenizer
from minibert.evaluation.intrinsic.guesses import examples
from minibert.evaluation.intrinsic.held_out import evaluate
from minibert.evaluation.intrinsic.measures import (
    PIECES,
    by_band,
    frequency_bands,
    piece_kinds,
    places,
    position_bands,
    predict,
)
from minibert.model.bert import MiniBERT
from minibert.training.lanes import Lanes

VOCABULARY = 40
CONTINUES = np.arange(VOCABULARY) >= 30


@pytest.fixture(scope="module")
def model() -> MiniBERT:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "layers": 1, "heads": 2, "feed_forward_size": 24}
    return MiniBERT(ModelConfig(**sizes, max_length=24, dtype="float64", init_gain=10.0), 3)


@pytest.fixture(scope="module")
def text() -> Sequences:
    random = np.random.default_rng(0)
    return pack_documents([random.integers(5, VOCABULARY, size) for size in (100, 7, 150, 40)], 24)


@pytest.fixture(scope="module")
def batches(text):
    return frozen_batches(text, 0.3, 100, 4, 15, VOCABULARY)


def test_each_prediction_is_that_of_the_whole_distribution(model, batches):
    found = predict(model, batches)
    rows = iter(range(len(found)))
    for batch in batches:
        logits, _ = model.forward(batch.input_ids, batch.attention_mask, position_ids=batch.position_ids)
        for scores, label in zip(logits[batch.labels >= 0], batch.labels[batch.labels >= 0], strict=True):
            row = next(rows)
            probabilities = np.exp(scores) / np.exp(scores).sum()
            assert found.labels[row] == label
            assert found.losses[row] == pytest.approx(-np.log(probabilities[label]))
            assert found.confidence[row] == pytest.approx(probabilities.max())
            assert found.hits[row] == (probabilities.argmax() == label)
    assert next(rows, None) is None


def test_predictions_do_not_depend_on_the_lanes(model, batches):
    one, three = (vars(predict(model, batches, lanes)) for lanes in (1, 3))
    for name in one:
        np.testing.assert_array_equal(one[name], three[name])


def test_the_bands_of_every_kind_sum_to_the_loss_of_the_evaluation(model, text, batches):
    found, where = predict(model, batches), places(batches, CONTINUES)
    with Lanes(model, 2) as lanes:
        expected = evaluate(lanes, batches)
    counts = np.bincount(text.input_ids.ravel(), minlength=VOCABULARY)
    kinds = [
        frequency_bands(counts[found.labels]),
        position_bands(where.positions, 24),
        (PIECES, where.pieces),
        (["all"], np.zeros(len(found), int)),
    ]
    for names, bands in kinds:
        own = by_band(names, bands, where.sequences, found.losses, found.hits)
        assert sum(band.tokens for band in own) == len(found) == sum(batch.predictions for batch in batches)
        assert sum(band.tokens * band.loss for band in own) / len(found) == pytest.approx(expected["loss"])
        accuracy = sum(band.tokens * band.accuracy for band in own if band.accuracy is not None) / len(found)
        assert accuracy == pytest.approx(expected["masked_accuracy"])
        assert len(own) > 1 or names == ["all"]


def test_a_token_is_a_whole_word_or_a_piece_of_one():
    rows = np.array([[CLS, 6, 31, 32, 7, SEP, PAD], [CLS, 33, 8, UNK, 9, 34, SEP], [CLS, 5, SEP, CLS, 6, 30, SEP]])
    kinds = piece_kinds(rows, CONTINUES)
    named = [[PIECES[kind][0] for kind in row] for row in kinds]
    assert named[0][1:5] == ["f", "l", "l", "w"]
    assert [named[1][place] for place in (1, 2, 4, 5)] == ["l", "w", "f", "l"]
    assert [named[2][place] for place in (1, 4, 5)] == ["w", "f", "l"]


def test_a_position_is_counted_from_the_beginning_of_its_document(batches):
    where = places(batches, CONTINUES)
    assert where.positions.min() >= 1
    several = [batch for batch in batches if batch.position_ids is not None]
    assert several
    expected = np.concatenate(
        [
            (np.arange(24)[None] + np.zeros((len(batch.labels), 1), int) if batch.position_ids is None
             else batch.position_ids)[batch.labels >= 0]
            for batch in batches
        ]
    )  # fmt: skip
    np.testing.assert_array_equal(where.positions, expected)
    predictions = np.concatenate([(batch.labels >= 0).sum(axis=1) for batch in batches])
    np.testing.assert_array_equal(where.sequences, np.repeat(np.arange(len(predictions)), predictions))


def test_frequency_bands_are_powers_of_ten():
    names, bands = frequency_bands(np.array([0, 1, 9, 10, 99, 100, 12345]))
    assert names == ["unseen", "1_to_9", "10_to_99", "100_to_999", "1000_to_9999", "10000_to_99999"]
    assert bands.tolist() == [0, 1, 1, 2, 2, 3, 5]
    assert frequency_bands(np.zeros(3, int))[0] == ["unseen"]


def test_position_bands_are_eight_equal_parts():
    names, bands = position_bands(np.arange(64), 64)
    assert names[0] == "0_to_7" and names[-1] == "56_to_63" and np.bincount(bands).tolist() == [8] * 8
    assert position_bands(np.array([1, 2]), 4) == (["0_to_0", "1_to_1", "2_to_2"], pytest.approx([1, 2]))


def test_bands_have_the_means_of_their_own_predictions():
    losses, unigram = np.array([1.0, 2.0, 3.0, 6.0]), np.array([4.0, 4.0, 5.0, 7.0])
    hits = np.array([True, False, False, True])
    found = by_band(["a", "empty", "b"], np.array([0, 0, 2, 2]), np.array([0, 1, 2, 2]), losses, hits, unigram)
    first, second = found
    assert first[:3] == ("a", 2, 1.5) and first[4:] == (4.0, None, 0.5)
    assert second[:3] == ("b", 2, 4.5) and second[4:] == (6.0, None, 0.5)
    assert np.isnan(second.error)  # one sequence says nothing of the others


# --- guesses


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["unhappy happiness dog dogs run , . the " * 20], VOCABULARY, lowercase=True)


def test_guesses_are_the_best_of_the_distribution(model, tokenizer, batches):
    found = examples(model, tokenizer, batches, 6)
    assert len(found) == 6
    batch, row, place = next(
        (batch, row, place)
        for batch in batches
        for row, place in np.argwhere((batch.labels >= 0) & (batch.input_ids == MASK))
    )
    (first, *_) = examples(model, tokenizer, [batch], 10_000)
    mask = None if batch.attention_mask is None else batch.attention_mask
    logits, _ = model.forward(batch.input_ids, mask, position_ids=batch.position_ids)
    probabilities = np.exp(logits[row, place]) / np.exp(logits[row, place]).sum()
    order = np.argsort(-probabilities)[:5]
    assert [token for token, _ in first.guesses] == [tokenizer.id_to_token(int(token)) for token in order]
    np.testing.assert_allclose([each for _, each in first.guesses], probabilities[order])
    assert first.truth == tokenizer.id_to_token(int(batch.labels[row, place]))
    assert first.probability == pytest.approx(probabilities[batch.labels[row, place]])


def test_examples_show_masks_and_nothing_of_another_document(model, tokenizer, batches):
    asked = sum(int(((batch.labels >= 0) & (batch.input_ids == MASK)).sum()) for batch in batches)
    found = examples(model, tokenizer, batches, 10_000)
    assert len(found) == asked < sum(batch.predictions for batch in batches)
    for example in found:
        for text in (example.before, example.after):
            assert not any(special in text for special in ("[CLS]", "[SEP]", "[PAD]"))
    assert examples(model, tokenizer, batches, 0) == []


def test_an_output_without_a_token_is_shown_by_its_number(model, batches):
    small = train_tokenizer(["a b " * 20], 12, lowercase=True)
    (found,) = examples(model, small, batches, 1)
    assert all(token for token, _ in found.guesses)
    assert any(token.startswith("[") and token[1:-1].isdigit() for token, _ in found.guesses)
