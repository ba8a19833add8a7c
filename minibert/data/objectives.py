"""Auxiliary tasks beside masked words: questions about a row or about its tokens, with their answers.

=================  =================================================  ===========================================
task               asked                                              from
=================  =================================================  ===========================================
``nsp``            at [CLS]: is the second segment a random one?      Devlin et al., "BERT", NAACL 2019
``sop``            at [CLS]: are the segments swapped?                Lan et al., "ALBERT", ICLR 2020
``token_order``    at every token left: was it moved?                 after Wang et al., "StructBERT", ICLR 2020
``replaced_token`` at every token left: was it replaced?              Clark et al., "ELECTRA", ICLR 2020
=================  =================================================  ===========================================
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from minibert.config import require_config
from minibert.config.data import ObjectiveConfig
from minibert.data.batches import Batch, Questions, masked_batch
from minibert.data.masking import IGNORED
from minibert.data.packing import Sequences, pieces
from minibert.data.pairs import Pairs, pair_documents
from minibert.data.tokenizer import FIRST_ORDINARY


class AuxiliaryTasks:
    """Batches with questions: rows of two segments for a pair task, disturbed tokens for a token task.

    All tasks of an objective share a row. Masked words are chosen first. Of the other ordinary tokens, a share is
    replaced and another share is moved. A token that one token task changed is not asked about by the other task.
    """

    def __init__(self, config: ObjectiveConfig, sequences: Sequences, counts: np.ndarray):
        """``counts`` (V,): how often each ordinary token occurs, which replacements are drawn by."""
        self.config = config
        self.pairs: Pairs | None = None
        self.sequences = sequences
        """The rows before any token is replaced or moved, and before segments are swapped"""
        if config.nsp or config.sop:
            self.pairs = pair_documents(sequences)
            self.sequences = self.pairs.in_order()
        self._cumulative = np.cumsum(counts) / max(counts.sum(), 1)

    def batch(self, indices: np.ndarray, masking, masks: Iterable, draws: Iterable) -> Batch:
        """The batch of some rows. ``masks`` holds a generator a row for masking, ``draws`` one for the rest."""
        config = self.config
        uniforms = np.stack([generator.random(3 + 2 * self.sequences.input_ids.shape[1]) for generator in draws])
        original, lengths, segments, auxiliary = self._rows(indices, uniforms[:, :2])
        if not config.mlm:
            masking = replace(masking, corruption_rate=0.0, prediction_rate=0.0)
        batch = masked_batch(original, lengths, masking, masks)
        untouched = (original >= FIRST_ORDINARY) & (batch.labels == IGNORED) & (batch.input_ids == original)
        order, word = np.split(uniforms[:, 3:], 2, axis=1)
        seen, replaced, moved = self._disturb(
            batch.input_ids, untouched, pieces(original), uniforms[:, 2:3], order, word
        )
        if config.replaced_token:
            labels = np.where(untouched & ~moved, replaced & (seen != original), IGNORED).astype(np.int32)
            auxiliary["replaced_token"] = Questions(labels, config.weight * config.replaced_token)
        if config.token_order:
            labels = np.where(untouched & ~replaced, moved & (seen != original), IGNORED).astype(np.int32)
            auxiliary["token_order"] = Questions(labels, config.weight * config.token_order)
        return replace(batch, input_ids=seen, segment_ids=segments, auxiliary=auxiliary)

    def _rows(self, indices, uniforms):
        """Ids, lengths, segments, and the question at [CLS]. Half of the pairs are swapped or mismatched."""
        if self.pairs is None:
            return self.sequences.input_ids[indices], self.sequences.lengths[indices], None, {}
        yes = uniforms[:, 0] < 0.5
        others = self.pairs.from_another_document(indices, uniforms[:, 1])
        seconds = np.where(yes, others, indices) if self.config.nsp else indices
        swapped = yes & bool(self.config.sop)
        input_ids, segments = self.pairs.rows(indices, seconds, swapped)
        labels = np.full(input_ids.shape, IGNORED, np.int32)
        labels[:, 0] = yes
        task = "nsp" if self.config.nsp else "sop"
        lengths = self.pairs.first_lengths[indices] + self.pairs.second_lengths[seconds] + 3
        weight = self.config.weight * getattr(self.config, task)
        return input_ids, lengths, segments, {task: Questions(labels, weight)}

    def _disturb(self, seen, untouched, piece, rounding, order, word):
        """Replace and move tokens.  Returns the ids, and which were replaced and which moved, (B, T) bool each.

        The tokens have a random ``order``. Counts are rounded at random such that their means are exact.
        """
        config = self.config
        order = np.where(untouched, order, np.inf)
        rank = order.argsort(axis=1).argsort(axis=1)
        count = untouched.sum(axis=1, keepdims=True)
        replacing = config.replaced if config.replaced_token else 0.0
        moving = config.moved if config.token_order else 0.0
        replaced = rank < np.floor(replacing * count + rounding)
        moved = (rank < np.floor((replacing + moving) * count + rounding)) & ~replaced
        if config.replaced_token:
            drawn = np.searchsorted(self._cumulative, word[replaced], side="right")
            seen = seen.copy()
            seen[replaced] = np.minimum(drawn, len(self._cumulative) - 1)
        return rotate(seen, moved, piece, order) if config.token_order else seen, replaced, moved


def rotate(ids: np.ndarray, moved: np.ndarray, piece: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Each of the ``moved`` tokens takes the position of the next one in ``order``, cyclically within its piece.

    So all of them move if their piece has at least two. No piece gets a token of another. All arrays are (B, T).
    """
    key = np.where(moved, piece + np.where(moved, order, 0.0), np.inf)
    source = key.argsort(axis=1)
    group = np.where(np.take_along_axis(moved, source, 1), np.take_along_axis(piece, source, 1), -1)
    place = np.arange(ids.shape[1])
    begins = np.diff(group, axis=1, prepend=-2) != 0
    start = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    ends = np.roll(begins, -1, axis=1)
    ends[:, -1] = True
    following = np.where(group < 0, place, np.where(ends, start, place + 1))
    target = np.take_along_axis(source, following, axis=1)
    result = np.empty_like(ids)
    np.put_along_axis(result, target, np.take_along_axis(ids, source, axis=1), axis=1)
    return result


def add_auxiliary_tasks(
    config: ObjectiveConfig, sequences: Sequences, counts: np.ndarray
) -> AuxiliaryTasks | None:
    """The auxiliary tasks of the objective; None if there are none.

    Give the result to the batches: it makes their rows and questions. The network answers with a head for each
    task (``model.auxiliary_heads``).

    Raises :class:`MinibertError` for another configuration, and for values out of range.
    """
    require_config(config, ObjectiveConfig, "objective.")
    return AuxiliaryTasks(config, sequences, counts) if config.tasks else None
