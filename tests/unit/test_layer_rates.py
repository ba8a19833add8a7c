"""Learning rates that differ from parameter to parameter."""

import numpy as np
import pytest

from minibert.config import Config, ModelConfig
from minibert.config.optimizers import (
    ClippingConfig,
    DepthRatesConfig,
    LayerRatesConfig,
    RatioRatesConfig,
    SGDConfig,
)
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.parameters import Block, Layout, Parameters
from minibert.training.optimizers import Optimizer, build_chain
from minibert.training.transforms import compute_layer_wise_learning_rates

SGD = SGDConfig(learning_rate=1.0, momentum=0.0, weight_decay=0.0)


def changes(params, gradient, layer_rates):
    """What one step of plain gradient descent at rate 1 takes away."""
    settings = Config(optimizer=SGD, clipping=ClippingConfig(), layer_rates=layer_rates)
    optimizer = Optimizer(build_chain(settings, tuple(params)), params)
    before = params.vector.copy()
    optimizer.apply(params.vector, gradient.copy(), 1, 1.0, 1.0)
    return Parameters(params.layout, vector=before - params.vector)


def test_rates_fall_with_every_layer_down_to_the_embeddings():
    model = MiniBERT(
        ModelConfig(vocab_size=20, hidden_size=4, layers=3, heads=2, feed_forward_size=6, max_length=8)
    )
    rates = compute_layer_wise_learning_rates(DepthRatesConfig(decay=0.5), 0.8, model.params)
    assert set(rates) == set(model.params)
    parts = {
        name: rates[name] for name in rates if name.endswith(("output.weight", "token.weight", "mlm_head.bias"))
    }
    assert parts == pytest.approx({
        "embeddings.token.weight": 0.1,
        "layers.0.attention.output.weight": 0.2,
        "layers.1.attention.output.weight": 0.4,
        "layers.2.attention.output.weight": 0.8,
        "mlm_head.bias": 0.8,
    })  # fmt: skip
    assert rates["final_norm.gain"] == 0.8


def test_a_step_goes_as_far_as_the_rates_say():
    model = MiniBERT(
        ModelConfig(
            vocab_size=20, hidden_size=4, layers=2, heads=2, feed_forward_size=6, max_length=8, dtype="float64"
        )
    )
    config = DepthRatesConfig(decay=0.5)
    rates = compute_layer_wise_learning_rates(config, 1.0, model.params)
    taken = changes(model.params, np.ones(model.params.vector.size), config)
    for name, array in taken.items():
        assert array == pytest.approx(rates[name], abs=1e-12), name


def example():
    """A weight of norm 5, one that is zero, and a bias."""
    params = Parameters(
        Layout([Block("a.weight", (2, 1)), Block("b.weight", (2,)), Block("a.bias", (1,))]), "float64"
    )
    params["a.weight"] = [[3.0], [4.0]]
    params["a.bias"] = 1.0
    return params


@pytest.mark.parametrize(("size", "factor"), [(0.25, 2.0), (50.0, 0.1), (0.001, 10.0), (0.0, 1.0)])
def test_the_ratio_of_norms_is_a_weights_factor_within_bounds(size, factor):
    """c ‖θ‖ / ‖u‖ = 0.1 · 5 / 0.25 = 2; 0.01 and 500 are out of bounds; nothing is made of a zero update."""
    params = example()
    gradient = Parameters(params.layout, "float64")
    gradient["a.weight"] = [[0.6 * size], [0.8 * size]]
    gradient["b.weight"] = gradient["a.bias"] = 1.0
    config = RatioRatesConfig(coefficient=0.1, largest=10.0)
    rates = compute_layer_wise_learning_rates(config, 2.0, params, gradient)
    assert rates == pytest.approx({"a.weight": 2 * factor, "b.weight": 2.0, "a.bias": 2.0})
    taken = changes(params, gradient.vector, config)
    assert taken["a.weight"].ravel() == pytest.approx([0.6 * size * factor, 0.8 * size * factor], abs=1e-12)
    assert taken["b.weight"].tolist() == [1.0, 1.0] and taken["a.bias"] == 1.0


def test_none_gives_all_the_same_rate():
    assert set(compute_layer_wise_learning_rates(LayerRatesConfig(), 0.3, example()).values()) == {0.3}


def test_the_ratio_needs_updates():
    with pytest.raises(MinibertError, match="Give updates"):
        compute_layer_wise_learning_rates(RatioRatesConfig(), 1.0, example())


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(MinibertError, match=r"layer_rates\.name.*'depth'"):
        build_chain(Config(layer_rates=LayerRatesConfig(name="depht")), ())
