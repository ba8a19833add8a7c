"""What a trainer does for the diagnostics: it shows them steps, and keeps what they need from earlier ones.

They change nothing in training, not a bit.
"""

import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from minibert.config import Config
from minibert.data.batches import Batch
from minibert.model.bert import ForwardCache, MiniBERT
from minibert.model.parameters import Parameters
from minibert.training.lanes import Lanes
from minibert.training.snapshots import After, AfterUpdate, BeforeUpdate, HeldOut, TrainingPass, Updated


class _Kept(NamedTuple):
    """Copies from before an update, which writes over the originals."""

    params: np.ndarray
    gradients: np.ndarray


class DiagnosticHooks:
    """Calls the diagnostics before and after the updates that they ask for."""

    def __init__(
        self,
        diagnostics,
        model: MiniBERT,
        config: Config,
        lanes: Lanes,
        pass_again: Callable[[int, Batch], float],
        data=None,
        probe_batch: Batch | None = None,
    ):
        """``diagnostics`` is a :class:`minibert.diagnostics.engine.dispatch.Diagnostics`, or None.

        ``pass_again(step, batch)`` computes the pass of a step again, into the lanes' gradients, and returns its
        loss. ``data`` and ``probe_batch`` are handed on (:class:`minibert.training.snapshots.Moment`).
        """
        self.diagnostics = diagnostics
        self.model, self.config, self.lanes, self._pass_again = model, config, lanes, pass_again
        self._data, self._probe_batch = data, probe_batch
        asks = diagnostics.asks if diagnostics else ()
        vector = model.params.vector
        self._initial = vector.copy() if "initial" in asks else None
        self._previous_gradient = np.zeros_like(vector) if "previous_gradient" in asks else None
        self._next_previous: np.ndarray | None = None
        self._kept: _Kept | None = None
        # Only a range test does not know beforehand which update is its last.
        self._keeps_update = bool(asks) and config.schedule.name == "range_test" and diagnostics.needs_last_update
        self._before_last_update: np.ndarray | None = None

    @property
    def state(self) -> dict[str, np.ndarray]:
        """The arrays that a resumed run needs."""
        previous = self._previous_gradient
        return {} if previous is None else {"diagnostics.previous_gradient": previous}

    def needs(self, step: int) -> frozenset[str]:
        """What the diagnostics ask for at this step, by name; empty where none runs."""
        return self.diagnostics.needs(step) if self.diagnostics else frozenset()

    def lane_gradients(self, needed: frozenset[str]) -> list[np.ndarray]:
        """Copies of the lanes' gradients where they are needed. They must be taken before the lanes are summed."""
        return [grads.vector.copy() for grads in self.lanes.grads] if "lane_gradients" in needed else []

    def before_update(
        self,
        step: int,
        batch: Batch,
        caches: list[ForwardCache],
        loss: float,
        gradient_norm: float,
        lane_gradients: list[np.ndarray],
    ) -> BeforeUpdate:
        """The step as the diagnostics see it before its update. The lanes' gradients are summed by then."""
        return BeforeUpdate(
            **self._moment(step),
            batch=batch,
            caches=caches,
            loss=loss,
            gradients=self.lanes.grads[0],
            gradient_norm=gradient_norm,
            lane_gradients=lane_gradients,
            lane_predictions=self.lanes.predictions(batch, self.config.training.accumulation),
            previous_gradient=self._previous_gradient if step else None,
        )

    def show_before(self, snapshot: BeforeUpdate | None, step: int) -> float:
        """Run what is due before the update of this step, and keep what is needed after it.

        Returns the seconds that this took. The snapshot is None where no diagnostic runs at this step.
        """
        if self.diagnostics is None:
            return 0.0
        started = time.perf_counter()
        self._kept = self._next_previous = None
        vector, gradients = self.model.params.vector, self.lanes.grads[0].vector
        if snapshot is not None:
            self.diagnostics.run_due(snapshot, updated=False)
            if self.diagnostics.needs_update(step):
                # The optimizer writes its update over the gradient.
                self._kept = _Kept(vector.copy(), gradients.copy())
        if self._previous_gradient is not None and "previous_gradient" in self.needs(step + 1):
            self._next_previous = gradients.copy()
        if self._keeps_update:
            self._before_last_update = vector.copy()
        return time.perf_counter() - started

    def show_after(self, snapshot: BeforeUpdate | None, learning_rate: float) -> float:
        """Run what is due after the update. Returns the seconds that this took."""
        if self.diagnostics is None:
            return 0.0
        started = time.perf_counter()
        if snapshot is not None and self._kept is not None:
            self.diagnostics.run_due(self._after_update(snapshot, self._kept, learning_rate), updated=True)
        if self._previous_gradient is not None and self._next_previous is not None:
            self._previous_gradient[...] = self._next_previous
        return time.perf_counter() - started

    def show_without_update(self, snapshot: BeforeUpdate) -> None:
        """Run what is due at a step that has no update."""
        self.diagnostics.run_due(snapshot, updated=False)

    def end_range_test(self, step: int, learning_rate: float) -> None:
        """Show the update with the number ``step``, which turned out to be the last. Its pass is gone."""
        if self._before_last_update is None:
            return
        moment, before = self._moment(step), self._before_last_update
        self.diagnostics.run_on_last_update(Updated(**moment, **self._update(before), learning_rate=learning_rate))

    def end_at(self, step: int) -> None:
        """Training has ended at this step, earlier than planned."""
        if self.diagnostics:
            self.diagnostics.end_at(step)

    def _moment(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "model": self.model,
            "config": self.config,
            "initial": None if self._initial is None else self._parameters(self._initial),
            "data": self._data,
            "held_out": HeldOut(self.model, self._probe_batch),
        }

    def _after_update(self, snapshot: BeforeUpdate, kept: _Kept, learning_rate: float) -> AfterUpdate:
        def pass_again() -> After:
            loss = self._pass_again(snapshot.step, snapshot.batch)
            self.lanes.reduce()
            return After(loss, self.lanes.grads[0])

        moment = self._moment(snapshot.step) | {"held_out": snapshot.held_out}
        passed: dict[str, Any] = {each.name: getattr(snapshot, each.name) for each in fields(TrainingPass)}
        passed["gradients"] = self._parameters(kept.gradients)
        update = self._update(kept.params)
        return AfterUpdate(**moment, **passed, **update, learning_rate=learning_rate, pass_again=pass_again)

    def _update(self, before: np.ndarray) -> dict[str, Any]:
        return {
            "params_before": self._parameters(before),
            "update": self._parameters(self.model.params.vector - before),
        }

    def _parameters(self, vector: np.ndarray) -> Parameters:
        return Parameters(self.model.params.layout, vector=vector)
