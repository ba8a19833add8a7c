"""The groups that say how parameters move: ``optimizer``, ``schedule`` and ``training``."""

from dataclasses import dataclass

from minibert.config.fields import choice, number


@dataclass
class OptimizerConfig:
    """What every optimizer has."""

    name: str = "adamw"
    learning_rate: float = number(1e-3, above=0)
    """The peak of the schedule."""


@dataclass
class AdamWConfig(OptimizerConfig):
    beta1: float = number(0.9, at_least=0, below=1)
    beta2: float = number(0.98, at_least=0, below=1)
    epsilon: float = number(1e-8, above=0)
    weight_decay: float = number(0.01, at_least=0)
    """Decoupled decay of weights; gains and biases are never decayed."""


@dataclass
class ScheduleConfig:
    """The factor on the learning rate: linear warm-up, then the named shape."""

    name: str = choice("linear", "linear", "cosine", "warmup_stable_decay")
    warmup: float = number(0.1, at_least=0, at_most=1)
    """Share of all steps spent on warm-up."""
    decay: float = number(0.2, above=0, at_most=1)
    """Share of all steps spent on the decay of ``warmup_stable_decay``."""
    final: float = number(0.0, at_least=0, at_most=1)
    """The factor at the last step."""


@dataclass
class TrainingConfig:
    name: str = "pretraining"
    steps: int = number(2000, at_least=1)
    batch_size: int = number(32, at_least=1)
    """Sequences in one optimizer step."""
    accumulation: int = number(1, at_least=1)
    """Parts that a batch is computed in, one after the other, to save memory."""
    checkpoint_activations: bool = False
    """Keep only the layers' inputs and compute the rest again in the backward pass, to save memory."""
    sequence_length: int = number(64, at_least=3)
    lanes: int = number(2, at_least=1)
    """Threads that a batch is split over, with one BLAS thread each."""
    clip_norm: float | None = number(1.0, above=0)
    """Largest global norm of the gradient; null clips nothing."""
    log_every: int = number(10, at_least=1)
    checkpoint_every: int = number(500, at_least=1)
    """Steps between the kept checkpoints after step 512; before, they are log-spaced."""
    checkpoint_seconds: float = number(30.0, above=0)
    """At most this much work is lost by a kill."""


VARIANTS = {"optimizer": {"adamw": AdamWConfig}}
"""Groups whose options have fields of their own: group -> option -> its schema."""
