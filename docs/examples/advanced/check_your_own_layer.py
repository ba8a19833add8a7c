"""A gradient check of your own layer: central differences find a wrong gradient, where the check lets them."""

import numpy as np


def layer(x, weight, gain):
    """y = gain * max(x W, 0)²    x (N, D), W (D, F), gain (F,) -> (N, F)"""
    positive = np.maximum(x @ weight, 0)
    return gain * positive**2, (x, positive)


def layer_backward(dy, cache, weight, gain):
    """dx = (dy * gain * 2 max(x W, 0)) Wᵀ, dW = xᵀ (...), dgain = Σₙ dy * max(x W, 0)²"""
    x, positive = cache
    dpositive = dy * gain * 2 * positive
    return dpositive @ weight.T, x.T @ dpositive, (dy * positive**2).sum(axis=0)


def without_gain(dy, cache, weight, gain):
    """The same with a classic mistake: right as long as the gain is 1, as it is at initialisation."""
    return layer_backward(dy, cache, weight, np.ones_like(gain))[:2] + layer_backward(dy, cache, weight, gain)[2:]


random = np.random.default_rng(0)  # float64; random upstream gradient; a gain away from its initial value
arrays = {"x": random.normal(size=(6, 8)), "weight": random.normal(size=(8, 5)), "gain": random.normal(size=5)}
dy = random.normal(size=(6, 5))
for backward in (layer_backward, without_gain):
    gradients = backward(dy, layer(**arrays)[1], arrays["weight"], arrays["gain"])
    print(backward.__name__)
    for name, gradient in zip(arrays, gradients, strict=True):
        direction, h = random.normal(size=gradient.shape), 1e-5
        above, below = (
            np.vdot(dy, layer(**arrays | {name: arrays[name] + step * direction})[0]) for step in (h, -h)
        )
        slope = (above - below) / (2 * h)
        error = abs(np.vdot(gradient, direction) - slope) / abs(slope)
        print(f"  d{name:8}relative error {error:.0e}  {'right' if error < 1e-6 else 'WRONG'}")
