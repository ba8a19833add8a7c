"""The functions a transformer is made of, each next to its gradient.

x (N, in) are N rows of activations, weights are (in, out). A function returns its output and the cache that
its backward pass takes; ``dy`` is the gradient of the loss with respect to ``y``. ``work`` says where arrays
come from (:mod:`minibert.model.workspace`).
"""

from typing import NamedTuple

import numpy as np
from scipy.special import erf

from minibert.model.workspace import NEW_ARRAYS

BLOCK = 16384
"""Elements that a chain of element-wise passes works on at a time: they stay in the L2 cache, which makes a
chain of 25 passes about three times as fast as passes over a whole (N, F) array."""


def linear(x, weight, bias, work=NEW_ARRAYS):
    """y = x W + b.    x (N, in), W (in, out), b (out,) -> y (N, out)"""
    y = np.matmul(x, weight, out=work.empty((len(x), weight.shape[1]), x.dtype))
    y += bias
    return y, x


def linear_backward(dy, x, weight, grads, weight_name, bias_name, work=NEW_ARRAYS):
    """dx = dy Wᵀ, dW += xᵀ dy, db += Σₙ dy"""
    grads.add_product(weight_name, x.T, dy)
    grads.add(bias_name, column_sums(dy))
    return np.matmul(dy, weight.T, out=work.empty(x.shape, x.dtype))


def column_sums(x):
    """Σₙ xₙ.    x (N, D) -> (D,).  A product with ones is faster than NumPy's sum over rows."""
    return np.ones(len(x), x.dtype) @ x


class LayerNormCache(NamedTuple):
    normalized: np.ndarray
    """(N, D): zero mean, unit variance"""
    inverse_deviation: np.ndarray
    """(N, 1): 1 / sqrt(variance + epsilon)"""


def layer_norm(x, gain, bias, epsilon, work=NEW_ARRAYS):
    """y = x̂ · g + b with x̂ = (x - mean(x)) / sqrt(var(x) + ε), over the last axis.    (N, D) -> (N, D)

    Ba, Kiros and Hinton, "Layer Normalization", 2016.
    """
    size = x.shape[1]
    mean = x @ np.full(size, 1 / size, x.dtype)
    normalized = np.subtract(x, mean[:, None], out=work.empty(x.shape, x.dtype))
    variance = np.einsum("nd,nd->n", normalized, normalized) / size
    inverse_deviation = (1 / np.sqrt(variance + x.dtype.type(epsilon)))[:, None]
    normalized *= inverse_deviation
    y = np.multiply(normalized, gain, out=work.empty(x.shape, x.dtype))
    y += bias
    return y, LayerNormCache(normalized, inverse_deviation)


def layer_norm_backward(dy, cache, gain, grads, gain_name, bias_name, work=NEW_ARRAYS):
    """dx = (dx̂ - mean(dx̂) - x̂ · mean(dx̂ · x̂)) / σ with dx̂ = dy · g;  dg += Σₙ dy · x̂, db += Σₙ dy

    The gain stands inside both means: a version with the gain outside is right only while all gains are 1.
    """
    normalized, inverse_deviation = cache
    size = dy.shape[1]
    product = np.multiply(dy, normalized, out=work.empty(dy.shape, dy.dtype))
    grads.add(gain_name, column_sums(product))
    grads.add(bias_name, column_sums(dy))
    mean_dx_hat = dy @ (gain / size)
    mean_product = product @ (gain / size)
    dx = np.multiply(dy, gain, out=work.empty(dy.shape, dy.dtype))
    dx -= mean_dx_hat[:, None]
    dx -= np.multiply(normalized, mean_product[:, None], out=product)
    dx *= inverse_deviation
    return dx


def softmax(scores, out=None):
    """w_ij = exp(s_ij) / Σ_k exp(s_ik), over the last axis; the row maximum is taken off first."""
    weights = np.subtract(scores, scores.max(axis=-1, keepdims=True), out=out)
    np.exp(weights, out=weights)
    weights /= weights @ np.ones((weights.shape[-1], 1), weights.dtype)
    return weights


def softmax_backward(dweights, weights, row_dot):
    """ds_ij = w_ij (dw_ij - Σ_k dw_ik w_ik), written over ``dweights``; ``row_dot`` is that sum, (..., 1)"""
    dweights -= row_dot
    dweights *= weights
    return dweights


def relu(x, y, slope):
    """y = max(x, 0)"""
    np.maximum(x, 0, out=y)
    np.greater(x, 0, out=slope)


def gelu(x, y, slope):
    """y = x Φ(x), slope = Φ(x) + x φ(x), with Φ and φ the normal distribution and its density.

    In float64 Φ(x) = (1 + erf(x/√2)) / 2. In float32 the tail Φ(-|x|) = ½ P(t) exp(-x²/2) with
    t = 1 / (1 + p|x|/√2): Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26, absolute
    error at most 1.5e-7 in erf, as small as the rounding. It shares its exponential with the density and
    takes a quarter of the time of an exact erf.

    Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
    """
    if x.dtype == np.float64:
        cumulative = 0.5 * (1 + erf(x / np.sqrt(2)))
        np.multiply(x, cumulative, out=y)
        np.add(cumulative, x * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi), out=slope)
        return
    magnitude = np.abs(x)
    t = np.multiply(magnitude, x.dtype.type(0.3275911 / np.sqrt(2)), out=slope)
    t += 1
    np.reciprocal(t, out=t)
    tail = np.multiply(t, x.dtype.type(1.061405429))
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += x.dtype.type(coefficient)
        tail *= t
    density = np.multiply(x, x, out=t)
    density *= -0.5
    np.exp(density, out=density)
    tail *= density
    tail *= 0.5
    np.maximum(x, 0, out=y)  # x Φ(x) = max(x, 0) - |x| Φ(-|x|)
    np.multiply(magnitude, tail, out=magnitude)
    y -= magnitude
    density *= x
    density *= x.dtype.type(1 / np.sqrt(2 * np.pi))
    np.subtract(0.5, tail, out=tail)  # Φ(x) = ½ + sign(x) (½ - Φ(-|x|))
    np.copysign(tail, x, out=tail)
    tail += 0.5
    slope += tail


def gelu_tanh(x, y, slope):
    """y = ½ x (1 + tanh u), u = √(2/π) (x + 0.044715 x³);  slope = ½ (1 + tanh u) + ½ x (1 - tanh² u) u'"""
    root = x.dtype.type(np.sqrt(2 / np.pi))
    cubic = x.dtype.type(0.044715)
    square = x * x
    inner = square * cubic
    inner += 1
    inner *= x
    inner *= root
    np.tanh(inner, out=inner)
    np.multiply(inner, inner, out=slope)
    np.subtract(1, slope, out=slope)
    square *= 3 * cubic
    square += 1
    square *= root
    slope *= square
    slope *= x
    slope += inner
    slope += 1
    slope *= 0.5
    inner += 1
    inner *= 0.5
    np.multiply(x, inner, out=y)


ACTIVATIONS = {"relu": relu, "gelu": gelu, "gelu_tanh": gelu_tanh}
"""Each writes the output and the slope dy/dx of a block; the slope is all that the backward pass needs."""


def activation(x, name, work=NEW_ARRAYS):
    """y = f(x), element-wise.    Returns y and the slope f'(x), both of the shape of x."""
    function = ACTIVATIONS[name]
    y, slope = work.empty(x.shape, x.dtype), work.empty(x.shape, x.dtype)
    flat_x, flat_y, flat_slope = x.reshape(-1), y.reshape(-1), slope.reshape(-1)
    for start in range(0, x.size, BLOCK):
        block = slice(start, start + BLOCK)
        function(flat_x[block], flat_y[block], flat_slope[block])
    return y, slope


def activation_backward(dy, slope):
    """dx = dy · f'(x), written over dy"""
    dy *= slope
    return dy


def dropout(x, mask):
    """y = x · m with m = 0 or 1/(1 - rate), written over x; no mask leaves x alone. The gradient is dy · m.

    Srivastava et al., "Dropout", JMLR 2014.
    """
    if mask is not None:
        x *= mask
    return x


def cross_entropy(logits, labels, count):
    """Σᵢ -log softmax(logitsᵢ)[labelᵢ] / count and its gradient (softmax(logits) - onehot(labels)) / count.

    logits (R, V), labels (R,) ints -> loss (a float), dlogits (R, V), written over ``logits``. The division by
    ``count`` rather than by R lets the parts of a batch be summed.
    """
    if not len(labels):
        return 0.0, logits
    rows = np.arange(len(labels))
    maximum = logits.max(axis=1, keepdims=True)
    logits -= maximum
    target = logits[rows, labels].astype(np.float64)
    np.exp(logits, out=logits)
    total = logits @ np.ones((logits.shape[1], 1), logits.dtype)
    loss = float((np.log(total[:, 0].astype(np.float64)) - target).sum() / count)
    logits *= 1 / (total * logits.dtype.type(count))
    logits[rows, labels] -= logits.dtype.type(1 / count)
    return loss, logits
