"""Batches: sequences in an order, with masks. The seeds and the step determine both.

A checkpoint holds no state of the batches, unless the masking or the curriculum adapts during training.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from minibert.data.curriculum import walk
from minibert.data.masking import UniformMasking
from minibert.data.packing import Sequences, pieces, positions_within, spread_evenly
from minibert.data.word_sampling import WordSampler
from minibert.model.auxiliary_heads import AuxiliaryTask
from minibert.model.passes import Inputs, Targets
from minibert.model.words import WordSample
from minibert.randomness import generator, generators


@dataclass(frozen=True)
class Questions:
    """The yes-or-no questions about a batch that an auxiliary head answers."""

    labels: np.ndarray
    """(B, T) int32: 1 for yes and 0 for no; IGNORED where nothing is asked"""
    weight: float
    """Factor of its loss in the sum"""

    @property
    def count(self) -> int:
        return int((self.labels >= 0).sum())


@dataclass(frozen=True)
class Batch:
    """The sequences of one step, or of one part of an evaluation."""

    input_ids: np.ndarray
    """(B, T) int32, corrupted"""
    labels: np.ndarray
    """(B, T) int32: the original id where it is predicted, IGNORED elsewhere"""
    attention_mask: np.ndarray | None
    """(B, T) bool, True at tokens that are not padding; (B, T, T), True where i may attend to j, when a row holds
    several pieces; None when every row is one full piece"""
    tokens: int
    """Tokens that are not padding, [CLS] and [SEP] included."""
    predictions: int
    """Tokens that are predicted."""
    position_ids: np.ndarray | None = None
    """(B, T) position of each token in its piece; None when every row is one piece"""
    segment_ids: np.ndarray | None = None
    """(B, T): 0 in the first segment of a row, 1 in the second; None where rows have no segments"""
    auxiliary: dict[str, Questions] = field(default_factory=dict)
    """The questions for the auxiliary heads of the network, by name of the head"""
    settings: dict[str, float] = field(default_factory=dict)
    """Settings of the batch that change during training, by the name of their metric"""
    words: WordSample | None = None
    """What the softmax is computed over; None: the whole vocabulary"""

    def part(self, sequences: slice) -> Inputs:
        """The inputs of a pass over some of the sequences, such as a lane's."""
        whole = Inputs(self.input_ids, self.attention_mask, self.segment_ids, self.position_ids)
        return whole.part(sequences)

    def targets(self, sequences: slice) -> Targets:
        """The labels of these sequences. Their loss is a share of the loss of the whole batch."""
        tasks = {
            name: AuxiliaryTask(questions.labels[sequences], questions.weight, questions.count)
            for name, questions in self.auxiliary.items()
        }
        return Targets(self.labels[sequences], tasks, max(self.predictions, 1))

    @property
    def scored_words(self) -> int | None:
        """How many words of the vocabulary are scored; None: all"""
        return None if self.words is None else len(self.words.ids)

    @property
    def asked(self) -> int:
        """Positions that are predicted or asked about."""
        if not self.auxiliary:
            return self.predictions
        asked = [questions.labels >= 0 for questions in self.auxiliary.values()]
        return int(np.logical_or.reduce([self.labels >= 0, *asked]).sum())


class Batches:
    """The batch of any step as a pure function of the step, so that resuming needs no state.

    Epochs follow one another without end. Each has its own random order without replacement. Step s takes the
    sequences s·B to s·B + B − 1 of this order. Every batch is full; a batch may hold sequences of two epochs.

    A curriculum replaces this order. Auxiliary tasks add questions. A masking or curriculum that adapts during
    training has a state beside the step, and is listed in ``adapting``.
    """

    def __init__(
        self,
        sequences: Sequences,
        masking: UniformMasking,
        batch_size: int,
        data_seed: int,
        masking_seed: int,
        curriculum=None,
        auxiliary=None,
        sampler: WordSampler | None = None,
    ):
        """``curriculum`` and ``auxiliary`` are of :mod:`minibert.data.curriculum` and ``objectives``, or None."""
        self.sequences = sequences
        self.masking = masking
        self.batch_size = batch_size
        self.data_seed = data_seed
        self.masking_seed = masking_seed
        self.curriculum = curriculum
        self.auxiliary = auxiliary
        self.sampler = sampler
        if not len(sequences):
            raise ValueError("there are no sequences to make batches of")
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0. Its masks are keyed by (masking seed, step, row)."""
        return self.with_words(self.without_words(step), step)

    def with_words(self, batch: Batch, step: int) -> Batch:
        """The batch with the sample of the vocabulary that is drawn for this step, where one is."""
        return batch if self.sampler is None else replace(batch, words=self.sampler.at(step, batch.labels))

    def without_words(self, step: int) -> Batch:
        """The batch of a step, whose softmax goes over the whole vocabulary."""
        rows = range(self.batch_size)
        masks = generators(self.masking_seed, ((step, row) for row in rows))
        indices, masking = self.indices(step), self.masking.at(step)
        if self.auxiliary is None:
            original, lengths = self.sequences.input_ids[indices], self.sequences.lengths[indices]
            batch = masked_batch(original, lengths, masking, masks)
        else:
            draws = generators(self.masking_seed, ((step, row, 1) for row in rows))
            batch = self.auxiliary.batch(indices, masking, masks, draws)
        settings = self.masking.settings(step)
        if self.curriculum is not None:
            settings = settings | self.curriculum.settings(step)
        return replace(batch, settings=settings) if settings else batch

    @property
    def adapting(self) -> list:
        """The masking and the curriculum, if they adapt: the trainer reports its measurements to them and saves
        their state."""
        return [part for part in (self.masking, self.curriculum) if getattr(part, "state", None)]

    @property
    def milestones(self) -> dict[int, str]:
        """Steps done -> what changes for good in the batches that follow, in words."""
        return {} if self.curriculum is None else self.curriculum.milestones

    def indices(self, step: int) -> np.ndarray:
        """(B,) int64: which sequences are in the batch of a step."""
        if self.curriculum is not None:
            return self.curriculum.indices(step)
        return walk(step * self.batch_size, self.batch_size, len(self.sequences), self._order)

    def epoch(self, step: int) -> float:
        """How often the corpus has been passed through before this step, without a curriculum."""
        return step * self.batch_size / len(self.sequences)

    def _draw_order(self, epoch: int) -> np.ndarray:
        return generator(self.data_seed, epoch).permutation(len(self.sequences))


def frozen_batches(
    sequences: Sequences, rate: float, count: int, batch_size: int, mask_seed: int, vocab_size: int
) -> list[Batch]:
    """The evaluation set: ``count`` sequences spread evenly over all, corrupted 80/10/10, the same for every run.

    The random numbers of a sequence depend only on ``mask_seed`` and the index of the sequence, not on ``rate``,
    ``count`` or ``batch_size``. So the masked positions of a lower rate are a subset of those of a higher one. If
    there are fewer sequences than ``count``, all are taken. The last batch may be smaller.
    """
    chosen = spread_evenly(len(sequences), count)
    masking = UniformMasking(vocab_size, corruption_rate=rate, prediction_rate=rate)
    return batches_of(sequences, chosen, masking, batch_size, lambda index: generator(mask_seed, index))


def batches_of(
    sequences: Sequences, indices: np.ndarray, masking: UniformMasking, batch_size: int, draws: Callable
) -> list[Batch]:
    """Batches of the sequences ``indices``, each masked by its own ``draws(index)``. The last may be smaller."""
    parts = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
    return [
        masked_batch(
            sequences.input_ids[part], sequences.lengths[part], masking, [draws(int(index)) for index in part]
        )
        for part in parts
    ]


def masked_batch(
    original: np.ndarray, lengths: np.ndarray, masking: UniformMasking, draws: Iterable[np.random.Generator]
) -> Batch:
    """The batch of (B, T) original ids with ``lengths`` (B,) tokens that are not padding; one generator a row."""
    input_ids, labels = masking.apply(original, draws)
    real = np.arange(input_ids.shape[1]) < lengths[:, None]
    attention_mask, position_ids = None if real.all() else real, None
    piece = pieces(original)
    if piece[:, -1].max() > 1:
        attention_mask = (piece[:, :, None] == piece[:, None, :]) & real[:, None, :]
        position_ids = positions_within(piece)
    tokens, predictions = int(lengths.sum()), int((labels >= 0).sum())
    return Batch(input_ids, labels, attention_mask, tokens, predictions, position_ids)
