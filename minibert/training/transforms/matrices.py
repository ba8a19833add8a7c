"""Transforms that see each parameter as a whole: its norm, its rows and columns, its singular values."""

import numpy as np

from minibert.training.transforms.chains import Choice, Transform, norm, only_weights, root_mean_square
from minibert.training.transforms.orthogonal import Polynomials, orthogonalise


def scale_by_trust_ratio(largest_norm: float) -> Choice:
    """u = u · min(‖θ‖, φ) / ‖u‖ for each weight: a step changes the share η of its norm.

    The ratio is 1 where either norm is zero, and for gains and biases. The rate stands for relative change, so
    AdamW's is too small for it by the size of a typical weight: 1e-2 is where to start.

    You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020.
    """

    def update(update, params, state, moment):
        weight_norm, update_norm = norm(params), norm(update)
        if weight_norm > 0 and update_norm > 0:
            update *= update.dtype.type(min(weight_norm, largest_norm) / update_norm)

    return only_weights(Transform(update, whole=True))


def scale_by_adafactor(decay_exponent: float, epsilon: float) -> Choice:
    """u = g / √V, with V ≈ r cᵀ / mean(r) for a matrix: means r over its rows and c over its columns of g² + ε.

    r = β₂ r + (1 - β₂) mean_columns(g² + ε), and c likewise over rows, with β₂ = 1 - t^(-exponent): at the
    first step they are the gradient's own. Exact where g² has rank one. Vectors keep all of V.

    Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018.
    """

    def mixed(average, new, moment):
        decay = 1 - moment.step**-decay_exponent
        average *= average.dtype.type(decay)
        average += new * average.dtype.type(1 - decay)

    def update_matrix(update, params, state, moment):
        rows, columns = state["second_moment_of_rows"], state["second_moment_of_columns"]
        square = update * update
        square += update.dtype.type(epsilon)
        mixed(rows, square.mean(axis=1), moment)
        mixed(columns, square.mean(axis=0), moment)
        update /= np.sqrt(rows / rows.mean())[:, None]
        update /= np.sqrt(columns)

    def update_vector(update, params, state, moment):
        average = state["second_moment"]
        mixed(average, update * update + update.dtype.type(epsilon), moment)
        update /= np.sqrt(average)

    factors = {
        "second_moment_of_rows": lambda shape: shape[:1],
        "second_moment_of_columns": lambda shape: shape[1:],
    }
    matrix = Transform(update_matrix, whole=True, arrays=factors)
    vector = Transform(update_vector, whole=True, arrays={"second_moment": lambda shape: shape})
    return Choice(lambda _, parameter: matrix if parameter.ndim == 2 else vector)


def clip_by_root_mean_square(largest: float) -> Transform:
    """u = u / max(1, RMS(u) / d) for each parameter.  Shazeer and Stern, 2018."""

    def update(update, params, state, moment):
        size = root_mean_square(update)
        if size > largest:
            update *= update.dtype.type(largest / size)

    return Transform(update, whole=True)


def scale_by_parameter_size(smallest: float) -> Transform:
    """u = u · max(ε, RMS(θ)) for each parameter: the learning rate becomes relative.  Shazeer and Stern, 2018."""

    def update(update, params, state, moment):
        update *= update.dtype.type(max(smallest, root_mean_square(params)))

    return Transform(update, whole=True)


def scale_by_muon(
    momentum: float,
    nesterov: bool,
    iterations: int,
    polynomials: Polynomials = "jordan",
    divided: tuple[int, int] = (1, 1),
) -> Transform:
    """m = μ m + (1 - μ) g,  u = 0.2 √max(in, out) · orthogonalise(m);  with Nesterov, of (1 - μ) g + μ m

    ``divided``: into how many parts the rows and the columns of a matrix are divided, each of which is a matrix of
    its own: the heads of attention.

    The factor gives u the root mean square of AdamW's updates, about 0.2, so that both take one learning rate
    and one weight decay. For the matrices between hidden states only: embeddings are looked up, not multiplied
    with, and what reads the vocabulary wants its frequent words to be large.

    Jordan et al., "Muon", 2024; the factor: Liu et al., "Muon is Scalable for LLM Training", 2025.
    """

    def update(update, params, state, moment):
        average = state["first_moment"]  # the name of Adam's, so that the two share one vector
        kind = update.dtype.type
        update *= kind(1 - momentum)
        average *= kind(momentum)
        average += update
        if nesterov:
            update += average * kind(momentum)
        else:
            update[...] = average
        rows, columns = divided
        inputs, outputs = update.shape[0] // rows, update.shape[1] // columns
        parts = update.reshape(rows, inputs, columns, outputs).swapaxes(1, 2)
        scale = 0.2 * max(inputs, outputs) ** 0.5
        made = orthogonalise(parts, iterations, polynomials) * kind(scale)
        update[...] = made.swapaxes(1, 2).reshape(update.shape)

    return Transform(update, whole=True, vectors={"first_moment": np.zeros_like})
