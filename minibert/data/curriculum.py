"""Curriculum learning: training begins with the easiest sequences, and ends with all of them.

A score states how hard each sequence is. A pacing function gives the share of the easiest ones at each step:
Platanios et al., "Competence-based Curriculum Learning for Neural Machine Translation", NAACL 2019.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from minibert.config import require_config
from minibert.config.data import CurriculumConfig, LossCurriculumConfig, PacedCurriculumConfig
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.packing import Sequences
from minibert.data.tokenizer import UNK
from minibert.data.vocabulary import Vocabulary
from minibert.randomness import generator

PACINGS = {
    "linear": lambda start, done: start + (1 - start) * done,
    "root": lambda start, done: math.sqrt(start**2 + (1 - start**2) * done),
    "step": lambda start, done: start if done < 1 else 1.0,
}
"""The share of sequences that may be drawn, from ``start`` to 1 while ``done`` goes from 0 to 1.

linear and root: Platanios et al., 2019; step: Hacohen & Weinshall, "On the Power of Curriculum Learning in
Training Deep Networks", ICML 2019.
"""


def walk(first: int, count: int, size: int, order: Callable[[int], np.ndarray]) -> np.ndarray:
    """(count,) int64: the entries from ``first`` on of the epochs ``order(0)``, ... of (size,) each."""
    epochs, offsets = np.divmod(np.arange(first, first + count), size)
    return np.concatenate([order(int(epoch))[offsets[epochs == epoch]] for epoch in np.unique(epochs)])


class Curriculum:
    """Batches are drawn from the easiest share c of the sequences; c grows in stages until it is 1.

    Stage k of K begins at step ⌈k/K · share · steps⌉ and allows the easiest c(k/K) of the sequences, at least one
    batch. Within a stage, epochs pass over the allowed sequences. Each epoch has its own random order without
    replacement. The last stage, k = K, is ordinary training on all sequences: one epoch after it begins, every
    sequence has been used. Sequences with equal scores are ranked at random.

    The sequences of a step depend only on the data seed, the step and the scores.
    """

    name = "curriculum"
    wants_accuracy = False

    def __init__(
        self, config: PacedCurriculumConfig, scores: np.ndarray, batch_size: int, data_seed: int, steps: int
    ):
        """``scores`` (S,): how hard each sequence is, in any unit."""
        self.batch_size = batch_size
        self.data_seed = data_seed
        self.scores = scores
        self.state: dict[str, np.ndarray] = {}
        stages = np.arange(config.stages + 1) / config.stages
        self.begins = np.ceil(stages * config.share * steps).astype(int)
        """(K + 1,): the step that each stage begins with"""
        shares = [PACINGS[config.pacing](config.start, done) for done in stages]
        least = min(batch_size, len(scores))
        self.allowed = [max(least, math.ceil(share * len(scores))) for share in shares]
        """(K + 1,): how many sequences each stage draws from"""
        self._order = lru_cache(maxsize=2)(self._draw_order)
        self._ranking = lru_cache(maxsize=1)(self._rank)

    def indices(self, step: int) -> np.ndarray:
        """(B,) int64: which sequences are in the batch of a step, counted from 0."""
        stage = self.stage(step)
        first = (step - int(self.begins[stage])) * self.batch_size
        return walk(first, self.batch_size, self.allowed[stage], lambda epoch: self._order(stage, epoch))

    def stage(self, step: int) -> int:
        return int(np.searchsorted(self.begins, step, side="right")) - 1

    def settings(self, step: int) -> dict[str, float]:
        """The values that change from step to step, for the log."""
        return {"curriculum/share": self.allowed[self.stage(step)] / len(self.scores)}

    @property
    def milestones(self) -> dict[int, str]:
        """Steps done -> what changes for good in the batches that follow, in words."""
        return {int(self.begins[-1]): "all sequences take part from here on"}

    def observe(self, step: int, measured, score) -> None:
        """Ignore the measurements: the scores are fixed."""

    def restored(self) -> None:
        """``state`` has been filled from a checkpoint."""
        self._ranking.cache_clear()
        self._order.cache_clear()

    def _draw_order(self, stage: int, epoch: int) -> np.ndarray:
        allowed = self._ranking()[: self.allowed[stage]]
        return allowed[generator(self.data_seed, stage, epoch).permutation(len(allowed))]

    def _rank(self) -> np.ndarray:
        """(S,): the sequences from the easiest to the hardest."""
        shuffled = generator(self.data_seed, 0, 0, 1).permutation(len(self.scores))
        return shuffled[np.argsort(self.scores[shuffled], kind="stable")]


class LossCurriculum(Curriculum):
    """The score is the loss of the network in training. It is measured again when each stage begins.

    Of every ``stride`` neighbouring sequences one is scored, on fixed masks. The others take its score: most of
    them come from the same document. Before the first measurement the score is rarity, which is the loss of an
    untrained network whose output bias is the log unigram frequencies. The scores are in ``state``, which
    checkpoints save.

    Hacohen & Weinshall, 2019 (self-taught scoring); Kumar et al., "Self-Paced Learning for Latent Variable
    Models", NIPS 2010.
    """

    def __init__(
        self,
        config: LossCurriculumConfig,
        rarity: np.ndarray,
        batch_size: int,
        data_seed: int,
        steps: int,
        probe: Callable[[np.ndarray], list],
    ):
        """``probe(indices)`` gives batches of these sequences, masked the same way every time."""
        super().__init__(config, rarity, batch_size, data_seed, steps)
        self.stride = config.stride
        self.probe = probe
        firsts = np.arange(0, len(rarity), self.stride)
        self.scored = np.minimum(firsts + self.stride // 2, len(rarity) - 1)
        self.state = {"scores": np.add.reduceat(rarity, firsts) / np.diff(firsts, append=len(rarity))}
        self.restored()

    def observe(self, step: int, measured, score) -> None:
        """Measure the losses if the next step begins a stage that leaves some sequences out.

        ``score(batches)`` gives the loss of each of their sequences.
        """
        stage = self.stage(step)
        if stage != self.stage(step - 1) and self.allowed[stage] < len(self.scores):
            self.state["scores"][...] = score(self.probe(self.scored))
            self.restored()

    def restored(self) -> None:
        self.scores = np.repeat(self.state["scores"], self.stride)[: len(self.scores)]
        super().restored()


def sentence_length(sequences: Sequences, vocabulary: Vocabulary) -> np.ndarray:
    """Mean number of tokens in a sentence, for every sequence: (S,). (All full rows have the same length.)

    A sentence ends at one or several of . ! ? or at the end of its piece. Length as difficulty: Platanios et al.,
    2019.
    """
    ids = sequences.input_ids
    text = sequences.ordinary | (ids == UNK)
    ends = vocabulary.ends_sentence[ids]
    sentences = text & ends
    sentences[:, :-1] &= ~(ends[:, 1:] & text[:, 1:])
    cut = text & ~ends
    cut[:, :-1] &= ~text[:, 1:]
    return text.sum(axis=1) / np.maximum((sentences | cut).sum(axis=1), 1)


def rarity(sequences: Sequences, vocabulary: Vocabulary) -> np.ndarray:
    """Mean −log p(w) over the ordinary tokens of every sequence, (S,), in nats, with p of the training text.

    Platanios et al., 2019, take the sum. The mean does not depend on the length.
    """
    surprise = np.where(sequences.ordinary, -log_unigram_frequencies(vocabulary.counts)[sequences.input_ids], 0.0)
    return surprise.sum(axis=1) / np.maximum(sequences.ordinary.sum(axis=1), 1)


def implement_curriculum_learning(
    config: CurriculumConfig,
    sequences: Sequences,
    vocabulary: Vocabulary,
    batch_size: int,
    data_seed: int,
    steps: int,
    probe: Callable[[np.ndarray], list],
) -> Curriculum | None:
    """The curriculum that ``config.name`` names; None for the ordinary order.

    ``steps`` are those of training; ``probe(indices)`` gives batches to measure the loss on.

    Raises :class:`MinibertError` for another configuration, and for values out of range.
    """
    require_config(config, CurriculumConfig, "curriculum.")
    return CURRICULA[config.name](config, sequences, vocabulary, (batch_size, data_seed, steps), probe)


CURRICULA = {
    "none": lambda config, sequences, vocabulary, course, probe: None,
    # Rows of each length have the ordinary order (:mod:`minibert.data.short_rows`).
    "short_rows": lambda config, sequences, vocabulary, course, probe: None,
    "length": lambda config, sequences, vocabulary, course, probe: Curriculum(
        config, sentence_length(sequences, vocabulary), *course
    ),
    "rarity": lambda config, sequences, vocabulary, course, probe: Curriculum(
        config, rarity(sequences, vocabulary), *course
    ),
    "loss": lambda config, sequences, vocabulary, course, probe: LossCurriculum(
        config, rarity(sequences, vocabulary), *course, probe=probe
    ),
}
"""The curricula that ``curriculum.name`` can name."""
