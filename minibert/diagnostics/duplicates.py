"""How much of a training text is in it more than once."""

from typing import NamedTuple

import numpy as np

from minibert.errors import MinibertError

MULTIPLIER = 6364136223846793005
"""Odd, with bits all over: Knuth's, for congruential generators modulo 2⁶⁴."""


class DuplicateShares(NamedTuple):
    sequences: float
    """Share of the sequences that occur more than once, token for token"""
    text: float
    """Share of the tokens of text that lie in a window which stands elsewhere too"""


def compute_duplicate_shares(input_ids: np.ndarray, text: np.ndarray, window: int = 32) -> DuplicateShares:
    """How many sequences, and how much of the text, occur more than once.

    Sequences are compared whole. Copies that begin at another place of a row are found in the text as one stream:
    all runs of ``window`` tokens are compared, and those tokens counted that lie in a run which occurs twice or
    more. Lee et al., "Deduplicating Training Data Makes Language Models Better", ACL 2022, do so with runs of 50.

    What is compared is a polynomial hash modulo 2⁶⁴, hₙ(i) = Σⱼ (wᵢ₊ⱼ + 1) mⁿ⁻¹⁻ʲ over j < n; that of runs is
    computed by doubling, h₂ₙ(i) = hₙ(i) mⁿ + hₙ(i + n).

    Parameters
    ----------
    input_ids : (S, T) ints, sequences in the order of the text
    text : (S, T) bool, True at tokens of text, False at special tokens and padding
    window : tokens of a run, a power of two

    Raises :class:`MinibertError` for other shapes or no sequence, and for a window that is not a power of two.
    """
    if np.ndim(input_ids) != 2 or np.shape(text) != np.shape(input_ids) or not len(input_ids):
        raise MinibertError(
            f"input_ids and text: shapes {np.shape(input_ids)} and {np.shape(text)} were given. "
            "Allowed: both (sequences, tokens), with one sequence at least."
        )
    if window < 1 or window & (window - 1):
        raise MinibertError(f"window: {window} was given. Allowed: a power of two, such as 16, 32 or 64.")
    sequences = _repeated(_hash_rows(np.asarray(input_ids)))
    stream = np.asarray(input_ids)[text]
    if len(stream) < window:
        return DuplicateShares(float(sequences.mean()), 0.0)
    starts = np.flatnonzero(_repeated(_hash_runs(stream, window)))
    # A run covers the tokens from its start on: one more where it begins, one less behind its end.
    change = np.zeros(len(stream) + 1, np.int64)
    change[starts] += 1
    change[starts + window] -= 1
    covered = np.cumsum(change[:-1]) > 0
    return DuplicateShares(float(sequences.mean()), float(covered.mean()))


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(MULTIPLIER, exponent, 2**64))


def _hash_rows(ids: np.ndarray) -> np.ndarray:
    """(S, T) -> (S,) uint64"""
    powers = np.array([_power(exponent) for exponent in reversed(range(ids.shape[1]))])
    return (ids.astype(np.uint64) + np.uint64(1)) @ powers


def _hash_runs(ids: np.ndarray, window: int) -> np.ndarray:
    """(n,) -> (n - window + 1,) uint64"""
    hashes, length = ids.astype(np.uint64) + np.uint64(1), 1
    while length < window:
        hashes = hashes[:-length] * _power(length) + hashes[length:]
        length *= 2
    return hashes


def _repeated(hashes: np.ndarray) -> np.ndarray:
    """(n,) bool: which values occur more than once."""
    order = np.argsort(hashes)
    same = hashes[order[1:]] == hashes[order[:-1]]
    repeated = np.zeros(len(hashes), bool)
    repeated[order[1:]] = same
    repeated[order[:-1]] |= same
    return repeated
