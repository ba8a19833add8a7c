"""The groups that turn a gradient into an update: ``optimizer``, ``clipping`` and ``layer_rates``."""

from dataclasses import dataclass, field

from minibert.config.fields import choice, number


@dataclass
class OptimizerConfig:
    """What every optimizer has."""

    name: str = "adamw"
    learning_rate: float = number(1e-3, above=0)
    """The peak of the schedule."""
    rate_factor: float = number(1.0, above=0)
    """Times the learning rate: one word that tries the same multiples of every optimizer's own rate."""


@dataclass
class AdamWConfig(OptimizerConfig):
    beta1: float = number(0.9, at_least=0, below=1)
    beta2: float = number(0.98, at_least=0, below=1)
    epsilon: float = number(1e-8, above=0)
    weight_decay: float = number(0.01, at_least=0)
    """Decoupled decay of weights; gains and biases are never decayed."""


@dataclass
class LionConfig(OptimizerConfig):
    name: str = choice("lion", "lion")
    learning_rate: float = number(2e-4, above=0)
    """Every step moves every element by this much: 3 to 10 times less than what suits AdamW."""
    beta1: float = number(0.9, at_least=0, below=1)
    beta2: float = number(0.99, at_least=0, below=1)
    weight_decay: float = number(0.05, at_least=0)
    """As many times above AdamW's as the rate is below, since the two are multiplied."""


@dataclass
class SGDConfig(OptimizerConfig):
    name: str = choice("sgd", "sgd")
    learning_rate: float = number(0.1, above=0)
    momentum: float = number(0.9, at_least=0, below=1)
    nesterov: bool = False
    weight_decay: float = number(1e-4, at_least=0)
    """Added to the gradient, before the momentum, as L2 regularisation is."""


@dataclass
class LAMBConfig(OptimizerConfig):
    name: str = choice("lamb", "lamb")
    learning_rate: float = number(1e-2, above=0)
    """Of a matrix, the share of its norm that a step changes."""
    beta1: float = number(0.9, at_least=0, below=1)
    beta2: float = number(0.999, at_least=0, below=1)
    epsilon: float = number(1e-6, above=0)
    weight_decay: float = number(0.01, at_least=0)
    largest_norm: float = number(10.0, above=0)
    """A weight's norm counts as at most this much."""


@dataclass
class AdafactorConfig(OptimizerConfig):
    name: str = choice("adafactor", "adafactor")
    learning_rate: float = number(2e-2, above=0)
    """Relative: of the root mean square of a parameter."""
    decay_exponent: float = number(0.8, above=0)
    """The second moment of step t is averaged with β₂ = 1 - t to the minus this."""
    epsilon: float = number(1e-30, above=0)
    """Added to the squared gradient."""
    largest_update: float = number(1.0, above=0)
    """Root mean square that a parameter's update is clipped to, before the learning rate."""
    smallest_scale: float = number(1e-3, above=0)
    """Least root mean square of a parameter that its update is scaled by."""
    weight_decay: float = number(0.0, at_least=0)


@dataclass
class MuonConfig(OptimizerConfig):
    """The matrices of the layers by Muon; embeddings, gains and biases by AdamW, at the same rate."""

    name: str = choice("muon", "muon")
    learning_rate: float = number(3e-3, above=0)
    momentum: float = number(0.95, at_least=0, below=1)
    nesterov: bool = True
    iterations: int = number(5, at_least=1, at_most=1000)
    """Newton–Schulz iterations that make the momentum orthogonal."""
    beta1: float = number(0.9, at_least=0, below=1)
    beta2: float = number(0.98, at_least=0, below=1)
    epsilon: float = number(1e-8, above=0)
    weight_decay: float = number(0.01, at_least=0)


@dataclass
class LookaheadConfig(OptimizerConfig):
    """Another optimizer with slow weights behind it. Its rate is also the inner one's."""

    name: str = choice("lookahead", "lookahead")
    period: int = number(5, at_least=1)
    """Steps of the inner optimizer from one move of the slow weights to the next."""
    slow_rate: float = number(0.5, above=0, at_most=1)
    """The share of the way to the fast weights that the slow ones go."""
    inner: OptimizerConfig = field(default_factory=AdamWConfig)


@dataclass
class ClippingConfig:
    """What keeps a rare large gradient from throwing the parameters far away."""

    name: str = choice("none", "none", "global_norm", "adaptive", "percentile")


@dataclass
class GlobalNormClippingConfig(ClippingConfig):
    name: str = choice("global_norm", "global_norm")
    norm: float = number(1.0, above=0)
    """Largest norm of the whole gradient."""


@dataclass
class AdaptiveClippingConfig(ClippingConfig):
    name: str = choice("adaptive", "adaptive")
    ratio: float = number(0.01, above=0)
    """Largest norm of a unit's gradient, as a multiple of the norm of the unit's weights."""
    smallest_norm: float = number(1e-3, above=0)
    """A unit's weights count as at least this long, so that those that start at zero can move."""


@dataclass
class PercentileClippingConfig(ClippingConfig):
    name: str = choice("percentile", "percentile")
    percentile: float = number(90.0, above=0, at_most=100)
    """The gradient is clipped to this percentile of the norms of the last ``window`` steps."""
    window: int = number(100, at_least=1, at_most=1_000_000)


@dataclass
class LayerRatesConfig:
    """Learning rates that differ from parameter to parameter, as factors on the scheduled rate."""

    name: str = choice("none", "none", "depth", "ratio")


@dataclass
class DepthRatesConfig(LayerRatesConfig):
    name: str = choice("depth", "depth")
    decay: float = number(0.9, above=0, at_most=1)
    """Factor on the rate of each layer relative to the layer above it."""


@dataclass
class RatioRatesConfig(LayerRatesConfig):
    name: str = choice("ratio", "ratio")
    coefficient: float = number(50.0, above=0)
    """Times the ratio of weight to update norm. At 1 / 0.02, the factor of a fresh matrix is about 1."""
    largest: float = number(10.0, at_least=1)
    """Factors lie between the reciprocal of this and this."""


OPTIMIZERS = {
    "adamw": AdamWConfig,
    "lion": LionConfig,
    "sgd": SGDConfig,
    "lamb": LAMBConfig,
    "adafactor": AdafactorConfig,
    "muon": MuonConfig,
    "lookahead": LookaheadConfig,
}
CLIPPINGS = {
    "none": ClippingConfig,
    "global_norm": GlobalNormClippingConfig,
    "adaptive": AdaptiveClippingConfig,
    "percentile": PercentileClippingConfig,
}
LAYER_RATES = {"none": LayerRatesConfig, "depth": DepthRatesConfig, "ratio": RatioRatesConfig}
