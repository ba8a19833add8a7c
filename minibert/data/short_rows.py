"""Short rows first, whole rows later, and as many tokens in every step.

Attention scores every token of a row against every other. So N tokens in rows of t cost N·t scores a head, in
place of N·T in rows of T. What the neighbours of a word tell of it can be learnt from short rows; what stands
further away is left for the whole rows. Of a short row, t − 2 tokens are text, so that a step has
(1 − 2/t) / (1 − 2/T) of the text.

Two stages of growing rows: Press, Smith & Lewis, "Shortformer: Better Language Modeling using Shorter Inputs",
ACL 2021. BERT's first 90 % of the steps had rows of 128 tokens, the others of 512: Devlin et al., NAACL 2019.
"""

import math
from dataclasses import replace
from typing import Any

from minibert.data.batches import Batch, Batches
from minibert.data.packing import Sequences, cut_documents, pack_documents
from minibert.data.pairs import join_documents


def cut_short(sequences: Sequences, length: int, packed: bool) -> Sequences:
    """The documents of these rows in rows of ``length`` tokens, [CLS] and [SEP] included.

    They are arranged anew as ``data.packed`` says, so every short row is pieces [CLS] text [SEP] of one document
    each, and positions begin at 0 in each piece. No token is lost and none occurs twice.
    """
    arrange = pack_documents if packed else cut_documents
    return arrange(join_documents(sequences), length)


class ShortRowsFirst(Batches):
    """Before the step ⌈share · steps⌉ the batches are those of ``short``; then they are of whole rows.

    The batch of a later step, its masks and its sample of the vocabulary included, is the one that this step has
    without the curriculum. Nothing but the step decides between the two: a checkpoint holds no state of it.
    """

    def __init__(self, short: Batches, share: float, steps: int, *whole: Any):
        """``whole``: what :class:`Batches` are made of. ``short`` needs no sample of the vocabulary."""
        super().__init__(*whole)
        self.short = short
        self.change = math.ceil(share * steps)
        """The first step, counted from 0, that has whole rows"""

    def without_words(self, step: int) -> Batch:
        batch = self.short.without_words(step) if step < self.change else super().without_words(step)
        length = batch.input_ids.shape[1]
        return replace(batch, settings=batch.settings | {"curriculum/sequence_length": float(length)})

    def indices(self, step: int):
        """(B,) int64: which sequences are in the batch of a step, short ones before the change."""
        return self.short.indices(step) if step < self.change else super().indices(step)

    @property
    def milestones(self) -> dict[int, str]:
        whole = {self.change: f"whole rows, of {self.sequences.input_ids.shape[1]} tokens, from here on"}
        return super().milestones | whole
