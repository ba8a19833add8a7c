"""minibert: the bare step, the step with checkpointed activations, and the step of a tracked run."""

import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from minibert.config import Config, SeedsConfig, TrainingConfig
from minibert.data.batches import Batch
from minibert.model.bert import MiniBERT
from minibert.training.trainer import Trainer
from tests.benchmarks.workload import SEED, Workload, model_config


class PreparedBatches:
    """The workload's batches in turn, under the face of :class:`minibert.data.batches.Batches`."""

    def __init__(self, batches):
        self._batches = [
            Batch(input_ids, labels, None, input_ids.size, int((labels >= 0).sum()))
            for input_ids, labels in batches
        ]

    def at(self, step: int) -> Batch:
        return self._batches[step % len(self._batches)]


class Bare:
    """``Trainer.step()`` alone, with one lane a core."""

    amortised_seconds = 0.0
    checkpoint_activations = False

    def __init__(self, workload: Workload):
        shape = workload.shape
        config = Config(
            model=model_config(shape, workload.dropout),
            training=TrainingConfig(
                steps=100_000, batch_size=shape.sequences, sequence_length=shape.tokens, lanes=workload.lanes,
                checkpoint_activations=self.checkpoint_activations,
            ),
            seeds=SeedsConfig(SEED, SEED, SEED, SEED),
        )
        self.trainer = Trainer(MiniBERT(config.model, SEED), PreparedBatches(workload.batches), config)
        self.trainer.__enter__()  # open for as long as the process lives
        self.about = {
            "numpy": np.__version__,
            "lanes": workload.lanes,
            "parameters": len(self.trainer.model.params.vector),
            "blas": threadpool_info(),
        }

    def step(self) -> float:
        return self.trainer.step().loss


class Checkpointed(Bare):
    """The step that keeps only the layers' inputs, and computes the rest again in the backward pass."""

    checkpoint_activations = True


class Tracked(Bare):
    """The step as a default run takes it: logged to an MLflow store in SQLite, and the default diagnostics.

    The diagnostics of the weights are taken at the steps whose checkpoints are kept, 15 of the default 2,000:
    they are measured once, and every step carries its share. Evaluation, writing checkpoints and the progress bar
    are left out. A turn of two seconds or more flushes points as often as a run does, a shorter one too often.
    """

    def __init__(self, workload: Workload):
        super().__init__(workload)
        from minibert.diagnostics.schedule import WeightSpectra
        from minibert.tracking.claims import claim
        from minibert.tracking.runs import start_run
        from minibert.tracking.store import open_store
        from minibert.training.checkpoints import checkpoint_steps
        from minibert.training.observers import TrainingLog

        self._folder = tempfile.TemporaryDirectory(prefix="minibert-benchmark-")
        store = open_store(None, Path(self._folder.name), "benchmark")
        self._claim = claim(store, "benchmark")
        run = start_run(self._claim, "benchmark", {}, {})
        self._log = TrainingLog(run.log)

        default = TrainingConfig()
        kept = len(checkpoint_steps(default.steps, default.checkpoint_every))
        started = time.perf_counter()
        WeightSpectra([0], run.log)(self.trainer, None)
        spectra = time.perf_counter() - started
        self.amortised_seconds = spectra * kept / default.steps
        self.about |= {"seconds_of_weight_spectra": spectra, "amortised_seconds": self.amortised_seconds}

    def step(self) -> float:
        step = self.trainer.step()
        self._log(self.trainer, step)
        return step.loss
