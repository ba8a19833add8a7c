"""Every layer alone: its gradients with respect to its input and to each of its parameters."""

import numpy as np
import pytest
from gradient_check import check_gradients, check_layer, scattered_parameters

from minibert.config import ModelConfig, PositionConfig, RelativeBiasConfig, RelativeConfig, RopeConfig
from minibert.model.attention import attention, attention_backward, attention_bias, attention_blocks
from minibert.model.dropout import DropoutMasks
from minibert.model.embeddings import embeddings, embeddings_backward, embeddings_blocks
from minibert.model.encoder import encoder_blocks, final_norm, final_norm_backward, layer, layer_backward
from minibert.model.feed_forward import GATED, feed_forward, feed_forward_backward, feed_forward_blocks
from minibert.model.heads import mlm_head, mlm_head_backward, mlm_head_blocks
from minibert.model.norms import layer_norm, layer_norm_backward, rms_norm, rms_norm_backward
from minibert.model.ops import (
    ACTIVATIONS,
    BLOCK,
    activation,
    activation_backward,
    cross_entropy,
    dropout,
    linear,
    linear_backward,
    softmax,
    softmax_backward,
)
from minibert.model.parameters import Block
from minibert.model.passes import Inputs
from minibert.model.positions import NoPositions, build_positions

BATCH, TOKENS, HIDDEN, HEADS = 2, 5, 12, 2
ROWS = np.array([[3, 0], [1, 4]])
"""Two positions of each sequence, in no order: all that a trimmed layer computes."""
PIECES = np.array([[0, 1, 2, 0, 1], [0, 1, 2, 3, 4]])
"""Positions of a row that holds two pieces, and of one that holds one."""
SCHEMES = {
    "absolute": PositionConfig("absolute"),
    "sinusoidal": PositionConfig("sinusoidal"),
    "relative": RelativeConfig(distance=2),
    "relative keys": RelativeConfig(distance=2, values=False),
    "relative values": RelativeConfig(distance=2, keys=False),
    "relative_bias": RelativeBiasConfig(buckets=8, farthest=4),
    "rope": RopeConfig(base=50.0),
    "rope in part": RopeConfig(base=50.0, fraction=0.4),
    "alibi": PositionConfig("alibi"),
    "none": PositionConfig("none"),
}
"""Small enough for the sequences here to reach the ends of all tables"""
IN_ATTENTION = ["relative", "relative keys", "relative values", "relative_bias", "rope", "rope in part", "alibi"]


def config(**fields) -> ModelConfig:
    """A network small enough for many forward passes. Epsilon is large enough to matter."""
    sizes = {
        "vocab_size": 17, "hidden_size": HIDDEN, "heads": HEADS, "feed_forward_size": 7, "layers": 1,
        "max_length": 8, "norm_epsilon": 0.1, "dropout": 0.0, "attention_dropout": 0.0, "dtype": "float64",
        "position": PositionConfig(),
    }  # fmt: skip
    return ModelConfig(**sizes | fields)


def normal(*shape, seed=5) -> np.ndarray:
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


def no_gradient(settings: ModelConfig, prefix: str) -> list[str]:
    """Parameters whose gradient is zero: a key bias adds one number to all scores of a query, which softmax takes
    off. Where keys turn with their positions, or are normalised, it adds another number to each."""
    return [] if settings.position.name == "rope" or settings.qk_norm else [f"{prefix}.key.bias"]


def masks_at(step: int) -> DropoutMasks:
    """The same masks each time it is called: dropout held fixed."""
    return DropoutMasks(seed=3, step=step, first_sequence=0)


def test_linear():
    params, grads = scattered_parameters([Block("linear.weight", (4, 3)), Block("linear.bias", (3,))])
    x = normal(5, 4)

    def forward():
        return linear(x, params["linear.weight"], params["linear.bias"])[0]

    def backward(dy):
        dx = linear_backward(dy, x, "linear", params, grads)
        return {"x": dx, **grads}

    check_layer(forward, backward, {"x": x, **params})


@pytest.mark.parametrize("shape", [(4, HIDDEN), (2, 3, 4, HIDDEN)], ids=["rows", "heads"])
@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_rms_norm(epsilon, shape):
    params, grads = scattered_parameters([Block("norm.gain", (HIDDEN,))])
    x = normal(*shape)

    def forward():
        return rms_norm(x, params["norm.gain"], epsilon)[0]

    def backward(dy):
        _, cache = rms_norm(x, params["norm.gain"], epsilon)
        return {"x": rms_norm_backward(dy, cache, params["norm.gain"], grads, "norm.gain"), **grads}

    check_layer(forward, backward, {"x": x, **params})


def check_layer_norm(gain=None, epsilon=0.1):
    params, grads = scattered_parameters([Block("norm.gain", (HIDDEN,)), Block("norm.bias", (HIDDEN,))])
    if gain is not None:
        params["norm.gain"] = gain
    x = normal(4, HIDDEN)

    def forward():
        return layer_norm(x, params["norm.gain"], params["norm.bias"], epsilon)[0]

    def backward(dy):
        _, cache = layer_norm(x, params["norm.gain"], params["norm.bias"], epsilon)
        dx = layer_norm_backward(dy, cache, params["norm.gain"], grads, "norm.gain", "norm.bias")
        return {"x": dx, **grads}

    check_layer(forward, backward, {"x": x, **params})


@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_layer_norm(epsilon):
    check_layer_norm(epsilon=epsilon)


def test_softmax():
    scores = normal(2, 3, 5)

    def backward(dweights):
        weights = softmax(scores.copy())
        return {"scores": softmax_backward(dweights, weights, (dweights * weights).sum(axis=-1, keepdims=True))}

    check_layer(lambda: softmax(scores.copy()), backward, {"scores": scores})


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    x = normal(3, 7)
    x[np.abs(x) < 0.01] = 0.01  # the corner of a ReLU has no slope

    def backward(dy):
        return {"x": activation_backward(dy, activation(x.copy(), name)[1])}

    check_layer(lambda: activation(x.copy(), name)[0], backward, {"x": x})


def test_an_activation_of_more_than_one_block_has_the_slope_of_each_element():
    x = normal(3, BLOCK // 2)
    _, slope = activation(x.copy(), "gelu")
    step = 1e-6
    above, below = activation(x + step, "gelu")[0], activation(x - step, "gelu")[0]
    np.testing.assert_allclose(slope, (above - below) / (2 * step), atol=1e-8)


def test_the_fast_gelu_of_float32_is_that_of_float64_up_to_rounding():
    x = np.concatenate([np.linspace(-12, 12, 20001), [0.0, -0.0, 1e-30, -1e-30, 40.0, -40.0]])
    exact, exact_slope = activation(x.copy(), "gelu")
    fast, slope = activation(x.astype(np.float32), "gelu")
    np.testing.assert_allclose(fast, exact, rtol=2e-7, atol=4e-7)
    np.testing.assert_allclose(slope, exact_slope, rtol=0, atol=4e-7)


def test_dropout():
    x = normal(3, 4)
    mask = np.where(np.random.default_rng(0).random((3, 4)) < 0.5, 0.0, 2.0)
    check_layer(lambda: dropout(x.copy(), mask), lambda dy: {"x": dropout(dy, mask)}, {"x": x})


def test_cross_entropy_of_one_row_at_a_time_is_that_of_all_rows(monkeypatch):
    logits, labels = normal(5, 9), np.array([3, 0, 8, 3, 1])
    logits[2] += 100  # this row alone needs a shift
    loss, dlogits = cross_entropy(logits.copy(), labels, 6)
    monkeypatch.setattr("minibert.model.ops.BLOCK", 3)
    loss_by_row, dlogits_by_row = cross_entropy(logits.copy(), labels, 6)
    assert loss_by_row == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(dlogits_by_row, dlogits, rtol=1e-12)


@pytest.mark.parametrize("count", [4, 7])
def test_cross_entropy(count):
    logits, labels = normal(4, 5), np.array([2, 0, 4, 2])
    _, dlogits = cross_entropy(logits.copy(), labels, count)

    def loss():
        return cross_entropy(logits.copy(), labels, count)[0]

    check_gradients(loss, {"logits": logits}, {"logits": dlogits})


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("mask", ["none", "padding", "pairs"])
def test_attention(mask, rows, rate):
    """The key bias has no gradient: it adds the same number to all scores of a query, which softmax takes off."""
    settings = config(attention_dropout=rate)
    params, grads = scattered_parameters(attention_blocks("attention", settings, NoPositions(settings)))
    x = normal(BATCH * TOKENS, HIDDEN)
    bias = attention_bias(mask_of(mask), "float64")

    def run():
        return attention(x, BATCH, "attention", params, settings, bias, rows, masks_at(1))

    def backward(dy):
        return {"x": attention_backward(dy, run()[1], BATCH, "attention", params, grads), **grads}

    check_layer(lambda: run()[0], backward, {"x": x, **params}, zero=["attention.key.bias"])


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("position_ids", [None, PIECES], ids=["plain", "pieces"])
@pytest.mark.parametrize("scheme", IN_ATTENTION)
def test_attention_that_knows_positions(scheme, position_ids, rows, rate):
    """No mask keeps the pieces apart: distances between them count, other ones in each sequence."""
    settings = config(attention_dropout=rate, position=SCHEMES[scheme])
    position = build_positions(settings)
    blocks = position.blocks(settings) + attention_blocks("attention", settings, position)
    params, grads = scattered_parameters(blocks)
    x = normal(BATCH * TOKENS, HIDDEN)

    def run():
        places = position.places(position_ids, BATCH, TOKENS, None, params)
        return attention(x, BATCH, "attention", params, settings, None, rows, masks_at(1), places=places)

    def backward(dy):
        return {"x": attention_backward(dy, run()[1], BATCH, "attention", params, grads), **grads}

    check_layer(lambda: run()[0], backward, {"x": x, **params}, zero=no_gradient(settings, "attention"))


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("mask", ["none", "pairs"])
@pytest.mark.parametrize("scheme", ["none", "relative", "rope"])
@pytest.mark.parametrize(("kind", "qk_norm"), [("gated", False), ("softmax", True), ("gated", True)])
def test_attention_with_gates_and_normalised_queries_and_keys(kind, qk_norm, scheme, mask, rows, rate):
    settings = config(attention=kind, qk_norm=qk_norm, attention_dropout=rate, position=SCHEMES[scheme])
    position = build_positions(settings)
    params, grads = scattered_parameters(attention_blocks("attention", settings, position))
    x = normal(BATCH * TOKENS, HIDDEN)
    bias = attention_bias(mask_of(mask), "float64")

    def run():
        places = position.places(None, BATCH, TOKENS, bias, params)
        return attention(x, BATCH, "attention", params, settings, bias, rows, masks_at(1), places=places)

    def backward(dy):
        return {"x": attention_backward(dy, run()[1], BATCH, "attention", params, grads), **grads}

    check_layer(lambda: run()[0], backward, {"x": x, **params}, zero=no_gradient(settings, "attention"))


@pytest.mark.parametrize("name", [*ACTIVATIONS, *GATED])
def test_feed_forward(name):
    settings = config(activation=name)
    params, grads = scattered_parameters(feed_forward_blocks("feed_forward", settings))
    x = normal(4, HIDDEN)

    def run():
        return feed_forward(x, "feed_forward", params, settings)

    def backward(dy):
        return {"x": feed_forward_backward(dy, run()[1], "feed_forward", params, grads), **grads}

    check_layer(lambda: run()[0], backward, {"x": x, **params})


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("segments", [0, 2])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_embeddings_with_repeated_ids(norm, segments, rate):
    check_embeddings(config(norm=norm, segments=segments, dropout=rate))


def test_embeddings_with_a_root_mean_square_norm():
    check_embeddings(config(norm="post", norm_kind="rms_norm", segments=2, dropout=0.3))


def check_embeddings(settings):
    """Token 3 stands three times in one sequence and in both; tokens and positions left over get zero."""
    position = build_positions(settings)
    params, grads = scattered_parameters(embeddings_blocks(settings, position))
    input_ids = np.array([[3, 3, 9, 3, 0], [16, 3, 9, 1, 0]])
    segment_ids = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]]) if settings.segments else None

    def run():
        return embeddings(Inputs(input_ids, None, segment_ids), params, settings, position, masks_at(1))

    def backward(dy):
        embeddings_backward(dy, run()[1], params, grads, position)
        return grads

    check_layer(lambda: run()[0], backward, params)
    assert not grads["embeddings.token.weight"][[2, 4, 15]].any()
    assert not grads["embeddings.position.weight"][TOKENS:].any()


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_layer(norm, rows, rate):
    check_encoder_layer(config(norm=norm, dropout=rate, attention_dropout=rate), rows)


@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_layer_of_other_parts(norm, rows):
    other = {"norm_kind": "rms_norm", "activation": "swiglu", "attention": "gated", "qk_norm": True}
    check_encoder_layer(config(norm=norm, **other), rows)


def check_encoder_layer(settings, rows):
    blocks = [
        block for block in encoder_blocks(settings, NoPositions(settings)) if block.name.startswith("layers.0")
    ]
    params, grads = scattered_parameters(blocks)
    x = normal(BATCH * TOKENS, HIDDEN)
    bias = attention_bias(mask_of("padding"), "float64")

    def run():
        return layer(x, BATCH, "layers.0", params, settings, bias, rows, masks_at(1))

    def backward(dy):
        return {"x": layer_backward(dy, run()[1], BATCH, "layers.0", params, settings, grads), **grads}

    check_layer(lambda: run()[0], backward, {"x": x, **params}, zero=no_gradient(settings, "layers.0.attention"))


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_final_norm(norm, kind):
    settings = config(norm=norm, norm_kind=kind)
    every = encoder_blocks(settings, NoPositions(settings))
    blocks = [block for block in every if block.name.startswith("final_norm")]
    params, grads = scattered_parameters(blocks)
    x = normal(4, HIDDEN)

    def backward(dy):
        return {"x": final_norm_backward(dy, final_norm(x, params, settings)[1], params, grads), **grads}

    check_layer(lambda: final_norm(x, params, settings)[0], backward, {"x": x, **params})


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("name", ["relu", "gelu", "gelu_tanh", "swiglu", "geglu"])
def test_mlm_head(name, kind):
    """The token embeddings are its output weights: their gradient here is the head's part of it."""
    settings = config(activation=name, norm_kind=kind)
    table = Block("embeddings.token.weight", (settings.vocab_size, HIDDEN))
    params, grads = scattered_parameters([table, *mlm_head_blocks(settings)])
    x = normal(3, HIDDEN)

    def backward(dlogits):
        return {"x": mlm_head_backward(dlogits, mlm_head(x, params, settings)[1], params, grads), **grads}

    check_layer(lambda: mlm_head(x, params, settings)[0], backward, {"x": x, **params})


def test_gradients_of_repeated_rows_are_summed():
    _params, grads = scattered_parameters([Block("table.weight", (5, 2))])
    rows, values = np.array([4, 1, 4, 4]), np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])
    grads.add_rows("table.weight", rows, values)
    np.testing.assert_array_equal(grads["table.weight"], [[0, 0], [2, 20], [0, 0], [0, 0], [8, 80]])
    grads.add_rows("table.weight", rows, values)
    np.testing.assert_array_equal(grads["table.weight"], [[0, 0], [4, 40], [0, 0], [0, 0], [16, 160]])


def test_gradients_accumulate_until_they_are_cleared():
    _, grads = scattered_parameters([Block("a.weight", (1, 1)), Block("a.bias", (1,))])
    left, right = np.array([[2.0]]), np.array([[3.0]])
    for expected in (1, 2):
        grads.add("a.bias", np.array([5.0]))
        grads.add_product("a.weight", left, right)
        assert (grads["a.weight"].item(), grads["a.bias"].item()) == (6 * expected, 5 * expected)
    grads.vector[:] = np.nan
    grads.clear()
    grads.add("a.bias", np.array([7.0]))
    grads.fill_untouched()
    assert grads.vector.tolist() == [0, 7]
