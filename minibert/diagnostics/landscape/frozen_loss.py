"""The loss of one batch as a function of the parameters.

Masks are those of the batch and dropout is off, so that the function is the same at every point. The network
itself is never changed: each thread changes the parameters of a copy.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.ops import prediction_losses
from minibert.model.parameters import Gradients, Parameters
from minibert.model.positions import build_positions
from minibert.model.workspace import Workspace

PIECE = 8
"""Sequences computed at once. Gradients are summed over pieces in order, whichever thread computes them."""


class FrozenBatch(NamedTuple):
    """The batch on which the loss is computed."""

    input_ids: np.ndarray
    """(B, T) ints, corrupted"""
    labels: np.ndarray
    """(B, T) ints: the original id where it is predicted, -100 elsewhere"""
    attention_mask: np.ndarray | None = None
    """(B, T) or (B, T, T) bool"""
    segment_ids: np.ndarray | None = None
    position_ids: np.ndarray | None = None

    @property
    def predictions(self) -> int:
        return int((self.labels >= 0).sum())

    def pieces(self) -> list["FrozenBatch"]:
        starts = range(0, len(self.labels), PIECE)
        return [self.first(start + PIECE, start) for start in starts]

    def first(self, count: int | None, start: int = 0) -> "FrozenBatch":
        """The sequences from ``start`` to before ``count``."""
        return FrozenBatch._make(None if array is None else array[start:count] for array in self)


def freeze(data_batch, sequences: int | None = None) -> FrozenBatch:
    """The first ``sequences`` (None: all) of a batch, or of a pair (input_ids, labels), as copies.

    Auxiliary tasks are left out: the loss is that of masked tokens.

    Raises :class:`MinibertError` for anything else, for arrays of unequal shapes and where nothing is predicted.
    """
    if isinstance(data_batch, tuple) and len(data_batch) == 2:
        data_batch = FrozenBatch(*data_batch)
    if not all(hasattr(data_batch, name) for name in ("input_ids", "labels")):
        raise MinibertError(
            f"data_batch: {type(data_batch).__name__} was given. "
            "Allowed: a batch with input_ids and labels, or the pair (input_ids, labels)."
        )
    arrays = [getattr(data_batch, name, None) for name in FrozenBatch._fields]
    frozen = FrozenBatch._make(None if array is None else np.array(array) for array in arrays).first(sequences)
    if frozen.input_ids.ndim != 2 or frozen.input_ids.shape != frozen.labels.shape:
        raise MinibertError(
            f"data_batch: input_ids of shape {frozen.input_ids.shape} and labels of shape {frozen.labels.shape} "
            "were given. Allowed: both of shape (batch, tokens)."
        )
    if not frozen.predictions:
        raise MinibertError(
            "data_batch: no token is predicted, so there is no loss. Allowed: at least one label that is not -100."
        )
    return frozen


class _Worker:
    """A copy of a network whose parameters one thread changes."""

    def __init__(self, model: MiniBERT, dtype: str):
        # A new network of the same configuration would first draw all of its parameters at random.
        self.model = copy(model)
        self.model.config = replace(model.config, dtype=dtype)
        self.model.position = build_positions(self.model.config)
        self.model.params = Parameters(model.params.layout, vector=model.params.vector.astype(dtype))
        self.gradients: Gradients | None = None
        self.work = Workspace()

    @property
    def vector(self) -> np.ndarray:
        return self.model.params.vector

    def loss(self, pieces: Sequence[FrozenBatch]) -> float:
        """Sum over the predictions, in nats."""
        total = 0.0
        for piece in pieces:
            self.work.reset()
            with np.errstate(over="ignore", invalid="ignore"):  # at distant points, or after divergence
                logits, labels = self.model.score(*piece[:4], position_ids=piece.position_ids, work=self.work)
                total += float(prediction_losses(logits, labels).sum())
        return total

    def gradient(self, piece: FrozenBatch, count: int) -> np.ndarray:
        """Of the piece's share of the mean over ``count`` predictions."""
        if self.gradients is None:
            self.gradients = Gradients(self.model.params.layout, self.model.config.dtype)
        self.gradients.clear()
        self.work.reset()
        self.model.loss_and_gradients(
            *piece[:4], position_ids=piece.position_ids, grads=self.gradients, count=count, work=self.work
        )
        return self.gradients.vector.copy()


class FrozenLoss:
    """L(θ): the mean loss, in nats, over a batch's predictions, without dropout.

    Losses are computed in the network's own precision, gradients in float64. Points, and for gradients the pieces
    of the batch too, are distributed over ``threads`` threads with one BLAS thread each. The result does not
    depend on the number of threads, to the bit.

    A context manager:

    >>> with FrozenLoss(model, batch, threads=2) as loss:  # doctest: +SKIP
    ...     loss.at_parameters()
    ...     loss.gradients([loss.parameters])
    """

    def __init__(self, model: MiniBERT, data_batch, threads: int = 2, sequences: int | None = None):
        if threads < 1:
            raise MinibertError(f"threads: {threads} was given. Allowed: at least 1.")
        self.model = model
        self.batch = freeze(data_batch, sequences)
        self.threads = threads
        self.parameters = model.params.vector.astype(np.float64)
        """θ, flat, in float64"""
        self._pieces = self.batch.pieces()
        self._workers: dict[str, SimpleQueue] = {}

    def __enter__(self):
        self._limits = threadpool_limits(1, user_api="blas")
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="landscape")
        return self

    def __exit__(self, *exception):
        self._pool.shutdown(cancel_futures=True)
        self._limits.restore_original_limits()

    def losses(self, count: int, place: Callable[[int, np.ndarray], None]) -> np.ndarray:
        """L at ``count`` points, (count,) float64: ``place(i, vector)`` writes the i-th into the flat vector."""

        def compute(worker: _Worker, index: int) -> float:
            place(index, worker.vector)
            return worker.loss(self._pieces) / self.batch.predictions

        return np.array(list(self._map(compute, range(count), self.model.config.dtype)))

    def at_parameters(self) -> float:
        """L(θ) at the network's own parameters."""

        def place(_, vector):
            vector[...] = self.model.params.vector

        return float(self.losses(1, place)[0])

    def gradients(self, points: Sequence[np.ndarray]) -> list[np.ndarray]:
        """∇L at flat parameter vectors, in float64."""

        def compute(worker: _Worker, task: tuple[int, int]) -> np.ndarray:
            point, piece = task
            worker.vector[...] = points[point]
            return worker.gradient(self._pieces[piece], self.batch.predictions)

        tasks = [(point, piece) for point in range(len(points)) for piece in range(len(self._pieces))]
        totals: dict[int, np.ndarray] = {}
        for (point, _), share in zip(tasks, self._map(compute, tasks, "float64"), strict=True):
            totals[point] = np.add(totals[point], share, out=totals[point]) if point in totals else share
        return [totals[point] for point in range(len(points))]

    def _map(self, compute: Callable, items, dtype: str):
        """``compute(worker, item)`` of every item, in order, each with a worker of its own."""
        if dtype not in self._workers:
            self._workers[dtype] = SimpleQueue()
            for _ in range(self.threads):
                self._workers[dtype].put(_Worker(self.model, dtype))
        idle = self._workers[dtype]

        def run(item):
            worker = idle.get()
            try:
                return compute(worker, item)
            finally:
                idle.put(worker)

        return self._pool.map(run, items)
