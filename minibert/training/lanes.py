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
from minibert.errors import MinibertError
from minibert.model.auxiliary_heads import Measured
from minibert.model.bert import MiniBERT
from minibert.model.dropout import DropoutMasks
from minibert.model.memory import pass_memory
from minibert.model.ops import prediction_losses
from minibert.model.parameters import Gradients
from minibert.model.passes import ALL_ROWS, DEFAULT_PASS, Pass, Selection
from minibert.model.workspace import Workspace
from minibert.training.pieces import pieces


def without_warnings() -> np.errstate:
    """A context, or a decorator, in which NumPy does not warn of numbers that are not finite.

    Training looks for them itself, and says where the first one arose.
    """
    return np.errstate(over="ignore", divide="ignore", invalid="ignore")


class Lanes:
    """Threads that compute loss and gradients of a batch together, and then update the parameters together.

    A context manager: BLAS is held to one thread while it is open.
    """

    def __init__(self, model: MiniBERT, count: int):
        if not isinstance(count, int | np.integer) or count < 1:
            raise MinibertError(f"lanes={count!r}: not allowed. Allowed: 1 or more.")
        self.model = model
        self.count = count
        self.grads = [Gradients(model.params.layout, model.config.dtype) for _ in range(count)]
        self.workspaces = [Workspace() for _ in range(count)]
        self._lengths = [0] * count  # of the rows that each lane has taken memory for

    def __enter__(self):
        self._limits = threadpool_limits(1, user_api="blas")
        self._threads = ThreadPoolExecutor(self.count, "lane", lambda: without_warnings().__enter__())
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
        dropout_seed: int | None,
        step: int,
        parts: int = 1,
        selection: Selection = ALL_ROWS,
        how: Pass = DEFAULT_PASS,
    ) -> float:
        """The mean loss over the batch's predictions, in nats; each lane's share of its gradient is in ``grads``.

        The batch is computed in ``parts``, one after the other, each split over the lanes. Every lane has its own
        dropout masks and work arrays; the rest is as in ``how``. Loss and right predictions of each task are added
        to ``how.measured``, which costs a pass over all logits. Each lane adds the cache of its share of the last
        part to ``how.caches``. It is valid until the next call.
        """
        shares = self._shares(batch, parts)
        measures = [None if how.measured is None else Measured() for _ in range(self.count)]
        kept: list[list | None] = [None if how.caches is None else [] for _ in range(self.count)]

        def compute(lane: int) -> list[float]:
            losses = []
            self.grads[lane].clear()
            own = how._replace(work=self.workspaces[lane], measured=measures[lane], caches=kept[lane])
            for share in shares:
                if not len(share[lane]):
                    continue
                span = slice(int(share[lane][0]), int(share[lane][-1]) + 1)
                self._prepare_workspace(lane, batch, span, how.checkpoint_activations)
                own = own._replace(masks=DropoutMasks(dropout_seed, step, span.start))
                targets = batch.targets(span)
                loss, _ = self.model.gradient_pass(batch.part(span), targets, selection, own, self.grads[lane])
                losses.append(loss)
            self.grads[lane].fill_untouched()
            return losses

        total = sum(loss for losses in self._threads.map(compute, range(self.count)) for loss in losses)
        if how.measured is not None:
            for measured in filter(None, measures):
                for name, values in measured.items():
                    how.measured.add(name, *values)
        if how.caches is not None:
            how.caches.extend(each[-1] for each in kept if each)
        return total

    def _prepare_workspace(self, lane: int, batch: Batch, span: slice, checkpointed: bool) -> None:
        """Take memory for a whole step before the first one of its length of rows: arrays taken one by one leave
        holes behind, and a resumed run should compute in the same places as one that was not interrupted."""
        work, labels = self.workspaces[lane], batch.labels[span]
        sequences, tokens = labels.shape
        if tokens != self._lengths[lane]:
            self._lengths[lane] = tokens
            predictions = int((labels >= 0).sum())
            work.reserve(
                pass_memory(self.model.config, sequences, tokens, predictions, checkpointed, batch.scored_words)
            )
        work.reset()

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
