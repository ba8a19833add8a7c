"""What a diagnostic may ask for of one training step: before its update, and after it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from minibert.config import Config
from minibert.data.batches import Batch
from minibert.model.bert import ForwardCache, MiniBERT
from minibert.model.parameters import Parameters


class Probe(NamedTuple):
    """A pass over held-out sequences, the same in every run, without dropout and over all positions."""

    batch: Batch
    cache: ForwardCache
    logits: np.ndarray
    """(B, T, V)"""


class After(NamedTuple):
    """The batch of the step once more, with the same dropout, at the parameters that the step led to."""

    loss: float
    gradients: Parameters


class HeldOut:
    """The held-out batch of one step, if there is one. The pass over it is made when it is first asked for."""

    def __init__(self, model: MiniBERT, batch: Batch | None):
        self.model, self.batch = model, batch

    @cached_property
    def probe(self) -> Probe | None:
        batch = self.batch
        if batch is None:
            return None
        logits, cache = self.model.forward(batch.input_ids, batch.attention_mask, position_ids=batch.position_ids)
        return Probe(batch, cache, logits)


@dataclass(kw_only=True)
class Moment:
    """What every step has. Arrays are valid only while a diagnostic runs, and must not be changed."""

    step: int
    """s, the optimizer steps done before this one: 0 is the network at its initialisation"""
    model: MiniBERT
    config: Config
    initial: Parameters | None
    """θ₀; None where no diagnostic asks for it"""
    data: Any
    """:class:`minibert.data.prepared.PreparedData`: tokenizer, unigram counts, baselines"""
    held_out: HeldOut

    @property
    def probe_batch(self) -> Batch | None:
        return self.held_out.batch

    @property
    def probe(self) -> Probe | None:
        return self.held_out.probe


@dataclass(kw_only=True)
class TrainingPass:
    """The forward and backward pass of a step, at the parameters θₛ before its update."""

    batch: Batch
    caches: list[ForwardCache]
    """One a lane: together the whole batch, in order; with accumulation, the last part of it. They are as the pass
    left them: with dropout, and with the last layer at the positions that were predicted"""
    loss: float
    """Nats a prediction"""
    gradients: Parameters
    """Of the mean loss, before clipping"""
    gradient_norm: float
    lane_gradients: list[np.ndarray]
    """Flat, one a lane, of the lane's share: they sum to ``gradients``. Empty where no diagnostic asks for them"""
    lane_predictions: list[int]
    """Predictions in each lane's share"""
    previous_gradient: np.ndarray | None
    """Flat, of the pass one step before; None at the start"""


@dataclass(kw_only=True)
class BeforeUpdate(TrainingPass, Moment):
    """A step before its update: ``model`` has θₛ."""


@dataclass(kw_only=True)
class Updated(Moment):
    """A step after its update: ``model`` has θₛ₊₁.

    This is what is left of the last update of a range test, which turns out to be the last one step later.
    """

    params_before: Parameters
    """θₛ"""
    update: Parameters
    """θₛ₊₁ - θₛ"""
    learning_rate: float


@dataclass(kw_only=True)
class AfterUpdate(TrainingPass, Updated):
    """A step right after its update: ``model`` has θₛ₊₁, the pass is the one at θₛ that the update was made of."""

    pass_again: Callable[[], After]

    @cached_property
    def after(self) -> After:
        return self.pass_again()
