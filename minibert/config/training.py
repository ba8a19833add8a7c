"""The groups ``schedule`` and ``training``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minibert.config.fields import choice, joins, number, option

if TYPE_CHECKING:
    from minibert.config.run import Config

MOST_CHECKPOINTS = 100_000
"""That a run may keep"""
SCHEDULES: dict[str, "type[ScheduleConfig]"] = {}
FALLING = ("linear", "cosine", "warmup_stable_decay", "inverse_square_root")
"""Schedules that end at ``schedule.final`` or above it."""


@joins(SCHEDULES, "constant", "linear", "cosine", "warmup_stable_decay", "inverse_square_root")
@dataclass
class ScheduleConfig:
    """The factor on the learning rate: linear warm-up, then the named shape."""

    name: str = option("warmup_stable_decay", SCHEDULES)
    warmup: float = number(0.1, at_least=0, at_most=1)
    """Share of all steps spent on warm-up."""
    decay: float = number(0.5, above=0, at_most=1, only_with={"name": ("warmup_stable_decay",)})
    """Share of all steps spent on the decay of ``warmup_stable_decay``."""
    final: float = number(0.0, at_least=0, at_most=1, only_with={"name": FALLING})
    """The factor that the schedule approaches. The last step is one before it, as in ``transformers``.
    ``inverse_square_root`` never falls below it, ``constant`` stays at 1."""

    def problems(self, config: "Config") -> Iterator[str]:
        if self.name == "warmup_stable_decay" and self.warmup + self.decay > 1 + 1e-9:
            yield (
                f"schedule.warmup={self.warmup} and schedule.decay={self.decay}: the decay would begin before "
                "the warm-up ends. Allowed: a sum of at most 1."
            )


@joins(SCHEDULES)
@dataclass
class RangeTestConfig(ScheduleConfig):
    """A rate that rises to ``optimizer.learning_rate``, to see which rates the network learns with."""

    name: str = choice("range_test")
    warmup: float = number(0.0, at_least=0, at_most=0)
    """None: the rise begins with the first step."""
    start: float = number(1e-4, above=0, below=1)
    """The factor at the first step; it is 1 at the last."""

    def problems(self, config: "Config") -> Iterator[str]:
        if config.training.log_every != 1:
            yield (
                f"training.log_every={config.training.log_every}: schedule=range_test goes by the loss of every "
                "step. Allowed: 1."
            )


@dataclass
class TrainingConfig:
    name: str = "pretraining"
    steps: int = number(10_000, at_least=1, at_most=9_999_999)
    batch_size: int = number(64, at_least=1, at_most=1_048_576)
    """Sequences in one optimizer step."""
    one_batch: bool = False
    """Train on the first batch over and over: a network that cannot overfit it is broken."""
    accumulation: int = number(1, at_least=1)
    """Parts that a batch is computed in, one after the other, to save memory."""
    softmax_words: int | None = number(1024, at_least=1, at_most=2_000_000)
    """About how many words a step's softmax is computed over, beside those that it predicts; null, or as many as
    the vocabulary has: all. They are drawn at every step, frequent ones more often. Too few make the training
    loss, an estimate, too low to learn from; evaluation always goes over all."""
    checkpoint_activations: bool = False
    """Keep only the layers' inputs and compute the rest again in the backward pass, to save memory."""
    last_layer_everywhere: bool = False
    """Compute the last layer at all positions, not only where its result is read: to study its attention."""
    sequence_length: int = number(64, at_least=3, at_most=1_048_576)
    lanes: int = number(2, at_least=1, at_most=256)
    """Threads that a batch is split over, with one BLAS thread each."""
    log_every: int = number(10, at_least=1)
    checkpoint_every: int = number(500, at_least=1)
    """Steps between the kept checkpoints after step 512; before, they are log-spaced."""
    checkpoints_per_doubling: int = number(1, at_least=0, at_most=512)
    """How many of the log-spaced ones there are between one power of two and the next; 0 keeps the first and last
    only, and those of ``checkpoint_every`` after step 512."""
    checkpoint_seconds: float = number(30.0, above=0)
    """A kill loses at most this much work."""

    def sampled_words(self, vocab_size: int) -> int | None:
        """Words of a vocabulary of this size that a step draws; None: its softmax goes over all of them."""
        words = self.softmax_words
        return words if words is not None and words < vocab_size else None

    def problems(self, config: "Config") -> Iterator[str]:
        if config.model.position.has_table and self.sequence_length > config.model.max_length:
            yield (
                f"training.sequence_length={self.sequence_length}: longer than the position table. "
                f"Allowed: at most model.max_length={config.model.max_length}."
            )
        kept = self.steps // self.checkpoint_every
        if kept > MOST_CHECKPOINTS:
            yield (
                f"training.checkpoint_every={self.checkpoint_every}: {kept} checkpoints in training.steps="
                f"{self.steps}. Allowed: at least {-(-self.steps // MOST_CHECKPOINTS)}, "
                f"for at most {MOST_CHECKPOINTS} checkpoints."
            )
        if self.accumulation > self.batch_size:
            yield (
                f"training.accumulation={self.accumulation}: more parts than sequences. "
                f"Allowed: at most training.batch_size={self.batch_size}."
            )
