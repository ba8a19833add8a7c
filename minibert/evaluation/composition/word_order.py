"""What the order of words is worth: the masked loss on intact text and on the same text in pieces."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from minibert.data.baselines import log_unigram_frequencies
from minibert.data.batches import Batch
from minibert.data.packing import Sequences, spread_evenly
from minibert.data.tokenizer import CLS, FIRST_ORDINARY, MASK, SEP
from minibert.evaluation.intervals import Interval, ratio
from minibert.evaluation.word_vectors import continuing, text_inputs
from minibert.model.bert import MiniBERT
from minibert.model.ops import prediction_losses
from minibert.model.passes import IGNORED
from minibert.randomness import generator
from minibert.training.lanes import Lanes

LEVELS = (1, 2, 3, 4, 8)
"""Words in a unit that is moved as a whole"""
WORDS_PER_MASK = 32
"""One word of so many is masked: enough words between two masks to be moved"""
FEWEST_WORDS = 8
"""A shorter piece of a row is passed over"""
ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class ShuffledLoss:
    """The loss with units of ``level`` words in random order."""

    level: int
    loss: float
    """Mean over predicted tokens, in nats"""
    increase: Interval
    """Over intact text, in nats a token; the interval is over sequences"""
    moved: float
    """Share of the words that are not masked and do not keep their place"""


@dataclass(frozen=True)
class WordOrder:
    """What :func:`measure_word_order` returns."""

    intact: Interval
    """Mean loss in nats a predicted token"""
    shuffled: list[ShuffledLoss]
    unigram: float | None
    """The loss of word frequencies alone, on the same predictions; None without counts"""
    sequences: int
    predictions: int
    """Tokens; the pieces of one word in 32"""


@dataclass(frozen=True)
class _Row:
    """A row of text with masked words."""

    ids: np.ndarray
    """(T,) with [MASK] at all pieces of the masked words"""
    labels: np.ndarray
    """(T,)"""
    words: list[list[np.ndarray]]
    """Of each [CLS] … [SEP] in it, the places of each word's tokens"""
    fixed: list[np.ndarray]
    """Of each [CLS] … [SEP], which words stay: bool. Those that are masked, and the rest of a word that a row
    begins with, which would continue another one"""


def measure_word_order(
    model: MiniBERT,
    tokenizer: Tokenizer,
    sequences: Sequences,
    count: int = 256,
    levels: Sequence[int] = LEVELS,
    unigram_counts: np.ndarray | None = None,
    seed: int = 0,
    lanes: int = 2,
) -> WordOrder | None:
    """The masked loss with the text in units of 1, 2, 3, … words, whose order is random.

    One word of 32 is masked, all its pieces. The text is cut into units of n words. A unit with a masked word
    stays; the others between two of these change places. So at every level the same words are predicted at the
    same positions from the same other words; of the word's neighbours, those in its own unit stay beside it.
    ``count`` rows are taken, spread evenly over the text; ``levels`` are the n.

    None if no row has eight words in a row.

    Units of n words: Sinha et al., "Masked Language Modeling and the Distributional Hypothesis: Order Word Matters
    Pre-training for Little", EMNLP 2021.
    """
    chosen = spread_evenly(len(sequences), count)
    continues = continuing(tokenizer, model.config.vocab_size)
    rows = [_masked_row(sequences.input_ids[row], continues, generator(seed, int(row))) for row in chosen]
    kept = [number for number, row in enumerate(rows) if (row.labels != IGNORED).any()]
    if not kept:
        return None
    chosen, rows = chosen[kept], [rows[number] for number in kept]
    texts, moved = [np.stack([row.ids for row in rows])], []
    for level in levels:
        shuffled = [
            shuffle_row(row, level, generator(seed, int(number), level))
            for number, row in zip(chosen, rows, strict=True)
        ]
        texts.append(np.stack([ids for ids, _, _ in shuffled]))
        moved.append(sum(places for _, places, _ in shuffled) / max(sum(words for _, _, words in shuffled), 1))
    labels = np.stack([row.labels for row in rows])
    sums = _losses(model, sequences, chosen, texts, labels, lanes)
    counts = (labels != IGNORED).sum(axis=1)
    found = [
        ShuffledLoss(level, float(of_level.sum() / counts.sum()), ratio(of_level - sums[0], counts), share)
        for level, of_level, share in zip(levels, sums[1:], moved, strict=True)
    ]
    unigram = None
    if unigram_counts is not None:
        unigram = float(-log_unigram_frequencies(unigram_counts)[labels[labels != IGNORED]].mean())
    return WordOrder(ratio(sums[0], counts), found, unigram, len(rows), int(counts.sum()))


def words_of(ids: np.ndarray, continues: np.ndarray) -> list[list[np.ndarray]]:
    """Of each [CLS] … [SEP] of a row, the places of each word's tokens.    ids (T,), continues (V,) bool"""
    found = []
    ends = np.flatnonzero(ids == SEP)
    for start in np.flatnonzero(ids == CLS):
        end = next((int(end) for end in ends if end > start), len(ids))
        places = np.arange(start + 1, end)
        begins = np.flatnonzero(~continues[ids[places]])
        found.append([word for word in np.split(places, begins[begins > 0]) if len(word)])
    return found


def _masked_row(ids: np.ndarray, continues: np.ndarray, random: np.random.Generator) -> _Row:
    """One word of every 32 is masked. Words with a special token, such as [UNK], are not."""
    words = words_of(ids, continues)
    masked, labels = ids.copy(), np.full(len(ids), IGNORED, np.int32)
    fixed = []
    for piece in words:
        stays = np.zeros(len(piece), bool)
        if len(piece):
            stays[0] = continues[ids[piece[0][0]]]
        for start in range(0, len(piece) if len(piece) >= FEWEST_WORDS else 0, WORDS_PER_MASK):
            block = range(start, min(start + WORDS_PER_MASK, len(piece)))
            whole = (number for number in block if not stays[number])
            ordinary = [number for number in whole if (ids[piece[number]] >= FIRST_ORDINARY).all()]
            if ordinary:
                number = ordinary[int(random.integers(len(ordinary)))]
                stays[number] = True
                labels[piece[number]] = ids[piece[number]]
                masked[piece[number]] = MASK
        fixed.append(stays)
    return _Row(masked, labels, words, fixed)


def shuffle_row(row: _Row, size: int, random: np.random.Generator) -> tuple[np.ndarray, int, int]:
    """The ids (T,) with units of ``size`` words in random order, how many words moved, and how many could have."""
    ids, moved, movable = row.ids.copy(), 0, 0
    for piece, fixed in zip(row.words, row.fixed, strict=True):
        if not len(piece):
            continue
        order = shuffled_order(fixed, size, random)
        tokens = np.concatenate([piece[word] for word in order])
        ids[piece[0][0] : piece[-1][-1] + 1] = row.ids[tokens]
        moved += int((order != np.arange(len(order))).sum())
        movable += int((~fixed).sum())
    return ids, moved, movable


def shuffled_order(fixed: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Words cut into units of ``size``, the units in another order: (n,) which word comes at each place.

    A unit with a word of ``fixed`` (n,) bool stays. The others change places between two that stay, so that what
    stays also keeps its position in tokens.
    """
    units = np.arange(len(fixed)) // size
    stays = np.bincount(units, fixed) > 0
    order = np.arange(len(stays))
    for run in np.split(order, np.flatnonzero(stays)):
        run = run[~stays[run]]
        order[run] = random.permutation(run)
    return np.concatenate([np.flatnonzero(units == unit) for unit in order])


def _losses(
    model: MiniBERT,
    sequences: Sequences,
    chosen: np.ndarray,
    texts: Sequence[np.ndarray],
    labels: np.ndarray,
    lanes: int,
) -> list[np.ndarray]:
    """Of each text (R, T), the sum of the losses of each row, (R,) in nats."""
    batches = []
    for ids in texts:
        for start in range(0, len(chosen), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            inputs = text_inputs(sequences, chosen[part], ids[part])
            predictions = int((labels[part] != IGNORED).sum())
            batches.append(
                Batch(inputs.ids, labels[part], inputs.mask, inputs.ids.size, predictions, inputs.positions)
            )
    with Lanes(model, lanes) as spread:
        losses = np.concatenate(spread.evaluate(batches, prediction_losses))
    owners = np.nonzero(labels != IGNORED)[0]
    return [np.bincount(owners, part, len(labels)) for part in np.split(losses, len(texts))]
