"""Repeated text, found by hashes of runs of tokens or words.

Lee et al., "Deduplicating Training Data Makes Language Models Better", ACL 2022, compare runs of 50 tokens.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import count

import numpy as np

from minibert.data.corpora import Document

MULTIPLIER = 6364136223846793005
"""Odd, with bits all over: Knuth's, for congruential generators modulo 2⁶⁴."""
RUN = 50
"""Words of a run"""


def hash_rows(ids: np.ndarray) -> np.ndarray:
    """(S, T) ints -> (S,) uint64: Σⱼ (wⱼ + 1) mᵀ⁻¹⁻ʲ modulo 2⁶⁴"""
    powers = np.array([_power(exponent) for exponent in reversed(range(ids.shape[1]))])
    return (ids.astype(np.uint64) + np.uint64(1)) @ powers


def hash_runs(ids: np.ndarray, window: int) -> np.ndarray:
    """hₙ(i) = Σⱼ (wᵢ₊ⱼ + 1) mⁿ⁻¹⁻ʲ over j < n, modulo 2⁶⁴, of every run of n = ``window``.

    (S,) ints -> (S − n + 1,) uint64; empty where S < n. Computed by doubling, h₂ₖ(i) = hₖ(i) mᵏ + hₖ(i + k), up to
    the largest power of two k ≤ n; two runs of k that overlap then make one of n.
    """
    if len(ids) < window:
        return np.empty(0, np.uint64)
    hashes, length = ids.astype(np.uint64) + np.uint64(1), 1
    while 2 * length <= window:
        doubled = hashes[:-length] * _power(length)
        doubled += hashes[length:]
        hashes, length = doubled, 2 * length
    rest = window - length
    return hashes[: len(hashes) - rest] * _power(length) + hashes[rest:] if rest else hashes


def covered_by_runs(starts: np.ndarray, window: int, size: int) -> np.ndarray:
    """(size,) bool: which of ``size`` positions are in a run of ``window`` that begins at one of ``starts``."""
    # The number of runs rises by one where a run begins, and falls by one after its end.
    change = np.zeros(size + 1, np.int64)
    change[starts] += 1
    change[starts + window] -= 1
    return np.cumsum(change[:-1]) > 0


def shares_in_training(
    training: Sequence[Document], held_out: Sequence[Document], run: int = RUN
) -> tuple[np.ndarray, float]:
    """How much of the held-out documents also occurs, word for word, in training documents.

    White space separates words, and case is ignored. A word is counted if it is in a run of ``run`` words that
    also occurs in a training document.

    Returns the share of each held-out document's words, and the share of all their words.
    """
    return _shares(training, held_out, HashedWords(run))


class HashedWords:
    """The runs of words of documents (:func:`hash_runs`), computed once for each document."""

    def __init__(self, run: int):
        self.run = run
        self._numbers: defaultdict[str, int] = defaultdict(count().__next__)
        self._found: dict[Document, tuple[np.ndarray, int]] = {}

    def of(self, document: Document) -> tuple[np.ndarray, int]:
        """(W − run + 1,) uint64 of a document of W words, and W."""
        if document not in self._found:
            words = document.text.lower().split()
            numbers = np.fromiter(map(self._numbers.__getitem__, words), np.int64, len(words))
            self._found[document] = hash_runs(numbers, self.run), len(words)
        return self._found[document]


def _shares(
    training: Sequence[Document], held_out: Sequence[Document], hashed: HashedWords
) -> tuple[np.ndarray, float]:
    # Not np.unique, which takes many times as long and is not needed to look up what was seen.
    seen = np.sort(np.concatenate([np.empty(0, np.uint64), *(hashed.of(each)[0] for each in training)]))
    counts, sizes = [], []
    for document in held_out:
        hashes, size = hashed.of(document)
        places = np.searchsorted(seen, hashes).clip(max=max(len(seen) - 1, 0))
        starts = np.flatnonzero(seen[places] == hashes) if len(seen) else np.empty(0, np.int64)
        counts.append(int(covered_by_runs(starts, hashed.run, size).sum()))
        sizes.append(size)
    shares = np.array(counts) / np.maximum(sizes, 1)
    return shares, sum(counts) / max(sum(sizes), 1)


def separate(
    training: Sequence[Document], held_out: Sequence[Document], largest: float
) -> tuple[list[Document], list[Document], float, tuple[str, ...]]:
    """Move held-out documents to training if more than the share ``largest`` of their words occurs in training.

    The shares of the other documents are then measured again, until no document has to move. The document with the
    smallest share always stays.

    Returns training and held-out documents, the share of the held-out words that still occur in training, and the
    names of the moved documents.
    """
    training, held_out, moved, hashed = list(training), list(held_out), [], HashedWords(RUN)
    while True:
        shares, total = _shares(training, held_out, hashed)
        repeated = np.flatnonzero(shares > largest)
        if len(repeated) == len(held_out):
            repeated = np.sort(np.argsort(shares, kind="stable")[1:])
        if not len(repeated):
            return training, held_out, total, tuple(moved)
        leaving = [held_out[index] for index in repeated]
        moved += [document.name for document in leaving]
        training += leaving
        held_out = [document for index, document in enumerate(held_out) if index not in set(repeated)]


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(MULTIPLIER, exponent, 2**64))
