"""Documents cut into sequences: nothing lost, nothing mixed."""

import numpy as np

from minibert.data.batches import frozen_batches
from minibert.data.packing import (
    cut_documents,
    documents_part,
    pack_documents,
    pieces,
    positions_within,
    spread_evenly,
)
from minibert.data.tokenizer import CLS, PAD, SEP


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def test_a_document_becomes_consecutive_chunks_between_cls_and_sep():
    packed = cut_documents([ids(11, 12, 13, 14, 15, 16, 17)], sequence_length=5)
    assert packed.input_ids.tolist() == [
        [CLS, 11, 12, 13, SEP],
        [CLS, 14, 15, 16, SEP],
        [CLS, 17, SEP, PAD, PAD],
    ]
    assert packed.lengths.tolist() == [5, 5, 3]
    assert {array.dtype for array in vars(packed).values()} == {np.dtype(np.int32)}


def test_a_sequence_never_spans_two_documents():
    packed = cut_documents([ids(11, 12), ids(21, 22, 23), ids(31)], sequence_length=4)
    assert packed.input_ids.tolist() == [
        [CLS, 11, 12, SEP],
        [CLS, 21, 22, SEP],
        [CLS, 23, SEP, PAD],
        [CLS, 31, SEP, PAD],
    ]
    assert packed.documents.tolist() == [0, 1, 1, 2]


def test_every_token_is_kept_once_and_in_order():
    random = np.random.default_rng(0)
    documents = [random.integers(5, 999, size=size).astype(np.int32) for size in (0, 1, 61, 62, 63, 500, 0, 124)]
    packed = cut_documents(documents, sequence_length=64)
    for index, document in enumerate(documents):
        own = packed.documents == index
        rows = [
            row[1 : length - 1] for row, length in zip(packed.input_ids[own], packed.lengths[own], strict=True)
        ]
        assert np.concatenate([ids(), *rows]).tolist() == document.tolist()
    assert packed.text_tokens == sum(map(len, documents))


def test_unknown_tokens_count_as_text_but_not_as_ordinary():
    packed = cut_documents([ids(1, 7, 8)], sequence_length=6)
    assert packed.text_tokens == 3
    assert packed.ordinary.tolist() == [[False, False, True, True, False, False]]


def test_the_shortest_sequence_holds_one_token():
    assert cut_documents([ids(7, 8)], sequence_length=3).input_ids.tolist() == [[CLS, 7, SEP], [CLS, 8, SEP]]


def test_no_tokens_give_no_sequences():
    for documents in ([], [ids()]):
        packed = cut_documents(documents, sequence_length=8)
        assert packed.input_ids.shape == (0, 8)
        assert len(packed) == 0


def test_packed_rows_are_full_but_for_room_too_small_for_a_piece():
    """Rows of 8: 9 tokens fill [CLS] 6 [SEP] and begin a row with 3; 1 token more fits there."""
    packed = pack_documents([ids(*range(11, 20)), ids(31), ids(41, 42)], sequence_length=8)
    assert packed.input_ids.tolist() == [
        [CLS, 11, 12, 13, 14, 15, 16, SEP],
        [CLS, 17, 18, 19, SEP, CLS, 31, SEP],
        [CLS, 41, 42, SEP, PAD, PAD, PAD, PAD],
    ]
    assert packed.lengths.tolist() == [8, 8, 4]
    assert packed.documents.tolist() == [0, 0, 2]
    assert packed.text_tokens == 12


def test_pieces_count_their_positions_from_zero():
    row = np.array([[CLS, 17, 18, 19, SEP, CLS, 31, SEP], [CLS, 41, 42, SEP, PAD, PAD, PAD, PAD]])
    assert pieces(row).tolist() == [[1, 1, 1, 1, 1, 2, 2, 2], [1] * 8]
    assert positions_within(pieces(row)).tolist() == [[0, 1, 2, 3, 4, 0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 7]]


def test_packing_keeps_every_token_once_and_in_order():
    random = np.random.default_rng(0)
    documents = [random.integers(5, 999, size=size).astype(np.int32) for size in (0, 1, 61, 62, 63, 500, 0, 124)]
    packed = pack_documents(documents, sequence_length=64)
    text = packed.input_ids[packed.input_ids >= 5]
    assert text.tolist() == np.concatenate(documents).tolist()
    assert (packed.input_ids[:-1] == PAD).sum() <= 2 * len(packed)
    assert len(packed) < len(cut_documents(documents, 64))


def test_a_packed_batch_has_attention_within_pieces_only():
    packed = pack_documents([ids(11, 12, 13), ids(31)], sequence_length=8)
    (batch,) = frozen_batches(packed, rate=0.5, count=1, batch_size=1, mask_seed=0, vocab_size=50)
    look = batch.attention_mask[0]
    assert look[:5, :5].all() and look[5:, 5:].all()
    assert not look[:5, 5:].any() and not look[5:, :5].any()
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2]]


def test_the_halves_of_the_held_out_documents_share_none_and_leave_out_only_rows_of_both():
    documents = [np.arange(5, 5 + length) for length in (20, 7, 9, 30, 3)]
    packed = pack_documents(documents, 12)
    halves = {part: documents_part(packed, part) for part in ("development", "test")}
    for part, parity in (("development", 0), ("test", 1)):
        assert len(halves[part]) and set(halves[part].documents % 2) == {parity}
        for row, document in zip(halves[part].input_ids, halves[part].documents, strict=True):
            assert set(row[row >= 5]) <= set(documents[document])
    mixed = [row for row, ids in enumerate(packed.input_ids) if (ids == CLS).sum() > 1]
    assert len(halves["development"]) + len(halves["test"]) == len(packed) - len(mixed)
    assert documents_part(packed, "all") is packed


def test_places_are_spread_evenly_each_once_and_never_more_than_there_are():
    assert spread_evenly(10, 2).tolist() == [2, 7]
    for count in (3, 5):
        assert spread_evenly(3, count).tolist() == [0, 1, 2]
    assert spread_evenly(3, 0).tolist() == spread_evenly(0, 3).tolist() == []
