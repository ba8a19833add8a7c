"""The groups that shape the network: ``model`` and what fills its parts."""

from dataclasses import dataclass, field

from minibert.config.fields import choice, number, setting


@dataclass
class PositionConfig:
    """How the network knows the order of tokens. The group ``position`` fills ``model.position``."""

    name: str = choice("absolute", "absolute", "sinusoidal", "relative", "relative_bias", "rope", "alibi", "none")


@dataclass
class RelativeConfig(PositionConfig):
    name: str = choice("relative", "relative")
    distance: int = number(16, at_least=1, at_most=65_536)
    """Distances beyond this one share its vector."""
    keys: bool = True
    """Add a vector to the keys."""
    values: bool = True
    """Add a vector to the values."""


@dataclass
class RelativeBiasConfig(PositionConfig):
    name: str = choice("relative_bias", "relative_bias")
    buckets: int = number(32, at_least=4, at_most=65_536)
    """For both directions together."""
    farthest: int = number(128, at_least=2)
    """Distances from here on share the last bucket of their direction."""


@dataclass
class RopeConfig(PositionConfig):
    name: str = choice("rope", "rope")
    base: float = number(10000.0, above=1)
    """The slowest pair of entries turns by about 1/base a position; the fastest, always by 1."""
    fraction: float = number(1.0, above=0, at_most=1)
    """Share of a head's entries that turn."""


@dataclass
class ModelConfig:
    """Shape and function of the network. ``vocab_size`` is also what the tokenizer is trained to."""

    name: str = "base"
    vocab_size: int = number(8192, at_least=16, at_most=2_000_000)
    hidden_size: int = number(192, at_least=1, at_most=65_536)
    layers: int = number(3, at_least=1, at_most=1000)
    heads: int = number(4, at_least=1, at_most=65_536)
    feed_forward_size: int = number(768, at_least=1, at_most=1_048_576)
    max_length: int = number(128, at_least=1, at_most=1_048_576)
    segments: int = number(0, at_least=0, at_most=65_536)
    """Size of the segment (token-type) table; 0 leaves segment embeddings out."""
    dropout: float = number(0.1, at_least=0, below=1)
    """Rate on the embeddings and on every residual branch, rounded to 1/256."""
    attention_dropout: float = number(0.1, at_least=0, below=1)
    """Rate on the attention weights, rounded to 1/256."""
    attention: str = choice("softmax", "softmax", "gated")
    """``gated``: a sigmoid gate for each head on what attention gives."""
    qk_norm: bool = False
    """Normalise every head's queries and keys."""
    norm: str = choice("pre", "pre", "post")
    """Where norms stand: before each branch, or after each sum."""
    norm_kind: str = choice("layer_norm", "layer_norm", "rms_norm")
    norm_epsilon: float = number(1e-12, above=0)
    activation: str = choice("gelu", "relu", "gelu", "gelu_tanh", "swiglu", "geglu")
    match_feed_forward: bool = setting(False, only_with={"activation": ("swiglu", "geglu")})
    """``swiglu`` and ``geglu`` have a third matrix: shrink the inner size, so that there are as many parameters as
    ``feed_forward_size`` gives the others."""
    position: PositionConfig = field(default_factory=PositionConfig)
    init: str = choice("bert", "bert", "xavier", "kaiming", "orthogonal", "small", "zero_residual")
    """How the matrices of layers and head start; tables are always truncated normal."""
    init_scale: float = number(0.02, above=0)
    """Standard deviation of the truncated normal: of tables; of matrices, unless ``init`` goes by their shape."""
    init_gain: float = number(1.0, above=0)
    """A factor on all matrices of layers and head."""
    output_bias: str = choice("unigram", "unigram", "zero")
    """What the MLM output bias starts at: log unigram frequencies of the training split, or zero."""
    auxiliary_heads: list[str] = field(default_factory=list)
    """Heads beside the MLM head. A run has those that its ``objective`` asks for: they are not to be set."""
    dtype: str = choice("float32", "float32", "float64")


POSITIONS = {
    "absolute": PositionConfig,
    "sinusoidal": PositionConfig,
    "relative": RelativeConfig,
    "relative_bias": RelativeBiasConfig,
    "rope": RopeConfig,
    "alibi": PositionConfig,
    "none": PositionConfig,
}
"""The options of the group ``position`` with their schemas"""
