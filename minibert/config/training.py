"""The groups ``schedule`` and ``training``, and which groups have options with fields of their own."""

from dataclasses import dataclass

from minibert.config.data import CURRICULA, MASKINGS
from minibert.config.fields import choice, number
from minibert.config.model import POSITIONS
from minibert.config.optimizers import CLIPPINGS, LAYER_RATES, OPTIMIZERS

FALLING = ("linear", "cosine", "warmup_stable_decay", "inverse_square_root")
"""Schedules that end at ``schedule.final`` or above it."""


@dataclass
class ScheduleConfig:
    """The factor on the learning rate: linear warm-up, then the named shape."""

    name: str = choice("linear", "constant", "linear", "cosine", "warmup_stable_decay", "inverse_square_root")
    warmup: float = number(0.1, at_least=0, at_most=1)
    """Share of all steps spent on warm-up."""
    decay: float = number(0.2, above=0, at_most=1, only_with={"name": ("warmup_stable_decay",)})
    """Share of all steps spent on the decay of ``warmup_stable_decay``."""
    final: float = number(0.0, at_least=0, at_most=1, only_with={"name": FALLING})
    """The factor that the schedule is on its way to: the last step is one short of it, as in ``transformers``.
    ``inverse_square_root`` never falls below it, ``constant`` stays at 1."""


@dataclass
class RangeTestConfig(ScheduleConfig):
    """A rate that rises to ``optimizer.learning_rate``, to see which rates the network learns with."""

    name: str = choice("range_test", "range_test")
    warmup: float = number(0.0, at_least=0, at_most=0)
    """None: the rise begins with the first step."""
    start: float = number(1e-4, above=0, below=1)
    """The factor at the first step; it is 1 at the last."""


@dataclass
class TrainingConfig:
    name: str = "pretraining"
    steps: int = number(2000, at_least=1, at_most=9_999_999)
    batch_size: int = number(32, at_least=1, at_most=1_048_576)
    """Sequences in one optimizer step."""
    one_batch: bool = False
    """Train on the first batch over and over: a network that cannot learn it by heart is broken."""
    accumulation: int = number(1, at_least=1)
    """Parts that a batch is computed in, one after the other, to save memory."""
    checkpoint_activations: bool = False
    """Keep only the layers' inputs and compute the rest again in the backward pass, to save memory."""
    last_layer_everywhere: bool = False
    """Compute the last layer at all positions, not only where its result is read: for those who study its attention."""
    sequence_length: int = number(64, at_least=3, at_most=1_048_576)
    lanes: int = number(2, at_least=1, at_most=256)
    """Threads that a batch is split over, with one BLAS thread each."""
    log_every: int = number(10, at_least=1)
    checkpoint_every: int = number(500, at_least=1)
    """Steps between the kept checkpoints after step 512; before, they are log-spaced."""
    checkpoints_per_doubling: int = number(1, at_least=1, at_most=512)
    """How many of the log-spaced ones there are between one power of two and the next."""
    checkpoint_seconds: float = number(30.0, above=0)
    """At most this much work is lost by a kill."""


SCHEDULES = {
    "constant": ScheduleConfig,
    "linear": ScheduleConfig,
    "cosine": ScheduleConfig,
    "warmup_stable_decay": ScheduleConfig,
    "inverse_square_root": ScheduleConfig,
    "range_test": RangeTestConfig,
}
VARIANTS = {
    "schedule": SCHEDULES,
    "optimizer": OPTIMIZERS,
    "clipping": CLIPPINGS,
    "layer_rates": LAYER_RATES,
    "masking": MASKINGS,
    "curriculum": CURRICULA,
    "position": POSITIONS,
}
"""Groups whose options have fields of their own: group -> option -> its schema."""
