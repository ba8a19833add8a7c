"""The training loop: batch, gradients, update; and all of it again from a checkpoint, to the same bit."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from minibert.config import Config
from minibert.data.batches import Batches
from minibert.errors import MinibertError
from minibert.model.arithmetic import count_flops
from minibert.model.bert import MiniBERT
from minibert.training.checkpoints import copy_into, load_checkpoint, save_checkpoint
from minibert.training.lanes import Lanes
from minibert.training.optimizers import Optimizer, build_transform
from minibert.training.schedules import build_schedule


@dataclass
class Progress:
    """Where a run stands: all of its state beside parameters and optimizer."""

    step: int = 0
    """Optimizer steps done"""
    tokens_seen: int = 0
    """Tokens read, padding aside"""
    tokens_predicted: int = 0
    flops: float = 0.0
    """Floating-point operations of the matrix products, forward and backward"""
    seconds: float = 0.0
    """Time spent in steps; evaluation and checkpoints aside"""
    loss_sum: float = 0.0
    """Since the last log point"""
    loss_count: int = 0


@dataclass(frozen=True)
class Step:
    """What one optimizer step did."""

    loss: float
    """Mean over the batch's predictions, in nats"""
    gradient_norm: float
    """Before clipping"""
    learning_rate: float
    gradient_norms: dict[str, float]
    """Of the parts of the network, before clipping; empty but for steps that are logged"""


class Trainer:
    """Trains a model on batches, step by step.

    >>> with Trainer(model, batches, config) as trainer:
    ...     trainer.train(observers=[...])

    An observer is called as ``observer(trainer, step)`` before the first step (with None) and after every
    step (with :class:`Step`), and may read all it likes, but must change nothing.
    """

    def __init__(self, model: MiniBERT, batches: Batches, config: Config):
        self.model = model
        self.batches = batches
        self.config = config
        self.progress = Progress()
        self.lanes = Lanes(model, config.training.lanes)
        transform = build_transform(config.optimizer, config.training.clip_norm)
        self.optimizer = Optimizer(transform, model.params.layout, model.config.dtype)
        self._factor = build_schedule(config.schedule, config.training.steps)

    def __enter__(self):
        self.lanes.__enter__()
        return self

    def __exit__(self, *exception):
        self.lanes.__exit__(*exception)

    @property
    def finished(self) -> bool:
        return self.progress.step >= self.config.training.steps

    def train(self, observers: Iterable[Callable] = ()) -> None:
        """Take the steps that are left.

        Raises :class:`MinibertError` at the first loss or gradient that is not finite.
        """
        if self.progress.step == 0:
            for observer in observers:
                observer(self, None)
        while not self.finished:
            step = self.step()
            for observer in observers:
                observer(self, step)

    def step(self) -> Step:
        """One optimizer step on the next batch."""
        started = time.perf_counter()
        progress, number = self.progress, self.progress.step + 1
        batch = self.batches.at(progress.step)
        settings = self.config.training
        loss = self.lanes.loss_and_gradients(
            batch, self.config.seeds.dropout, progress.step, settings.accumulation, settings.checkpoint_activations
        )
        norm = self.lanes.reduce(self.optimizer)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise MinibertError(
                f"Step {number}: the loss is {loss} and the gradient norm {norm}, which is not finite. "
                f"The parameters of step {progress.step} are the last good ones. "
                "A smaller optimizer.learning_rate or a longer schedule.warmup usually helps."
            )
        logged = number % settings.log_every == 0 or number == settings.steps
        gradients = self.lanes.grads[0]
        norms = {group: gradients.norm(f"{group}.") for group in gradients.groups} if logged else {}
        rate = self.config.optimizer.learning_rate * self._factor(number)
        self.optimizer.apply(
            self.model.params.vector, gradients.vector, number, rate, norm, self.lanes.map
        )
        progress.step = number
        progress.tokens_seen += batch.tokens
        progress.tokens_predicted += batch.predictions
        progress.flops += count_flops(self.model.config, *batch.input_ids.shape, batch.predictions)
        progress.loss_sum += loss
        progress.loss_count += 1
        progress.seconds += time.perf_counter() - started
        return Step(loss, norm, rate, norms)

    def take_mean_loss(self) -> float:
        """Mean training loss since this was last asked, in nats."""
        progress = self.progress
        mean = progress.loss_sum / max(progress.loss_count, 1)
        progress.loss_sum, progress.loss_count = 0.0, 0
        return mean

    def memory_report(self) -> dict[str, float]:
        """Megabytes (10⁶ bytes) of every large thing that training holds, once a step has been taken.

        ``parameters``, ``optimizer_state``, and for every lane its ``gradients``, its ``caches`` (what the forward
        pass keeps for the backward pass) and its ``work_arrays`` (what both take and give back on the way).
        """
        report = {
            "parameters": self.model.params.vector.nbytes,
            "optimizer_state": sum(vector.nbytes for vector in self.optimizer.state.values()),
        }
        for number, (grads, work) in enumerate(zip(self.lanes.grads, self.lanes.workspaces, strict=True)):
            report[f"lane_{number}/gradients"] = grads.vector.nbytes
            report[f"lane_{number}/caches"] = work.kept
            report[f"lane_{number}/work_arrays"] = work.peak - work.kept
        return {name: size / 1e6 for name, size in report.items()}

    def save(self, path: Path) -> None:
        """Everything that a resumed run needs."""
        tensors = dict(self.model.params.items())
        tensors |= {f"optimizer.{name}": vector for name, vector in self.optimizer.state.items()}
        save_checkpoint(path, tensors, {"progress": asdict(self.progress)})

    def resume(self, path: Path) -> None:
        """Continue from a file of :meth:`save`."""
        tensors, about = load_checkpoint(path)
        state = {f"optimizer.{name}": vector for name, vector in self.optimizer.state.items()}
        copy_into({**self.model.params, **state}, tensors, path)
        self.progress = Progress(**about["progress"])
