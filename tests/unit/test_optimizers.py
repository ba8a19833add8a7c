"""Optimizers against trajectories worked out by hand, against PyTorch, and at the bottom of a valley."""

import numpy as np
import pytest

from minibert.config import AdamWConfig, Config, TrainingConfig
from minibert.config.optimizers import (
    OPTIMIZERS,
    AdafactorConfig,
    ClippingConfig,
    LAMBConfig,
    LionConfig,
    LookaheadConfig,
    MuonConfig,
    SGDConfig,
)
from minibert.model.parameters import Block, Layout, Parameters
from minibert.training.optimizers import Optimizer, build_chain


class Descent:
    """Parameters of the given shapes, and an optimizer on them without clipping."""

    def __init__(self, config, start, steps=2000, dtype="float64", **shapes):
        blocks = [Block(name.replace("_", "."), shape) for name, shape in shapes.items()]
        self.params = Parameters(Layout(blocks), dtype)
        self.params.vector[...] = start
        settings = Config(optimizer=config, clipping=ClippingConfig(), training=TrainingConfig(steps=steps))
        self.optimizer = Optimizer(build_chain(settings, tuple(self.params)), self.params)
        self.rate = config.learning_rate
        self.steps = 0

    def step(self, gradient, rate=None):
        """One step along a gradient (a number, or one for each element); returns a copy of the parameters."""
        self.steps += 1
        vector = self.params.vector
        gradient = np.broadcast_to(np.asarray(gradient, vector.dtype), vector.shape).copy()
        self.optimizer.apply(vector, gradient, self.steps, rate or self.rate, gradient_norm=1.0)
        return vector.copy()

    def on_parabola(self, steps):
        """θ after each step on f(θ) = θ²/2, whose gradient is θ."""
        return [self.step(self.params.vector).item() for _ in range(steps)]


def parabola(config, start, steps):
    return Descent(config, start, a_weight=(1,)).on_parabola(steps)


def test_adamw_on_a_parabola():
    """β₁ = β₂ = ½, ε = 0, η = 0.1.

    Step 1: g = 1, m = ½, v = ½; m̂ = v̂ = 1; θ = 0.9.
    Step 2: g = 0.9, m = ¼ + 0.45 = 0.7, v = ¼ + 0.405 = 0.655; m̂ = 0.7 / ¾, v̂ = 0.655 / ¾.
    """
    config = AdamWConfig(learning_rate=0.1, beta1=0.5, beta2=0.5, epsilon=1e-300, weight_decay=0.0)
    second = 0.9 - 0.1 * (0.7 / 0.75) / (0.655 / 0.75) ** 0.5
    assert parabola(config, 1.0, 2) == pytest.approx([0.9, second], abs=1e-15)


def test_epsilon_stands_outside_the_root_of_the_corrected_moment():
    """Step 1 with any betas: m̂ = g, v̂ = g², so θ = -η g / (|g| + ε) = -0.1 · 3/(3 + 1)."""
    descent = Descent(AdamWConfig(learning_rate=0.1, epsilon=1.0, weight_decay=0.0), 0.0, a_weight=(3,))
    assert descent.step(3.0) == pytest.approx([-0.075] * 3, abs=1e-15)


@pytest.mark.parametrize("config", [AdamWConfig, LionConfig])
def test_decay_is_decoupled_and_spares_gains_and_biases(config):
    """With a zero gradient, a weight shrinks by η λ θ = 0.1 · 0.5 · 2, and a bias stays."""
    descent = Descent(config(learning_rate=0.1, weight_decay=0.5), 2.0, a_weight=(2,), a_bias=(1,))
    assert descent.step(0.0) == pytest.approx([1.9, 1.9, 2.0], abs=1e-15)


def test_lion_on_a_parabola():
    """β₁ = 0.9, β₂ = ½, η = 0.1: 0.9 m + 0.1 g of step 4 is 0.9 · 0.09375 - 0.005 > 0, so the momentum carries on.

    m after each step: 0.125, 0.1375, 0.09375, 0.021875, -0.0640625. Step 5: 0.9 · 0.021875 - 0.015 > 0. Then it
    turns.
    """
    config = LionConfig(learning_rate=0.1, beta1=0.9, beta2=0.5, weight_decay=0.0)
    assert parabola(config, 0.25, 6) == pytest.approx([0.15, 0.05, -0.05, -0.15, -0.25, -0.15], abs=1e-15)


def test_lion_mixes_before_and_averages_after():
    """The published algorithm, in plain numbers, over random gradients."""
    config = LionConfig(learning_rate=0.01, beta1=0.9, beta2=0.99, weight_decay=0.1)
    descent, random = Descent(config, 1.0, a_weight=(1,)), np.random.default_rng(0)
    theta, momentum = 1.0, 0.0
    for _ in range(50):
        gradient = random.normal()
        mixed = 0.9 * momentum + 0.1 * gradient
        theta -= 0.01 * ((1 if mixed > 0 else -1) + 0.1 * theta)
        momentum = 0.99 * momentum + 0.01 * gradient
        assert descent.step(gradient).item() == pytest.approx(theta, abs=1e-14)


def test_sgd_with_momentum_on_a_parabola():
    """μ = ½, η = ½: m = 4, 2 + 2, 2 + 0, 1 - 1."""
    config = SGDConfig(learning_rate=0.5, momentum=0.5, weight_decay=0.0)
    assert parabola(config, 4.0, 4) == [2.0, 0.0, -1.0, -1.0]


def test_sgd_with_nesterov_on_a_parabola():
    """μ = ½, η = ½: m = 4 and u = 4 + 2; then m = 2 + 1 and u = 1 + 1.5."""
    config = SGDConfig(learning_rate=0.5, momentum=0.5, nesterov=True, weight_decay=0.0)
    assert parabola(config, 4.0, 2) == [1.0, -0.25]


def test_the_decay_of_sgd_goes_through_the_momentum():
    """λ = ½ makes the gradient of a weight 1.5 θ: m = 6, θ = 1; m = 3 + 1.5, θ = -1.25."""
    config = SGDConfig(learning_rate=0.5, momentum=0.5, weight_decay=0.5)
    assert parabola(config, 4.0, 2) == [1.0, -1.25]


def test_lamb_on_a_parabola_takes_the_share_of_the_rate():
    """For one element u / ‖u‖ is a sign, so θ shrinks by η in every step: 2 · 0.9ᵗ."""
    config = LAMBConfig(learning_rate=0.1, weight_decay=0.0)
    assert parabola(config, 2.0, 3) == pytest.approx([1.8, 1.62, 1.458], abs=1e-12)


def test_lamb_scales_a_weight_as_a_whole_and_a_bias_not_at_all():
    """u = (1, 1) + ½ (3, 4) = (2.5, 3), so θ moves by 0.1 · 5 u / ‖u‖; the bias by 0.1. φ = 1 makes 5 a 1."""
    for largest, length in ((10.0, 5.0), (1.0, 1.0)):
        config = LAMBConfig(learning_rate=0.1, epsilon=1e-300, weight_decay=0.5, largest_norm=largest)
        descent = Descent(config, [3.0, 4.0, 7.0], a_weight=(2,), a_bias=(1,))
        factor = 0.1 * length / (2.5**2 + 3**2) ** 0.5
        expected = [3 - factor * 2.5, 4 - factor * 3, 6.9]
        assert descent.step(1.0) == pytest.approx(expected, abs=1e-14)


def test_lamb_moves_a_weight_that_is_zero():
    assert Descent(LAMBConfig(learning_rate=0.1), 0.0, a_weight=(2,)).step(1.0) == pytest.approx(
        [-0.1] * 2, rel=1e-5
    )


def test_adafactor_on_a_parabola():
    """Step 1: V = g², u = 1, times RMS(θ) = 2. Step 2: β₂ = 1 - 2^-0.8, V = β₂ 4 + (1 - β₂) 3.24."""
    decay = 1 - 2**-0.8
    second = 1.8 - 0.1 * 1.8 * 1.8 / (decay * 4 + (1 - decay) * 3.24) ** 0.5
    assert parabola(AdafactorConfig(learning_rate=0.1), 2.0, 2) == pytest.approx([1.8, second], abs=1e-14)


def test_adafactor_factors_a_matrix_by_rows_and_columns():
    """g² = [[1, 4], [9, 16]]: row means 2.5 and 12.5 (of mean 7.5), column means 5 and 10; V = r cᵀ / 7.5."""
    config = AdafactorConfig(learning_rate=0.1, largest_update=100.0)
    gradient = np.array([[1.0, 2.0], [-3.0, 4.0]])
    second_moment = np.array([[2.5 * 5, 2.5 * 10], [12.5 * 5, 12.5 * 10]]) / 7.5
    expected = 2 - 0.1 * 2 * gradient / np.sqrt(second_moment)
    descent = Descent(config, 2.0, a_weight=(2, 2))
    assert descent.step(gradient.ravel()) == pytest.approx(expected.ravel(), abs=1e-14)


def test_adafactor_clips_by_root_mean_square_and_moves_what_is_zero():
    """A bias at zero counts as ε₂ = 0.5; u = 1 is clipped to RMS 0.25."""
    config = AdafactorConfig(learning_rate=0.1, largest_update=0.25, smallest_scale=0.5)
    assert Descent(config, 0.0, a_bias=(3,)).step(7.0) == pytest.approx([-0.1 * 0.25 * 0.5] * 3, abs=1e-15)


def test_muon_on_a_parabola():
    """A 1 × 1 matrix is its own sign times a singular value: five times p(x) = a x + b x³ + c x⁵, from 1."""
    x = 1.0
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    muon = MuonConfig(learning_rate=0.1, weight_decay=0.0, polynomials="jordan", iterations=5)
    descent = Descent(muon, 2.0, layers_0_weight=(1, 1))
    first = 2 - 0.1 * 0.2 * x
    assert descent.on_parabola(2) == pytest.approx([first, first - 0.1 * 0.2 * x], abs=1e-14)


def test_muon_leaves_embeddings_and_biases_to_adamw():
    shapes = {"embeddings_token_weight": (3, 2), "layers_0_weight": (2, 2), "layers_0_bias": (2,)}
    muon = Descent(MuonConfig(learning_rate=AdamWConfig().learning_rate), 1.0, **shapes)
    adamw = Descent(AdamWConfig(), 1.0, **shapes)
    for gradient in np.random.default_rng(0).normal(size=(3, 12)):
        muon.step(gradient), adamw.step(gradient)
    for name in muon.params:
        same = muon.params[name] == pytest.approx(adamw.params[name], abs=1e-15)
        assert same == (name != "layers.0.weight"), name


def test_muon_gives_what_adamw_moves_a_rate_of_its_own():
    """At 0.1 and 0.3 the matrix moves as at 0.1 alone, the others as under AdamW at 0.3, each with its decay."""
    shapes = {"embeddings_token_weight": (3, 2), "layers_0_weight": (2, 2), "layers_0_bias": (2,)}
    both = Descent(MuonConfig(learning_rate=0.1, adamw_learning_rate=0.3, weight_decay=0.5), 1.0, **shapes)
    muon = Descent(MuonConfig(learning_rate=0.1, weight_decay=0.5), 1.0, **shapes)
    adamw = Descent(AdamWConfig(learning_rate=0.3, weight_decay=0.5), 1.0, **shapes)
    for gradient in np.random.default_rng(0).normal(size=(3, 12)):
        both.step(gradient), muon.step(gradient), adamw.step(gradient)
    for name in both.params:
        expected = muon if name == "layers.0.weight" else adamw
        assert both.params[name] == pytest.approx(expected.params[name], abs=1e-14)


def test_lookahead_goes_two_steps_forward_and_one_back():
    """Slope 1, η = 1, k = 2, α = ½: fast 3 → 2 → 1, slow 3 + ½ (1 - 3) = 2; then 2 → 1 → 0, slow 1."""
    config = LookaheadConfig(
        learning_rate=1.0, period=2, slow_rate=0.5, inner=SGDConfig(momentum=0.0, weight_decay=0.0)
    )
    descent = Descent(config, 3.0, a_weight=(1,))
    fast, slow = [], []
    for _ in range(4):
        fast.append(descent.step(1.0).item())
        slow.append(descent.optimizer.evaluated(descent.params).vector.item())
    assert fast == [2.0, 2.0, 1.0, 1.0]
    assert slow == [3.0, 2.0, 2.0, 1.0]


def test_the_last_step_moves_the_slow_weights_whatever_the_number_of_steps():
    """Slope 1, η = 1, k = 3, α = ½, of 5 steps: 3 → 2 → 1 → 0, slow 1½; then 1½ → ½ → -½, slow 1½ + ½ (-2) = ½."""
    config = LookaheadConfig(
        learning_rate=1.0, period=3, slow_rate=0.5, inner=SGDConfig(momentum=0.0, weight_decay=0.0)
    )
    descent = Descent(config, 3.0, steps=5, a_weight=(1,))
    fast = [descent.step(1.0).item() for _ in range(5)]
    assert fast == [2.0, 1.0, 1.5, 0.5, 0.5]
    assert descent.optimizer.evaluated(descent.params).vector.item() == 0.5


def test_lookahead_keeps_the_inner_momentum_through_a_move():
    """μ = ½, η = 1, slope 1: m = 1, 1.5 and fast 3 → 2 → ½, slow 1.75; then m = 1.75 and fast 0."""
    config = LookaheadConfig(
        learning_rate=1.0, period=2, slow_rate=0.5, inner=SGDConfig(momentum=0.5, weight_decay=0.0)
    )
    descent = Descent(config, 3.0, a_weight=(1,))
    assert [descent.step(1.0).item() for _ in range(3)] == [2.0, 1.75, 0.0]


def test_lookahead_with_a_whole_move_is_the_inner_optimizer():
    inner = LionConfig(learning_rate=0.01)
    plain = Descent(inner, 1.0, layers_0_weight=(2, 3))
    wrapped = Descent(
        LookaheadConfig(learning_rate=0.01, period=2, slow_rate=1.0, inner=inner), 1.0, layers_0_weight=(2, 3)
    )
    for gradient in np.random.default_rng(0).normal(size=(6, 6)):
        assert wrapped.step(gradient) == pytest.approx(plain.step(gradient), abs=1e-15)


def test_what_is_evaluated_are_the_parameters_themselves_without_lookahead():
    descent = Descent(AdamWConfig(), 1.0, a_weight=(1,))
    assert descent.optimizer.evaluated(descent.params) is descent.params


RATES = {"adamw": 0.05, "lion": 0.02, "sgd": 0.9, "lamb": 0.05, "adafactor": 0.05, "muon": 0.1, "lookahead": 0.05}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_reaches_the_optimum_of_a_badly_scaled_quadratic(name):
    """Curvatures from 1 down to 1/100, over a table, a matrix and a bias, with a rate that falls to zero."""
    config = OPTIMIZERS[name](learning_rate=RATES[name])
    (config.inner if name == "lookahead" else config).weight_decay = 0.0
    shapes = {"embeddings_token_weight": (4, 3), "layers_0_weight": (3, 5), "layers_0_bias": (5,)}
    descent, random = Descent(config, 0.5, **shapes), np.random.default_rng(3)
    curvature, optimum = 10 ** random.uniform(-2, 0, 32), random.uniform(-2, 2, 32)
    steps = 2000
    for step in range(steps):
        descent.step(curvature * (descent.params.vector - optimum), RATES[name] * (1 - step / steps))
    assert descent.optimizer.evaluated(descent.params).vector == pytest.approx(optimum, abs=2e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("length", [1e-12, 1e-22, 1e-38])
def test_gradients_that_have_all_but_vanished_move_nothing_further_than_others(name, length):
    """Their squares are not in float32: lengths and second moments underflow."""
    config = OPTIMIZERS[name](learning_rate=RATES[name])
    (config.inner if name == "lookahead" else config).weight_decay = 0.0
    shapes = {"embeddings_token_weight": (40, 32), "layers_0_weight": (64, 32), "layers_0_bias": (32,)}
    usual, vanishing = (Descent(config, 0.5, dtype="float32", **shapes) for _ in range(2))
    gradients = np.random.default_rng(0).normal(size=(10, usual.params.vector.size)).astype("float32")
    for gradient in gradients:
        usual.step(gradient)
        vanishing.step(gradient * np.float32(length))
    moved, most = (np.abs(each.params.vector - 0.5).max() for each in (vanishing, usual))
    assert np.isfinite(vanishing.params.vector).all() and moved <= 1.1 * most


def test_adamw_does_not_mind_curvatures_of_a_hundred_million_to_one():
    curvature, optimum = np.array([1e4, 1.0, 1e-4]), np.array([1.0, -2.0, 3.0])
    descent = Descent(AdamWConfig(weight_decay=0.0), 0.0, a_weight=(3,))
    for step in range(2000):
        descent.step(curvature * (descent.params.vector - optimum), 0.05 * (1 - step / 2001))
    assert descent.params.vector == pytest.approx(optimum, abs=1e-3)


def test_default_rates_stand_in_the_proportions_that_their_papers_name():
    adamw, lion = AdamWConfig(), LionConfig()
    assert 3 <= adamw.learning_rate / lion.learning_rate <= 10
    assert lion.weight_decay / adamw.weight_decay == pytest.approx(adamw.learning_rate / lion.learning_rate)


COUNTERPARTS = {
    "adamw": (
        AdamWConfig(weight_decay=0.1),
        lambda torch, p: torch.optim.AdamW(p, lr=0.01, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1),
    ),
    "sgd": (
        SGDConfig(momentum=0.9, weight_decay=0.1),
        lambda torch, p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1),
    ),
    "nesterov": (
        SGDConfig(momentum=0.8, nesterov=True, weight_decay=0.1),
        lambda torch, p: torch.optim.SGD(p, lr=0.01, momentum=0.8, nesterov=True, weight_decay=0.1),
    ),
    "adafactor": (
        AdafactorConfig(),
        lambda torch, p: torch.optim.Adafactor(p, lr=0.01, eps=(1e-30, 1e-3), d=1.0),
    ),
    "muon": (
        MuonConfig(weight_decay=0.1, iterations=5, polynomials="jordan"),
        lambda torch, p: torch.optim.Muon(p, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ),
}


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_20_steps_equal_those_of_torch(name, monkeypatch):
    torch = pytest.importorskip("torch")
    config, counterpart = COUNTERPARTS[name]
    if name == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    # torch's Muon orthogonalises in bfloat16, how exactly depends on the processor; here it stays in float64.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.double)
    random = np.random.default_rng(1)
    start = random.normal(size=24)
    descent = Descent(config, start, layers_0_weight=(4, 6))
    theirs = torch.nn.Parameter(torch.tensor(start.reshape(4, 6)))
    optimizer = counterpart(torch, [theirs])
    for _ in range(20):
        gradient = random.normal(size=24)
        theirs.grad = torch.tensor(gradient.reshape(4, 6))
        optimizer.step()
        ours = descent.step(gradient, 0.01)
    assert ours == pytest.approx(theirs.detach().numpy().ravel(), abs=1e-12)
