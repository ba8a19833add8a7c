"""The parts of a run, made from its configuration: trainer, diagnostics and evaluation."""

from collections.abc import Iterable
from typing import Any, cast

from minibert.config import Config
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.prepared import PreparedData
from minibert.data.training_batches import build_batches, probe_batch
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.engine.registry import Diagnostic
from minibert.evaluation.intrinsic.held_out import IntrinsicEvaluation
from minibert.model.bert import MiniBERT
from minibert.training.checkpoints import log_spaced_steps
from minibert.training.trainer import Trainer


def build_trainer(config: Config, data: PreparedData, diagnostics: Diagnostics) -> Trainer:
    """The trainer of a run at its first step."""
    model = MiniBERT(config.model, cast(int, config.seeds.init), log_unigram_frequencies(data.unigram_counts))
    batches = build_batches(config, data)
    return Trainer(model, batches, config, batches.adapting, diagnostics, data, probe_batch(config, data))


def build_diagnostics(config: Config, chosen: Iterable[Diagnostic], record: Any) -> Diagnostics:
    """The chosen diagnostics at the steps of a run. ``record`` takes what they return."""
    settings, steps = config.diagnostics, config.training.steps
    return Diagnostics(chosen, log_spaced_steps(steps, settings.every, settings.per_doubling), steps, record)


def build_evaluation(config: Config, data: PreparedData, record: Any) -> IntrinsicEvaluation:
    """The evaluation of a run, which logs to ``record``. The baselines of the text are logged at once."""
    evaluation = IntrinsicEvaluation(config.evaluation, data, data.tokenizer.get_vocab_size(), record.log)
    record.log({f"baseline/{name}": value for name, value in evaluation.baselines.items()}, 0)
    return evaluation
