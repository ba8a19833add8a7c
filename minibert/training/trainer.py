"""The training loop: batch, gradients, update; and all of it again from a checkpoint, to the same bit."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minibert.config import Config
from minibert.data.batches import Batch, Batches
from minibert.errors import MinibertError
from minibert.model.arithmetic import count_flops
from minibert.model.auxiliary_heads import Measured
from minibert.model.bert import ForwardCache, MiniBERT
from minibert.model.passes import Pass, Selection
from minibert.model.saved import copy_into, load_checkpoint
from minibert.training.checkpoints import save_checkpoint
from minibert.training.hooks import DiagnosticHooks
from minibert.training.lanes import Lanes, without_warnings
from minibert.training.optimizers import Optimizer, build_chain
from minibert.training.progress import Meters, Progress, RangeTestStop, restored_progress, saved_progress
from minibert.training.schedules import build_schedule
from minibert.training.snapshots import BeforeUpdate
from minibert.training.transforms.clipping import clipped_share


@dataclass(frozen=True)
class Step:
    """What one optimizer step did."""

    loss: float
    """Mean over the batch's predictions, in nats; with ``training.softmax_words``, an estimate of it"""
    gradient_norm: float
    """Before clipping"""
    learning_rate: float
    gradient_norms: dict[str, float]
    """Of the parts of the network, before clipping; empty at steps that are not logged"""
    settings: dict[str, float] = field(default_factory=dict)
    """What the batch was made with, where that changes in the course of training"""


class NotFinite(MinibertError):
    """A loss or gradient that is infinite or no number, so that training cannot go on."""

    def __init__(self, loss: float, gradient_norm: float, step: int, batch: Batch):
        super().__init__(
            f"Step {step + 1}: the loss is {loss} and the gradient norm {gradient_norm}, which is not finite. "
            "A smaller optimizer.learning_rate or a longer schedule.warmup usually helps."
        )
        self.step = step
        """Optimizer steps done before the step of the batch"""
        self.batch = batch


class Trainer:
    """Trains a model on batches, step by step.

    >>> with Trainer(model, batches, config) as trainer:  # doctest: +SKIP
    ...     trainer.train(observers=[...])

    An observer is called as ``observer(trainer, step)`` before the first step (with None) and after every
    step (with :class:`Step`). It may read everything, and must change nothing. The parameters that it finds in
    ``model.params`` are the :meth:`evaluation_parameters`.

    Parts in ``adapting`` shape the batches by how training goes. They observe every step, and their ``state``,
    named arrays, is saved with the rest (:class:`minibert.data.masking_rates.AdaptiveMasking`).

    Diagnostics run before and after the updates that they ask for
    (:class:`minibert.training.hooks.DiagnosticHooks`). They change nothing in training, not a bit.
    """

    def __init__(
        self,
        model: MiniBERT,
        batches: Batches,
        config: Config,
        adapting: Sequence = (),
        diagnostics=None,
        data=None,
        probe_batch: Batch | None = None,
    ):
        """``data`` and ``probe_batch`` are for the diagnostics (:class:`minibert.training.snapshots.Moment`)."""
        self.model = model
        self.params = model.params
        """The parameters that are trained"""
        self.batches = batches
        self.config = config
        self.progress, self.meters, self.range_test = Progress(), Meters(), RangeTestStop()
        self.lanes = Lanes(model, config.training.lanes)
        self.optimizer = Optimizer(build_chain(config, tuple(self.params)), self.params, config.training.lanes)
        self.adapting = adapting
        self.hooks = DiagnosticHooks(
            diagnostics, model, config, self.lanes, self._loss_and_lane_gradients, data, probe_batch
        )
        self._measures = bool(model.config.auxiliary_heads) or any(part.wants_accuracy for part in adapting)
        self._factor = build_schedule(config.schedule, config.training.steps)

    def __enter__(self):
        self.lanes.__enter__()
        return self

    def __exit__(self, *exception):
        self.lanes.__exit__(*exception)

    @property
    def finished(self) -> bool:
        return self.range_test.diverged or self.progress.step >= self.config.training.steps

    def train(self, observers: Iterable[Callable] = ()) -> None:
        """Take the steps that are left.

        A range test (``schedule=range_test``) ends when the loss explodes: the step that finds this out makes no
        update, and is the last. Every other run raises :class:`MinibertError` at the first loss or gradient that
        is not finite.
        """
        if self.progress.step == 0:
            self._show(observers, None)
        while not self.finished:
            self._show(observers, self.step())
        if self.range_test.diverged:
            self.hooks.end_at(self.progress.step)
        self.examine()

    def _show(self, observers: Iterable[Callable], step: "Step | None") -> None:
        with self.evaluation_parameters():
            for observer in observers:
                observer(self, step)

    @contextmanager
    def evaluation_parameters(self) -> Iterator[None]:
        """Within this context the model has the parameters that it is evaluated with.

        Under Lookahead these are the slow weights, with ``averaging`` the average over steps, otherwise the
        trained ones. Nothing is copied, and no step may be taken within.
        """
        self.model.params = self.optimizer.evaluated(self.params)
        try:
            yield
        finally:
            self.model.params = self.params

    @without_warnings()
    def step(self) -> Step:
        """One optimizer step on the next batch."""
        started = time.perf_counter()
        done = self.progress.step
        number = done + 1
        batch = self.batches.at(done)
        measured = Measured() if self._measures else None
        loss, norm, snapshot = self._pass(batch, measured)
        if self.config.schedule.name == "range_test" and self.range_test.explodes(loss, norm):
            return self._end_range_test(loss, norm, time.perf_counter() - started)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise NotFinite(loss, norm, done, batch)
        settings, gradients = self.config.training, self.lanes.grads[0]
        logged = number % settings.log_every == 0 or number == settings.steps
        norms = self._gradient_norms() if logged else {}
        rate = self._rate(number)
        seconds_of_diagnostics = self.hooks.show_before(snapshot, done)
        self.optimizer.apply(self.params.vector, gradients.vector, number, rate, norm, self.lanes.map)
        seconds_of_diagnostics += self.hooks.show_after(snapshot, rate)
        clipped = clipped_share(self.config.clipping, norm, self.optimizer.state)
        self.meters.add(loss, measured, clipped)
        self._count(batch)
        for part in self.adapting:
            part.observe(number, measured, self.lanes.sequence_losses)
        self.progress.seconds += time.perf_counter() - started - seconds_of_diagnostics
        return Step(loss, norm, rate, norms, batch.settings)

    def _count(self, batch: Batch) -> None:
        progress = self.progress
        progress.step += 1
        progress.tokens_seen += batch.tokens
        progress.tokens_predicted += batch.predictions
        answers = sum(questions.count for questions in batch.auxiliary.values())
        sequences, tokens = batch.input_ids.shape
        progress.flops += count_flops(
            self.model.config, sequences, tokens, batch.predictions, batch.asked, answers, batch.scored_words
        )

    def _gradient_norms(self) -> dict[str, float]:
        gradients = self.lanes.grads[0]
        return {group: gradients.norm(f"{group}.") for group in gradients.groups}

    def _rate(self, number: int) -> float:
        """The learning rate of a step, whose number is 1 for the first."""
        optimizer = self.config.optimizer
        return optimizer.learning_rate * optimizer.rate_factor * self._factor(number)

    def _end_range_test(self, loss: float, norm: float, seconds: float) -> Step:
        """The last step of a range test whose loss exploded: it is recorded, but nothing is updated."""
        self.range_test.diverged = True
        self.meters.add(loss)
        self.progress.step += 1
        self.progress.seconds += seconds
        norms = self._gradient_norms()
        last_update = self.progress.step - 1
        self.hooks.end_range_test(last_update, self._rate(last_update))
        return Step(loss, norm, self._rate(self.progress.step), norms)

    @without_warnings()
    def examine(self) -> None:
        """Run the diagnostics that are due at the step that training stands at, without an update."""
        if not self.hooks.needs(self.progress.step):
            return
        _, _, snapshot = self._pass(self.batches.at(self.progress.step), None)
        if snapshot is not None:
            self.hooks.show_without_update(snapshot)

    def _pass(self, batch: Batch, measured: Measured | None) -> tuple[float, float, BeforeUpdate | None]:
        """Loss, gradient norm, and what the diagnostics see of both; None where none runs at this step."""
        step = self.progress.step
        needed = self.hooks.needs(step)
        caches: list[ForwardCache] | None = [] if needed else None
        loss = self._loss_and_lane_gradients(step, batch, measured, caches)
        lane_gradients = self.hooks.lane_gradients(needed)
        norm = self.lanes.reduce()
        if caches is None:
            return loss, norm, None
        return loss, norm, self.hooks.before_update(step, batch, caches, loss, norm, lane_gradients)

    def _loss_and_lane_gradients(
        self,
        step: int,
        batch: Batch,
        measured: Measured | None = None,
        caches: list[ForwardCache] | None = None,
    ) -> float:
        settings = self.config.training
        return self.lanes.loss_and_gradients(
            batch,
            self.config.seeds.dropout,
            step,
            settings.accumulation,
            Selection(everywhere=settings.last_layer_everywhere, words=batch.words),
            Pass(checkpoint_activations=settings.checkpoint_activations, measured=measured, caches=caches),
        )

    def memory_report(self) -> dict[str, float]:
        """Megabytes (10⁶ bytes) of every large thing that training holds, once a step has been taken.

        Of the lanes it is the most at any step of the run, including the steps before an interruption.
        ``parameters``, ``optimizer_state``, and for every lane its ``gradients``, its ``caches`` (what the forward
        pass keeps for the backward pass) and its ``work_arrays`` (what both use for a short time).
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
        memory = [(work.peak, work.kept) for work in self.lanes.workspaces]
        progress = saved_progress(self.progress, self.meters, self.range_test)
        save_checkpoint(path, tensors, {"progress": progress, "memory": memory})

    def resume(self, path: Path) -> None:
        """Continue from a file of :meth:`save`."""
        try:
            tensors, about = load_checkpoint(path)
        except MinibertError as error:
            raise MinibertError(f"{error} Delete it to start the run again instead of resuming it.") from error
        try:
            progress, meters, range_test = restored_progress(about["progress"])
        except (KeyError, TypeError) as error:
            raise MinibertError(
                f"The checkpoint {path} does not hold the state of a run. Delete it, and the run starts again."
            ) from error
        copy_into({**self.params, **self._state}, tensors, path)
        for part in self.adapting:
            part.restored()
        self.progress, self.meters, self.range_test = progress, meters, range_test
        for work, (peak, kept) in zip(self.lanes.workspaces, about.get("memory", ()), strict=False):
            work.peak, work.kept = max(work.peak, peak), max(work.kept, kept)

    @property
    def _state(self) -> dict[str, np.ndarray]:
        """All arrays that change in training, parameters aside, by name."""
        state = {f"optimizer.{name}": vector for name, vector in self.optimizer.state.items()}
        state |= self.hooks.state
        for part in self.adapting:
            state |= {f"{part.name}.{name}": array for name, array in part.state.items()}
        return state
