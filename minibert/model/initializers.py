"""Where parameters start.

Gains are one, biases zero. Tables (embeddings, positions) are truncated normal with ``model.init_scale``. What
``model.init`` decides is the matrices: each scheme depends on a matrix's shape and its position in the network.

Every parameter has its own part of the random stream ``init``, keyed by its name, so that a change to one
part of a network leaves the start of all others as it was.
"""

from zlib import crc32

import numpy as np

from minibert.config import ModelConfig
from minibert.model.parameters import Parameters
from minibert.randomness import generator


def truncated_normal(random, shape, scale):
    """Normal numbers with standard deviation ``scale`` before they are cut at two of them, as in BERT.

    x = scale · Φ⁻¹(u), u uniform between Φ(-2) and Φ(2).  Devlin et al., 2019 (0.02).
    """
    from scipy.special import ndtr, ndtri  # here, because a command that trains nothing does without it

    low, high = ndtr(-2.0), ndtr(2.0)
    return scale * ndtri(low + (high - low) * random.random(shape))


def initialize(params: Parameters, config: ModelConfig, seed: int) -> None:
    """Weights as ``config.init`` says, gains one, biases zero."""
    for name, array in params.items():
        if name.endswith(".weight"):
            random = generator(seed, crc32(name.encode()))
            if is_table(name):
                array[...] = truncated_normal(random, array.shape, config.init_scale)
            else:
                array[...] = INITIALIZERS[config.init](random, array.shape, name, config) * config.init_gain
        else:
            array[...] = 1 if name.endswith(".gain") else 0


def is_table(name: str) -> bool:
    """Whether rows are picked from a weight, as from embeddings and positions, instead of multiplied with it."""
    return name.startswith("embeddings.") or ".relative_" in name


def ends_branch(name: str) -> bool:
    """Whether a matrix writes to the residual stream."""
    return name.endswith((".attention.output.weight", ".feed_forward.out.weight"))


def bert(random, shape, name, config):
    """Truncated normal with ``model.init_scale``, whatever the shape.

    Devlin et al., "BERT", NAACL 2019.
    """
    return truncated_normal(random, shape, config.init_scale)


def xavier(random, shape, name, config):
    """Uniform with variance 2 / (in + out), which keeps the scale of activations, and of gradients, on average.

    Var(y) = in · Var(w) Var(x) forward and Var(dx) = out · Var(w) Var(dy) backward: 1/in and 1/out, and between.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
    """
    bound = np.sqrt(6 / sum(shape))
    return random.uniform(-bound, bound, shape)


def kaiming(random, shape, name, config):
    """Normal with variance 2 / in, which keeps the scale of activations where half of them are set to zero.

    He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """
    return random.normal(0, np.sqrt(2 / shape[0]), shape)


def orthogonal(random, shape, name, config):
    """A uniformly random matrix of orthonormal columns, or rows if it has more columns: all singular values one.

    Q of A = QR with normal A, each column's sign taken from R's diagonal, without which Q is not uniform.

    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", ICLR 2014; the signs: Mezzadri, "How to generate random matrices from the classical compact
    groups", 2007.
    """
    tall = random.normal(size=(max(shape), min(shape)))
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diag(r))
    return q if shape[0] >= shape[1] else q.T


def small(random, shape, name, config):
    """As ``bert``, with the ends of all 2L residual branches divided by √(2L): the stream's variance, a sum over
    the branches, does not grow with depth.

    Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2), 2019.
    """
    return bert(random, shape, name, config) / (np.sqrt(2 * config.layers) if ends_branch(name) else 1)


def zero_residual(random, shape, name, config):
    """As ``bert``, with the ends of all residual branches zero: every layer starts as the identity, before norms.

    Zhang, Dauphin and Ma, "Fixup Initialization", ICLR 2019; before, of a branch's last gain: Goyal et al., 2017.
    """
    return np.zeros(shape) if ends_branch(name) else bert(random, shape, name, config)


INITIALIZERS = {
    "bert": bert,
    "xavier": xavier,
    "kaiming": kaiming,
    "orthogonal": orthogonal,
    "small": small,
    "zero_residual": zero_residual,
}
"""Each gives a matrix (in, out) named ``name`` its start."""
