"""Documents cut into sequences: nothing lost, nothing mixed."""

import numpy as np

from minibert.data.packing import pack_documents
from minibert.data.tokenizer import CLS, PAD, SEP


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def test_a_document_becomes_consecutive_chunks_between_cls_and_sep():
    packed = pack_documents([ids(11, 12, 13, 14, 15, 16, 17)], sequence_length=5)
    assert packed.input_ids.tolist() == [
        [CLS, 11, 12, 13, SEP],
        [CLS, 14, 15, 16, SEP],
        [CLS, 17, SEP, PAD, PAD],
    ]
    assert packed.lengths.tolist() == [5, 5, 3]
    assert {array.dtype for array in vars(packed).values()} == {np.dtype(np.int32)}


def test_a_sequence_never_spans_two_documents():
    packed = pack_documents([ids(11, 12), ids(21, 22, 23), ids(31)], sequence_length=4)
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
    packed = pack_documents(documents, sequence_length=64)
    for index, document in enumerate(documents):
        own = packed.documents == index
        rows = [row[1 : length - 1] for row, length in zip(packed.input_ids[own], packed.lengths[own])]
        assert np.concatenate([ids(), *rows]).tolist() == document.tolist()
    assert packed.text_tokens == sum(map(len, documents))


def test_unknown_tokens_count_as_text_but_not_as_ordinary():
    packed = pack_documents([ids(1, 7, 8)], sequence_length=6)
    assert packed.text_tokens == 3
    assert packed.ordinary.tolist() == [[False, False, True, True, False, False]]


def test_the_shortest_sequence_holds_one_token():
    assert pack_documents([ids(7, 8)], sequence_length=3).input_ids.tolist() == [[CLS, 7, SEP], [CLS, 8, SEP]]


def test_no_tokens_give_no_sequences():
    for documents in ([], [ids()]):
        packed = pack_documents(documents, sequence_length=8)
        assert packed.input_ids.shape == (0, 8)
        assert len(packed) == 0
