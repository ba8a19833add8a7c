"""Where parameters start.

Every parameter draws from a place of its own in the init stream, keyed by its name, so that a change to one
part of a network leaves the start of all others as it was.
"""

from zlib import crc32

from scipy.special import ndtr, ndtri

from minibert.model.parameters import Parameters
from minibert.randomness import generator


def truncated_normal(random, shape, scale):
    """Normal numbers with standard deviation ``scale`` before they are cut at two of them, as in BERT.

    x = scale · Φ⁻¹(u), u uniform between Φ(-2) and Φ(2).  Devlin et al., 2019 (0.02).
    """
    low, high = ndtr(-2.0), ndtr(2.0)
    return scale * ndtri(low + (high - low) * random.random(shape))


def initialize(params: Parameters, scale: float, seed: int) -> None:
    """Weights truncated normal, gains one, biases zero."""
    for name, array in params.items():
        if name.endswith(".weight"):
            array[...] = truncated_normal(generator(seed, crc32(name.encode())), array.shape, scale)
        else:
            array[...] = 1 if name.endswith(".gain") else 0
