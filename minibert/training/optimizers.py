"""Optimizers by name: each a chain of transforms, run over the flat vector in pieces."""

from collections.abc import Callable, Iterable

import numpy as np

from minibert.config import AdamWConfig, OptimizerConfig
from minibert.errors import unknown_name
from minibert.model.parameters import Layout
from minibert.training.transforms import (
    Moment,
    Transform,
    add_decayed_weights,
    chain,
    clip_by_global_norm,
    scale_by_adam,
    scale_by_learning_rate,
)

PIECE = 262144
"""Elements in a piece: with gradients, parameters and two moments in float32, half a megabyte."""


def adamw(config: AdamWConfig) -> Transform:
    return chain(
        scale_by_adam(config.beta1, config.beta2, config.epsilon),
        add_decayed_weights(config.weight_decay),
        scale_by_learning_rate(),
    )


OPTIMIZERS = {"adamw": adamw}


def build_transform(config: OptimizerConfig, clip_norm: float | None) -> Transform:
    """The chain for a configuration, behind clipping when ``clip_norm`` is given."""
    if config.name not in OPTIMIZERS:
        raise unknown_name("optimizer.name", config.name, OPTIMIZERS)
    transform = OPTIMIZERS[config.name](config)
    return transform if clip_norm is None else chain(clip_by_global_norm(clip_norm), transform)


class Optimizer:
    """A transform with its state, applied to the pieces of the vector, in any order and from several threads."""

    def __init__(self, transform: Transform, layout: Layout, dtype="float32"):
        self.transform = transform
        self.state = {name: np.zeros(layout.size, dtype) for name in transform.state}
        boundary = layout.decayed.stop
        self.pieces = [
            (slice(start, min(start + PIECE, stop)), decayed)
            for first, stop, decayed in ((0, boundary, True), (boundary, layout.size, False))
            for start in range(first, stop, PIECE)
        ]

    def apply(
        self, params: np.ndarray, gradient: np.ndarray, step: int, learning_rate: float, gradient_norm: float,
        run: Callable[[Callable, Iterable], Iterable] = map,
    ) -> None:  # fmt: skip
        """params += transform(gradient), piece by piece; the gradient's vector is used up.

        ``run`` is a ``map``: a threaded one gives the same bits, since pieces do not share anything.
        """

        def update_piece(piece):
            span, decayed = piece
            update = gradient[span]
            state = {name: vector[span] for name, vector in self.state.items()}
            self.transform.update(update, params[span], state, Moment(step, learning_rate, gradient_norm, decayed))
            params[span] += update

        for _ in run(update_piece, self.pieces):
            pass
