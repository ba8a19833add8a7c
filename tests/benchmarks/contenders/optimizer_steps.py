"""An optimizer's part of a training step, on the network's parameters and the gradient of the first batch.

Before every step, off the clock, the gradient is put back and the caches are emptied, much as the backward pass
would have left them. The gradient has norm 2, so that clipping to 1 has something to do.
"""

import numpy as np
from threadpoolctl import threadpool_info

from minibert.config import Config, TrainingConfig
from minibert.config.optimizers import (
    AdafactorConfig,
    AdamWConfig,
    ClippingConfig,
    GlobalNormClippingConfig,
    LAMBConfig,
    LionConfig,
    LookaheadConfig,
    MuonConfig,
    OptimizerConfig,
    SGDConfig,
)
from minibert.model.bert import MiniBERT
from minibert.training.lanes import Lanes
from minibert.training.optimizers import Optimizer, build_chain
from tests.benchmarks.contenders import Contender
from tests.benchmarks.workload import SEED, Workload, model_config

OPTIMIZERS: dict[str, OptimizerConfig] = {
    "adamw": AdamWConfig(),
    "lion": LionConfig(),
    "sgd": SGDConfig(),
    "sgd_nesterov": SGDConfig(nesterov=True),
    "lamb": LAMBConfig(),
    "adafactor": AdafactorConfig(),
    "muon": MuonConfig(),
    "muon_short": MuonConfig(polynomials="polar_express", iterations=4, heads_apart=True),
    "lookahead": LookaheadConfig(),
}
LEARNING_RATE = 1e-6
"""Moves next to nothing in thousands of steps; how long a step takes does not depend on it"""
GRADIENT_NORM, LARGEST_NORM = 2.0, 1.0

_SWEPT = np.zeros(2**24)
"""128 MiB: more than any of the caches"""


def empty_caches() -> None:
    np.add(_SWEPT, 1, out=_SWEPT)


def model_and_gradient(workload: Workload) -> tuple[MiniBERT, np.ndarray]:
    """The network at its start, and the flat gradient of the first batch, of norm 2."""
    model = MiniBERT(model_config(workload.shape, 0.0), SEED)
    _, gradients = model.loss_and_gradients(*workload.batches[0])
    return model, gradients.vector * np.float32(GRADIENT_NORM / np.linalg.norm(gradients.vector))


class OptimizerStep(Contender):
    """``Optimizer.apply``, over lanes as ``Trainer.step`` calls it.

    ``clipped``: with the sum over lanes before it, which also gives the norm, and clipping within it.
    """

    def __init__(self, workload: Workload, optimizer: str, clipped: bool = False):
        model, self._gradient = model_and_gradient(workload)
        clipping = GlobalNormClippingConfig(norm=LARGEST_NORM) if clipped else ClippingConfig()
        config = Config(
            model=model.config,
            optimizer=OPTIMIZERS[optimizer],
            clipping=clipping,
            training=TrainingConfig(lanes=workload.lanes),
        )
        self.params, self._clipped, self._taken = model.params, clipped, 0
        self._optimizer = Optimizer(build_chain(config, tuple(self.params)), self.params, workload.lanes)
        self._lanes = Lanes(model, workload.lanes)
        self._lanes.__enter__()  # open for as long as the process lives
        self.about = {"numpy": np.__version__, "lanes": workload.lanes, "blas": threadpool_info()}

    def prepare(self) -> None:
        filled = self._lanes.grads if self._clipped else self._lanes.grads[:1]
        for grads in filled:
            np.divide(self._gradient, len(filled), out=grads.vector)
        empty_caches()

    def step(self) -> float:
        self._taken += 1
        norm = self._lanes.reduce() if self._clipped else GRADIENT_NORM
        gradient = self._lanes.grads[0].vector
        self._optimizer.apply(self.params.vector, gradient, self._taken, LEARNING_RATE, norm, self._lanes.map)
        return float("nan")
