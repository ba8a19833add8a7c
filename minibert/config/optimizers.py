"""The groups that turn a gradient into an update: ``optimizer``, ``clipping`` and ``layer_rates``."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from minibert.config.fields import choice, joins, number, option

if TYPE_CHECKING:
    from minibert.config.run import Config

OPTIMIZERS: dict[str, "type[OptimizerConfig]"] = {}
CLIPPINGS: dict[str, "type[ClippingConfig]"] = {}
LAYER_RATES: dict[str, "type[LayerRatesConfig]"] = {}


def memory(default: float) -> Any:
    """The weight of the past in a running average: a momentum, or a β of Adam."""
    return number(default, at_least=0, below=1)


def positive(default: float) -> Any:
    return number(default, above=0)


def decay(default: float) -> Any:
    """The decay of weights. Gains and biases are never decayed."""
    return number(default, at_least=0)


@dataclass
class OptimizerConfig:
    """What every optimizer has."""

    name: str = option("adamw", OPTIMIZERS)
    learning_rate: float = positive(1e-3)
    """The peak of the schedule."""
    rate_factor: float = positive(1.0)
    """Times the learning rate: one word that tries the same multiples of every optimizer's own rate."""

    scales_by_weights: ClassVar[bool] = False
    """Whether an update is already scaled by the size of the weights"""


@joins(OPTIMIZERS)
@dataclass
class AdamWConfig(OptimizerConfig):
    beta1: float = memory(0.9)
    beta2: float = memory(0.98)
    epsilon: float = positive(1e-8)
    weight_decay: float = decay(0.01)
    """Decoupled decay."""


@joins(OPTIMIZERS)
@dataclass
class LionConfig(OptimizerConfig):
    name: str = choice("lion")
    learning_rate: float = positive(2e-4)
    """Every step moves every element by this much: 3 to 10 times less than what suits AdamW."""
    beta1: float = memory(0.9)
    beta2: float = memory(0.99)
    weight_decay: float = decay(0.05)
    """As many times above AdamW's as the rate is below, since the two are multiplied."""


@joins(OPTIMIZERS)
@dataclass
class SGDConfig(OptimizerConfig):
    name: str = choice("sgd")
    learning_rate: float = positive(0.1)
    momentum: float = memory(0.9)
    nesterov: bool = False
    weight_decay: float = decay(1e-4)
    """Added to the gradient, before the momentum, as L2 regularisation is."""


@joins(OPTIMIZERS)
@dataclass
class LAMBConfig(AdamWConfig):
    name: str = choice("lamb")
    learning_rate: float = positive(1e-2)
    """Of a matrix, the share of its norm that a step changes."""
    beta2: float = memory(0.999)
    epsilon: float = positive(1e-6)
    largest_norm: float = positive(10.0)
    """A weight's norm counts as at most this much."""

    scales_by_weights: ClassVar[bool] = True


@joins(OPTIMIZERS)
@dataclass
class AdafactorConfig(OptimizerConfig):
    name: str = choice("adafactor")
    learning_rate: float = positive(2e-2)
    """Relative: of the root mean square of a parameter."""
    decay_exponent: float = positive(0.8)
    """The second moment of step t is averaged with β₂ = 1 - t to the minus this."""
    epsilon: float = positive(1e-30)
    """Added to the squared gradient."""
    largest_update: float = positive(1.0)
    """Root mean square that a parameter's update is clipped to, before the learning rate."""
    smallest_scale: float = positive(1e-3)
    """Least root mean square of a parameter that its update is scaled by."""
    weight_decay: float = decay(0.0)

    scales_by_weights: ClassVar[bool] = True


@joins(OPTIMIZERS)
@dataclass
class MuonConfig(AdamWConfig):
    """The matrices of the layers by Muon; embeddings, classifiers, gains and biases by AdamW."""

    name: str = option("muon", OPTIMIZERS)
    learning_rate: float = positive(12e-3)
    adamw_learning_rate: float | None = number(None, above=0)
    """The peak of the schedule for what AdamW moves; null is ``learning_rate``."""
    momentum: float = memory(0.95)
    nesterov: bool = True
    iterations: int = number(3, at_least=1, at_most=1000)
    """Newton–Schulz iterations that make the momentum orthogonal."""
    polynomials: str = choice("polar_express", "jordan", "polar_express")
    """Of the iterations: the same one each time, or the best one for each time, of which fewer do."""
    heads_apart: bool = True
    """Make the part of every attention head orthogonal by itself, which costs less."""


@joins(OPTIMIZERS)
@dataclass
class LookaheadConfig(OptimizerConfig):
    """Another optimizer with slow weights behind it. Its rate is also the inner one's."""

    name: str = choice("lookahead")
    period: int = number(5, at_least=1)
    """Steps of the inner optimizer from one move of the slow weights to the next. The last step always has one."""
    slow_rate: float = number(0.5, above=0, at_most=1)
    """The share of the way to the fast weights that the slow ones go."""
    inner: OptimizerConfig = field(default_factory=AdamWConfig)

    def problems(self, config: "Config") -> Iterator[str]:
        if isinstance(self.inner, LookaheadConfig):
            yield "optimizer.inner.name=lookahead: slow weights behind slow weights. Allowed: any other optimizer."


@joins(CLIPPINGS)
@dataclass
class ClippingConfig:
    """How a rare large gradient is kept from moving the parameters far away."""

    name: str = option("none", CLIPPINGS)


@joins(CLIPPINGS)
@dataclass
class GlobalNormClippingConfig(ClippingConfig):
    name: str = choice("global_norm")
    norm: float = positive(1.0)
    """Largest norm of the whole gradient."""


@joins(CLIPPINGS)
@dataclass
class AdaptiveClippingConfig(ClippingConfig):
    name: str = choice("adaptive")
    ratio: float = positive(0.01)
    """Largest norm of a unit's gradient, as a multiple of the norm of the unit's weights."""
    smallest_norm: float = positive(1e-3)
    """A unit's weights count as at least this long, so that those that start at zero can move."""


@joins(CLIPPINGS)
@dataclass
class PercentileClippingConfig(ClippingConfig):
    name: str = choice("percentile")
    percentile: float = number(90.0, above=0, at_most=100)
    """The gradient is clipped to this percentile of the norms of the last ``window`` steps."""
    window: int = number(100, at_least=1, at_most=1_000_000)


@joins(LAYER_RATES)
@dataclass
class LayerRatesConfig:
    """Learning rates that differ from parameter to parameter, as factors on the scheduled rate."""

    name: str = option("none", LAYER_RATES)


@joins(LAYER_RATES)
@dataclass
class DepthRatesConfig(LayerRatesConfig):
    name: str = choice("depth")
    decay: float = number(0.9, above=0, at_most=1)
    """Factor on the rate of each layer relative to the layer above it."""


@joins(LAYER_RATES)
@dataclass
class RatioRatesConfig(LayerRatesConfig):
    name: str = choice("ratio")
    coefficient: float = positive(50.0)
    """Times the ratio of weight to update norm. At 1 / 0.02, the factor of a fresh matrix is about 1."""
    largest: float = number(10.0, at_least=1)
    """Factors lie between the reciprocal of this and this."""

    def problems(self, config: "Config") -> Iterator[str]:
        optimizer = config.optimizer
        if isinstance(optimizer, LookaheadConfig):
            optimizer = optimizer.inner
        if optimizer.scales_by_weights:
            yield (
                f"layer_rates=ratio with the optimizer {optimizer.name}: which scales its updates by the size of "
                "the weights already. Allowed: layer_rates=none or depth."
            )
