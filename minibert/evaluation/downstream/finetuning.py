"""Fine-tuning: a network and a new layer learn to classify sentences, or the new layer alone."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from tokenizers import Tokenizer

from minibert.config import AdamWConfig, Config, ScheduleConfig, TrainingConfig, require_config
from minibert.config.fields import number
from minibert.data.annotated.classified import LabelledSentence
from minibert.data.batches import Batches
from minibert.errors import MinibertError
from minibert.evaluation.downstream.sentences import EncodedSentences, SentenceBatches, by_length, encode
from minibert.model.bert import MiniBERT
from minibert.model.classifier import HEAD, Pooling, SentenceClassifier, classification_head_blocks
from minibert.model.ops import cross_entropy, linear, linear_backward
from minibert.model.parameters import Gradients, Layout, Parameters
from minibert.model.passes import Inputs, Pass
from minibert.model.workspace import Workspace
from minibert.randomness import ABOVE_SEEDS, derive_seeds
from minibert.training.lanes import Lanes
from minibert.training.optimizers import Optimizer, build_chain
from minibert.training.schedules import build_schedule
from minibert.training.trainer import NotFinite, Trainer
from minibert.training.transforms import Chain, Choice, Transform

WARMUP = 0.1
"""Share of the steps in which the rate rises"""


class Diverged(MinibertError):
    """A loss, a gradient or a score that is infinite or no number: this rate is too high."""


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained: AdamW (β 0.9 and 0.999, weights decay by 0.01), linear warm-up over a tenth of
    the steps, then linear decay to zero; gradients of a norm above 1 are clipped.

    Raises :class:`MinibertError` for values out of range.

    Mosbach, Andriushchenko and Klakow, "On the Stability of Fine-tuning BERT", ICLR 2021.
    """

    rate: float = field(metadata={"above": 0, "below": math.inf})
    epochs: int = number(3, at_least=1)
    batch_size: int = number(32, at_least=1)
    dropout: float = number(0.1, at_least=0, below=1)
    pooling: Pooling = "mean"
    seed: int = number(0, at_least=0, below=ABOVE_SEEDS)
    """Of the new layer, the order of sentences and dropout"""

    def __post_init__(self) -> None:
        require_config(self, Recipe, "recipe.")

    def config(self, model: MiniBERT, steps: int, lanes: int = 1) -> Config:
        config = Config(
            model=model.config,
            optimizer=AdamWConfig(learning_rate=self.rate, beta2=0.999, weight_decay=0.01),
            schedule=ScheduleConfig("linear", warmup=WARMUP),
            training=TrainingConfig(steps=steps, batch_size=self.batch_size, lanes=lanes, log_every=steps),
        )
        config.seeds.dropout = derive_seeds(self.seed)["dropout"]
        return config

    def classifier(self, model: MiniBERT, labels: Sequence[str]) -> SentenceClassifier:
        return SentenceClassifier(model, labels, derive_seeds(self.seed)["init"], self.pooling, self.dropout)

    def batches(self, sentences: EncodedSentences) -> SentenceBatches:
        return SentenceBatches(sentences, self.batch_size, derive_seeds(self.seed)["data"])

    def steps(self, sentences: EncodedSentences) -> int:
        return self.epochs * -(-len(sentences) // self.batch_size)


def train_classifier(
    model: MiniBERT,
    labels: Sequence[str],
    sentences: EncodedSentences,
    recipe: Recipe,
    lanes: int = 1,
    observe: Callable[[SentenceClassifier, int], None] | None = None,
) -> SentenceClassifier:
    """A copy of the network with a new layer, all of it trained on the sentences. ``model`` is not changed.

    ``observe(classifier, steps done)`` is called before the first step and after every step. The MLM head is not
    read and keeps its bits; what it is tied to, the token embeddings, moves.

    Raises :class:`Diverged` for a loss or gradient that is not finite.
    """
    classifier = recipe.classifier(model, labels)
    config = recipe.config(classifier, recipe.steps(sentences), lanes)
    batches = cast(Batches, recipe.batches(sentences))  # a trainer asks it for the batch of a step, no more
    with Trainer(classifier, batches, config) as trainer:
        links = _sparing("mlm_head.", build_chain(config, tuple(classifier.params)))
        trainer.optimizer = Optimizer(links, classifier.params, lanes)
        observers = [] if observe is None else [lambda trainer, _: observe(classifier, trainer.progress.step)]
        try:
            trainer.train(observers)
        except NotFinite as error:
            raise Diverged(str(error)) from error
    return classifier


def train_head(
    model: MiniBERT,
    labels: Sequence[str],
    sentences: EncodedSentences,
    states: np.ndarray,
    recipe: Recipe,
) -> SentenceClassifier:
    """A copy of the network with a new layer that alone is trained; the bits of all else are those of ``model``.

    ``states`` (S, D): :func:`pooled_states` of the sentences, computed once, without dropout.

    Raises :class:`Diverged` for a loss or gradient that is not finite.
    """
    classifier = recipe.classifier(model, labels)
    layout, dtype = Layout(classification_head_blocks(states.shape[1], len(labels))), model.config.dtype
    params, grads = Parameters(layout, dtype), Gradients(layout, dtype)
    for name in params:
        params[name] = classifier.params[name]
    steps, batches = recipe.steps(sentences), recipe.batches(sentences)
    config = recipe.config(classifier, steps)
    factor, optimizer = (
        build_schedule(config.schedule, steps),
        Optimizer(build_chain(config, tuple(params)), params),
    )
    for step in range(1, steps + 1):
        rows = batches.rows(step - 1)
        grads.clear()
        logits, x = linear(states[rows], params[f"{HEAD}.weight"], params[f"{HEAD}.bias"])
        loss, dlogits = cross_entropy(logits, sentences.classes[rows], len(rows))
        linear_backward(dlogits, x, HEAD, params, grads)
        norm = grads.norm()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(f"Step {step}: the loss is {loss} and the gradient norm {norm}, which is not finite.")
        optimizer.apply(params.vector, grads.vector, step, recipe.rate * factor(step), norm)
    for name in params:
        classifier.params[name] = params[name]
    return classifier


def pooled_states(classifier: SentenceClassifier, sentences: EncodedSentences) -> np.ndarray:
    """(S, D): the mean of the final hidden states of each sentence, without dropout."""
    states = np.empty((len(sentences), classifier.config.hidden_size), classifier.config.dtype)
    work = Workspace()
    for rows in by_length(sentences):
        batch = sentences.batch(rows)
        work.reset()
        states[rows] = classifier.pooled_states(Inputs(batch.input_ids, batch.attention_mask), Pass(work=work))
    return states


def class_scores(classifier: SentenceClassifier, sentences: EncodedSentences, lanes: int = 1) -> np.ndarray:
    """(S, C): the logits of every sentence. Raises :class:`Diverged` where one is not finite."""
    parts = by_length(sentences)
    scores = np.empty((len(sentences), len(classifier.labels)), classifier.config.dtype)
    with Lanes(classifier, lanes) as spread:
        found = spread.evaluate([sentences.batch(rows) for rows in parts], lambda logits, labels: logits.copy())
    for rows, logits in zip(parts, found, strict=True):
        scores[rows] = logits
    return _finite(scores)


def head_scores(classifier: SentenceClassifier, states: np.ndarray) -> np.ndarray:
    """The same from :func:`pooled_states` (S, D)."""
    return _finite(linear(states, classifier.params[f"{HEAD}.weight"], classifier.params[f"{HEAD}.bias"])[0])


def classify(
    classifier: SentenceClassifier, tokenizer: Tokenizer, texts: Sequence[str], lanes: int = 1
) -> list[str]:
    """The label of each text. One that is longer than the model's positions is cut."""
    unlabelled = [LabelledSentence(text, classifier.labels[0]) for text in texts]
    encoded = encode(tokenizer, unlabelled, classifier.labels, classifier.config, "texts")
    return [classifier.labels[place] for place in class_scores(classifier, encoded, lanes).argmax(axis=1)]


def _finite(scores: np.ndarray) -> np.ndarray:
    if not np.isfinite(scores).all():
        raise Diverged("The scores of the classes are not finite. A smaller learning rate usually helps.")
    return scores


def _sparing(prefix: str, links: Chain) -> Chain:
    """The chain for all parameters but those whose name begins with ``prefix``, which stay as they are."""

    def spared(link: Transform | Choice) -> Choice:
        def choose(name: str, parameter: np.ndarray) -> Transform | None:
            if name.startswith(prefix):
                return None
            return link.choose(name, parameter) if isinstance(link, Choice) else link

        return Choice(choose)

    return tuple(spared(link) for link in links)
