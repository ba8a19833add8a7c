"""The training loop: batch, gradients, update; and all of it again from a checkpoint, to the same bit."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from minibert.config import Config
from minibert.data.batches import Batch, Batches
from minibert.errors import MinibertError
from minibert.model.arithmetic import count_flops
from minibert.model.auxiliary_heads import Measured
from minibert.model.bert import MiniBERT
from minibert.model.parameters import Parameters
from minibert.model.saved import copy_into, load_checkpoint
from minibert.training.checkpoints import save_checkpoint
from minibert.training.lanes import Lanes
from minibert.training.optimizers import Optimizer, build_chain
from minibert.training.schedules import build_schedule
from minibert.training.snapshots import After, Snapshot
from minibert.training.transforms.clipping import clipped_share

EXPLODED = 2.0
"""A range test ends at a loss of this many times its first."""


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
    first_loss: float | None = None
    """Of a range test"""
    diverged: bool = False
    """Whether a range test has come to its end before the last step"""
    clipped_sum: float = 0.0
    """Since the last log point: of the share of units whose gradient was clipped"""
    clipped_steps: int = 0
    """Since the last log point: steps that it is the sum of; none where there is no clipping"""


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


class NotFinite(MinibertError):
    """A loss or gradient that is infinite or no number: training cannot go on."""

    def __init__(self, loss: float, gradient_norm: float, step: int, batch: Batch):
        super().__init__(
            f"Step {step + 1}: the loss is {loss} and the gradient norm {gradient_norm}, which is not finite. "
            "A smaller optimizer.learning_rate or a longer schedule.warmup usually helps."
        )
        self.step = step
        """Optimizer steps done before: the batch is that of the next"""
        self.batch = batch


class Trainer:
    """Trains a model on batches, step by step.

    >>> with Trainer(model, batches, config) as trainer:
    ...     trainer.train(observers=[...])

    An observer is called as ``observer(trainer, step)`` before the first step (with None) and after every
    step (with :class:`Step`), and may read all it likes, but must change nothing. What it finds in ``model.params``
    are the :meth:`evaluation_parameters`.

    What shapes the batches by how training goes is given as ``adapting``: it observes every step, and its
    ``state``, named arrays, is kept with the rest (:class:`minibert.data.masking_rates.AdaptiveMasking`).

    Diagnostics are asked before every step what they need of it (``needs(step)``, names of what a
    :class:`minibert.training.snapshots.Snapshot` has), and where they need anything they look at it, before and after
    its update (``look(snapshot, updated)``). They change nothing in training, not a bit.
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
        """``data`` and ``probe_batch`` are for the diagnostics (:class:`minibert.training.snapshots.Snapshot`)."""
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
        self.diagnostics = diagnostics
        self._data, self._probe_batch = data, probe_batch
        asks = diagnostics.asks if diagnostics else ()
        self._initial = model.params.vector.copy() if "initial" in asks else None
        self._previous_gradient = np.zeros_like(model.params.vector) if "previous_gradient" in asks else None
        # Only a range test does not know beforehand which update is its last.
        self._keeps_update = bool(asks) and config.schedule.name == "range_test" and diagnostics.wants_last_update
        self._before_update: np.ndarray | None = None

    def __enter__(self):
        self.lanes.__enter__()
        return self

    def __exit__(self, *exception):
        self.lanes.__exit__(*exception)

    @property
    def finished(self) -> bool:
        return self.progress.diverged or self.progress.step >= self.config.training.steps

    def train(self, observers: Iterable[Callable] = ()) -> None:
        """Take the steps that are left.

        A range test (``schedule=range_test``) is at its end when the loss explodes: the step that finds out makes no
        update, and is the last. All else raises :class:`MinibertError` at the first loss or gradient that is not finite.
        """
        if self.progress.step == 0:
            self._show(observers, None)
        while not self.finished:
            self._show(observers, self.step())
        if self.diagnostics and self.progress.diverged:
            self.diagnostics.end_at(self.progress.step)
        self.examine()

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
        needed = self.diagnostics.needs(progress.step) if self.diagnostics else frozenset()
        loss, norm, snapshot = self._pass(batch, measured, needed)
        if self._explodes(loss, norm):
            return self._diverge(loss, norm, time.perf_counter() - started)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise NotFinite(loss, norm, progress.step, batch)
        logged = number % settings.log_every == 0 or number == settings.steps
        gradients = self.lanes.grads[0]
        norms = {group: gradients.norm(f"{group}.") for group in gradients.groups} if logged else {}
        rate = self._rate(number)
        looking = self._look_before(snapshot, rate) if needed else 0.0
        remembered = None
        if self._previous_gradient is not None and "previous_gradient" in self.diagnostics.needs(number):
            remembered = gradients.vector.copy()
        if self._keeps_update:
            self._before_update = self.params.vector.copy()
        self.optimizer.apply(self.params.vector, gradients.vector, number, rate, norm, self.lanes.map)
        looking += self._look_after(snapshot) if needed else 0.0
        if remembered is not None:
            self._previous_gradient[...] = remembered
        clipped = clipped_share(self.config.clipping, norm, self.optimizer.state)
        if clipped is not None:
            progress.clipped_sum += clipped
            progress.clipped_steps += 1
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
        progress.seconds += time.perf_counter() - started - looking
        return Step(loss, norm, rate, norms, batch.settings)

    def _rate(self, number: int) -> float:
        """The learning rate of a step, whose number is 1 for the first."""
        optimizer = self.config.optimizer
        return optimizer.learning_rate * optimizer.rate_factor * self._factor(number)

    def _explodes(self, loss: float, norm: float) -> bool:
        """Whether this is where a range test ends."""
        if self.config.schedule.name != "range_test":
            return False
        if self.progress.first_loss is None:
            self.progress.first_loss = loss
        return not (loss < EXPLODED * self.progress.first_loss and math.isfinite(norm))

    def _diverge(self, loss: float, norm: float, seconds: float) -> Step:
        """The last step of a range test that came to its end: recorded, but nothing was updated."""
        progress, gradients = self.progress, self.lanes.grads[0]
        progress.step += 1
        progress.diverged = True
        progress.loss_sum += loss
        progress.loss_count += 1
        progress.seconds += seconds
        norms = {group: gradients.norm(f"{group}.") for group in gradients.groups}
        self._look_back()
        return Step(loss, norm, self._rate(progress.step), norms)

    def examine(self) -> None:
        """Show the diagnostics what is due at the step that training stands at, without an update."""
        needed = self.diagnostics.needs(self.progress.step) if self.diagnostics else frozenset()
        if needed:
            _, _, snapshot = self._pass(self.batches.at(self.progress.step), None, needed)
            self.diagnostics.look(snapshot, updated=False)

    def _pass(
        self, batch: Batch, measured: Measured | None, needed: frozenset[str]
    ) -> tuple[float, float, Snapshot | None]:
        """Loss, gradient norm, and both of them held still where something is needed of them."""
        caches = [] if needed else None
        loss = self._loss_and_lane_gradients(self.progress.step, batch, measured, caches)
        lane_gradients = [grads.vector.copy() for grads in self.lanes.grads] if "lane_gradients" in needed else []
        norm = self.lanes.reduce()
        if not needed:
            return loss, norm, None
        step, gradients = self.progress.step, self.lanes.grads[0]
        return (
            loss,
            norm,
            Snapshot(
                step,
                self.model,
                self.config,
                batch,
                caches,
                loss,
                gradients,
                norm,
                self._initial_parameters,
                self._data,
                self._probe_batch,
                self.lanes,
                lane_gradients,
                self.lanes.predictions(batch, self.config.training.accumulation),
                self._previous_gradient if step else None,
            ),
        )

    @property
    def _initial_parameters(self) -> Parameters | None:
        return None if self._initial is None else Parameters(self.params.layout, vector=self._initial)

    def _loss_and_lane_gradients(
        self, step: int, batch: Batch, measured: Measured | None, caches: list | None
    ) -> float:
        settings = self.config.training
        return self.lanes.loss_and_gradients(
            batch,
            self.config.seeds.dropout,
            step,
            settings.accumulation,
            settings.checkpoint_activations,
            measured,
            settings.last_layer_everywhere,
            caches,
        )

    def _look_before(self, snapshot: Snapshot, rate: float) -> float:
        """Let the diagnostics look before the update, and keep what they need after it. Returns the seconds taken."""
        started = time.perf_counter()
        self.diagnostics.look(snapshot, updated=False)
        if not self.diagnostics.needs_update(snapshot.step):
            return time.perf_counter() - started
        layout = self.params.layout
        snapshot.learning_rate = rate
        snapshot.params_before = Parameters(layout, vector=self.params.vector.copy())
        # The optimizer writes its update over the gradient.
        snapshot.gradients = Parameters(layout, vector=snapshot.gradients.vector.copy())

        def after() -> After:
            loss = self._loss_and_lane_gradients(snapshot.step, snapshot.batch, None, None)
            self.lanes.reduce()
            return After(loss, self.lanes.grads[0])

        snapshot.compute_after = after
        return time.perf_counter() - started

    def _look_after(self, snapshot: Snapshot) -> float:
        started = time.perf_counter()
        if not self.diagnostics.needs_update(snapshot.step):
            return 0.0
        snapshot.update = Parameters(self.params.layout, vector=self.params.vector - snapshot.params_before.vector)
        self.diagnostics.look(snapshot, updated=True)
        return time.perf_counter() - started

    def _look_back(self) -> None:
        """Show the diagnostics the update before a range test's end: nobody knew then that it was the last.

        Of the pass that it was made of nothing is left.
        """
        if self._before_update is None:
            return
        step, layout = self.progress.step - 1, self.params.layout
        snapshot = Snapshot(
            step,
            self.model,
            self.config,
            None,
            None,
            None,
            None,
            None,
            self._initial_parameters,
            self._data,
            self._probe_batch,
            self.lanes,
            params_before=Parameters(layout, vector=self._before_update),
            update=Parameters(layout, vector=self.params.vector - self._before_update),
            learning_rate=self._rate(step),
        )
        self.diagnostics.look_back(snapshot)

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

    def take_clipped_share(self) -> dict[str, float]:
        """``clipped_share``, the share of steps whose gradient was clipped, since this was last asked.

        With adaptive clipping, the mean share of units (:func:`clipped_share`); without clipping, nothing.
        """
        progress = self.progress
        found = {"clipped_share": progress.clipped_sum / progress.clipped_steps} if progress.clipped_steps else {}
        progress.clipped_sum, progress.clipped_steps = 0.0, 0
        return found

    def memory_report(self) -> dict[str, float]:
        """Megabytes (10⁶ bytes) of every large thing that training holds, once a step has been taken.

        Of the lanes it is the most at any step of the run, those before an interruption too.
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
        memory = [(work.peak, work.kept) for work in self.lanes.workspaces]
        save_checkpoint(path, tensors, {"progress": asdict(self.progress), "memory": memory})

    def resume(self, path: Path) -> None:
        """Continue from a file of :meth:`save`."""
        tensors, about = load_checkpoint(path)
        try:
            progress = Progress(**about["progress"])
        except (KeyError, TypeError) as error:
            raise MinibertError(
                f"The checkpoint {path} is none to resume from. Delete it, and the run begins anew."
            ) from error
        copy_into({**self.params, **self._state}, tensors, path)
        for part in self.adapting:
            part.restored()
        self.progress = progress
        for work, (peak, kept) in zip(self.lanes.workspaces, about.get("memory", ()), strict=False):
            work.peak, work.kept = max(work.peak, peak), max(work.kept, kept)

    @property
    def _state(self) -> dict[str, np.ndarray]:
        """All arrays that change in training, parameters aside, by name."""
        state = {f"optimizer.{name}": vector for name, vector in self.optimizer.state.items()}
        if self._previous_gradient is not None:
            state["diagnostics.previous_gradient"] = self._previous_gradient
        for part in self.adapting:
            state |= {f"{part.name}.{name}": array for name, array in part.state.items()}
        return state
