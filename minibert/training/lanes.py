"""Lanes: one step's batch over several threads, with one BLAS thread each.

NumPy lets go of the interpreter lock inside its loops and products, so two lanes keep two cores busy through
element-wise work as well, where BLAS's own threads would leave one of them idle. Each lane has its own
gradients and its own reused memory. What a lane computes, and the order of every sum over lanes, depends on
their number alone: same configuration, same bits.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from minibert.data.batches import Batch
from minibert.model.auxiliary_heads import AuxiliaryTask, Measured
from minibert.model.bert import MiniBERT
from minibert.model.dropout import DropoutMasks
from minibert.model.ops import prediction_losses
from minibert.model.parameters import Gradients
from minibert.model.workspace import Workspace
from minibert.training.pieces import pieces


class Lanes:
    """Threads that compute loss and gradients of a batch together, and then update the parameters together.

    A context manager: BLAS is held to one thread while it is open.
    """

    def __init__(self, model: MiniBERT, count: int):
        self.model = model
        self.count = count
        self.grads = [Gradients(model.params.layout, model.config.dtype) for _ in range(count)]
        self.workspaces = [Workspace() for _ in range(count)]

    def __enter__(self):
        self._limits = threadpool_limits(1, user_api="blas")
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="lane")
        return self

    def __exit__(self, *exception):
        self._threads.shutdown()
        self._limits.restore_original_limits()

    def map(self, function, items):
        """``map`` over the lanes' threads."""
        return self._threads.map(function, items)

    def loss_and_gradients(
        self,
        batch: Batch,
        dropout_seed: int,
        step: int,
        parts: int = 1,
        checkpoint_activations: bool = False,
        measured: Measured | None = None,
        everywhere: bool = False,
        caches: list | None = None,
    ) -> float:
        """The mean loss over the batch's predictions, in nats; each lane's share of its gradient is in ``grads``.

        The batch is computed in ``parts``, one after the other, each split over the lanes. The loss and the right
        predictions of each task are added to ``measured``, when it is given: that takes a look at all logits. To
        ``caches``, each lane adds the cache of its share of the last part, valid until the next call.
        """
        count = max(batch.predictions, 1)
        counts = {name: asked.count for name, asked in batch.auxiliary.items()}
        shares = self._shares(batch, parts)
        measures = [None if measured is None else Measured() for _ in range(self.count)]
        kept = [None if caches is None else [] for _ in range(self.count)]

        def compute(lane: int) -> list[float]:
            losses = []
            self.grads[lane].clear()
            for share in shares:
                sequences = share[lane]
                if not len(sequences):
                    continue
                work = self.workspaces[lane]
                work.reset()
                span = slice(sequences[0], sequences[-1] + 1)
                mask = None if batch.attention_mask is None else batch.attention_mask[span]
                positions = None if batch.position_ids is None else batch.position_ids[span]
                segments = None if batch.segment_ids is None else batch.segment_ids[span]
                tasks = {
                    name: AuxiliaryTask(asked.labels[span], asked.weight, counts[name])
                    for name, asked in batch.auxiliary.items()
                }
                loss, _ = self.model.loss_and_gradients(
                    batch.input_ids[span],
                    batch.labels[span],
                    mask,
                    segments,
                    position_ids=positions,
                    grads=self.grads[lane],
                    count=count,
                    masks=DropoutMasks(dropout_seed, step, span.start),
                    work=work,
                    checkpoint_activations=checkpoint_activations,
                    auxiliary=tasks,
                    measured=measures[lane],
                    everywhere=everywhere,
                    caches=kept[lane],
                )
                losses.append(loss)
            self.grads[lane].fill_untouched()
            return losses

        total = sum(loss for losses in self._threads.map(compute, range(self.count)) for loss in losses)
        for lane_measured in measures if measured is not None else ():
            for name, values in lane_measured.items():
                measured.add(name, *values)
        if caches is not None:
            caches.extend(each[-1] for each in kept if each)
        return total

    def predictions(self, batch: Batch, parts: int = 1) -> list[int]:
        """How many predictions of the batch fall to each lane."""
        predicted = (batch.labels >= 0).sum(axis=1)
        return [
            sum(int(predicted[share[lane]].sum()) for share in self._shares(batch, parts))
            for lane in range(self.count)
        ]

    def _shares(self, batch: Batch, parts: int) -> list[list[np.ndarray]]:
        """Part -> lane -> its sequences of the batch."""
        split = np.array_split(np.arange(len(batch.input_ids)), parts)
        return [np.array_split(part, self.count) for part in split]

    def reduce(self) -> float:
        """Sum the lanes' gradients into the first lane's, and return the norm of the sum."""
        total, *others = (grads.vector for grads in self.grads)

        def reduce_piece(piece: slice) -> float:
            part = total[piece]
            for other in others:
                part += other[piece]
            return float(part @ part)

        return float(np.sqrt(sum(self._threads.map(reduce_piece, pieces(0, len(total))))))

    def evaluate(self, batches: list[Batch], score) -> list:
        """``score(logits, labels)`` of every batch, without dropout: whole batches are dealt to the lanes."""

        def compute(lane: int) -> list:
            results = []
            for batch in batches[lane :: self.count]:
                self.workspaces[lane].reset()
                logits, labels = self.model.score(
                    batch.input_ids,
                    batch.labels,
                    batch.attention_mask,
                    position_ids=batch.position_ids,
                    work=self.workspaces[lane],
                )
                results.append(score(logits, labels))
            return results

        dealt = list(self._threads.map(compute, range(self.count)))
        return [dealt[index % self.count][index // self.count] for index in range(len(batches))]

    def sequence_losses(self, batches: list[Batch]) -> np.ndarray:
        """The mean loss of every sequence of the batches, in nats and in order, without dropout.

        A sequence without predictions gets the mean over the others.
        """
        losses = np.concatenate(self.evaluate(batches, prediction_losses))
        predicted = [(batch.labels >= 0).sum(axis=1) for batch in batches]
        counts = np.concatenate(predicted)
        sums = np.bincount(np.repeat(np.arange(len(counts)), counts), losses, minlength=len(counts))
        means = sums / np.maximum(counts, 1)
        return np.where(counts > 0, means, means[counts > 0].mean() if counts.any() else 0.0)
