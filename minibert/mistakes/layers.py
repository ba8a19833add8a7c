"""Every layer alone, as a problem for the gradient check: a random point, small enough for many forward passes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minibert.config import ModelConfig, PositionConfig, RelativeConfig, RopeConfig
from minibert.config.positions import POSITIONS
from minibert.mistakes.gradient_check import Problem, of_layer, scattered_parameters
from minibert.model import ops
from minibert.model.attention import attention as attend
from minibert.model.attention import attention_backward, attention_bias, attention_blocks
from minibert.model.dropout import DropoutMasks
from minibert.model.embeddings import embeddings as embed
from minibert.model.embeddings import embeddings_backward, embeddings_blocks
from minibert.model.encoder import encoder_blocks, final_norm_backward, layer_backward
from minibert.model.encoder import final_norm as norm_at_the_end
from minibert.model.encoder import layer as whole_layer
from minibert.model.feed_forward import feed_forward as feed
from minibert.model.feed_forward import feed_forward_backward, feed_forward_blocks
from minibert.model.heads import mlm_head as score
from minibert.model.heads import mlm_head_backward, mlm_head_blocks
from minibert.model.norms import layer_norm as normalise
from minibert.model.norms import layer_norm_backward, rms_norm_backward
from minibert.model.norms import rms_norm as normalise_by_root
from minibert.model.parameters import Block
from minibert.model.passes import Inputs
from minibert.model.positions import NoPositions, Places, PositionScheme, build_positions

BATCH, TOKENS, HIDDEN, HEADS = 2, 5, 12, 2
ROWS = np.array([[3, 0], [1, 4]])
"""Two positions of each sequence, in no order: all that a trimmed layer computes."""
SMALL: dict[str, dict[str, Any]] = {
    "relative": {"distance": 2}, "relative_bias": {"buckets": 8, "farthest": 4}, "rope": {"base": 50.0},
}  # fmt: skip
"""Position scheme -> settings with which the sequences here reach the ends of all tables; others have their
defaults"""
EVERY_SCHEME: dict[str, PositionConfig] = {
    name: schema(name, **SMALL.get(name, {})) for name, schema in POSITIONS.items()
}
"""All options of the group ``position``, those that join it later included"""
SCHEMES = EVERY_SCHEME | {
    "relative keys": RelativeConfig(distance=2, values=False),
    "relative values": RelativeConfig(distance=2, keys=False),
    "rope in part": RopeConfig(base=50.0, fraction=0.4),
}


def config(**fields: Any) -> ModelConfig:
    """A network small enough for many forward passes. Epsilon is large enough to matter."""
    sizes: dict[str, Any] = {
        "vocab_size": 17, "hidden_size": HIDDEN, "heads": HEADS, "feed_forward_size": 7, "layers": 1,
        "max_length": 8, "norm_epsilon": 0.1, "dropout": 0.0, "attention_dropout": 0.0, "dtype": "float64",
        "position": PositionConfig(),
    }  # fmt: skip
    return ModelConfig(**sizes | fields)


def normal(*shape: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def mask_of(kind: str) -> np.ndarray | None:
    """None; (B, T) with two tokens of padding; or (B, T, T) in which each position looks at a set of its own."""
    if kind == "none":
        return None
    if kind == "padding":
        mask = np.ones((BATCH, TOKENS), bool)
        mask[0, 3:] = False
        return mask
    return (np.random.default_rng(8).random((BATCH, TOKENS, TOKENS)) < 0.5) | np.eye(TOKENS, dtype=bool)


def turns_keys(position: PositionScheme, params: Mapping[str, np.ndarray]) -> bool:
    """Whether a scheme turns queries and keys before they meet."""
    return type(position.places(None, 1, 1, None, params)).rotate is not Places.rotate


def no_gradient(settings: ModelConfig, prefix: str, params: Mapping[str, np.ndarray]) -> list[str]:
    """Parameters whose gradient is zero: a key bias adds one number to all scores of a query, which softmax takes
    off. Where keys turn with their positions, or are normalised, it adds another number to each."""
    varied = settings.qk_norm or turns_keys(build_positions(settings), params)
    return [] if varied else [f"{prefix}.key.bias"]


def masks_at(step: int) -> DropoutMasks:
    """The same masks each time it is called: dropout held fixed."""
    return DropoutMasks(seed=3, step=step, first_sequence=0)


def linear() -> Problem:
    params, grads = scattered_parameters([Block("linear.weight", (4, 3)), Block("linear.bias", (3,))])
    x = normal(5, 4)

    def forward():
        return ops.linear(x, params["linear.weight"], params["linear.bias"])[0]

    def backward(dy):
        dx = ops.linear_backward(dy, x, "linear", params, grads)
        return {"x": dx, **grads}

    return of_layer(forward, backward, {"x": x, **params})


def rms_norm(epsilon: float = 0.1, shape: tuple[int, ...] = (4, HIDDEN)) -> Problem:
    params, grads = scattered_parameters([Block("norm.gain", (HIDDEN,))])
    x = normal(*shape)

    def forward():
        return normalise_by_root(x, params["norm.gain"], epsilon)[0]

    def backward(dy):
        _, cache = normalise_by_root(x, params["norm.gain"], epsilon)
        return {"x": rms_norm_backward(dy, cache, params["norm.gain"], grads, "norm.gain"), **grads}

    return of_layer(forward, backward, {"x": x, **params})


def layer_norm(epsilon: float = 0.1, gain: float | None = None) -> Problem:
    """At random gains, or at gains that are all ``gain``."""
    params, grads = scattered_parameters([Block("norm.gain", (HIDDEN,)), Block("norm.bias", (HIDDEN,))])
    if gain is not None:
        params["norm.gain"] = gain
    x = normal(4, HIDDEN)

    def forward():
        return normalise(x, params["norm.gain"], params["norm.bias"], epsilon)[0]

    def backward(dy):
        _, cache = normalise(x, params["norm.gain"], params["norm.bias"], epsilon)
        dx = layer_norm_backward(dy, cache, params["norm.gain"], grads, "norm.gain", "norm.bias")
        return {"x": dx, **grads}

    return of_layer(forward, backward, {"x": x, **params})


def softmax() -> Problem:
    scores = normal(2, 3, 5)

    def backward(dweights):
        weights = ops.softmax(scores.copy())
        row_dot = (dweights * weights).sum(axis=-1, keepdims=True)
        return {"scores": ops.softmax_backward(dweights, weights, row_dot)}

    return of_layer(lambda: ops.softmax(scores.copy()), backward, {"scores": scores})


def activation(name: str) -> Problem:
    x = normal(3, 7)
    x[np.abs(x) < 0.01] = 0.01  # the corner of a ReLU has no slope

    def backward(dy):
        return {"x": ops.activation_backward(dy, ops.activation(x.copy(), name)[1])}

    return of_layer(lambda: ops.activation(x.copy(), name)[0], backward, {"x": x})


def dropout() -> Problem:
    x = normal(3, 4)
    mask = np.where(np.random.default_rng(0).random((3, 4)) < 0.5, 0.0, 2.0)
    return of_layer(lambda: ops.dropout(x.copy(), mask), lambda dy: {"x": ops.dropout(dy, mask)}, {"x": x})


def cross_entropy(count: int) -> Problem:
    logits, labels = normal(4, 5), np.array([2, 0, 4, 2])
    _, dlogits = ops.cross_entropy(logits.copy(), labels, count)

    def loss():
        return ops.cross_entropy(logits.copy(), labels, count)[0]

    return Problem(loss, {"logits": logits}, {"logits": dlogits})


def attention(
    mask: str = "none",
    rows: np.ndarray | None = None,
    rate: float = 0.0,
    scheme: str = "none",
    position_ids: np.ndarray | None = None,
    kind: str = "softmax",
    qk_norm: bool = False,
) -> Problem:
    """With a mask, of some rows, with dropout, with any position scheme, with gates, and with normalised keys."""
    settings = config(attention=kind, qk_norm=qk_norm, attention_dropout=rate, position=SCHEMES[scheme])
    position = build_positions(settings)
    blocks = position.blocks(settings) + attention_blocks("attention", settings, position)
    params, grads = scattered_parameters(blocks)
    x = normal(BATCH * TOKENS, HIDDEN)
    bias = attention_bias(mask_of(mask), "float64")

    def run():
        places = position.places(position_ids, BATCH, TOKENS, bias, params)
        return attend(x, BATCH, "attention", params, settings, bias, rows, masks_at(1), places=places)

    def backward(dy):
        return {"x": attention_backward(dy, run()[1], BATCH, "attention", params, grads), **grads}

    return of_layer(lambda: run()[0], backward, {"x": x, **params}, no_gradient(settings, "attention", params))


def feed_forward(name: str) -> Problem:
    settings = config(activation=name)
    params, grads = scattered_parameters(feed_forward_blocks("feed_forward", settings))
    x = normal(4, HIDDEN)

    def run():
        return feed(x, "feed_forward", params, settings)

    def backward(dy):
        return {"x": feed_forward_backward(dy, run()[1], "feed_forward", params, grads), **grads}

    return of_layer(lambda: run()[0], backward, {"x": x, **params})


def embeddings(norm: str = "pre", segments: int = 0, rate: float = 0.0, norm_kind: str = "layer_norm") -> Problem:
    """Token 3 stands three times in one sequence and in both; tokens and positions left over get zero."""
    settings = config(norm=norm, segments=segments, dropout=rate, norm_kind=norm_kind)
    position = build_positions(settings)
    params, grads = scattered_parameters(embeddings_blocks(settings, position))
    input_ids = np.array([[3, 3, 9, 3, 0], [16, 3, 9, 1, 0]])
    segment_ids = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]]) if settings.segments else None

    def run():
        return embed(Inputs(input_ids, None, segment_ids), params, settings, position, masks_at(1))

    def backward(dy):
        embeddings_backward(dy, run()[1], params, grads, position)
        return grads

    return of_layer(lambda: run()[0], backward, params)


def layer(norm: str, rows: np.ndarray | None = None, rate: float = 0.0, **fields: Any) -> Problem:
    settings = config(norm=norm, dropout=rate, attention_dropout=rate, **fields)
    every = encoder_blocks(settings, NoPositions(settings))
    params, grads = scattered_parameters([block for block in every if block.name.startswith("layers.0")])
    x = normal(BATCH * TOKENS, HIDDEN)
    bias = attention_bias(mask_of("padding"), "float64")

    def run():
        return whole_layer(x, BATCH, "layers.0", params, settings, bias, rows, masks_at(1))

    def backward(dy):
        return {"x": layer_backward(dy, run()[1], BATCH, "layers.0", params, settings, grads), **grads}

    zero = no_gradient(settings, "layers.0.attention", params)
    return of_layer(lambda: run()[0], backward, {"x": x, **params}, zero)


def final_norm(norm: str, kind: str) -> Problem:
    settings = config(norm=norm, norm_kind=kind)
    every = encoder_blocks(settings, NoPositions(settings))
    params, grads = scattered_parameters([block for block in every if block.name.startswith("final_norm")])
    x = normal(4, HIDDEN)

    def backward(dy):
        return {"x": final_norm_backward(dy, norm_at_the_end(x, params, settings)[1], params, grads), **grads}

    return of_layer(lambda: norm_at_the_end(x, params, settings)[0], backward, {"x": x, **params})


def mlm_head(name: str, kind: str) -> Problem:
    """The token embeddings are its output weights: their gradient here is the head's part of it."""
    settings = config(activation=name, norm_kind=kind)
    table = Block("embeddings.token.weight", (settings.vocab_size, HIDDEN))
    params, grads = scattered_parameters([table, *mlm_head_blocks(settings)])
    x = normal(3, HIDDEN)

    def backward(dlogits):
        return {"x": mlm_head_backward(dlogits, score(x, params, settings)[1], params, grads), **grads}

    return of_layer(lambda: score(x, params, settings)[0], backward, {"x": x, **params})
