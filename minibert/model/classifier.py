"""A network that sorts sentences into classes: an encoder, the mean of its hidden states, and one linear layer."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Literal, NamedTuple
from zlib import crc32

import numpy as np

from minibert.errors import MinibertError, shown
from minibert.model.bert import MiniBERT
from minibert.model.caches import ForwardCache
from minibert.model.dropout import DropoutMasks
from minibert.model.initializers import truncated_normal
from minibert.model.ops import cross_entropy, dropout, linear, linear_backward
from minibert.model.parameters import Block, Gradients, Layout, Parameters, linear_blocks
from minibert.model.passes import ALL_ROWS, DEFAULT_PASS, Inputs, Pass, Selection, Targets, check_shape
from minibert.model.workspace import NEW_ARRAYS
from minibert.randomness import generator

HEAD = "classification_head.out"
Pooling = Literal["mean", "cls"]
POOLINGS = ("mean", "cls")


class ClassificationHeadCache(NamedTuple):
    pooled: np.ndarray
    """(B, D): a vector for each sentence, after dropout"""
    lengths: np.ndarray
    """(B,): of how many rows each is the mean"""
    dropout: np.ndarray | None
    """(B, D) mask"""


def classification_head_blocks(hidden_size: int, classes: int) -> list[Block]:
    return linear_blocks(HEAD, hidden_size, classes)


def pool(x, lengths):
    """h_b = 1/n_b Σ x, over the n_b rows of sentence b.    x (U, D), lengths n (B,) with Σ n = U -> (B, D)"""
    sums = np.add.reduceat(x, np.cumsum(lengths) - lengths, axis=0)
    sums /= lengths[:, None].astype(x.dtype)
    return sums


def classification_head(x, lengths, params, masks: DropoutMasks | None = None, rate: float = 0.0, work=NEW_ARRAYS):
    """logits = dropout(h) U + c, with h the mean of each sentence's rows (:func:`pool`).

    x (U, D), the rows of one sentence after the other; lengths (B,) -> logits (B, C)
    """
    pooled = pool(x, lengths)
    mask = masks and masks.draw(rate, pooled.shape, pooled.dtype, work)
    dropout(pooled, mask)
    logits, _ = linear(pooled, params[f"{HEAD}.weight"], params[f"{HEAD}.bias"], work)
    return logits, ClassificationHeadCache(pooled, lengths, mask)


def classification_head_backward(dlogits, cache: ClassificationHeadCache, params, grads, work=NEW_ARRAYS):
    """dU += hᵀ dlogits, dc += Σ dlogits, dh = dlogits Uᵀ; every row of sentence b has the gradient dh_b / n_b"""
    dpooled = linear_backward(dlogits, cache.pooled, HEAD, params, grads, work)
    dropout(dpooled, cache.dropout)
    dpooled /= cache.lengths[:, None].astype(dpooled.dtype)
    return np.repeat(dpooled, cache.lengths, axis=0)


class SentenceClassifier(MiniBERT):
    """A copy of a network with a classification head. It predicts one class a sentence.

    Where it is trained and scored as a :class:`MiniBERT` (by :class:`minibert.training.lanes.Lanes`), the class of
    a sentence is the label of its first position; no other has one. The MLM head is not read: :meth:`encoder`
    gives the network that has it.

    The head starts as a truncated normal of standard deviation ``model.init_scale``, its bias at zero.

    Devlin et al., "BERT", NAACL 2019, classify the last hidden state of [CLS] (``pooling="cls"``). Masked words
    alone, however, train no network to say anything there, so that the mean over all positions is the default:
    Reimers and Gurevych, "Sentence-BERT", EMNLP 2019.
    """

    def __init__(
        self,
        model: MiniBERT,
        labels: Sequence[str],
        seed: int = 0,
        pooling: Pooling = "mean",
        dropout: float | None = None,
    ):
        """``labels``: the name of every class. ``dropout``: another rate than the network's; None: the same.

        Raises :class:`MinibertError` for fewer than two labels, and for an unknown pooling.
        """
        if not (isinstance(labels, list | tuple) and all(isinstance(each, str) for each in labels) and labels[1:]):
            raise MinibertError(f"labels: {shown(labels)} was given. Allowed: the names of at least two classes.")
        if pooling not in POOLINGS:
            raise MinibertError(f"pooling={pooling}: no way to pool. Allowed: {', '.join(POOLINGS)}.")
        self.labels, self.pooling = tuple(labels), pooling
        self._original = model
        self.config = model.config if dropout is None else replace(model.config, dropout=dropout)
        self.position = model.position
        layout = model.params.layout
        order = {name: place for place, name in enumerate(layout.names)}
        blocks = sorted(layout.blocks, key=lambda block: order[block.names[0]])
        head = classification_head_blocks(self.config.hidden_size, len(labels))
        self.params = Parameters(Layout([*blocks, *head]), self.config.dtype)
        for name, array in model.params.items():
            self.params[name] = array
        weight = f"{HEAD}.weight"
        random = generator(seed, crc32(weight.encode()))
        self.params[weight] = truncated_normal(random, self.params[weight].shape, self.config.init_scale)

    def encoder(self) -> MiniBERT:
        """A network of the kind that was given, with the parameters as they are now: a copy, without the head."""
        model = copy(self._original)
        model.params = Parameters(self._original.params.layout, self.config.dtype)
        for name in model.params:
            model.params[name] = self.params[name]
        return model

    def save_pretrained(self, folder, tokenizer=None) -> None:
        """Write the :meth:`encoder` as ``transformers`` reads it. The head is left out."""
        self.encoder().save_pretrained(folder, tokenizer)

    def pooled_states(self, inputs: Inputs, how: Pass = DEFAULT_PASS):
        """The mean of the final hidden states of each sentence, (B, D), that of [CLS] with ``pooling="cls"``."""
        cache, lengths = self._read(inputs, how)
        return pool(cache.read, lengths)

    def gradient_pass(
        self,
        inputs: Inputs,
        targets: Targets,
        selection: Selection = ALL_ROWS,
        how: Pass = DEFAULT_PASS,
        grads=None,
    ):
        """The mean cross-entropy over sentences, in nats, and its gradient; labels as in the class above."""
        _, labels = targets.predicted(np.shape(inputs.ids), len(self.labels))
        logits, cache, head = self._classify(inputs, how)
        if how.caches is not None:
            how.caches.append(cache)
        right = int((logits.argmax(axis=1) == labels).sum())
        count = len(labels) if targets.count is None else targets.count
        loss, dlogits = cross_entropy(logits, labels, count)
        if how.measured is not None:
            how.measured.add("classification", loss, right, len(labels))
        grads = Gradients(self.params.layout, self.config.dtype) if grads is None else grads
        dread = classification_head_backward(dlogits, head, self.params, grads, how.work)
        unscored = np.zeros((0, self.config.vocab_size), self.config.dtype)
        return loss, self.backward(unscored, cache, grads, how.work, dread, how.caches is None)

    def score(
        self, input_ids, labels, attention_mask=None, segment_ids=None, *, position_ids=None, work=NEW_ARRAYS
    ):
        """Scores of the classes (B, C) and the labels (B,) of the sentences, without dropout."""
        inputs = Inputs(input_ids, attention_mask, segment_ids, position_ids)
        _, given = Targets(labels).predicted(np.shape(input_ids), len(self.labels))
        logits, _, _ = self._classify(inputs, Pass(work=work))
        return logits, given

    def _classify(self, inputs: Inputs, how: Pass):
        cache, lengths = self._read(inputs, how)
        logits, head = classification_head(
            cache.read, lengths, self.params, how.masks, self.config.dropout, how.work
        )
        return logits, cache, head

    def _read(self, inputs: Inputs, how: Pass) -> tuple[ForwardCache, np.ndarray]:
        """A pass whose ``cache.read`` are the hidden states that are pooled, and how many each sentence has."""
        shape = np.shape(inputs.ids)
        read = np.ones(shape, bool)
        if self.pooling == "cls":
            read[:, 1:] = False
        elif inputs.mask is not None:
            read = np.asarray(inputs.mask, bool)
            check_shape("attention_mask", read, shape)
        lengths = read.sum(axis=1)
        if not lengths.all():
            raise MinibertError(
                "attention_mask: a sentence without a token was given. Allowed: at least one each."
            )
        nothing = np.zeros(shape, bool)
        _, cache = self.forward_pass(inputs, Selection(nothing, read, everywhere=self.pooling == "mean"), how)
        return cache, lengths
