"""How well a model predicts masked tokens: on frozen masks, the same for every run."""

import math

import numpy as np

from minibert.config import EvaluationConfig
from minibert.data.baselines import text_baselines
from minibert.data.batches import Batch, frozen_batches
from minibert.data.packing import documents_part
from minibert.data.prepared import PreparedData
from minibert.errors import MinibertError
from minibert.model.ops import cross_entropy
from minibert.model.parameters import Gradients
from minibert.training.lanes import Lanes
from minibert.training.trainer import Trainer

BASELINES = ("unigram_entropy", "unigram_cross_entropy", "bigram_cross_entropy")


def masked_accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of predictions whose highest score is the label's.    logits (P, V), labels (P,) -> 0 to 1

    Without predictions, NaN.
    """
    return float(np.mean(np.argmax(logits, axis=-1) == labels)) if len(labels) else float("nan")


def compute_perplexity(loss: float) -> float:
    """exp(loss): between how many equally likely tokens the model wavers. ``loss`` is a mean in nats.

    Of masked predictions, each made from both sides: not comparable with a left-to-right perplexity.
    """
    return float(np.exp(loss))


def bits_of_a_nat(data: PreparedData) -> float:
    """Bits per byte of the held-out text for a loss of one nat per token: tokens / (bytes · ln 2)"""
    return data.statistics["evaluation_tokens"] / data.statistics["evaluation_bytes"] / math.log(2)


def compute_gradient_norm(gradients: Gradients, prefix: str = "") -> float:
    """‖g‖₂ over all parameters whose name starts with ``prefix``: ``"layers.0."``, ``"embeddings."``, ...

    Of the mean loss, in nats per unit of parameter.
    """
    return gradients.norm(prefix)


def evaluate(lanes: Lanes, batches: list[Batch]) -> dict[str, float]:
    """Mean loss in nats, masked accuracy and perplexity over all predictions of the batches."""

    def score(logits, labels):
        accuracy = masked_accuracy(logits, labels)
        loss, _ = cross_entropy(logits, labels, 1)
        return loss, accuracy * len(labels) if len(labels) else 0.0, len(labels)

    losses, hits, counts = zip(*lanes.evaluate(batches, score), strict=True)
    loss = sum(losses) / sum(counts)
    return {"loss": loss, "masked_accuracy": sum(hits) / sum(counts), "perplexity": compute_perplexity(loss)}


def rate_metric(rate: float) -> str:
    """``eval/loss_at_rate/0.40``: at least two decimals, and as many more as tell the rate from every other."""
    return f"eval/loss_at_rate/{rate:.2f}" if round(rate, 2) == rate else f"eval/loss_at_rate/{rate!r}"


class IntrinsicEvaluation:
    """Observer: the frozen masks every ``evaluation.every`` steps, the grid of rates at the end.

    Logs ``eval/loss``, ``eval/masked_accuracy``, ``eval/perplexity``, ``eval/bits_per_byte`` (the loss of a token
    over ln 2 and over the mean bytes of a token of the held-out text: the same unit whatever the vocabulary), and
    ``eval/nats_below_unigram``, the distance of the loss to the unigram entropy of the held-out text; at the end
    ``eval/loss_at_rate/R``.

    Raises :class:`MinibertError` for a rate at which no held-out token is predicted.
    """

    def __init__(self, config: EvaluationConfig, data: PreparedData, vocab_size: int, log):
        self.config = config
        self.log = log
        self.bits_of_a_nat = bits_of_a_nat(data)
        self._sequences = documents_part(data.evaluation, config.documents)
        if not len(self._sequences):
            raise MinibertError(
                f"evaluation.documents={config.documents}: no sequence of the "
                f"{data.statistics['evaluation_documents']} held-out documents is of this half alone. Allowed: "
                "evaluation.documents=all, or a larger data.evaluation_fraction."
            )
        # All masks are made before training, so that a rate that predicts nothing costs no training.
        self._batches = self._frozen("rate", config.rate, vocab_size)
        self._grid = {
            rate_metric(rate): self._frozen(f"rates[{index}]", rate, vocab_size)
            for index, rate in enumerate(config.rates)
        }
        if config.documents == "all":
            self.baselines = {name: data.statistics[name] for name in BASELINES}
        else:
            self.baselines = text_baselines(data.train, data.unigram_counts, self._sequences)
        self.latest: dict[str, float] = {}

    def __call__(self, trainer: Trainer, _step) -> None:
        progress = trainer.progress
        if not (progress.step % self.config.every == 0 or trainer.finished):
            return
        scores = evaluate(trainer.lanes, self._batches)
        scores["nats_below_unigram"] = self.baselines["unigram_entropy"] - scores["loss"]
        scores["bits_per_byte"] = scores["loss"] * self.bits_of_a_nat
        self.latest = {f"eval/{name}": value for name, value in scores.items()}
        counts = {
            name: getattr(progress, name) for name in ("tokens_seen", "tokens_predicted", "flops", "seconds")
        }
        self.log(self.latest | counts, progress.step)
        if trainer.finished:
            grid = {name: evaluate(trainer.lanes, batches)["loss"] for name, batches in self._grid.items()}
            self.log(grid, progress.step)

    def _frozen(self, key: str, rate: float, vocab_size: int) -> list[Batch]:
        config = self.config
        batches = frozen_batches(
            self._sequences, rate, config.sequences, config.batch_size, config.mask_seed, vocab_size
        )
        if not any(batch.predictions for batch in batches):
            tokens = sum(batch.tokens for batch in batches)
            raise MinibertError(
                f"evaluation.{key}={rate}: predicts none of the {tokens} held-out tokens. Allowed: a higher rate, "
                "or more evaluation.sequences, where there is more held-out text."
            )
        return batches
