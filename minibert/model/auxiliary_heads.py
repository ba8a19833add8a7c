"""Heads for what is learnt beside masked words: each answers a yes-or-no question about positions.

Is the second half of the row the one that follows (asked at [CLS])? Was this token moved, or replaced? A head is
there only when the objective asks for it: ``model.auxiliary_heads`` names those of a network.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from minibert.config import ModelConfig
from minibert.model.ops import cross_entropy, linear, linear_backward
from minibert.model.parameters import Block
from minibert.model.workspace import NEW_ARRAYS


class AuxiliaryTask(NamedTuple):
    """The questions to an auxiliary head about the sequences of a pass."""

    labels: np.ndarray
    """(B, T) ints: 0 or 1 where it is asked, -100 elsewhere"""
    weight: float
    """Factor of its loss in the sum"""
    count: int
    """Questions in the whole batch, of which the sequences may be a part"""


class AuxiliaryHeadCache(NamedTuple):
    input: np.ndarray
    """(R, D): the hidden states that are asked"""
    pooled: np.ndarray
    """(R, D): tanh of the transform"""


class Measured(dict):
    """What a step measured of each task: name -> (mean loss, right predictions, predictions)."""

    def add(self, name: str, loss: float, hits: int, count: int) -> None:
        """Add the part of a batch: its share of the mean loss, and its counts."""
        old = self.get(name, (0.0, 0, 0))
        self[name] = (old[0] + loss, old[1] + hits, old[2] + count)


def auxiliary_head_blocks(config: ModelConfig) -> list[Block]:
    size = config.hidden_size
    return [
        block
        for name in config.auxiliary_heads
        for block in (
            Block(f"{name}_head.transform.weight", (size, size)),
            Block(f"{name}_head.transform.bias", (size,)),
            Block(f"{name}_head.out.weight", (size, 2)),
            Block(f"{name}_head.out.bias", (2,)),
        )
    ]


def auxiliary_head(x, name, params, work=NEW_ARRAYS):
    """logits = tanh(x W + b) U + c: the pooler and the classifier of BERT's next-sentence prediction.

    x (R, D) -> logits (R, 2) for no and yes.  Devlin et al., 2019.
    """
    hidden, _ = linear(x, params[f"{name}.transform.weight"], params[f"{name}.transform.bias"], work)
    pooled = np.tanh(hidden, out=hidden)
    logits, _ = linear(pooled, params[f"{name}.out.weight"], params[f"{name}.out.bias"], work)
    return logits, AuxiliaryHeadCache(x, pooled)


def auxiliary_head_backward(dlogits, cache: AuxiliaryHeadCache, name, params, grads, work=NEW_ARRAYS):
    """dU += hᵀ dlogits, dc += Σ dlogits, and back through h = tanh(a), dh/da = 1 - h², and the transform"""
    dx = linear_backward(dlogits, cache.pooled, f"{name}.out", params, grads, work)
    dx *= 1 - cache.pooled**2
    return linear_backward(dx, cache.input, f"{name}.transform", params, grads, work)


def auxiliary_losses(
    x, asked, tasks: Mapping[str, AuxiliaryTask], params, grads, measured: Measured | None = None, work=NEW_ARRAYS
):
    """Σ weight · (1/count) Σ -log p(label) over the tasks, and its gradient with respect to ``x``.

    x (U, D) are the final hidden states at the ``asked`` positions, (B, T) bool, in row-major order; all that any
    task asks about is among them. The gradients of the heads are added to ``grads``; what each task measured,
    without its weight, to ``measured``.
    """
    total, dx = 0.0, np.zeros(x.shape, x.dtype)
    for name, task in tasks.items():
        labels = task.labels[asked]
        rows = np.flatnonzero(labels >= 0)
        if not len(rows):
            continue
        logits, cache = auxiliary_head(x[rows], f"{name}_head", params, work)
        hits = int((logits.argmax(axis=1) == labels[rows]).sum())
        loss, dlogits = cross_entropy(logits, labels[rows], task.count)
        dlogits *= x.dtype.type(task.weight)
        dx[rows] += auxiliary_head_backward(dlogits, cache, f"{name}_head", params, grads, work)
        total += task.weight * loss
        if measured is not None:
            measured.add(name, loss, hits, len(rows))
    return total, dx
