"""The functions a transformer is made of, each next to its gradient.

x (N, in) are N rows of activations, weights are (in, out). A function returns its output and the cache that
its backward pass takes; ``dy`` is the gradient of the loss with respect to ``y``. ``work`` says where arrays
come from (:mod:`minibert.model.workspace`).
"""

import numpy as np

from minibert.model.workspace import NEW_ARRAYS

BLOCK = 131072
"""Elements that a chain of element-wise passes works on at a time. Smaller blocks stay closer to the processor,
but every pass hands the interpreter lock from lane to lane: with two lanes, 16384 takes twice as long."""


def linear(x, weight, bias, work=NEW_ARRAYS):
    """y = x W + b, or y = x W where the bias is None.    x (N, in), W (in, out), b (out,) -> y (N, out)"""
    y = np.matmul(x, weight, out=work.empty((len(x), weight.shape[1]), x.dtype))
    if bias is not None:
        y += bias
    return y, x


def linear_backward(dy, x, name, params, grads, work=NEW_ARRAYS):
    """dx = dy Wᵀ, dW += xᵀ dy, db += Σₙ dy, with W and b the parameters ``<name>.weight`` and ``<name>.bias``"""
    grads.add_product(f"{name}.weight", x.T, dy)
    if f"{name}.bias" in params:
        grads.add(f"{name}.bias", column_sums(dy))
    return np.matmul(dy, params[f"{name}.weight"].T, out=work.empty(x.shape, x.dtype))


def column_sums(x):
    """Σₙ xₙ.    x (N, D) -> (D,).  A product with ones is faster than NumPy's sum over rows."""
    return np.ones(len(x), x.dtype) @ x


SAFE = 60.0
"""Scores up to this size need no shift: exp(±60) and sums of thousands of them are ordinary float32 numbers."""


def softmax(scores, bias=None):
    """w_ij = exp(s_ij + b_ij) / Σ_k exp(s_ik + b_ik), over the last axis, written over ``scores``.

    A shift by the row's maximum changes nothing but the range of the exponentials. It is left out where the
    scores are small, which their two extremes show: the maxima of all rows take longer than all the rest.
    """
    shifted = _needs_shift(scores)
    if bias is not None:
        scores += bias
    if shifted:
        scores -= scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores, out=scores)
    weights /= weights @ np.ones((weights.shape[-1], 1), weights.dtype)
    return weights


def _needs_shift(scores) -> bool:
    """Whether exponentials of these scores may leave the range of float32. A NaN needs no shift: it stays one."""
    return scores.size > 0 and bool(max(scores.max(), -scores.min()) > SAFE)


def softmax_backward(dweights, weights, row_dot):
    """ds_ij = w_ij (dw_ij - Σ_k dw_ik w_ik), written over ``dweights``; ``row_dot`` is that sum, (..., 1)"""
    dweights -= row_dot
    dweights *= weights
    return dweights


def relu(x, y, scratch):
    """y = max(x, 0)"""
    np.maximum(x, 0, out=y)
    np.greater(x, 0, out=x)


MILLS_SHIFT = 3.003126925
MILLS = (0.311011917, 0.498099474, -0.192271147, 0.909680760, -0.273207094)
"""(1 - Φ(a)) / φ(a) = k (m_1 + k (m_2 + ...)) with k = s / (a + s), for a ≥ 0; s the shift. Fitted for the
smallest maximum error of 1 - Φ(a), 9e-8, by least squares whose weights are driven towards it (Lawson's method).
The form is that of Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 26.2.17."""
SIGN = np.int32(-(2**31))
"""The bit of a float32 number that holds its sign"""


def gelu(x, y, scratch):
    """y = x Φ(x), slope = Φ(x) + x φ(x), with Φ and φ the normal distribution and its density.

    In float64 Φ(x) = (1 + erf(x/√2)) / 2. In float32, with q = φ(x) k (m_1 + k (m_2 + ...)) and k = s / (|x| + s),
    it is ½ + sign(x) (½ - q), off by less than 3e-7: 9e-8 and the roundings of float32. One exponential serves y
    and slope: this takes 0.6 of the time of a tanh of a polynomial for Φ and an exponential for φ.

    Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
    """
    if x.dtype == np.float64:
        from scipy.special import erf  # here, because training in float32 does without it

        cumulative = 0.5 * (1 + erf(x / np.sqrt(2)))
        np.multiply(x, cumulative, out=y)
        np.add(cumulative, x * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi), out=x)
        return
    k, density = scratch
    kind = x.dtype.type
    np.multiply(x, x, out=density)
    density *= kind(-0.5)
    np.exp(density, out=density)
    density *= kind(1 / np.sqrt(2 * np.pi))
    np.abs(x, out=k)
    k += kind(MILLS_SHIFT)
    np.divide(kind(MILLS_SHIFT), k, out=k)
    *others, last = (kind(coefficient) for coefficient in MILLS)
    np.multiply(k, last, out=y)
    for coefficient in reversed(others):
        y += coefficient
        y *= k
    y *= density
    half_less_q = np.subtract(kind(0.5), y, out=y).view(np.int32)
    sign = np.bitwise_and(x.view(np.int32), SIGN, out=k.view(np.int32))
    np.bitwise_xor(half_less_q, sign, out=sign)  # copysign, which takes more than twice as long
    cumulative = np.add(k, kind(0.5), out=k)
    np.multiply(x, cumulative, out=y)
    x *= density
    x += cumulative


def gelu_tanh(x, y, scratch):
    """y = ½ x (1 + tanh u), u = √(2/π) (x + 0.044715 x³);  slope = ½ (1 + tanh u) + ½ x (1 - tanh² u) u'"""
    root = x.dtype.type(np.sqrt(2 / np.pi))
    cubic = x.dtype.type(0.044715)
    square, inner = scratch
    np.multiply(x, x, out=square)
    np.multiply(square, cubic, out=inner)
    inner += 1
    inner *= x
    inner *= root
    np.tanh(inner, out=inner)
    square *= 3 * cubic  # now u'
    square += 1
    square *= root
    square *= x  # and x (1 - tanh² u) u'
    np.multiply(inner, inner, out=y)
    np.subtract(1, y, out=y)
    square *= y
    inner += 1
    np.multiply(x, inner, out=y)
    y *= 0.5
    np.add(inner, square, out=x)
    x *= 0.5


def silu(x, y, scratch):
    """y = x σ(x), σ(x) = 1 / (1 + e^-x) = (1 + tanh(x/2)) / 2;  slope = σ(x) + y (1 - σ(x))

    Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units", 2018; also called swish.
    """
    sigmoid_of_x, _ = scratch
    sigmoid(x, out=sigmoid_of_x)
    np.multiply(x, sigmoid_of_x, out=y)
    np.subtract(1, sigmoid_of_x, out=x)
    x *= y
    x += sigmoid_of_x


def sigmoid(x, out):
    """σ(x) = 1 / (1 + e^-x), by the tanh, which no x makes overflow; ``out`` may be x itself"""
    np.multiply(x, x.dtype.type(0.5), out=out)
    np.tanh(out, out=out)
    out += 1
    out *= x.dtype.type(0.5)
    return out


ACTIVATIONS = {"relu": relu, "gelu": gelu, "gelu_tanh": gelu_tanh, "silu": silu}
"""Each writes a block's output to ``y``, and over ``x`` the slope dy/dx, all that the backward pass needs.
``scratch`` is two more arrays of the block's size."""


def activation(x, name, work=NEW_ARRAYS):
    """y = f(x), element-wise.    Returns y and the slope f'(x), both of the shape of x; the slope overwrites x."""
    function = ACTIVATIONS[name]
    y = work.empty(x.shape, x.dtype)
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    with work.scratch():
        scratch = work.empty((2, min(BLOCK, x.size)), x.dtype)
        for start in range(0, x.size, BLOCK):
            block = slice(start, start + BLOCK)
            function(flat_x[block], flat_y[block], scratch[:, : len(flat_x[block])])
    return y, x


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


def prediction_losses(logits, labels):
    """-log softmax(logitsᵢ)[labelᵢ] of every row.    logits (R, V), overwritten, labels (R,) -> (R,) float64"""
    target = logits[np.arange(len(labels)), labels].astype(np.float64)
    largest = logits.max(axis=1, initial=0)
    np.exp(np.subtract(logits, largest[:, None], out=logits), out=logits)
    return np.log(logits.sum(axis=1, dtype=np.float64)) + largest - target


def cross_entropy(logits, labels, count):
    """Σᵢ -log softmax(logitsᵢ)[labelᵢ] / count and its gradient (softmax(logits) - onehot(labels)) / count.

    logits (R, V), labels (R,) ints -> loss (a float), dlogits (R, V), written over ``logits``. The division by
    ``count`` rather than by R lets the parts of a batch be summed.
    """
    if not len(labels):
        return 0.0, logits
    losses = np.empty(len(labels))
    ones = np.ones((logits.shape[1], 1), logits.dtype)
    # Blocks of two megabytes: 0.8 of the time of passes over all rows at 40 % predicted. Smaller ones gain less.
    step = max(4 * BLOCK // logits.shape[1], 1)
    for start in range(0, len(labels), step):
        block, wanted = logits[start : start + step], labels[start : start + step]
        rows = np.arange(len(wanted))
        if _needs_shift(block):
            block -= block.max(axis=1, keepdims=True)
        target = block[rows, wanted].astype(np.float64)
        np.exp(block, out=block)
        total = block @ ones
        np.subtract(np.log(total[:, 0].astype(np.float64)), target, out=losses[start : start + step])
        block *= 1 / (total * logits.dtype.type(count))
        block[rows, wanted] -= logits.dtype.type(1 / count)
    return float(losses.sum() / count), logits
