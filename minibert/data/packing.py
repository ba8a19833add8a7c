"""Documents cut into rows of one fixed length."""

from dataclasses import dataclass

import numpy as np

from minibert.data.tokenizer import CLS, FIRST_ORDINARY, PAD, SEP


@dataclass(frozen=True)
class Sequences:
    """Rows of T tokens: one or more pieces [CLS] text [SEP], each from one document, and then [PAD].

    The pieces of a row are independent: no piece attends to another, and the positions of each start at 0
    (:func:`pieces`).
    """

    input_ids: np.ndarray
    """(S, T) int32"""
    lengths: np.ndarray
    """(S,) int32: tokens that are not padding, [CLS] and [SEP] included."""
    documents: np.ndarray
    """(S,) int32: index of the document that the row begins with."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def ordinary(self) -> np.ndarray:
        """(S, T) bool: True at tokens that are not special, the only ones ever predicted."""
        return self.input_ids >= FIRST_ORDINARY

    @property
    def text_tokens(self) -> int:
        """Tokens of text in all rows, [UNK] included, [CLS] and [SEP] and [PAD] not."""
        return int(self.lengths.sum()) - 2 * int((self.input_ids == CLS).sum())


def spread_evenly(total: int, count: int) -> np.ndarray:
    """At most ``count`` of the places 0 to ``total`` − 1, as ints: the middles of parts of equal size.

    >>> spread_evenly(10, 2).tolist(), spread_evenly(3, 5).tolist()
    ([2, 7], [0, 1, 2])
    """
    count = min(count, total)
    return (2 * np.arange(count) + 1) * total // (2 * max(count, 1))


def documents_part(sequences: Sequences, part: str) -> Sequences:
    """The rows of every second document: of the first, third, … for ``development``, of the others for ``test``.

    Rows that hold text of both kinds are in neither. ``all`` gives everything.
    """
    if part == "all":
        return sequences
    last = sequences.documents + np.maximum((sequences.input_ids == CLS).sum(axis=1) - 1, 0)
    wanted = {"development": 0, "test": 1}[part]
    kept = (sequences.documents % 2 == wanted) & (last == sequences.documents)
    return Sequences(sequences.input_ids[kept], sequences.lengths[kept], sequences.documents[kept])


def pieces(input_ids: np.ndarray) -> np.ndarray:
    """Which piece of its row each token is in: 1, 2, ...    (B, T) original ids -> (B, T)"""
    return np.cumsum(input_ids == CLS, axis=1)


def positions_within(pieces: np.ndarray) -> np.ndarray:
    """Position of each token in its piece, from 0.    (B, T) -> (B, T)"""
    place = np.arange(pieces.shape[1])
    begins = np.diff(pieces, axis=1, prepend=0) > 0
    return place - np.maximum.accumulate(np.where(begins, place, 0), axis=1)


def pack_documents(encoded_documents: list[np.ndarray], sequence_length: int) -> Sequences:
    """Fill one row after the other with pieces of the documents, in order, so that there is little padding.

    A document that reaches the end of a row continues in the next row. The next document begins after it in the
    same row, if there is room for [CLS], one token and [SEP]. No token is lost and none occurs twice.
    """
    least = 3
    rows, lengths, documents = [], [], []
    row: list[np.ndarray] = []
    used = sequence_length
    for index, ids in enumerate(encoded_documents):
        start = 0
        while start < len(ids):
            if sequence_length - used < least:
                row, used = [], 0
                rows.append(row)
                lengths.append(0)
                documents.append(index)
            piece = ids[start : start + sequence_length - used - 2]
            row += [[CLS], piece, [SEP]]
            start += len(piece)
            used += len(piece) + 2
            lengths[-1] = used
    input_ids = np.full((len(rows), sequence_length), PAD, np.int32)
    for number, row in enumerate(rows):
        input_ids[number, : lengths[number]] = np.concatenate(row)
    return Sequences(input_ids, np.array(lengths, np.int32), np.array(documents, np.int32))


def cut_documents(encoded_documents: list[np.ndarray], sequence_length: int) -> Sequences:
    """Cut every document into consecutive chunks of ``sequence_length`` − 2 ids, each a row [CLS] chunk [SEP].

    No token is lost and none occurs twice: the rest at the end of a document is a row of its own, padded. A
    document without tokens gives no row.
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
    # In row order, the positions between [CLS] and [SEP] take the tokens of the documents one after the other.
    position = np.arange(sequence_length)
    text = (position >= 1) & (position < lengths[:, None] - 1)
    if count:
        input_ids[text] = np.concatenate(encoded_documents)
        input_ids[np.arange(count), lengths - 1] = SEP
    return Sequences(input_ids, lengths, documents)
