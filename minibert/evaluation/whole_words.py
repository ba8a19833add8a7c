"""How surprising a word is in its context: all of its pieces are masked, and uncovered one after the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from minibert.data.baselines import log_unigram_frequencies
from minibert.data.batches import masked_batch
from minibert.data.masking import IGNORED, UniformMasking
from minibert.data.packing import Sequences, spread_evenly
from minibert.data.tokenizer import CLS, MASK, PAD, SEP
from minibert.evaluation.pseudo_likelihood import TOKENS_AT_ONCE
from minibert.model.bert import MiniBERT
from minibert.model.ops import prediction_losses
from minibert.randomness import generators
from minibert.training.lanes import Lanes


@dataclass(frozen=True)
class Words:
    """W words in rows of tokens; arrays (W,) of ints."""

    rows: np.ndarray
    starts: np.ndarray
    """Where the first piece stands in its row"""
    stops: np.ndarray
    """The place after the last piece"""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def pieces(self) -> np.ndarray:
        """(W,) Pieces of each word"""
        return self.stops - self.starts

    def chosen(self, which: np.ndarray) -> "Words":
        """Some of them: (W,) bool, or places."""
        return Words(self.rows[which], self.starts[which], self.stops[which])

    @classmethod
    def joined(cls, parts: Sequence["Words"]) -> "Words":
        """All words of the parts, one part after the other."""
        return cls(*(np.concatenate([vars(part)[name] for part in parts]) for name in ("rows", "starts", "stops")))


def words_of(sequences: Sequences, continues: np.ndarray) -> Words:
    """All words that stand whole in a row, in order. ``continues`` (V,) bool: tokens that continue a word.

    Words are those of the tokenizer: punctuation stands alone. [UNK] is no word: what it stands for is not known.
    A word that the end of a row cuts in two is left out.
    """
    ids, (rows, length) = sequences.input_ids, sequences.input_ids.shape
    later = sequences.ordinary & continues[ids]
    begins = np.flatnonzero(sequences.ordinary & ~later)
    ends = np.flatnonzero(~later)
    ends = np.append(ends, rows * length)
    stops = ends[np.searchsorted(ends, begins, side="right")]
    row = begins // max(length, 1)
    words = Words(row, begins - row * length, stops - row * length)
    # The next row of the same document goes on with the rest of the word.
    goes_on = np.zeros(rows, bool)
    goes_on[:-1] = later[1:, 1] & (sequences.documents[1:] == _last_documents(sequences)[:-1])
    return words.chosen(~(goes_on[row] & (words.stops == sequences.lengths[row] - 1)))


def words_begun(sequences: Sequences, continues: np.ndarray) -> int:
    """How many words begin in the rows, those that became [UNK] included."""
    ids = sequences.input_ids
    text = (ids != PAD) & (ids != CLS) & (ids != SEP)
    return int((text & ~continues[ids]).sum())


def words_at_random(words: Words, rows: int, count: int, rate: float, seed: int = 0) -> Words:
    """Of ``count`` rows, spread evenly over all ``rows``, the share ``rate`` of the words, drawn at random.

    Of n words, rate · n are drawn, rounded up or down at random. What is drawn depends on the seed and the row.
    """
    taken = np.zeros(len(words), bool)
    begins = np.searchsorted(words.rows, np.arange(rows + 1))
    spread = spread_evenly(rows, count)
    for row, random in zip(spread, generators(seed, ((int(row),) for row in spread)), strict=True):
        number = begins[row + 1] - begins[row]
        drawn = int(rate * number + random.random())
        taken[begins[row] + random.permutation(number)[:drawn]] = True
    return words.chosen(taken)


def unigram_surprisals(sequences: Sequences, words: Words, counts: np.ndarray) -> np.ndarray:
    """−Σᵢ log p(wᵢ) of each word by the frequencies of its pieces alone, (W,), in nats.    counts (V,)"""
    losses = -log_unigram_frequencies(counts)[sequences.input_ids]
    sums = np.cumsum(np.pad(losses, ((0, 0), (1, 0))), axis=1)
    return sums[words.rows, words.stops] - sums[words.rows, words.starts]


def padded(encoded: Sequence[np.ndarray]) -> Sequences:
    """Each of the sentences, (n,) ids with [CLS] and [SEP], as a row of its own."""
    lengths = np.array([len(ids) for ids in encoded], np.int32)
    input_ids = np.full((len(encoded), lengths.max(initial=0)), PAD, np.int32)
    for row, ids in zip(input_ids, encoded, strict=True):
        row[: len(ids)] = ids
    return Sequences(input_ids, lengths, np.arange(len(encoded), dtype=np.int32))


def word_surprisals(
    model: MiniBERT,
    sequences: Sequences,
    words: Words,
    groups: np.ndarray | None = None,
    lanes: int = 2,
    mask: int = MASK,
) -> np.ndarray:
    """s(w) = −Σᵢ log p(wᵢ | w₁ … wᵢ₋₁, context) of each word, over its pieces: (W,) float64, in nats.

    Words of one row and one group, ``groups`` (W,) ints, are masked at the same time: the context is the row
    without them. By default each word is masked alone. While piece i is predicted, the pieces after it are masked,
    and all pieces of the other words of the group. So nothing gives a piece away but the pieces before it, and
    the surprisals of two vocabularies can be compared. ``mask``: the id of [MASK] in the tokenizer.

    Kauf and Ivanova, "A Better Way to Do Masked Language Model Scoring", ACL 2023.
    """
    if not len(words):
        return np.zeros(0)
    numbers = np.arange(len(words))
    group = numbers if groups is None else groups
    span = int(group.max()) + 1
    keys, copies = np.unique(words.rows * np.int64(span) + group, return_inverse=True)
    length = sequences.input_ids.shape[1]
    owners = np.repeat(numbers, words.pieces)
    places = words.starts[owners] + np.arange(len(owners)) - (np.cumsum(words.pieces) - words.pieces)[owners]

    masked = np.zeros((len(keys), length), bool)
    masked[copies[owners], places] = True
    asked = np.full((len(keys), length), -1)
    asked[copies, words.starts] = numbers

    is_later = places > words.starts[owners]
    owners, places = owners[is_later], places[is_later]
    column = np.arange(length)
    uncovered = (column >= words.starts[owners, None]) & (column < places[:, None])
    asked_later = np.full((len(owners), length), -1)
    asked_later[np.arange(len(owners)), places] = owners

    rows = np.concatenate([keys // span, words.rows[owners]])
    masked = np.concatenate([masked, masked[copies[owners]] & ~uncovered])
    asked = np.concatenate([asked, asked_later])
    losses, order = masked_losses(model, sequences, rows, masked, asked >= 0, lanes, mask)
    return np.bincount(asked[order][asked[order] >= 0], losses, minlength=len(words))


def masked_losses(
    model: MiniBERT,
    sequences: Sequences,
    rows: np.ndarray,
    masked: np.ndarray,
    asked: np.ndarray,
    lanes: int = 2,
    mask: int = MASK,
) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each token asked for, in nats, in copies of ``rows`` (C,) with tokens ``masked`` (C, T) bool.

    Copies of like length are computed together. Returns the losses (A,), copy by copy in their new order, and this
    order (C,). ``asked`` is (C, T) bool.
    """
    order = np.argsort(sequences.lengths[rows], kind="stable")
    size = max(TOKENS_AT_ONCE // sequences.input_ids.shape[1], 1)
    batches = []
    for part in (order[start : start + size] for start in range(0, len(order), size)):
        lengths = sequences.lengths[rows[part]]
        longest = int(lengths.max())
        masking = Prescribed(
            model.config.vocab_size,
            1.0,
            1.0,
            masked=masked[part, :longest],
            asked=asked[part, :longest],
            mask=mask,
        )
        batches.append(masked_batch(sequences.input_ids[rows[part], :longest], lengths, masking, ()))
    with Lanes(model, lanes) as spread:
        return np.concatenate(spread.evaluate(batches, prediction_losses)), order


@dataclass(frozen=True)
class Prescribed(UniformMasking):
    """The tokens given are masked, and those given are predicted; nothing is drawn."""

    masked: np.ndarray = field(kw_only=True, compare=False, repr=False)
    """(B, T) bool"""
    asked: np.ndarray = field(kw_only=True, compare=False, repr=False)
    """(B, T) bool"""
    mask: int = field(default=MASK, kw_only=True)
    """The id of [MASK]"""

    def apply(
        self, input_ids: np.ndarray, generators: Iterable[np.random.Generator]
    ) -> tuple[np.ndarray, np.ndarray]:
        """As in :meth:`UniformMasking.apply`."""
        seen = np.where(self.masked, self.mask, input_ids).astype(np.int32)
        return seen, np.where(self.asked, input_ids, IGNORED).astype(np.int32)


def _last_documents(sequences: Sequences) -> np.ndarray:
    """(S,) The document that each row ends with."""
    return sequences.documents + np.maximum((sequences.input_ids == CLS).sum(axis=1) - 1, 0)
