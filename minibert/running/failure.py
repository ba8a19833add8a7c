"""What a run keeps when a loss or a gradient is no longer finite."""

from typing import cast

import numpy as np

from minibert.diagnostics.health.nonfinite import describe, locate_nonfinite, to_dict
from minibert.errors import MinibertError
from minibert.tracking.runs import Run
from minibert.training.observers import keep_parameters
from minibert.training.trainer import NotFinite, Trainer


def report_failure(run: Run, trainer: Trainer, error: NotFinite, tokenizer: str) -> MinibertError:
    """The error that ends the run: it says in which array the first number that is not finite arose.

    The run keeps the batch as ``failure/batch.npz`` and the place as ``failure/location.json``. If the parameters
    are finite, it also keeps them as the checkpoint of their step. ``tokenizer``: see
    :class:`minibert.training.observers.Checkpoints`.
    """
    step, batch = error.step, error.batch
    location = locate_nonfinite(trainer.model, batch, cast(int, trainer.config.seeds.dropout), step)
    if location is None or location.stage != "parameters":
        keep_parameters(run.keep, trainer.model, step, tokenizer)
    last_good = max(run.artifacts("checkpoints"))
    arrays = {key: value for key, value in vars(batch).items() if isinstance(value, np.ndarray)}
    arrays |= {f"auxiliary_{name}_labels": questions.labels for name, questions in batch.auxiliary.items()}
    if batch.words is not None:
        arrays |= {"words_ids": batch.words.ids, "words_raised": batch.words.raised}
    run.log_npz("failure/batch.npz", arrays)
    run.log_dict(to_dict(location), "failure/location.json")
    return MinibertError(
        f"{error} {describe(location)} Among the artifacts of the run are the batch, failure/batch.npz, and the "
        f"last good parameters, {last_good}."
    )
