"""Every layer alone: its gradients with respect to its input and to each of its parameters."""

import numpy as np
import pytest

from minibert.mistakes import layers
from minibert.mistakes.gradient_check import assert_right, scattered_parameters
from minibert.mistakes.layers import HIDDEN, ROWS, SCHEMES, TOKENS, normal
from minibert.model.feed_forward import GATED
from minibert.model.ops import ACTIVATIONS, BLOCK, activation, cross_entropy
from minibert.model.parameters import Block
from minibert.model.positions import POSITIONS, PositionScheme

PIECES = np.array([[0, 1, 2, 0, 1], [0, 1, 2, 3, 4]])
"""Positions of a row that holds two pieces, and of one that holds one."""
IN_ATTENTION = [
    name for name, position in SCHEMES.items() if POSITIONS[position.name].places is not PositionScheme.places
]
"""The schemes that attention is told of"""


def test_linear():
    assert_right(layers.linear())


@pytest.mark.parametrize("shape", [(4, HIDDEN), (2, 3, 4, HIDDEN)], ids=["rows", "heads"])
@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_rms_norm(epsilon, shape):
    assert_right(layers.rms_norm(epsilon, shape))


@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_layer_norm(epsilon):
    assert_right(layers.layer_norm(epsilon))


def test_softmax():
    assert_right(layers.softmax())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    assert_right(layers.activation(name))


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
    assert_right(layers.dropout())


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
    assert_right(layers.cross_entropy(count))


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("mask", ["none", "padding", "pairs"])
def test_attention(mask, rows, rate):
    """The key bias has no gradient: it adds the same number to all scores of a query, which softmax takes off."""
    problem = layers.attention(mask, rows, rate)
    assert problem.zero == ["attention.key.bias"]
    assert_right(problem)


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("position_ids", [None, PIECES], ids=["plain", "pieces"])
@pytest.mark.parametrize("scheme", IN_ATTENTION)
def test_attention_that_knows_positions(scheme, position_ids, rows, rate):
    """No mask keeps the pieces apart: distances between them count, other ones in each sequence."""
    assert_right(layers.attention("none", rows, rate, scheme, position_ids))


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("mask", ["none", "pairs"])
@pytest.mark.parametrize("scheme", ["none", "relative", "rope"])
@pytest.mark.parametrize(("kind", "qk_norm"), [("gated", False), ("softmax", True), ("gated", True)])
def test_attention_with_gates_and_normalised_queries_and_keys(kind, qk_norm, scheme, mask, rows, rate):
    assert_right(layers.attention(mask, rows, rate, scheme, None, kind, qk_norm))


@pytest.mark.parametrize("name", [*ACTIVATIONS, *GATED])
def test_feed_forward(name):
    assert_right(layers.feed_forward(name))


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("segments", [0, 2])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_embeddings_with_repeated_ids(norm, segments, rate):
    check_embeddings(layers.embeddings(norm, segments, rate))


def test_embeddings_with_a_root_mean_square_norm():
    check_embeddings(layers.embeddings("post", 2, 0.3, "rms_norm"))


def check_embeddings(problem):
    assert_right(problem)
    assert not problem.gradients["embeddings.token.weight"][[2, 4, 15]].any()
    assert not problem.gradients["embeddings.position.weight"][TOKENS:].any()


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_layer(norm, rows, rate):
    assert_right(layers.layer(norm, rows, rate))


@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "some rows"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_layer_of_other_parts(norm, rows):
    other = {"norm_kind": "rms_norm", "activation": "swiglu", "attention": "gated", "qk_norm": True}
    assert_right(layers.layer(norm, rows, **other))


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_final_norm(norm, kind):
    assert_right(layers.final_norm(norm, kind))


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("name", [*ACTIVATIONS, *GATED])
def test_mlm_head(name, kind):
    assert_right(layers.mlm_head(name, kind))


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
