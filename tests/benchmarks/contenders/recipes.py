"""Whole recipes at equal sizes: each trains with its own kind of network, dropout and optimizer."""

from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_info

from minibert.config import Config, SeedsConfig, register
from minibert.data.word_sampling import WordSampler
from minibert.model.arithmetic import count_flops
from minibert.model.bert import MiniBERT
from minibert.training.trainer import Trainer
from tests.benchmarks.contenders import Contender
from tests.benchmarks.contenders.bare_and_tracked import PreparedBatches
from tests.benchmarks.workload import SEED, Shape, Workload, draw_batches


class Recipe(Contender):
    """``Trainer.step()`` of what ``python -m minibert.run WORDS`` trains, at the sizes of the workload.

    The batches are those of all contenders or, with ``own_masking``, random tokens with as many predictions as the
    recipe's masking makes.
    """

    def __init__(self, workload: Workload, words: tuple[str, ...] = (), own_masking: bool = False):
        config = composed(words, workload)
        shape, batches = workload.shape, workload.batches
        if own_masking:
            masking = config.masking
            rate = masking.rate if masking.prediction_rate is None else masking.prediction_rate
            shape = replace(shape, rate=rate)
            batches = draw_batches(shape)
        # Words that are all as frequent as each other: a batch predicts more of them than it does of a text's.
        drawn = config.training.sampled_words(shape.vocab_size)
        sampler = None if drawn is None else WordSampler(np.ones(shape.vocab_size), drawn, SEED)
        self.trainer = Trainer(MiniBERT(config.model, SEED), PreparedBatches(batches, sampler), config)
        self.trainer.__enter__()  # open for as long as the process lives
        predictions = shape.sequences * shape.predictions
        scored = None if sampler is None else len(sampler.at(0, batches[0][1]).ids)
        self.about = {
            "numpy": np.__version__,
            "lanes": workload.lanes,
            "parameters": len(self.trainer.model.params.vector),
            "predictions": shape.predictions,
            "dropout": config.model.dropout,
            "flops": count_flops(config.model, shape.sequences, shape.tokens, predictions, words=scored),
            "blas": threadpool_info(),
        }

    def step(self) -> float:
        return self.trainer.step().loss


def composed(words: tuple[str, ...], workload: Workload) -> Config:
    """What Hydra composes of the words, at the sizes of the workload."""
    from minibert.running.plan import plan

    register()
    config = plan([*words, *sizes(workload.shape)], multirun=False).jobs[0].config
    # No schedule ends, and no curriculum begins: every step is one in the middle of training.
    config.training = replace(config.training, steps=100_000, lanes=workload.lanes, log_every=100_000)
    config.seeds = SeedsConfig(SEED, SEED, SEED, SEED)
    return config


def sizes(shape: Shape) -> list[str]:
    """The words that give a network and its batches the sizes of ``shape``."""
    return [
        f"model.vocab_size={shape.vocab_size}",
        f"model.hidden_size={shape.hidden_size}",
        f"model.layers={shape.layers}",
        f"model.heads={shape.heads}",
        f"model.feed_forward_size={shape.feed_forward_size}",
        f"model.max_length={max(shape.tokens, 128)}",
        f"training.batch_size={shape.sequences}",
        f"training.sequence_length={shape.tokens}",
    ]
