"""minibert: the bare step, the step with checkpointed activations, and the step of a tracked run."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from minibert.config import Config, SeedsConfig, TrainingConfig
from minibert.config.optimizers import AdamWConfig, GlobalNormClippingConfig
from minibert.data.batches import Batch
from minibert.data.word_sampling import WordSampler
from minibert.model.bert import MiniBERT
from minibert.training.trainer import Trainer
from tests.benchmarks.contenders import Contender
from tests.benchmarks.workload import SEED, Workload, model_config


class PreparedBatches:
    """The workload's batches in turn, under the face of :class:`minibert.data.batches.Batches`."""

    def __init__(self, batches, sampler: WordSampler | None = None):
        self._sampler = sampler
        self._batches = [
            Batch(input_ids, labels, None, input_ids.size, int((labels >= 0).sum()))
            for input_ids, labels in batches
        ]

    def at(self, step: int) -> Batch:
        batch = self._batches[step % len(self._batches)]
        return batch if self._sampler is None else replace(batch, words=self._sampler.at(step, batch.labels))


class Bare(Contender):
    """``Trainer.step()`` alone, with one lane a core."""

    checkpoint_activations = False

    def __init__(self, workload: Workload, position: str = "absolute"):
        shape = workload.shape
        config = Config(
            model=model_config(shape, workload.dropout, position),
            optimizer=AdamWConfig(),
            clipping=GlobalNormClippingConfig(),
            training=TrainingConfig(
                steps=100_000,
                batch_size=shape.sequences,
                sequence_length=shape.tokens,
                lanes=workload.lanes,
                checkpoint_activations=self.checkpoint_activations,
            ),
            seeds=SeedsConfig(SEED, SEED, SEED, SEED),
        )
        self.trainer = Trainer(
            MiniBERT(config.model, SEED), PreparedBatches(workload.batches), config, **self.watching(config)
        )
        self.trainer.__enter__()  # open for as long as the process lives
        self.about = {
            "numpy": np.__version__,
            "lanes": workload.lanes,
            "parameters": len(self.trainer.model.params.vector),
            "blas": threadpool_info(),
        }

    def watching(self, config: Config) -> dict:
        """What the trainer is given to look at itself with."""
        return {}

    def step(self) -> float:
        return self.trainer.step().loss


class Checkpointed(Bare):
    """The step that keeps only the layers' inputs, and computes the rest again in the backward pass."""

    checkpoint_activations = True


class Tracked(Bare):
    """The step as a default run takes it: logged to an MLflow store in SQLite, and the default diagnostics.

    The diagnostics look at a few steps before the clock starts, and once as at the end of training, and what they
    find is written to the store. What this takes in a default run, with 14 looks in 2,000 steps, is measured then,
    and every step carries its share. The corpus that they know of is the default run's, from its cache.
    Evaluation, writing checkpoints, drawing figures and the progress bar are left out. A turn of two seconds or
    more flushes points as often as a run does, a shorter one too often.
    """

    LOOKS = 3
    """On the clock, after one that is not"""

    def __init__(self, workload: Workload):
        super().__init__(workload)
        from minibert.diagnostics.engine.dispatch import Diagnostics
        from minibert.training.observers import TrainingLog

        look, end = self._seconds_of_looks()
        self.amortised_seconds = (look * self._looks + end) / self._steps
        self.trainer.hooks.diagnostics = Diagnostics(self._diagnostics.chosen, (), self._steps, self._run)
        self._log = TrainingLog(self._run.log)
        self.about |= {
            "seconds_of_a_look": look,
            "looks": self._looks,
            "seconds_at_the_end": end,
            "amortised_seconds": self.amortised_seconds,
        }

    def watching(self, config: Config) -> dict:
        from minibert.config import register
        from minibert.data.prepared import prepare_data
        from minibert.data.training_batches import probe_batch
        from minibert.diagnostics.catalogue import choose
        from minibert.diagnostics.engine.dispatch import Diagnostics
        from minibert.running.plan import plan
        from minibert.tracking.claims import claim
        from minibert.tracking.runs import start_run
        from minibert.tracking.store import open_store
        from minibert.training.checkpoints import log_spaced_steps

        register()
        default = plan([], multirun=False).jobs[0].config
        config.diagnostics, config.data = default.diagnostics, default.data
        data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length)
        self._folder = tempfile.TemporaryDirectory(prefix="minibert-benchmark-")
        self._claim = claim(open_store(None, Path(self._folder.name), "benchmark"), "benchmark")
        self._run = start_run(self._claim, "benchmark", {}, {})
        settings, self._steps = config.diagnostics, default.training.steps
        chosen = choose(settings.quantities, settings.modules)
        steps = log_spaced_steps(self._steps, settings.every, settings.per_doubling)
        scheduled = Diagnostics(chosen, steps, self._steps, self._run)
        self._looks = sum(bool(scheduled.needs(step)) for step in range(self._steps + 1))
        looked_at = range(1, self.LOOKS + 2)
        self._diagnostics = Diagnostics(chosen, looked_at, looked_at.stop, self._run)
        return {"diagnostics": self._diagnostics, "data": data, "probe_batch": probe_batch(config, data)}

    def _seconds_of_looks(self) -> tuple[float, float]:
        """Of a look, beside the step that is looked at, and of all that is done once, at the end of training."""
        trainer, looks = self.trainer, []
        trainer.step()
        for _ in range(1 + self.LOOKS):
            started, in_step = time.perf_counter(), trainer.progress.seconds
            trainer.step()
            self._run.flush()
            looks.append(time.perf_counter() - started - (trainer.progress.seconds - in_step))
        started = time.perf_counter()
        trainer.examine()
        self._diagnostics.conclude()
        self._run.flush()
        end = time.perf_counter() - started
        if self._diagnostics.failed:
            raise RuntimeError(f"diagnostics failed: {self._diagnostics.failed}")
        return float(np.median(looks[1:])), end

    def step(self) -> float:
        step = self.trainer.step()
        self._log(self.trainer, step)
        return step.loss
