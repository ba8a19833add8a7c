"""How much of a training text is in it more than once."""

from typing import NamedTuple

import numpy as np

from minibert.data.overlap import covered_by_runs, hash_rows, hash_runs
from minibert.errors import MinibertError

FIRST_BITS = 20
REST = np.uint64(64 - FIRST_BITS)


class DuplicateShares(NamedTuple):
    sequences: float
    """Share of the sequences that occur more than once, token for token"""
    text: float
    """Share of the tokens of text in a window that occurs elsewhere too"""


def compute_duplicate_shares(input_ids: np.ndarray, text: np.ndarray, window: int = 32) -> DuplicateShares:
    """How many sequences, and how much of the text, occur more than once.

    Sequences are compared whole. Copies that begin at another place of a row are found in the text as one stream:
    all runs of ``window`` tokens are compared, and those tokens counted that lie in a run which occurs twice or
    more. Lee et al., "Deduplicating Training Data Makes Language Models Better", ACL 2022, do so with runs of 50.

    What is compared are hashes (:mod:`minibert.data.overlap`).

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
    sequences = _repeated(hash_rows(np.asarray(input_ids)))
    stream = np.asarray(input_ids)[text]
    if len(stream) < window:
        return DuplicateShares(float(sequences.mean()), 0.0)
    starts = np.flatnonzero(_repeated(hash_runs(stream, window)))
    covered = covered_by_runs(starts, window, len(stream))
    return DuplicateShares(float(sequences.mean()), float(covered.mean()))


def _repeated(hashes: np.ndarray) -> np.ndarray:
    """(n,) bool: which values occur more than once."""
    ordered = np.sort(hashes)
    several = ordered[1:][ordered[1:] == ordered[:-1]]
    # By their first bits most values are passed over before they are looked up, which takes much longer.
    begins = np.zeros(2**FIRST_BITS, bool)
    begins[several >> REST] = True
    places = np.flatnonzero(begins[hashes >> REST])
    repeated = np.zeros(len(hashes), bool)
    repeated[places] = np.isin(hashes[places], several)
    return repeated
