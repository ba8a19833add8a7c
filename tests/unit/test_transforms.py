"""Optimizers against trajectories worked out by hand."""

import numpy as np
import pytest

from minibert.config import AdamWConfig
from minibert.model.parameters import Block, Layout
from minibert.training.optimizers import PIECE, Optimizer, build_transform
from minibert.training.transforms import Moment, chain, clip_by_global_norm, scale_by_adam

LAYOUT = Layout([Block("a.weight", (2,)), Block("a.bias", (1,))])


def adamw(**settings):
    clip = settings.pop("clip", None)
    return Optimizer(build_transform(AdamWConfig(**settings), clip), LAYOUT, "float64")


def test_adamw_follows_a_trajectory_worked_out_by_hand():
    """β₁ = β₂ = ½, ε = 0, η = 0.1, λ = 0; the gradients of one weight are 4, then 2.

    Step 1: m = 2, v = 8; m̂ = 2 / ½ = 4, v̂ = 8 / ½ = 16; θ = 1 - 0.1 · 4/4 = 0.9.
    Step 2: m = 1 + 1 = 2, v = 4 + 2 = 6; m̂ = 2 / ¾ = 8/3, v̂ = 6 / ¾ = 8; θ = 0.9 - 0.1 · (8/3)/√8.
    """
    optimizer = adamw(learning_rate=0.1, beta1=0.5, beta2=0.5, epsilon=1e-300, weight_decay=0.0)
    params = np.ones(3)
    optimizer.apply(params, np.array([4.0, 4.0, 4.0]), 1, 0.1, gradient_norm=1.0)
    assert params == pytest.approx([0.9] * 3, abs=1e-15)
    optimizer.apply(params, np.array([2.0, 2.0, 2.0]), 2, 0.1, gradient_norm=1.0)
    assert params == pytest.approx([0.9 - 0.1 * (8 / 3) / 8**0.5] * 3, abs=1e-15)


def test_epsilon_stands_outside_the_root_of_the_corrected_moment():
    """Step 1 with any betas: m̂ = g, v̂ = g², so θ = -η g / (|g| + ε) = -0.1 · 3/(3 + 1)."""
    optimizer = adamw(learning_rate=0.1, beta1=0.9, beta2=0.98, epsilon=1.0, weight_decay=0.0)
    params = np.zeros(3)
    optimizer.apply(params, np.full(3, 3.0), 1, 0.1, gradient_norm=1.0)
    assert params == pytest.approx([-0.075] * 3, abs=1e-15)


def test_decay_is_decoupled_and_spares_gains_and_biases():
    """With a zero gradient, a weight shrinks by η λ θ = 0.1 · 0.5 · 2, and a bias stays."""
    optimizer = adamw(learning_rate=0.1, weight_decay=0.5)
    params = np.full(3, 2.0)
    optimizer.apply(params, np.zeros(3), 1, 0.1, gradient_norm=0.0)
    assert params == pytest.approx([1.9, 1.9, 2.0], abs=1e-15)


@pytest.mark.parametrize(("norm", "factor"), [(10.0, 0.5), (5.0, 1.0), (0.1, 1.0)])
def test_clipping_scales_by_the_global_norm_only_when_it_is_too_large(norm, factor):
    update = np.array([3.0, 4.0])
    clip_by_global_norm(5.0).update(update, update, {}, Moment(1, 0.1, norm, True))
    assert update == pytest.approx([3.0 * factor, 4.0 * factor])


def test_adamw_reaches_the_optimum_of_a_badly_scaled_quadratic():
    scale, optimum = np.array([1e4, 1.0, 1e-4]), np.array([1.0, -2.0, 3.0])
    optimizer = adamw(learning_rate=0.05, weight_decay=0.0)
    params = np.zeros(3)
    for step in range(1, 2001):
        optimizer.apply(params, scale * (params - optimum), step, 0.05 * (1 - step / 2001), gradient_norm=1.0)
    assert params == pytest.approx(optimum, abs=1e-3)


def test_pieces_cover_the_vector_once_and_none_mixes_decayed_and_not():
    layout = Layout([Block("a.weight", (3, PIECE)), Block("a.bias", (PIECE + 5,)), Block("b.weight", (7,))])
    optimizer = Optimizer(scale_by_adam(0.9, 0.98, 1e-8), layout)
    spans = [span for span, _ in optimizer.pieces]
    assert [span.start for span in spans] == [0, *(span.stop for span in spans[:-1])]
    assert spans[-1].stop == layout.size
    assert all(decayed == (span.stop <= layout.decayed.stop) for span, decayed in optimizer.pieces)


def test_a_chain_refuses_two_transforms_with_the_same_state():
    with pytest.raises(ValueError, match=r"adam\.first_moment"):
        chain(scale_by_adam(0.9, 0.98, 1e-8), scale_by_adam(0.9, 0.98, 1e-8))
