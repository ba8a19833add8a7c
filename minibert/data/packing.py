"""Documents cut into sequences of one fixed length."""

from dataclasses import dataclass

import numpy as np

from minibert.data.tokenizer import CLS, FIRST_ORDINARY, PAD, SEP


@dataclass(frozen=True)
class Sequences:
    """Sequences of T tokens, each from one document: [CLS] text [SEP] and, after the end of a document, [PAD]."""

    input_ids: np.ndarray
    """(S, T) int32"""
    lengths: np.ndarray
    """(S,) int32: tokens that are not padding, [CLS] and [SEP] included."""
    documents: np.ndarray
    """(S,) int32: index of the document that the sequence is from."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def ordinary(self) -> np.ndarray:
        """(S, T) bool: True at tokens that are not special, the only ones ever predicted."""
        return self.input_ids >= FIRST_ORDINARY

    @property
    def text_tokens(self) -> int:
        """Tokens of text in all sequences, [UNK] included, [CLS] and [SEP] and [PAD] not."""
        return int(self.lengths.sum()) - 2 * len(self)


def pack_documents(encoded_documents: list[np.ndarray], sequence_length: int) -> Sequences:
    """Cut every document into consecutive chunks of ``sequence_length`` − 2 ids, between [CLS] and [SEP].

    No token is lost and none occurs twice: the rest at the end of a document is a shorter sequence, padded. A
    document without tokens gives no sequence.
    """
    room = sequence_length - 2
    sizes = np.array([len(ids) for ids in encoded_documents], dtype=np.int64)
    chunks = -(-sizes // room)
    count = int(chunks.sum())
    documents = np.repeat(np.arange(len(sizes), dtype=np.int32), chunks)
    starts = np.cumsum(chunks) - chunks
    within = np.arange(count) - np.repeat(starts, chunks)
    lengths = (np.minimum(room, sizes[documents] - within * room) + 2).astype(np.int32)

    input_ids = np.full((count, sequence_length), PAD, dtype=np.int32)
    input_ids[:, 0] = CLS
    # In row order, the places between [CLS] and [SEP] take the tokens of the documents one after the other.
    position = np.arange(sequence_length)
    text = (position >= 1) & (position < lengths[:, None] - 1)
    if count:
        input_ids[text] = np.concatenate(encoded_documents)
        input_ids[np.arange(count), lengths - 1] = SEP
    return Sequences(input_ids, lengths, documents)
