"""Trainers of networks so small that a step takes about a millisecond."""

from minibert.config import Config, ModelConfig, PositionConfig
from minibert.model.bert import MiniBERT
from minibert.training.trainer import Trainer

SIZES = {
    "vocab_size": 50, "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24, "max_length": 12,
    "position": PositionConfig(),
}  # fmt: skip


def small_model(**settings) -> ModelConfig:
    """Two layers of 16 numbers a position, for 50 tokens and 12 learned positions, changed by ``settings``."""
    return ModelConfig(**SIZES | settings)


def small_config(model: ModelConfig, steps: int, **groups) -> Config:
    """The defaults with this network, this number of steps and these groups of settings."""
    config = Config(model=model, **groups)
    config.seeds.dropout, config.training.steps = 5, steps
    return config


def small_trainer(config: Config, batches, diagnostics=None, data=None, probe=None) -> Trainer:
    """A trainer of a new network. ``probe`` is the batch that diagnostics see."""
    return Trainer(MiniBERT(config.model, seed=1), batches, config, (), diagnostics, data, probe)
