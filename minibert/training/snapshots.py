"""One step held still: what a diagnostic may ask for."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from minibert.config import Config
from minibert.data.batches import Batch
from minibert.model.bert import ForwardCache, MiniBERT
from minibert.model.parameters import Gradients, Parameters


class Probe(NamedTuple):
    """A pass over held-out sequences, the same in every run, without dropout and over all positions."""

    batch: Batch
    cache: ForwardCache
    logits: np.ndarray
    """(B, T, V)"""


class After(NamedTuple):
    """The batch of the step once more, with the same dropout, at the parameters that the step led to."""

    loss: float
    gradients: Gradients


@dataclass
class Snapshot:
    """The forward and backward pass of one training step, read where it stands.

    All of it belongs to the parameters θₛ that s = ``step`` optimizer steps have led to, and to the next batch. The
    arrays are valid only while the diagnostic runs, and must not be changed.
    """

    step: int
    """Optimizer steps done: 0 is the network at its initialisation"""
    model: MiniBERT
    """With θₛ, or, where ``update`` or ``after`` is asked for, already with θₛ₊₁"""
    config: Config
    batch: Batch
    caches: list[ForwardCache]
    """One a lane: together the whole batch, in order; with accumulation, the last part of it. As the pass left them:
    with dropout, and with the last layer at the positions that were predicted"""
    loss: float
    """Nats a prediction, before the update"""
    gradients: Gradients
    """Of the mean loss at θₛ, before clipping"""
    gradient_norm: float
    initial: Parameters
    """θ₀"""
    data: Any
    """:class:`minibert.data.prepared.PreparedData`: tokenizer, unigram counts, baselines"""
    probe_batch: Batch
    lanes: Any
    """:class:`minibert.training.lanes.Lanes`"""
    lane_gradients: list[np.ndarray] = field(default_factory=list)
    """Flat, one a lane, of the lane's share: they sum to ``gradients``"""
    lane_predictions: list[int] = field(default_factory=list)
    """Predictions in each lane's share"""
    previous_gradient: np.ndarray | None = None
    """Flat, of the pass one step before; None at the start"""
    params_before: Parameters | None = None
    """θₛ, where ``update`` is asked for"""
    update: Parameters | None = None
    """θₛ₊₁ - θₛ; None at the end of training"""
    learning_rate: float | None = None
    """Of the update"""
    compute_after: Any = None

    @cached_property
    def probe(self) -> Probe:
        batch = self.probe_batch
        logits, cache = self.model.forward(batch.input_ids, batch.attention_mask, position_ids=batch.position_ids)
        return Probe(batch, cache, logits)

    @cached_property
    def after(self) -> After:
        return self.compute_after()
