"""Whole networks and their heads, as problems for the gradient check: small, in float64, at a random point."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np

from minibert.config import ModelConfig, PositionConfig
from minibert.mistakes.gradient_check import Problem, of_layer, scatter, scattered_parameters
from minibert.mistakes.layers import turns_keys
from minibert.model.auxiliary_heads import (
    AuxiliaryTask,
    auxiliary_head_backward,
    auxiliary_head_blocks,
)
from minibert.model.auxiliary_heads import auxiliary_head as answer
from minibert.model.bert import MiniBERT
from minibert.model.classifier import (
    SentenceClassifier,
    classification_head_backward,
    classification_head_blocks,
)
from minibert.model.classifier import classification_head as classify
from minibert.model.dropout import DropoutMasks
from minibert.model.passes import IGNORED, Inputs, Selection, Targets
from minibert.model.words import WordSample

VOCABULARY, BATCH, TOKENS, HIDDEN = 17, 3, 6, 6
AUXILIARY = ["sop", "token_order"]
LABELS = ["bad", "good", "middling"]
LENGTHS = np.array([2, 1, 4])
"""Of sentences that a classification head reads alone"""


def build(**fields: Any) -> MiniBERT:
    """A two-layer network in float64 with all parameters away from their initial values."""
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "layers": 2, "heads": 2, "feed_forward_size": 8,
        "max_length": 8, "segments": 2, "norm_epsilon": 1e-3, "dropout": 0.0, "attention_dropout": 0.0,
        "dtype": "float64",
        "position": PositionConfig(),
    }  # fmt: skip
    model = MiniBERT(ModelConfig(**settings | fields))
    scatter(model.params)
    return model


def examples(tokens: int = TOKENS) -> dict[str, Any]:
    """Three sequences of one, three and no predictions: repeated ids, and padding at the end of the second.

    The second has more predictions than the first, so that what is scored are not the first rows computed.
    """
    random = np.random.default_rng(2)
    input_ids = random.integers(0, VOCABULARY, (BATCH, tokens))
    input_ids[:2, : min(tokens, 3)] = 4
    labels = np.full((BATCH, tokens), IGNORED)
    labels[0, min(3, tokens - 1)] = 9
    labels[1, :3] = random.integers(0, VOCABULARY, labels[1, :3].shape)
    attention_mask = np.ones((BATCH, tokens), bool)
    attention_mask[1, 4:] = False
    segment_ids = (np.arange(tokens) >= tokens // 2).astype(int) * np.array([[1], [0], [1]])
    return {"input_ids": input_ids, "labels": labels, "attention_mask": attention_mask, "segment_ids": segment_ids}


def masks(step: int = 1, first_sequence: int = 0) -> DropoutMasks:
    return DropoutMasks(seed=11, step=step, first_sequence=first_sequence)


def key_biases(model: MiniBERT) -> list[str]:
    """The parameters whose gradient is zero: softmax takes off what a key bias adds to all scores of a query.

    Where keys turn with their positions, or are normalised, it adds another number to each.
    """
    varied = model.config.qk_norm or turns_keys(model.position, model.params)
    return [name for name in model.params if name.endswith("key.bias") and not varied]


def loss_alone(model: MiniBERT) -> MiniBERT:
    """The same network, with the same parameters, whose passes end with the loss.

    A slope needs the loss four times, and no gradient, which would take most of the time.
    """
    alone = copy(model)
    vars(alone)["backward"] = lambda *_, **__: None
    return alone


def loss_of(model: MiniBERT, batch: Mapping[str, Any], dropout: bool = False, **more: Any) -> Problem:
    """The gradients of ``loss_and_gradients``, every parameter by itself."""

    def run(model: MiniBERT):
        return model.loss_and_gradients(**batch, **more, masks=masks() if dropout else None)

    alone = loss_alone(model)
    return Problem(lambda: run(alone)[0], model.params, run(model)[1], key_biases(model))


def loss(norm: str = "pre", activation: str = "gelu", dropout: float = 0.0) -> Problem:
    model = build(norm=norm, activation=activation, dropout=dropout, attention_dropout=dropout)
    return loss_of(model, examples(), dropout > 0)


def loss_of_position(position: PositionConfig, dropout: float = 0.0) -> Problem:
    """Two layers share the table of ``relative_bias``."""
    model = build(position=position, hidden_size=8, dropout=dropout, attention_dropout=dropout)
    return loss_of(model, examples(), dropout > 0)


def loss_of_parts(fields: Mapping[str, Any], dropout: float = 0.0) -> Problem:
    """With any other fields of the network's configuration."""
    model, batch = build(**fields, dropout=dropout, attention_dropout=dropout), examples()
    if not model.config.segments:
        del batch["segment_ids"]
    return loss_of(model, batch, dropout > 0)


def sampled(model: MiniBERT) -> tuple[WordSample, Callable]:
    """Every second word and the labels of the examples, and the loss and gradients over them."""
    batch, vocabulary = examples(), model.config.vocab_size
    predicted = batch["labels"][batch["labels"] >= 0]
    ids = np.union1d(np.arange(1, vocabulary, 2), predicted)
    words = WordSample(ids, np.where(np.isin(ids, predicted), 0, np.linspace(0.3, 2, len(ids))))
    inputs = Inputs(batch["input_ids"], batch["attention_mask"], batch["segment_ids"])
    return words, lambda words=words: model.gradient_pass(inputs, Targets(batch["labels"]), Selection(words=words))


def sampled_loss(fields: Mapping[str, Any]) -> Problem:
    model = build(**fields)
    (_, run), (_, run_alone) = sampled(model), sampled(loss_alone(model))
    return Problem(lambda: run_alone()[0], model.params, run()[1], key_biases(model))


def auxiliary_parameters():
    settings = ModelConfig(hidden_size=HIDDEN, heads=1, auxiliary_heads=["sop"])
    return scattered_parameters(auxiliary_head_blocks(settings))


def auxiliary_head() -> Problem:
    params, grads = auxiliary_parameters()
    x = np.random.default_rng(5).normal(size=(4, HIDDEN))

    def backward(dlogits):
        cache = answer(x, "sop_head", params)[1]
        return {"x": auxiliary_head_backward(dlogits, cache, "sop_head", params, grads), **grads}

    return of_layer(lambda: answer(x, "sop_head", params)[0], backward, {"x": x, **params})


def tasks() -> dict[str, AuxiliaryTask]:
    """A question at [CLS] of each row, and some at tokens: a position may have both, or be predicted as well."""
    sop, order = np.full((2, BATCH, TOKENS), IGNORED)
    sop[:, 0] = [1, 0, 1]
    order[0, 2:5], order[1, 0], order[2, 1:3] = [1, 0, 0], 0, [0, 1]
    return {"sop": AuxiliaryTask(sop, 0.7, 3), "token_order": AuxiliaryTask(order, 2.5, 6)}


def loss_with_tasks(norm: str, recompute: bool, dropout: float) -> Problem:
    model = build(norm=norm, auxiliary_heads=AUXILIARY, dropout=dropout, attention_dropout=dropout)
    return loss_of(model, examples(), dropout > 0, auxiliary=tasks(), checkpoint_activations=recompute)


def loss_of_task(name: str) -> Problem:
    """One auxiliary task, without masked words: nothing else has a gradient."""
    model, batch = build(auxiliary_heads=AUXILIARY), examples()
    batch["labels"] = np.full((BATCH, TOKENS), IGNORED)
    unread = [key for key in model.params if "_head." in key and not key.startswith(f"{name}_head")]
    problem = loss_of(model, batch, auxiliary={name: tasks()[name]})
    return problem._replace(zero=[*problem.zero, *unread])


def classification_head(dropout: float) -> Problem:
    """Sentences of different lengths, so that each has a factor of its own in the gradient."""
    params, grads = scattered_parameters(classification_head_blocks(HIDDEN, len(LABELS)))
    x = np.random.default_rng(5).normal(size=(LENGTHS.sum(), HIDDEN))

    def forward():
        return classify(x, LENGTHS, params, masks() if dropout else None, dropout)

    def backward(dlogits):
        return {"x": classification_head_backward(dlogits, forward()[1], params, grads), **grads}

    return of_layer(lambda: forward()[0], backward, {"x": x, **params})


def classifier(pooling: Any = "mean", labels: list[str] = LABELS, **fields: Any) -> SentenceClassifier:
    model = SentenceClassifier(build(**fields), labels, pooling=pooling)
    scatter(model.params)
    return model


def sentences() -> dict[str, Any]:
    """Those of :func:`examples`, one of them padded, with the class of each at its first position."""
    batch = examples()
    batch["labels"] = np.full((BATCH, TOKENS), IGNORED)
    batch["labels"][:, 0] = [2, 0, 2]
    del batch["segment_ids"]
    return batch
