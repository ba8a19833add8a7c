"""The groups that shape the network: ``model`` and what fills its parts."""

from dataclasses import dataclass, field

from minibert.config.fields import choice, number


@dataclass
class PositionConfig:
    """How the network knows the order of tokens. The group ``position`` fills ``model.position``."""

    name: str = choice("absolute", "absolute")


@dataclass
class ModelConfig:
    """Shape and function of the network. ``vocab_size`` is also what the tokenizer is trained to."""

    name: str = "base"
    vocab_size: int = number(8192, at_least=16)
    hidden_size: int = number(192, at_least=1)
    layers: int = number(3, at_least=1)
    heads: int = number(4, at_least=1)
    feed_forward_size: int = number(768, at_least=1)
    max_length: int = number(128, at_least=1)
    segments: int = number(0, at_least=0)
    """Size of the segment (token-type) table; 0 leaves segment embeddings out."""
    dropout: float = number(0.1, at_least=0, below=1)
    """Rate on the embeddings and on every residual branch, rounded to 1/256."""
    attention_dropout: float = number(0.1, at_least=0, below=1)
    """Rate on the attention weights, rounded to 1/256."""
    norm: str = choice("pre", "pre", "post")
    norm_epsilon: float = number(1e-12, above=0)
    activation: str = choice("gelu", "relu", "gelu", "gelu_tanh")
    position: PositionConfig = field(default_factory=PositionConfig)
    init_scale: float = number(0.02, above=0)
    """Standard deviation of the truncated normal that weights are drawn from."""
    output_bias: str = choice("unigram", "unigram", "zero")
    """What the MLM output bias starts at: log unigram frequencies of the training split, or zero."""
    dtype: str = choice("float32", "float32", "float64")
