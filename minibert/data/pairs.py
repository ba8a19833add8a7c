"""Rows of two segments: consecutive chunks of one document, [CLS] a [SEP] b [SEP]."""

from dataclasses import dataclass

import numpy as np

from minibert.data.packing import Sequences, pieces
from minibert.data.tokenizer import CLS, PAD, SEP


@dataclass(frozen=True)
class Pairs:
    """Every two consecutive chunks of a document, as a row each. No chunk is in two rows."""

    first: np.ndarray
    """(S, C) int32: the first chunk, then [PAD]"""
    second: np.ndarray
    """(S, C) int32: the chunk that follows it"""
    first_lengths: np.ndarray
    second_lengths: np.ndarray
    documents: np.ndarray
    """(S,) int32, ascending"""
    sequence_length: int

    def __len__(self) -> int:
        return len(self.first)

    def in_order(self) -> Sequences:
        """All rows, none swapped or replaced."""
        everything = np.arange(len(self))
        input_ids, _ = self.rows(everything, everything, np.zeros(len(self), bool))
        lengths = (self.first_lengths + self.second_lengths + 3).astype(np.int32)
        return Sequences(input_ids, lengths, self.documents)

    def rows(self, firsts: np.ndarray, seconds: np.ndarray, swapped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[CLS] a [SEP] b [SEP] [PAD] … with a of pair ``firsts`` and b of pair ``seconds``, (B,) ints each.

        Where ``swapped`` (B,) bool, b comes first. Returns ids and segment ids, (B, T) int32 each: segment 0 is
        up to the first [SEP], segment 1 up to the second.
        """
        chunks = np.stack([self.first[firsts], self.second[seconds]], axis=1)
        lengths = np.stack([self.first_lengths[firsts], self.second_lengths[seconds]], axis=1)
        chunks[swapped], lengths[swapped] = chunks[swapped, ::-1], lengths[swapped, ::-1]
        place = np.arange(self.sequence_length)
        one, two = lengths[:, :1], lengths.sum(axis=1, keepdims=True) + 1

        input_ids = np.full((len(firsts), self.sequence_length), PAD, np.int32)
        input_ids[:, 0] = CLS
        for chunk, start, stop in ((chunks[:, 0], np.ones_like(one), one), (chunks[:, 1], one + 2, two)):
            source = np.clip(place - start, 0, chunk.shape[1] - 1)
            np.copyto(input_ids, np.take_along_axis(chunk, source, 1), where=(place >= start) & (place <= stop))
        np.put_along_axis(input_ids, one + 1, SEP, axis=1)
        np.put_along_axis(input_ids, two + 1, SEP, axis=1)
        return input_ids, ((place > one + 1) & (place <= two + 1)).astype(np.int32)

    def from_another_document(self, indices: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """(B,) ints: for each pair a random pair of another document; any pair if there is only one document."""
        start = np.searchsorted(self.documents, self.documents[indices], side="left")
        size = np.searchsorted(self.documents, self.documents[indices], side="right") - start
        others = len(self) - size
        drawn = (uniforms * np.where(others > 0, others, len(self))).astype(np.int64)
        return drawn + np.where((others > 0) & (drawn >= start), size, 0)


def pair_documents(sequences: Sequences) -> Pairs:
    """Cut the documents of these rows again, into stretches that fill a row with two equal halves.

    The stretches of a document are as equal in length as possible. A stretch of one token cannot be halved and is
    left out. It occurs only in a document of one token, or if a row holds at most two.
    """
    length = sequences.input_ids.shape[1]
    half, documents, texts = (length - 3) // 2, [], []
    for number, text in enumerate(join_documents(sequences)):
        for stretch in np.array_split(text, -(-len(text) // (2 * half))):
            if len(stretch) > 1:
                texts += np.array_split(stretch, 2)
                documents.append(number)
    lengths = np.array([len(text) for text in texts], np.int32).reshape(-1, 2)
    chunks = np.full((len(texts), half), PAD, np.int32)
    for row, text in zip(chunks, texts, strict=True):
        row[: len(text)] = text
    chunks = chunks.reshape(-1, 2, half)
    return Pairs(chunks[:, 0], chunks[:, 1], lengths[:, 0], lengths[:, 1], np.array(documents, np.int32), length)


def join_documents(sequences: Sequences) -> list[np.ndarray]:
    """The token ids of every document that has any, in order. This reverses packing and cutting.

    A row begins with a new document, or continues the last document of the row before. Each further piece of a row
    is a new document.
    """
    ids = sequences.input_ids
    piece = pieces(ids)
    last = sequences.documents + piece[:, -1] - 1
    goes_on = np.r_[False, sequences.documents[1:] == last[:-1]]
    begins = ids == CLS
    begins[:, 0] &= ~goes_on
    document = np.cumsum(begins.ravel()) - 1
    text = ((ids != CLS) & (ids != SEP) & (ids != PAD)).ravel()
    ends = np.flatnonzero(np.diff(document[text])) + 1
    return np.split(ids.ravel()[text], ends) if text.any() else []
