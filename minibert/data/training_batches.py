"""The batches of a run, built from the masking, curriculum and objective of its configuration."""

from functools import partial
from typing import cast

from minibert.config import Config
from minibert.config.data import ShortRowsConfig
from minibert.data.batches import Batch, Batches, batches_of, frozen_batches
from minibert.data.curriculum import implement_curriculum_learning
from minibert.data.masking import UniformMasking, build_masking
from minibert.data.objectives import add_auxiliary_tasks
from minibert.data.prepared import PreparedData
from minibert.data.short_rows import ShortRowsFirst, cut_short
from minibert.data.vocabulary import describe_vocabulary
from minibert.data.word_sampling import WordSampler
from minibert.randomness import generator

PROBE_RATE = 0.15
"""Masking rate at which a curriculum measures losses."""


class OneBatch(Batches):
    """The first batch at every step; of the vocabulary, every step draws its own sample."""

    def at(self, step: int):
        return self.with_words(self.without_words(0), step)


def build_batches(config: Config, data: PreparedData) -> Batches:
    """The training batches of a run. A masking or curriculum that adapts is in their ``adapting``."""
    settings = config.training
    data_seed, masking_seed = cast(int, config.seeds.data), cast(int, config.seeds.masking)  # set by the plan
    size = data.tokenizer.get_vocab_size()  # a small corpus may fill less than the model's table
    vocabulary = describe_vocabulary(data.tokenizer, data.unigram_counts)
    masking = build_masking(config.masking, size, vocabulary, settings.steps)
    auxiliary = add_auxiliary_tasks(config.objective, data.train, data.unigram_counts)
    sequences = data.train if auxiliary is None else auxiliary.sequences
    probe = partial(
        batches_of,
        sequences,
        masking=UniformMasking(size, PROBE_RATE, PROBE_RATE),
        batch_size=settings.batch_size,
        draws=lambda index: generator(masking_seed, index, 0, 2),
    )
    curriculum = implement_curriculum_learning(
        config.curriculum, sequences, vocabulary, settings.batch_size, data_seed, settings.steps, probe
    )
    words = settings.sampled_words(config.model.vocab_size) if config.objective.mlm else None
    sampler = None
    if words is not None:
        sampler = WordSampler(data.unigram_counts, words, masking_seed, config.model.dtype)
    whole = (sequences, masking, settings.batch_size, data_seed, masking_seed, curriculum, auxiliary, sampler)
    if isinstance(config.curriculum, ShortRowsConfig):
        short = _short_batches(config, data, masking)
        return ShortRowsFirst(short, config.curriculum.share, settings.steps, *whole)
    return OneBatch(*whole) if settings.one_batch else Batches(*whole)


def _short_batches(config: Config, data: PreparedData, masking) -> Batches:
    """The batches of short rows, of as many tokens as those of whole rows, or a few less."""
    settings, length = config.training, cast(ShortRowsConfig, config.curriculum).sequence_length
    rows = cut_short(data.train, length, config.data.packed)
    auxiliary = add_auxiliary_tasks(config.objective, rows, data.unigram_counts)
    rows = rows if auxiliary is None else auxiliary.sequences
    count = settings.batch_size * settings.sequence_length // length
    data_seed, masking_seed = cast(int, config.seeds.data), cast(int, config.seeds.masking)
    return Batches(rows, masking, count, data_seed, masking_seed, auxiliary=auxiliary)


def probe_batch(config: Config, data: PreparedData) -> Batch:
    """The held-out sequences of the diagnostics, masked as in the evaluation."""
    settings, count = config.evaluation, config.diagnostics.probe_sequences
    size = data.tokenizer.get_vocab_size()
    return frozen_batches(data.evaluation, settings.rate, count, count, settings.mask_seed, size)[0]
