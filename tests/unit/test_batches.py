"""Batches as a function of the step, and the evaluation set that is the same for every run."""

import numpy as np
import pytest

from minibert.data.batches import Batches, frozen_batches
from minibert.data.masking import IGNORED, UniformMasking
from minibert.data.packing import Sequences, pack_documents
from minibert.data.tokenizer import MASK
from minibert.randomness import generator, generators

VOCAB = 500
LENGTH = 12


def corpus(count: int, last: int = 10) -> Sequences:
    """``count`` sequences of 10 words; the last one has ``last``."""
    words = np.random.default_rng(0).integers(5, VOCAB, size=10 * (count - 1) + last)
    return pack_documents([words.astype(np.int32)], LENGTH)


def batches(sequences, batch_size=4, data_seed=1, masking_seed=2, rate=0.3) -> Batches:
    return Batches(sequences, UniformMasking(VOCAB, rate, rate), batch_size, data_seed, masking_seed)


def same(one, other) -> bool:
    return np.array_equal(one.input_ids, other.input_ids) and np.array_equal(one.labels, other.labels)


# --- the order


@pytest.mark.parametrize(("count", "batch_size"), [(20, 4), (10, 4), (3, 8), (1, 4)])
def test_every_epoch_has_every_sequence_once_and_every_batch_is_full(count, batch_size):
    training = batches(corpus(count), batch_size)
    taken = [training.indices(step) for step in range(3 * count)]
    assert {len(indices) for indices in taken} == {batch_size}
    for epoch in np.concatenate(taken).reshape(-1, count):
        assert sorted(epoch) == list(range(count))


def test_epochs_have_different_orders():
    training = batches(corpus(40), batch_size=40)
    assert training.indices(0).tolist() != training.indices(1).tolist()


def test_the_order_depends_on_the_data_seed_alone():
    training = batches(corpus(40))
    assert training.indices(3).tolist() == batches(corpus(40), masking_seed=9).indices(3).tolist()
    assert training.indices(3).tolist() != batches(corpus(40), data_seed=9).indices(3).tolist()


def test_the_epoch_counts_passes_over_the_corpus():
    assert batches(corpus(10), batch_size=4).epoch(5) == 2.0


# --- a batch


def test_a_generator_that_is_moved_on_draws_what_a_new_one_draws():
    """Also after it was left in the middle of a block of four."""
    places = [(3, 0), (3, 1, 1), (2**40,)]
    moved = [one.random(count) for count, one in zip((5, 2, 3), generators(7, places), strict=True)]
    for place, drawn in zip(places, moved, strict=True):
        assert generator(7, *place).random(len(drawn)).tolist() == drawn.tolist()


def test_a_batch_does_not_depend_on_which_were_asked_for_before():
    walked = batches(corpus(10))
    for step in range(30):
        walked_to = walked.at(step)
    assert same(walked_to, batches(corpus(10)).at(29))


def test_a_batch_holds_the_sequences_of_its_indices():
    sequences = corpus(10)
    training = batches(sequences, rate=0.5)
    batch, original = training.at(7), sequences.input_ids[training.indices(7)]
    predicted = batch.labels != IGNORED
    assert (batch.labels[predicted] == original[predicted]).all()
    assert (batch.input_ids[~predicted] == original[~predicted]).all()


def test_masks_change_with_the_step_the_row_and_the_seed():
    sequences = corpus(1)
    training = batches(sequences)
    first, second = training.at(0).labels, training.at(1).labels
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, batches(sequences, masking_seed=9).at(0).labels)
    assert np.array_equal(first, batches(sequences, data_seed=9).at(0).labels)


def test_no_attention_mask_where_nothing_is_padding():
    batch = batches(corpus(4)).at(0)
    assert batch.attention_mask is None
    assert batch.tokens == 4 * LENGTH


def test_the_attention_mask_is_true_at_real_tokens():
    sequences = corpus(4, last=3)
    training = batches(sequences)
    batch = training.at(0)
    row = training.indices(0).tolist().index(3)
    assert batch.attention_mask[row].tolist() == [True] * 5 + [False] * 7
    assert batch.attention_mask.sum() == batch.tokens == 3 * LENGTH + 5


def test_predictions_are_counted():
    # 0.3 · 10 words = exactly 3 a sequence.
    batch = batches(corpus(8)).at(0)
    assert batch.predictions == 4 * 3 == (batch.labels != IGNORED).sum()


def test_no_sequences_are_refused():
    with pytest.raises(ValueError, match="no sequences"):
        batches(pack_documents([], LENGTH))


# --- the evaluation set


def frozen(sequences, rate=0.15, count=16, batch_size=4, mask_seed=15):
    return frozen_batches(sequences, rate, count, batch_size, mask_seed, VOCAB)


def test_frozen_batches_are_the_same_every_time():
    for one, other in zip(frozen(corpus(50)), frozen(corpus(50)), strict=True):
        assert same(one, other)


def test_frozen_masks_do_not_depend_on_the_size_of_batches():
    small, large = frozen(corpus(50), batch_size=3), frozen(corpus(50), batch_size=16)
    assert [len(batch.labels) for batch in small] == [3, 3, 3, 3, 3, 1]
    assert np.array_equal(np.concatenate([batch.labels for batch in small]), large[0].labels)
    assert np.array_equal(np.concatenate([batch.input_ids for batch in small]), large[0].input_ids)


def test_frozen_masks_change_with_their_own_seed():
    assert not same(frozen(corpus(50))[0], frozen(corpus(50), mask_seed=16)[0])


def test_frozen_masks_of_a_lower_rate_lie_inside_those_of_a_higher_one():
    for low, high in zip(frozen(corpus(50), rate=0.15), frozen(corpus(50), rate=0.6), strict=True):
        assert low.predictions < high.predictions
        assert not ((low.labels != IGNORED) & (high.labels == IGNORED)).any()


def test_frozen_batches_are_corrupted_in_the_shares_of_bert():
    sequences = corpus(400)
    (batch,) = frozen(sequences, rate=0.5, count=400, batch_size=400)
    predicted = batch.labels != IGNORED
    assert predicted.sum() == 2000
    # Deviations over 2000 tokens: √(0.8 · 0.2 / 2000) = 0.0089 and √(0.1 · 0.9 / 2000) = 0.0067.
    assert abs((batch.input_ids[predicted] == MASK).mean() - 0.8) < 5 * 0.0089
    assert abs((batch.input_ids[predicted] == sequences.input_ids[predicted]).mean() - 0.1) < 5 * 0.0067


def test_frozen_sequences_are_spread_evenly_over_the_split():
    # Each sequence is filled with its own number, so that the unmasked tokens tell which it is.
    sequences = pack_documents([np.repeat(np.arange(5, 105), 10).astype(np.int32)], LENGTH)
    (batch,) = frozen(sequences, count=4)
    numbers = [int(np.bincount(row[row >= 5]).argmax()) - 5 for row in batch.input_ids]
    assert numbers == [12, 37, 62, 87]


def test_frozen_batches_take_all_sequences_where_there_are_fewer():
    evaluation = frozen(corpus(6), rate=0.5, count=1000)
    assert sum(len(batch.labels) for batch in evaluation) == 6
