"""What the variants of attention, feed-forward network and norm promise."""

import math

import numpy as np
import pytest

from minibert.config import ModelConfig
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.feed_forward import inner_size
from minibert.model.norms import rms_norm
from minibert.model.ops import activation, sigmoid

INPUT_IDS = np.array([[2, 9, 9, 5, 3], [2, 7, 3, 1, 0]])


def build(**fields) -> MiniBERT:
    settings = {
        "vocab_size": 40, "hidden_size": 16, "layers": 2, "heads": 4, "feed_forward_size": 24, "max_length": 6,
        "dropout": 0.0, "attention_dropout": 0.0, "dtype": "float64", "init_scale": 0.5,
    }  # fmt: skip
    return MiniBERT(ModelConfig(**settings | fields), seed=1)


# Gated attention


def test_gates_of_one_equal_softmax_attention():
    """σ(40) differs from one by less than the rounding of float64."""
    gated = build(attention="gated")
    for layer in range(2):
        gated.params[f"layers.{layer}.attention.gate.weight"] = 0
        gated.params[f"layers.{layer}.attention.gate.bias"] = 40
    np.testing.assert_array_equal(gated.forward(INPUT_IDS)[0], build().forward(INPUT_IDS)[0])


def test_a_closed_gate_silences_its_head_and_no_other():
    gated, plain = build(attention="gated", layers=1), build(layers=1)
    gated.params["layers.0.attention.gate.weight"] = 0
    gated.params["layers.0.attention.gate.bias"] = [40, -800, 40, 40]
    plain.params["layers.0.attention.output.weight"][4:8] = 0  # what reads the second head
    np.testing.assert_allclose(gated.forward(INPUT_IDS)[0], plain.forward(INPUT_IDS)[0], rtol=1e-12, atol=1e-13)


def test_gates_are_read_from_the_layers_input_one_for_each_head_and_position():
    gated = build(attention="gated", layers=1)
    _, cache = gated.forward(INPUT_IDS)
    attention = cache.layers[0].attention
    weight = gated.params["layers.0.attention.gate.weight"]
    expected = 1 / (1 + np.exp(-(attention.input @ weight)))
    np.testing.assert_allclose(attention.gate, expected, rtol=1e-12)
    ratio = (attention.gated_context / attention.context).reshape(10, 4, 4)
    np.testing.assert_allclose(ratio, np.repeat(expected[..., None], 4, axis=2), rtol=1e-9)


# Normalised queries and keys


def test_normalised_queries_and_keys_do_not_see_the_scale_of_their_projections():
    model = build(qk_norm=True)
    logits, _ = model.forward(INPUT_IDS)
    for name in ("query", "key"):
        model.params[f"layers.0.attention.{name}.weight"] *= 7
    np.testing.assert_allclose(model.forward(INPUT_IDS)[0], logits, rtol=1e-9, atol=1e-10)


def test_scores_of_normalised_queries_and_keys_are_bounded():
    """|q · k| / √K is at most √K with gains of one: here 2, so no weight exceeds e² / (e² + 4 e⁻²)."""
    model = build(qk_norm=True, init_scale=50.0)
    _, cache = model.forward(INPUT_IDS)
    bound = math.exp(2) / (math.exp(2) + 4 * math.exp(-2))
    assert cache.layers[0].attention.weights.max() <= bound
    _, plain = build(init_scale=50.0).forward(INPUT_IDS)
    assert plain.layers[0].attention.weights.max() > bound


def test_normalised_heads_of_one_entry_are_refused():
    with pytest.raises(MinibertError, match=r"qk_norm=True.*heads=16.*nothing but a sign"):
        build(qk_norm=True, heads=16)


# Feed-forward network


@pytest.mark.parametrize("activation_name", ["swiglu", "geglu"])
@pytest.mark.parametrize(("hidden", "inner"), [(16, 24), (128, 512), (192, 768), (30, 7)])
def test_matched_gated_units_have_as_many_parameters_as_a_plain_network(hidden, inner, activation_name):
    """Up to half a column of the three matrices, 3D + 2 numbers, of each layer."""
    sizes = {"hidden_size": hidden, "feed_forward_size": inner, "heads": 1, "layers": 1}
    plain = build(**sizes).params.vector.size
    matched = build(**sizes, activation=activation_name, match_feed_forward=True).params.vector.size
    assert abs(matched - plain) <= (3 * hidden + 2) / 2
    assert build(**sizes, activation=activation_name).params.vector.size == plain + inner * (hidden + 1)


def test_matching_leaves_plain_networks_alone():
    assert inner_size(ModelConfig(match_feed_forward=True)) == 768
    assert inner_size(ModelConfig(match_feed_forward=True, activation="swiglu")) == 512


def test_a_gate_of_one_makes_a_gated_unit_linear():
    """σ(x) is one and x constant: the unit is c · (x W_in), and two inputs add up."""
    model = build(activation="swiglu", layers=1, norm="pre")
    feed = "layers.0.feed_forward"
    model.params[f"{feed}.gate.weight"] = 0
    model.params[f"{feed}.gate.bias"] = 1.5
    _, cache = model.forward(INPUT_IDS)
    kept = cache.layers[0].feed_forward
    silu = 1.5 / (1 + math.exp(-1.5))
    np.testing.assert_allclose(kept.active, silu * (kept.input @ model.params[f"{feed}.in.weight"]), rtol=1e-12)


def test_sigmoid_is_finite_far_outside():
    x = np.array([-1e30, -800.0, 0.0, 800.0, 1e30], np.float32)
    with np.errstate(all="raise"):
        assert sigmoid(x, out=x).tolist() == [0, 0, 0.5, 1, 1]


def test_silu_of_three_numbers_and_its_slopes():
    """x σ(x) and σ(x) (1 + x (1 - σ(x))), with σ(±1) = 0.7311, 0.2689."""
    y, slope = activation(np.array([-1.0, 0.0, 1.0]), "silu")
    np.testing.assert_allclose(y, [-0.26894142, 0, 0.73105858], rtol=1e-7)
    np.testing.assert_allclose(slope, [0.07232949, 0.5, 0.92767051], rtol=1e-6)


# Norm


def test_root_mean_square_norm_keeps_the_direction_and_sets_the_scale():
    x = np.random.default_rng(0).normal(3, 2, (5, 16))
    y, _ = rms_norm(x, np.ones(16), 0.0)
    np.testing.assert_allclose((y**2).mean(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(y / x, np.repeat(y[:, :1] / x[:, :1], 16, axis=1), rtol=1e-12)
    np.testing.assert_allclose(rms_norm(9 * x, np.ones(16), 0.0)[0], y, rtol=1e-12)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_networks_of_root_mean_square_norms_have_no_norm_biases(norm):
    names = set(build(norm=norm, norm_kind="rms_norm").params)
    assert {name for name in build(norm=norm).params} - names == {
        name for name in build(norm=norm).params if name.endswith("norm.bias")
    }


# All of it


@pytest.mark.parametrize(
    "fields",
    [
        {"attention": "gated"}, {"qk_norm": True}, {"norm_kind": "rms_norm"}, {"activation": "swiglu"},
        {"activation": "geglu"},
    ],
    ids=str,
)  # fmt: skip
def test_float32_and_float64_agree_to_rounding(fields):
    single, double = build(**fields, dtype="float32", init_scale=0.3), build(**fields, init_scale=0.3)
    double.params.vector[:] = single.params.vector
    labels = np.full((2, 5), 6)
    (loss, grads), (expected_loss, expected) = (m.loss_and_gradients(INPUT_IDS, labels) for m in (single, double))
    assert grads.vector.dtype == np.float32
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert np.linalg.norm(grads.vector - expected.vector) < 1e-5 * np.linalg.norm(expected.vector)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"attention": "gate"}, r"model\.attention=gate: .*did you mean 'gated'"),
        ({"activation": "silu"}, r"model\.activation=silu: .*swiglu"),
        ({"norm_kind": "rms"}, r"model\.norm_kind=rms: .*did you mean 'rms_norm'"),
        ({"init": "he"}, r"model\.init=he: .*kaiming"),
    ],
)
def test_unknown_words_are_refused(fields, words):
    with pytest.raises(MinibertError, match=words):
        build(**fields)
