"""The group ``model``: shape and function of the network."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from minibert.config.data import TASKS
from minibert.config.fields import choice, number, setting
from minibert.config.positions import POSITIONS, PositionConfig, RopeConfig

LARGEST_VOCABULARY = 2_000_000
"""Tokens of the largest vocabulary that a network, or the training of a tokenizer, is asked for"""


@dataclass
class ModelConfig:
    """Shape and function of the network. ``vocab_size`` is also what the tokenizer is trained to."""

    name: str = "base"
    vocab_size: int = number(8192, at_least=16, at_most=LARGEST_VOCABULARY)
    hidden_size: int = number(192, at_least=1, at_most=65_536)
    layers: int = number(3, at_least=1, at_most=1000)
    heads: int = number(4, at_least=1, at_most=65_536)
    feed_forward_size: int = number(768, at_least=1, at_most=1_048_576)
    max_length: int = number(128, at_least=1, at_most=1_048_576)
    segments: int = number(0, at_least=0, at_most=65_536)
    """Size of the segment (token-type) table; 0 leaves segment embeddings out."""
    dropout: float = number(0.0, at_least=0, below=1)
    """Rate on the embeddings and on every residual branch, rounded to 1/256."""
    attention_dropout: float = number(0.0, at_least=0, below=1)
    """Rate on the attention weights, rounded to 1/256."""
    attention: str = choice("softmax", "softmax", "gated")
    """``gated``: a sigmoid gate for each head on what attention gives."""
    attention_window: int | None = number(None, at_least=1, at_most=2_097_152)
    """In local layers a position sees those at most half of this away; null: every layer is global."""
    global_every: int = number(3, at_least=0, at_most=1000, only_with={"attention_window": True})
    """Every how many layers, from the first on, one is global; 0: none is."""
    qk_norm: bool = False
    """Normalise every head's queries and keys."""
    norm: str = choice("pre", "pre", "post")
    """Where norms stand: before each branch, or after each sum."""
    norm_kind: str = choice("layer_norm", "layer_norm", "rms_norm")
    norm_epsilon: float = number(1e-12, above=0)
    embedding_norm: bool = setting(False, only_with={"norm": ("pre",)})
    """Normalise the embeddings, as networks with ``norm: post`` always do."""
    first_attention_norm: bool = setting(True, only_with={"norm": ("pre",)})
    """Whether the attention of the first layer, too, has a norm before it."""
    attention_bias: bool = True
    """Biases of queries, keys, values and of attention's output."""
    feed_forward_bias: bool = True
    norm_bias: bool = setting(True, only_with={"norm_kind": ("layer_norm",)})
    head_bias: bool = True
    """The bias of the MLM head's transform."""
    decoder_bias: bool = True
    """The bias on the scores over the vocabulary."""
    tie_word_embeddings: bool = True
    """Score with the token embeddings; false: with weights of their own."""
    activation: str = choice("gelu", "relu", "gelu", "gelu_tanh", "swiglu", "geglu")
    match_feed_forward: bool = setting(False, only_with={"activation": ("swiglu", "geglu")})
    """``swiglu`` and ``geglu`` have a third matrix: shrink the inner size, so that there are as many parameters as
    ``feed_forward_size`` gives the others."""
    position: PositionConfig = field(default_factory=RopeConfig)
    init: str = choice("bert", "bert", "xavier", "kaiming", "orthogonal", "small", "zero_residual")
    """How the matrices of layers and head start; tables are always truncated normal."""
    init_scale: float = number(0.02, above=0)
    """Standard deviation of the truncated normal: of tables; of matrices, unless ``init`` goes by their shape."""
    init_gain: float = number(1.0, above=0)
    """A factor on all matrices of layers and head."""
    output_bias: str = choice("unigram", "unigram", "zero")
    """What the bias on the scores starts at, where there is one: log unigram frequencies of the training split, or
    zero."""
    auxiliary_heads: list[str] = field(default_factory=list)
    """Heads beside the MLM head. A run has those that its ``objective`` asks for: they are not to be set."""
    dtype: str = choice("float32", "float32", "float64")

    def problems(self) -> Iterator[str]:
        """What the network and its position scheme refuse of each other."""
        if self.hidden_size % self.heads:
            divisors = [n for n in range(1, self.hidden_size + 1) if self.hidden_size % n == 0]
            closest = min(divisors, key=lambda n: abs(n - self.heads))
            yield (
                f"model.heads={self.heads}: does not divide model.hidden_size={self.hidden_size}. "
                f"Allowed: {', '.join(map(str, divisors))} (nearest: {closest})."
            )
            return
        if self.qk_norm and self.hidden_size == self.heads:
            yield (
                f"model.qk_norm=True: heads of one entry (model.heads={self.heads}) keep nothing but a sign. "
                f"Allowed: fewer heads than model.hidden_size={self.hidden_size}."
            )
        if len(set(self.auxiliary_heads)) < len(self.auxiliary_heads) or {*self.auxiliary_heads} - {*TASKS}:
            yield (
                f"model.auxiliary_heads={list(self.auxiliary_heads)}: not allowed. "
                f"Allowed: {', '.join(TASKS)}, each once."
            )
        position, schema = self.position, POSITIONS[self.position.name]
        if isinstance(position, schema):
            yield from position.problems(self)
        else:
            yield (
                f"model.position: a {type(position).__name__} for the scheme {position.name}. "
                f"Allowed: a {schema.__name__}; on the command line, position={position.name}."
            )
