"""What a model makes of each masked token, and of each kind of token: rare and frequent, early and late."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minibert.data.batches import Batch
from minibert.data.packing import pieces as pieces_of_rows
from minibert.data.packing import positions_within
from minibert.data.tokenizer import FIRST_ORDINARY
from minibert.evaluation.intervals import half_width
from minibert.model.bert import MiniBERT
from minibert.model.ops import prediction_losses
from minibert.training.lanes import Lanes

POSITION_BANDS = 8
PIECES = ("whole", "first", "later")
"""A token is a whole word, the first piece of a word, or a later one"""


@dataclass(frozen=True)
class Predictions:
    """P masked tokens, and what the model made of each; arrays (P,)."""

    labels: np.ndarray
    """The token that stood there"""
    losses: np.ndarray
    """−log p(label), in nats, float64"""
    hits: np.ndarray
    """bool: whether the label had the highest probability"""
    confidence: np.ndarray
    """The highest probability, float64"""

    def __len__(self) -> int:
        return len(self.labels)


class Places(NamedTuple):
    """Where P masked tokens stand; arrays (P,) of ints."""

    sequences: np.ndarray
    """Which of the sequences of all batches"""
    positions: np.ndarray
    """Position in the piece of text, which begins with [CLS] at 0"""
    pieces: np.ndarray
    """Of :data:`PIECES`"""


class Band(NamedTuple):
    """The predictions of one band. What is not known is None."""

    name: str
    tokens: int
    loss: float
    """Mean, in nats"""
    error: float
    """Half the 95 % interval of the loss over sequences; NaN for one sequence"""
    unigram: float | None
    """Mean loss of the word frequencies of the training text on the same tokens"""
    untrained: float | None
    """Mean loss of the network before training, on the same tokens"""
    accuracy: float | None
    """Share predicted right"""


def predict(model: MiniBERT, batches: list[Batch], lanes: int = 2) -> Predictions:
    """Every prediction of the batches, in order, without dropout."""

    def score(logits: np.ndarray, labels: np.ndarray):
        rows = np.arange(len(labels))
        best = logits.argmax(axis=1)
        ahead = logits[rows, best].astype(np.float64) - logits[rows, labels]
        losses = prediction_losses(logits, labels)
        return labels, losses, best == labels, np.exp(np.minimum(ahead - losses, 0))

    with Lanes(model, lanes) as spread:
        found = spread.evaluate(batches, score)
    return Predictions(*(np.concatenate(part) for part in zip(*found, strict=True)))


def places(batches: list[Batch], continues: np.ndarray) -> Places:
    """Where the predictions of the batches stand. ``continues`` (V,) bool: tokens that continue a word."""
    found, before = [], 0
    for batch in batches:
        predicted, original = batch.labels >= 0, original_rows(batch)
        position = positions_within(pieces_of_rows(original))
        rows = np.nonzero(predicted)[0] + before
        found.append((rows, position[predicted], piece_kinds(original, continues)[predicted]))
        before += len(original)
    return Places(*(np.concatenate(part) for part in zip(*found, strict=True)))


def piece_kinds(ids: np.ndarray, continues: np.ndarray) -> np.ndarray:
    """Which of :data:`PIECES` each token is.    (B, T) original ids, continues (V,) bool -> (B, T) ints

    The rest of a word that the beginning of a row cuts in two is a later piece.
    """
    later = continues[ids] & (ids >= FIRST_ORDINARY)
    goes_on = np.zeros_like(later)
    goes_on[:, :-1] = later[:, 1:]
    return np.where(later, 2, np.where(goes_on, 1, 0))


def frequency_bands(counts: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Bands by powers of ten.    (P,) how often each token is in the training text -> names, band of each (P,)

    >>> frequency_bands(np.array([0, 9, 10, 250]))
    (['unseen', '1_to_9', '10_to_99', '100_to_999'], array([0, 1, 2, 3]))
    """
    edges = 10 ** np.arange(len(str(int(counts.max(initial=0)))) + 1)
    names = ["unseen", *(f"{low}_to_{high - 1}" for low, high in pairwise(edges))]
    bands = np.searchsorted(edges, counts, side="right")
    return names[: bands.max(initial=0) + 1], bands


def position_bands(positions: np.ndarray, length: int) -> tuple[list[str], np.ndarray]:
    """:data:`POSITION_BANDS` bands of equal width.    (P,) positions below ``length`` -> names, band of each (P,)

    >>> position_bands(np.array([1, 15, 16]), 128)
    (['0_to_15', '16_to_31'], array([0, 0, 1]))
    """
    width = -(-length // POSITION_BANDS)
    bands = positions // width
    return [f"{low}_to_{low + width - 1}" for low in range(0, int(positions.max(initial=0)) + 1, width)], bands


def by_band(
    names: Sequence[str],
    bands: np.ndarray,
    sequences: np.ndarray,
    losses: np.ndarray,
    hits: np.ndarray | None = None,
    unigram: np.ndarray | None = None,
    untrained: np.ndarray | None = None,
) -> list[Band]:
    """The means of every band that is not empty, in the order of ``names``; all arrays are (P,).

    ``bands`` are places in ``names``, and ``sequences`` says which predictions go together: those of one sequence
    are not independent (:func:`minibert.evaluation.intervals.half_width`).
    """
    found = []
    for number, name in enumerate(names):
        own = bands == number
        if own.any():
            controls = [None if each is None else float(each[own].mean()) for each in (unigram, untrained, hits)]
            error = half_width(losses[own], sequences[own])
            found.append(Band(name, int(own.sum()), float(losses[own].mean()), error, *controls))
    return found


def unigram_accuracy(labels: np.ndarray, counts: np.ndarray) -> float:
    """Share of labels that are the most frequent token of the training text.    labels (P,), counts (V,)"""
    return float(np.mean(labels == int(counts.argmax())))


def original_rows(batch: Batch) -> np.ndarray:
    """(B, T) ids before masking, of a batch that predicts all that it corrupts."""
    return np.where(batch.labels >= 0, batch.labels, batch.input_ids)
