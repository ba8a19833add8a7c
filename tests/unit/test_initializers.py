"""Where each scheme starts the matrices: by scale, by shape, by place in the network."""

import math

import numpy as np
import pytest

from minibert.config import ModelConfig, RelativeConfig
from minibert.model.bert import MiniBERT
from minibert.model.initializers import INITIALIZERS

TRUNCATED = 0.02 * math.sqrt(0.774)
"""Deviation of a normal variable with one of 0.02, cut at two of them: see test_model.py"""


def start(init, **fields) -> dict[str, np.ndarray]:
    settings = {
        "vocab_size": 300, "hidden_size": 96, "layers": 3, "heads": 4, "feed_forward_size": 160, "max_length": 32,
        "dtype": "float64",
    }  # fmt: skip
    return dict(MiniBERT(ModelConfig(init=init, **settings | fields), seed=2).params)


def matrices(params) -> dict[str, np.ndarray]:
    return {name: array for name, array in params.items() if name.endswith(".weight") and "embeddings" not in name}


def ends_branch(name) -> bool:
    return name.endswith(("attention.output.weight", "feed_forward.out.weight"))


def test_xavier_has_the_variance_of_both_sizes():
    for name, array in matrices(start("xavier")).items():
        assert array.std() == pytest.approx(math.sqrt(2 / sum(array.shape)), rel=0.02), name
        assert np.abs(array).max() <= math.sqrt(6 / sum(array.shape))


def test_kaiming_has_the_variance_of_the_input_size():
    for name, array in matrices(start("kaiming")).items():
        assert array.std() == pytest.approx(math.sqrt(2 / array.shape[0]), rel=0.03), name


def test_orthogonal_matrices_have_singular_values_of_one():
    params = start("orthogonal", init_gain=1.5)
    for name, array in matrices(params).items():
        np.testing.assert_allclose(np.linalg.svd(array, compute_uv=False), 1.5, rtol=1e-10, err_msg=name)
    square = params["layers.0.attention.output.weight"]
    assert abs(square.mean()) < 0.01  # signs of both kinds


def test_small_divides_the_ends_of_branches_by_the_root_of_their_number():
    """Three layers have six residual branches."""
    plain, params = start("bert"), start("small")
    for name, array in matrices(params).items():
        expected = plain[name] / math.sqrt(6) if ends_branch(name) else plain[name]
        np.testing.assert_allclose(array, expected, rtol=1e-14, err_msg=name)


def test_zero_residual_starts_every_layer_as_the_identity():
    settings = ModelConfig(
        vocab_size=50,
        hidden_size=16,
        layers=3,
        heads=2,
        feed_forward_size=32,
        max_length=8,
        init="zero_residual",
        norm="pre",
        dtype="float64",
    )
    _, cache = MiniBERT(settings).forward(np.arange(8)[None])
    for state in cache.hidden_states[1:3]:  # the last is after the final norm
        np.testing.assert_array_equal(state, cache.hidden_states[0])
    assert all(array.any() for name, array in matrices(start("zero_residual")).items() if not ends_branch(name))


@pytest.mark.parametrize("init", INITIALIZERS)
def test_tables_are_truncated_normal_in_every_scheme(init):
    params = start(init, vocab_size=2000, max_length=400, position=RelativeConfig(distance=100), segments=2)
    for name in ("embeddings.token.weight", "layers.2.attention.relative_key.weight"):
        assert params[name].std() == pytest.approx(TRUNCATED, rel=0.03), name
        assert np.abs(params[name]).max() <= 0.04


@pytest.mark.parametrize("init", INITIALIZERS)
def test_the_gain_is_a_factor_on_matrices_and_the_scale_one_on_tables(init):
    plain, gained, scaled = start(init), start(init, init_gain=3.0), start(init, init_scale=0.06)
    for name, array in matrices(plain).items():
        np.testing.assert_allclose(gained[name], 3 * array, rtol=1e-12)
        follows_scale = init in ("bert", "small", "zero_residual")
        np.testing.assert_allclose(scaled[name], 3 * array if follows_scale else array, rtol=1e-12)
    table = "embeddings.token.weight"
    np.testing.assert_array_equal(gained[table], plain[table])
    np.testing.assert_allclose(scaled[table], 3 * plain[table], rtol=1e-12)


@pytest.mark.parametrize("init", INITIALIZERS)
def test_gains_start_at_one_and_biases_at_zero_in_every_scheme(init):
    params = start(init, attention="gated", qk_norm=True)
    assert all((array == 1).all() for name, array in params.items() if name.endswith(".gain"))
    assert not any(array.any() for name, array in params.items() if name.endswith(".bias"))
