"""The text of the comparison: one tokenizer, one half of the held-out documents, one set of masks."""

from minibert.config import Config
from minibert.data.batches import Batch, frozen_batches
from minibert.data.packing import documents_part
from minibert.data.prepared import PreparedData


def held_out_batches(config: Config, data: PreparedData) -> list[Batch]:
    """Every sequence of the ``test`` half, masked at 15 %."""
    settings = config.evaluation
    sequences = documents_part(data.evaluation, "test")
    size = data.tokenizer.get_vocab_size()
    return frozen_batches(sequences, settings.rate, len(sequences), settings.batch_size, settings.mask_seed, size)
