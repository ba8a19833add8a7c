"""What each kind of clipping makes of a gradient, worked out by hand."""

import numpy as np
import pytest

from minibert.config.optimizers import (
    AdaptiveClippingConfig,
    ClippingConfig,
    GlobalNormClippingConfig,
    PercentileClippingConfig,
)
from minibert.errors import MinibertError
from minibert.model.parameters import Block, Layout, Parameters
from minibert.training.optimizers import Optimizer
from minibert.training.transforms import add_to_parameters, build_clipping, chain


class Clipped:
    """Adds clipped gradients to parameters: what was added is what is left of them."""

    def __init__(self, config, *blocks, start=0.0):
        self.params = Parameters(Layout(list(blocks)), "float64")
        self.params.vector[...] = start
        self.optimizer = Optimizer(chain(build_clipping(config), add_to_parameters()), self.params)
        self.steps = 0

    def added(self, gradient, norm=None):
        self.steps += 1
        gradient = np.array(gradient, float)
        before = self.params.vector.copy()
        norm = np.linalg.norm(gradient) if norm is None else norm
        self.optimizer.apply(self.params.vector, gradient, self.steps, 1.0, float(norm))
        return self.params.vector - before


PAIR = Block("a.weight", (2,))


@pytest.mark.parametrize(("norm", "factor"), [(10.0, 0.5), (5.0, 1.0), (0.1, 1.0)])
def test_the_global_norm_scales_only_what_is_too_large(norm, factor):
    clipped = Clipped(GlobalNormClippingConfig(norm=5.0), PAIR)
    assert clipped.added([3.0, 4.0], norm) == pytest.approx([3.0 * factor, 4.0 * factor])


def test_none_leaves_a_gradient_as_it_is():
    assert Clipped(ClippingConfig(name="none"), PAIR).added([3e9, 4e9]).tolist() == [3e9, 4e9]


def test_adaptive_clipping_takes_the_columns_of_a_weight_as_units():
    """Weight [[3, 0], [4, 0.1]]: columns of norm 5 and 0.1. With λ = 0.1 their gradients may be 0.5 and 0.01 long.

    Gradient [[0.3, 3], [0.4, 4]]: columns of norm 0.5, which may stay, and 5, which shrinks to 0.01. By rows, the
    first would have been clipped as well.
    """
    clipped = Clipped(AdaptiveClippingConfig(ratio=0.1), Block("a.weight", (2, 2)), start=[3.0, 0.0, 4.0, 0.1])
    assert clipped.added([0.3, 3.0, 0.4, 4.0]) == pytest.approx([0.3, 0.006, 0.4, 0.008], abs=1e-15)


def test_adaptive_clipping_takes_a_bias_as_one_unit_and_lets_one_at_zero_move():
    """A bias at zero counts as 0.5 long: its gradient (3, 4) is clipped to 0.1 · 0.5. A zero one stays zero."""
    config = AdaptiveClippingConfig(ratio=0.1, smallest_norm=0.5)
    clipped = Clipped(config, Block("a.bias", (2,)), Block("b.weight", (1, 2)))
    # Weights come first in the vector.
    assert clipped.added([0.0, 0.0, 3.0, 4.0]) == pytest.approx([0.0, 0.0, 0.03, 0.04], abs=1e-15)


def test_adaptive_clipping_treats_query_key_and_value_apart():
    clipped = Clipped(
        AdaptiveClippingConfig(ratio=1.0), Block("qk.bias", (2,), ("q.bias", "k.bias")), start=[3.0, 0.01]
    )
    assert clipped.added([2.0, 2.0]) == pytest.approx([2.0, 0.01])


def test_the_percentile_is_of_recent_norms():
    """The median of the last three norms: of (4); (4, 2); (4, 2, 8); (6, 2, 8), with 4 forgotten; (6, 1, 8)."""
    clipped = Clipped(PercentileClippingConfig(percentile=50, window=3), Block("a.weight", (1,)))
    norms = [4.0, 2.0, 8.0, 6.0, 1.0]
    assert [clipped.added([norm]).item() for norm in norms] == pytest.approx([4.0, 2.0, 4.0, 6.0, 1.0])
    assert clipped.optimizer.state["recent_norms"].tolist() == [6.0, 1.0, 8.0]


def test_one_gradient_in_ten_is_above_the_90th_percentile():
    clipped = Clipped(PercentileClippingConfig(), Block("a.weight", (1,)))
    norms = np.random.default_rng(0).lognormal(size=1000)
    shortened = [clipped.added([norm]).item() < norm * (1 - 1e-9) for norm in norms]
    assert np.mean(shortened[100:]) == pytest.approx(0.1, abs=0.02)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(MinibertError, match=r"clipping\.name.*'global_norm'"):
        build_clipping(ClippingConfig(name="globl_norm"))
