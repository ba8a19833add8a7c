"""Optimizers as chains of transforms over the flat vector.

A transform turns the gradient, step by step, into what is added to the parameters:

    AdamW = chain(clip_by_global_norm, scale_by_adam, add_decayed_weights, scale_by_learning_rate, ...)

The idea of optimizers as chains is that of Optax.
"""

from minibert.training.transforms.chains import Chain, Choice, Moment, Transform, chain, only_weights
from minibert.training.transforms.clipping import build_clipping
from minibert.training.transforms.elements import (
    add_decayed_weights,
    add_to_parameters,
    lookahead,
    scale_by,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_momentum,
)
from minibert.training.transforms.layer_rates import build_layer_rates, compute_layer_wise_learning_rates
from minibert.training.transforms.matrices import (
    clip_by_root_mean_square,
    scale_by_adafactor,
    scale_by_muon,
    scale_by_parameter_size,
    scale_by_trust_ratio,
)
from minibert.training.transforms.orthogonal import orthogonalise

__all__ = [
    "Chain", "Choice", "Moment", "Transform", "add_decayed_weights", "add_to_parameters", "build_clipping",
    "build_layer_rates", "chain", "clip_by_root_mean_square", "compute_layer_wise_learning_rates", "lookahead",
    "only_weights", "orthogonalise", "scale_by", "scale_by_adafactor", "scale_by_adam", "scale_by_learning_rate",
    "scale_by_lion", "scale_by_momentum", "scale_by_muon", "scale_by_parameter_size", "scale_by_trust_ratio",
]  # fmt: skip
