"""What the code makes of text, for mistakes before the network: masked rows, and batches of short rows."""

from functools import cache
from pathlib import Path

import numpy as np

from minibert.config import AdamWConfig, Config, ModelConfig, TrainingConfig
from minibert.config.data import ShortRowsConfig
from minibert.data.masking import UniformMasking
from minibert.data.packing import pack_documents
from minibert.data.prepared import PreparedData
from minibert.data.tokenizer import train_tokenizer
from minibert.data.training_batches import build_batches
from minibert.mistakes.mistake import Outputs
from minibert.randomness import generator

VOCAB, ROWS, LENGTH, SHORT, STEPS = 40, 4, 12, 6, 6


@cache
def text() -> PreparedData:
    tokenizer = train_tokenizer(["a bad cab fed a deaf cafe. " * 20], VOCAB, lowercase=True)
    random = np.random.default_rng(0)
    documents = [random.integers(5, tokenizer.get_vocab_size(), size).astype(np.int32) for size in (40, 13, 150)]
    rows = pack_documents(documents, LENGTH)
    counts = np.bincount(np.concatenate(documents), minlength=VOCAB)
    return PreparedData(tokenizer, rows, rows, counts, "", "", "", "", {}, Path())


def masked() -> Outputs:
    """Packed rows, half of their tokens damaged, and the labels."""
    rows = text().train.input_ids
    seen, labels = UniformMasking(VOCAB, 0.45, 0.45).apply(rows, [generator(0, row) for row in range(len(rows))])
    return {"what is seen": seen, "labels": labels}


def short_rows() -> Outputs:
    """Rows and tokens a row of the batches of all steps, short ones for the first half, and their first text."""
    config = Config(
        model=ModelConfig(vocab_size=VOCAB, hidden_size=8, layers=1, heads=1, feed_forward_size=8),
        optimizer=AdamWConfig(),
        curriculum=ShortRowsConfig(sequence_length=SHORT, share=0.5),
        training=TrainingConfig(steps=STEPS, batch_size=ROWS, sequence_length=LENGTH, softmax_words=None),
    )
    config.seeds.data = config.seeds.masking = 0
    batches = build_batches(config, text())
    ids = [batches.at(step).input_ids for step in range(STEPS)]
    return {
        "rows and tokens a row": np.array([each.shape for each in ids]),
        "begin of the first row": np.array([each[0, :SHORT] for each in ids]),
    }
