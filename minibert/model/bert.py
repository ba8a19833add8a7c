"""MiniBERT: embeddings, encoder and masked-language-model head as one function with its gradient."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from minibert.config import ModelConfig, validate
from minibert.errors import MinibertError
from minibert.model.attention import attention_bias
from minibert.model.auxiliary_heads import AuxiliaryTask, Measured, auxiliary_head_blocks, auxiliary_losses
from minibert.model.dropout import DropoutMasks
from minibert.model.embeddings import EmbeddingsCache, embeddings, embeddings_backward, embeddings_blocks
from minibert.model.encoder import (
    LayerCache,
    encoder_blocks,
    final_norm,
    final_norm_backward,
    layer,
    layer_backward,
)
from minibert.model.heads import HeadCache, mlm_head, mlm_head_backward, mlm_head_blocks, predicted_rows
from minibert.model.initializers import initialize
from minibert.model.memory import refuse_what_does_not_fit
from minibert.model.norms import NormCache
from minibert.model.ops import cross_entropy
from minibert.model.parameters import Gradients, Layout, Parameters
from minibert.model.positions import build_positions
from minibert.model.pretrained import load_pretrained, save_pretrained
from minibert.model.workspace import NEW_ARRAYS

IGNORED = -100
"""The label of a position where nothing is predicted."""


@dataclass
class ForwardCache:
    """Everything a forward pass computed that its backward pass needs, and that a reader may want to see."""

    embeddings: EmbeddingsCache
    layers: "list[LayerCache | RecomputedLayer]"
    final_norm: NormCache | None
    head: HeadCache
    hidden_states: list[np.ndarray]
    """L + 1 arrays (B, T, D): after the embeddings and after every layer. The last is what the head reads,
    after the final norm; where only predictions are scored it is (B, R, D), the rows that were computed."""
    chosen: np.ndarray | None
    """(B, R) bool: which of the last layer's rows are read; None when all are"""
    asked: np.ndarray | None
    """(B, T) bool: the positions that heads read, where some are read by auxiliary heads only; else None"""
    read: np.ndarray
    """(U, D): the final hidden states at the positions that heads read"""
    predicted: np.ndarray | None
    """(U,) bool: which of these the MLM head scores; None when it scores all"""

    def layer(self, index: int, work=NEW_ARRAYS) -> LayerCache:
        """The cache of a layer, computed again where activations are checkpointed."""
        kept = self.layers[index]
        return kept(work) if isinstance(kept, RecomputedLayer) else kept


class RecomputedLayer(NamedTuple):
    """What stands in for a layer's cache when activations are checkpointed: the means to compute it again.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
    """

    compute: Callable
    masks: DropoutMasks | None
    draws: int
    """How many masks had been drawn before the layer, so that it draws the same again"""

    def __call__(self, work) -> LayerCache:
        if self.masks is not None:
            self.masks.rewind(self.draws)
        return self.compute(masks=self.masks, work=work)[1]


class MiniBERT:
    """A BERT encoder with a masked-language-model head.

    ``model.params["layers.0.attention.query.weight"]`` is a view of the flat ``model.params.vector``.

    Raises :class:`MinibertError` for a configuration that makes no network.
    """

    def __init__(self, config: ModelConfig, seed: int = 0, log_frequencies: np.ndarray | None = None):
        """``log_frequencies`` (V,), log unigram frequencies, are where the output bias starts (else zero)."""
        validate(config, "model.")
        refuse_what_does_not_fit(config)
        self.config = config
        self.position = build_positions(config)
        blocks = (
            embeddings_blocks(config, self.position)
            + encoder_blocks(config, self.position)
            + mlm_head_blocks(config)
        )
        blocks += auxiliary_head_blocks(config)
        self.params = Parameters(Layout(blocks), config.dtype)
        initialize(self.params, config, seed)
        if log_frequencies is not None and config.output_bias == "unigram":
            self.params["mlm_head.bias"] = log_frequencies

    @classmethod
    def from_pretrained(cls, folder) -> "MiniBERT":
        """The encoder in a folder of ``transformers`` (:func:`minibert.model.pretrained.load_pretrained`)."""
        return load_pretrained(folder, cls)

    def save_pretrained(self, folder, tokenizer=None) -> None:
        """Write what ``AutoModelForMaskedLM.from_pretrained`` reads; with a tokenizer, ``AutoTokenizer``, too.

        Auxiliary heads are left out: they were for training.
        """
        left_out = tuple(f"{name}_head." for name in self.config.auxiliary_heads)
        params = {name: array for name, array in self.params.items() if not name.startswith(left_out)}
        save_pretrained(folder, replace(self.config, auxiliary_heads=[]), params, tokenizer)

    def forward(
        self,
        input_ids,
        attention_mask=None,
        segment_ids=None,
        *,
        position_ids=None,
        predicted=None,
        also=None,
        masks=None,
        work=NEW_ARRAYS,
        checkpoint_activations=False,
        everywhere=False,
    ):
        """Scores over the vocabulary.

        Parameters
        ----------
        input_ids : (B, T) ints
        attention_mask : (B, T) bool, True at real tokens, or (B, T, T) bool, True where i may look at j; or None
        segment_ids : (B, T) ints, for a model with segment embeddings
        position_ids : (B, T) ints; None is 0 to T - 1 in every row
        predicted : (B, T) bool; only these positions are scored, and the last layer computes no others
        also : (B, T) bool, beside ``predicted``: further positions that are computed, for auxiliary heads
        masks : DropoutMasks; None switches dropout off
        work : where arrays come from
        checkpoint_activations : keep only the layers' inputs; the backward pass computes the rest again, to the
            same bits: less memory, and one more forward pass
        everywhere : compute the last layer at all positions, even where only some are scored

        Returns
        -------
        logits : (B, T, V), or (P, V) for P predicted positions in row-major order
        cache : ForwardCache
        """
        config, params = self.config, self.params
        input_ids = np.asarray(input_ids)
        if input_ids.ndim != 2 or not np.issubdtype(input_ids.dtype, np.integer):
            raise MinibertError(
                f"input_ids: shape {input_ids.shape} and type {input_ids.dtype} were given. "
                "Allowed: integers of shape (batch, tokens)."
            )
        batch, tokens = input_ids.shape
        if not input_ids.size:
            raise MinibertError(f"input_ids: shape {input_ids.shape} was given. Allowed: at least one token.")
        if attention_mask is not None:
            attention_mask = np.asarray(attention_mask, bool)
            _check_shape("attention_mask", attention_mask, (batch, tokens), (batch, tokens, tokens))
        if segment_ids is not None:
            segment_ids = np.asarray(segment_ids)
            _check_shape("segment_ids", segment_ids, (batch, tokens))
        if position_ids is not None:
            position_ids = np.asarray(position_ids)
            _check_shape("position_ids", position_ids, (batch, tokens))
        bias = attention_bias(attention_mask, config.dtype)
        places = self.position.places(position_ids, batch, tokens, bias, params)
        rows = chosen = None
        if predicted is not None:
            predicted = np.asarray(predicted, bool)
            _check_shape("predicted", predicted, (batch, tokens))
            chosen = predicted if also is None else predicted | also
            if not everywhere:
                rows, chosen = predicted_rows(chosen)

        x, embeddings_cache = embeddings(
            input_ids, segment_ids, params, config, self.position, masks, work, position_ids
        )
        hidden_states = [x.reshape(batch, tokens, -1)]
        layers = []
        for index in range(config.layers):
            asking = rows if index == config.layers - 1 else None
            compute = partial(layer, x, batch, f"layers.{index}", params, config, bias, asking, places=places)
            if checkpoint_activations:
                layers.append(RecomputedLayer(compute, masks, masks.draws if masks else 0))
                x = work.empty((len(x) if asking is None else asking.size, config.hidden_size), x.dtype)
                with work.scratch():
                    x[...] = compute(masks=masks, work=work)[0]
            else:
                x, cache = compute(masks=masks, work=work)
                layers.append(cache)
            hidden_states.append(x.reshape(batch, -1, config.hidden_size))
        x, norm_cache = final_norm(x, params, config, work)
        hidden_states[-1] = x.reshape(batch, -1, config.hidden_size)
        if chosen is not None and not chosen.all():
            x = x[chosen.reshape(-1)]
        read, asked, scored = x, None, None
        if also is not None:
            asked = predicted | also
            scored = predicted[asked]
            x = read[scored]
        logits, head_cache = mlm_head(x, params, config, work)
        if predicted is None:
            logits = logits.reshape(batch, tokens, -1)
        cache = ForwardCache(
            embeddings_cache, layers, norm_cache, head_cache, hidden_states, chosen, asked, read, scored
        )
        return logits, cache

    def backward(
        self, dlogits, cache: ForwardCache, grads: Gradients | None = None, work=NEW_ARRAYS, dread=None
    ) -> Gradients:
        """The gradient of the loss with respect to every parameter, added to ``grads`` (a new set if None).

        ``dlogits`` has the shape of the logits of the forward pass that gave ``cache``; ``dread`` (U, D), what
        auxiliary heads add to the gradient with respect to ``cache.read``, is written over.
        """
        config, params = self.config, self.params
        grads = Gradients(params.layout, config.dtype) if grads is None else grads
        input_ids = cache.embeddings.input_ids
        with work.scratch():
            full = work.empty((input_ids.size, config.hidden_size), config.dtype)
            computed = cache.hidden_states[-1]
            dx = full[: computed.shape[0] * computed.shape[1]]
            with work.scratch():
                dhead = mlm_head_backward(dlogits.reshape(-1, config.vocab_size), cache.head, params, grads, work)
                if dread is not None:
                    dread[cache.predicted] += dhead
                    dhead = dread
                dhead = self._unchoose(dhead, cache.chosen)
                dx[...] = final_norm_backward(dhead, cache.final_norm, params, grads, work)
            for index in reversed(range(config.layers)):
                # Memory of one layer's backward pass serves the next: only the gradient itself is carried on.
                with work.scratch():
                    full[...] = layer_backward(
                        dx,
                        cache.layer(index, work),
                        len(input_ids),
                        f"layers.{index}",
                        params,
                        config,
                        grads,
                        work,
                    )
                dx = full
            embeddings_backward(dx, cache.embeddings, params, grads, self.position, work)
        grads.fill_untouched()
        return grads

    def loss_and_gradients(
        self,
        input_ids,
        labels,
        attention_mask=None,
        segment_ids=None,
        *,
        position_ids=None,
        grads=None,
        count=None,
        masks=None,
        work=NEW_ARRAYS,
        checkpoint_activations=False,
        auxiliary: Mapping[str, AuxiliaryTask] | None = None,
        measured: Measured | None = None,
        everywhere: bool = False,
        caches: list | None = None,
    ):
        """Masked cross-entropy, computed at predicted positions only, and its gradients.

        loss = -1/P Σ log softmax(logits)[label] over the P positions whose label is not -100; in nats.

        ``count`` replaces P where the batch is a part of a larger one, so that parts sum to the whole.
        No prediction at all gives loss 0 and zero gradients.

        ``auxiliary`` names tasks of the network's auxiliary heads, whose weighted losses are added
        (:func:`minibert.model.auxiliary_heads.auxiliary_losses`). To ``measured``, loss and right predictions of
        ``"mlm"`` and of each task are added.

        With ``everywhere``, the last layer is computed at all positions, for whoever wants to look at it; neither loss nor
        gradients depend on it, but for rounding. The forward pass's cache is appended to ``caches``.
        """
        also = None
        if auxiliary:
            also = np.logical_or.reduce([task.labels >= 0 for task in auxiliary.values()])
        logits, targets, cache = self._score_predictions(
            input_ids,
            labels,
            attention_mask,
            segment_ids,
            position_ids,
            masks,
            work,
            checkpoint_activations,
            also,
            everywhere,
        )
        if caches is not None:
            caches.append(cache)
        measures = measured is not None and len(targets)
        hits = int((logits.argmax(axis=1) == targets).sum()) if measures else 0
        loss, dlogits = cross_entropy(logits, targets, max(len(targets), 1) if count is None else count)
        if measures:
            measured.add("mlm", loss, hits, len(targets))
        if not auxiliary:
            return loss, self.backward(dlogits, cache, grads, work)
        grads = Gradients(self.params.layout, self.config.dtype) if grads is None else grads
        more, dread = auxiliary_losses(cache.read, cache.asked, auxiliary, self.params, grads, measured, work)
        return loss + more, self.backward(dlogits, cache, grads, work, dread)

    def score(
        self, input_ids, labels, attention_mask=None, segment_ids=None, *, position_ids=None, work=NEW_ARRAYS
    ):
        """Logits (P, V) and labels (P,) at the predicted positions, without dropout: for evaluation."""
        logits, targets, _ = self._score_predictions(
            input_ids, labels, attention_mask, segment_ids, position_ids, None, work
        )
        return logits, targets

    def _score_predictions(
        self,
        input_ids,
        labels,
        attention_mask,
        segment_ids,
        position_ids,
        masks,
        work,
        checkpoint_activations=False,
        also=None,
        everywhere=False,
    ):
        labels = np.asarray(labels)
        if not np.issubdtype(labels.dtype, np.integer):
            raise MinibertError(f"labels: type {labels.dtype} was given. Allowed: integers.")
        _check_shape("labels", labels, np.shape(input_ids))
        predicted = labels != IGNORED
        targets = labels[predicted]
        if targets.size and not (targets.min() >= 0 and targets.max() < self.config.vocab_size):
            raise MinibertError(
                f"labels: values from {targets.min()} to {targets.max()} were given. "
                f"Allowed: 0 to {self.config.vocab_size - 1}, and {IGNORED} where nothing is predicted."
            )
        logits, cache = self.forward(
            input_ids,
            attention_mask,
            segment_ids,
            position_ids=position_ids,
            predicted=predicted,
            also=also,
            masks=masks,
            work=work,
            checkpoint_activations=checkpoint_activations,
            everywhere=everywhere,
        )
        return logits, targets, cache

    @staticmethod
    def _unchoose(dx, chosen):
        """Put the gradients of the scored rows back among the rows that the last layer computed."""
        if chosen is None or chosen.all():
            return dx
        full = np.zeros((chosen.size, dx.shape[1]), dx.dtype)
        full[chosen.reshape(-1)] = dx
        return full


def _check_shape(name: str, array: np.ndarray, *allowed: tuple[int, ...]) -> None:
    if array.shape not in allowed:
        shapes = " or ".join(map(str, allowed))
        raise MinibertError(f"{name}: shape {array.shape} was given. Allowed: {shapes}, to go with input_ids.")
