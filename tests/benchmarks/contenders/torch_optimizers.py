"""What ``torch.optim`` has of minibert's optimizers, on the same parameters, gradient and settings."""

from collections.abc import Callable

import torch
from torch import nn, optim

from minibert.config.optimizers import AdafactorConfig, AdamWConfig, MuonConfig, SGDConfig
from minibert.training.optimizers import is_hidden_matrix
from tests.benchmarks.contenders import Contender
from tests.benchmarks.contenders.optimizer_steps import (
    LARGEST_NORM,
    LEARNING_RATE,
    OPTIMIZERS,
    empty_caches,
    model_and_gradient,
)
from tests.benchmarks.workload import Workload

Named = dict[str, nn.Parameter]


class TorchOptimizerStep(Contender):
    """The optimizer's ``step()``; ``clipped``: with ``clip_grad_norm_`` before it."""

    def __init__(self, workload: Workload, optimizer: str, clipped: bool = False):
        torch.set_num_threads(workload.lanes)
        model, gradient = model_and_gradient(workload)
        self.params = {name: nn.Parameter(torch.tensor(array)) for name, array in model.params.items()}
        gradients = model.params.layout.views(gradient)
        self._gradients = [torch.tensor(gradients[name]) for name in self.params]
        self._optimizers = BUILDERS[optimizer](self.params, OPTIMIZERS[optimizer])
        self._clipped = clipped
        self.about = {"torch": torch.__version__, "threads": torch.get_num_threads()}

    def prepare(self) -> None:
        for parameter, gradient in zip(self.params.values(), self._gradients, strict=True):
            parameter.grad = gradient.clone()
        empty_caches()

    def step(self) -> float:
        if self._clipped:
            nn.utils.clip_grad_norm_(self.params.values(), LARGEST_NORM)
        for optimizer in self._optimizers:
            optimizer.step()
        return float("nan")


def decayed_apart(params: Named, weight_decay: float) -> list[dict]:
    """Weights decay, gains and biases do not."""
    weights = [parameter for name, parameter in params.items() if name.endswith(".weight")]
    others = [parameter for name, parameter in params.items() if not name.endswith(".weight")]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def adamw(params: Named, config: AdamWConfig | MuonConfig) -> list[optim.Optimizer]:
    groups = decayed_apart(params, config.weight_decay)
    betas = (config.beta1, config.beta2)
    return [optim.AdamW(groups, lr=LEARNING_RATE, betas=betas, eps=config.epsilon, fused=True)]


def sgd(params: Named, config: SGDConfig) -> list[optim.Optimizer]:
    groups = decayed_apart(params, config.weight_decay)
    return [optim.SGD(groups, lr=LEARNING_RATE, momentum=config.momentum, nesterov=config.nesterov, fused=True)]


def adafactor(params: Named, config: AdafactorConfig) -> list[optim.Optimizer]:
    return [
        optim.Adafactor(
            decayed_apart(params, config.weight_decay), lr=LEARNING_RATE, beta2_decay=-config.decay_exponent,
            eps=(config.epsilon, config.smallest_scale), d=config.largest_update,
        )
    ]  # fmt: skip


def muon(params: Named, config: MuonConfig) -> list[optim.Optimizer]:
    """Muon for the same matrices, which it makes orthogonal in bfloat16; fused AdamW for the rest."""
    if not hasattr(optim, "Muon"):
        raise RuntimeError(f"torch {torch.__version__} has no Muon. It came with 2.9.")
    matrices = {name: parameter for name, parameter in params.items() if is_hidden_matrix(name, parameter)}
    others = {name: parameter for name, parameter in params.items() if name not in matrices}
    for_matrices = optim.Muon(
        matrices.values(),
        lr=LEARNING_RATE,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        nesterov=config.nesterov,
        ns_steps=config.iterations,
        adjust_lr_fn="match_rms_adamw",
    )
    return [for_matrices, *adamw(others, config)]


BUILDERS: dict[str, Callable[[Named, object], list[optim.Optimizer]]] = {
    "adamw": adamw, "sgd": sgd, "sgd_nesterov": sgd, "adafactor": adafactor, "muon": muon,
}  # fmt: skip
