"""The training loop: batch, gradients, update; and all of it again from a checkpoint, to the same bit."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from minibert.config import Config
from minibert.data.batches import Batches
from minibert.errors import MinibertError
from minibert.model.arithmetic import count_flops
from minibert.model.auxiliary_heads import Measured
from minibert.model.bert import MiniBERT
from minibert.model.saved import copy_into, load_checkpoint
from minibert.training.checkpoints import save_checkpoint
from minibert.training.lanes import Lanes
from minibert.training.optimizers import Optimizer, build_chain
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
    measured: dict[str, list[float]] = field(default_factory=dict)
    """Since the last log point, of each task that is measured apart: sum of losses, right predictions,
    predictions, steps"""


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
    settings: dict[str, float] = field(default_factory=dict)
    """What the batch was made with, where that changes in the course of training"""


class Trainer:
    """Trains a model on batches, step by step.

    >>> with Trainer(model, batches, config) as trainer:
    ...     trainer.train(observers=[...])

    An observer is called as ``observer(trainer, step)`` before the first step (with None) and after every
    step (with :class:`Step`), and may read all it likes, but must change nothing. What it finds in ``model.params``
    are the :meth:`evaluation_parameters`.

    What shapes the batches by how training goes is given as ``adapting``: it observes every step, and its
    ``state``, named arrays, is kept with the rest (:class:`minibert.data.masking_rates.AdaptiveMasking`).
    """

    def __init__(self, model: MiniBERT, batches: Batches, config: Config, adapting: Sequence = ()):
        self.model = model
        self.params = model.params
        """The parameters that are trained"""
        self.batches = batches
        self.config = config
        self.progress = Progress()
        self.lanes = Lanes(model, config.training.lanes)
        self.optimizer = Optimizer(build_chain(config, tuple(self.params)), self.params)
        self.adapting = adapting
        self._measures = bool(model.config.auxiliary_heads) or any(part.wants_accuracy for part in adapting)
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
            self._show(observers, None)
        while not self.finished:
            self._show(observers, self.step())

    def _show(self, observers: Iterable[Callable], step: "Step | None") -> None:
        with self.evaluation_parameters():
            for observer in observers:
                observer(self, step)

    @contextmanager
    def evaluation_parameters(self) -> Iterator[None]:
        """Within this context the model has the parameters that it is evaluated with: under Lookahead the slow weights.

        Otherwise they are the trained ones. Nothing is copied, and no step may be taken within.
        """
        self.model.params = self.optimizer.evaluated(self.params)
        try:
            yield
        finally:
            self.model.params = self.params

    def step(self) -> Step:
        """One optimizer step on the next batch."""
        started = time.perf_counter()
        progress, number = self.progress, self.progress.step + 1
        batch = self.batches.at(progress.step)
        settings = self.config.training
        measured = Measured() if self._measures else None
        loss = self.lanes.loss_and_gradients(
            batch, self.config.seeds.dropout, progress.step, settings.accumulation,
            settings.checkpoint_activations, measured,
        )  # fmt: skip
        norm = self.lanes.reduce()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise MinibertError(
                f"Step {number}: the loss is {loss} and the gradient norm {norm}, which is not finite. "
                f"The parameters of step {progress.step} are the last good ones. "
                "A smaller optimizer.learning_rate or a longer schedule.warmup usually helps."
            )
        logged = number % settings.log_every == 0 or number == settings.steps
        gradients = self.lanes.grads[0]
        norms = {group: gradients.norm(f"{group}.") for group in gradients.groups} if logged else {}
        optimizer = self.config.optimizer
        rate = optimizer.learning_rate * optimizer.rate_factor * self._factor(number)
        self.optimizer.apply(
            self.params.vector, gradients.vector, number, rate, norm, self.lanes.map
        )
        progress.step = number
        progress.tokens_seen += batch.tokens
        progress.tokens_predicted += batch.predictions
        answers = sum(questions.count for questions in batch.auxiliary.values())
        progress.flops += count_flops(
            self.model.config, *batch.input_ids.shape, batch.predictions, batch.asked, answers
        )
        progress.loss_sum += loss
        progress.loss_count += 1
        for name, values in (measured or {}).items():
            sums = progress.measured.get(name, (0.0, 0, 0, 0))
            progress.measured[name] = [total + value for total, value in zip(sums, (*values, 1), strict=True)]
        for part in self.adapting:
            part.observe(number, measured, self.lanes.sequence_losses)
        progress.seconds += time.perf_counter() - started
        return Step(loss, norm, rate, norms, batch.settings)

    def take_mean_loss(self) -> float:
        """Mean training loss since this was last asked, in nats."""
        progress = self.progress
        mean = progress.loss_sum / max(progress.loss_count, 1)
        progress.loss_sum, progress.loss_count = 0.0, 0
        return mean

    def take_measured(self) -> dict[str, float]:
        """``<task>_loss`` in nats and ``<task>_accuracy`` of every task measured, since this was last asked."""
        metrics = {}
        for name, (loss, hits, count, steps) in self.progress.measured.items():
            metrics |= {f"{name}_loss": loss / steps, f"{name}_accuracy": hits / max(count, 1)}
        self.progress.measured = {}
        return metrics

    def memory_report(self) -> dict[str, float]:
        """Megabytes (10⁶ bytes) of every large thing that training holds, once a step has been taken.

        ``parameters``, ``optimizer_state``, and for every lane its ``gradients``, its ``caches`` (what the forward
        pass keeps for the backward pass) and its ``work_arrays`` (what both take and give back on the way).
        """
        report = {
            "parameters": self.params.vector.nbytes,
            "optimizer_state": sum(vector.nbytes for vector in self.optimizer.state.values()),
        }
        for number, (grads, work) in enumerate(zip(self.lanes.grads, self.lanes.workspaces, strict=True)):
            report[f"lane_{number}/gradients"] = grads.vector.nbytes
            report[f"lane_{number}/caches"] = work.kept
            report[f"lane_{number}/work_arrays"] = work.peak - work.kept
        return {name: size / 1e6 for name, size in report.items()}

    def save(self, path: Path) -> None:
        """Everything that a resumed run needs."""
        tensors = dict(self.params.items())
        tensors |= self._state
        save_checkpoint(path, tensors, {"progress": asdict(self.progress)})

    def resume(self, path: Path) -> None:
        """Continue from a file of :meth:`save`."""
        tensors, about = load_checkpoint(path)
        copy_into({**self.params, **self._state}, tensors, path)
        for part in self.adapting:
            part.restored()
        self.progress = Progress(**about["progress"])

    @property
    def _state(self) -> dict[str, np.ndarray]:
        """All arrays that change in training, parameters aside, by name."""
        state = {f"optimizer.{name}": vector for name, vector in self.optimizer.state.items()}
        for part in self.adapting:
            state |= {f"{part.name}.{name}": array for name, array in part.state.items()}
        return state
