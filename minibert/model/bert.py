"""MiniBERT: embeddings, encoder and masked-language-model head as one function with its gradient."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from minibert.config import ModelConfig, validate
from minibert.errors import MinibertError, shown
from minibert.model.attention import attention_bias
from minibert.model.auxiliary_heads import AuxiliaryTask, auxiliary_head_blocks, auxiliary_losses
from minibert.model.caches import ForwardCache, RecomputedLayer
from minibert.model.embeddings import embeddings, embeddings_backward, embeddings_blocks
from minibert.model.encoder import encoder_blocks, final_norm, final_norm_backward, layer, layer_backward
from minibert.model.heads import mlm_head, mlm_head_backward, mlm_head_blocks, predicted_rows
from minibert.model.initializers import initialize
from minibert.model.memory import refuse_what_does_not_fit
from minibert.model.ops import cross_entropy
from minibert.model.parameters import Gradients, Layout, Parameters
from minibert.model.passes import (
    ALL_ROWS,
    DEFAULT_PASS,
    IGNORED,
    Inputs,
    Pass,
    Selection,
    Targets,
)
from minibert.model.positions import build_positions
from minibert.model.pretrained import load_pretrained, save_pretrained
from minibert.model.windows import is_local, windowed
from minibert.model.workspace import NEW_ARRAYS
from minibert.randomness import require_seed

__all__ = ["IGNORED", "ForwardCache", "MiniBERT"]


class MiniBERT:
    """A BERT encoder with a masked-language-model head.

    ``model.params["layers.0.attention.query.weight"]`` is a view of the flat ``model.params.vector``.

    Raises :class:`MinibertError` for a configuration that makes no network, a seed that is none, and frequencies
    of other than the tokens of the vocabulary.
    """

    def __init__(self, config: ModelConfig, seed: int = 0, log_frequencies: np.ndarray | None = None):
        """``log_frequencies`` (V,), log unigram frequencies, are where the output bias starts (else zero)."""
        if not isinstance(config, ModelConfig):
            raise MinibertError(f"config: {shown(config)} was given. Allowed: a ModelConfig.")
        require_seed(seed)
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
        start = None if log_frequencies is None else _as_frequencies(log_frequencies, config.vocab_size)
        if start is not None and config.decoder_bias and config.output_bias == "unigram":
            self.params["mlm_head.bias"] = start

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
        everywhere: bool = False,
        **how: Any,
    ):
        """Scores over the vocabulary.

        Parameters
        ----------
        input_ids : (B, T) ints
        attention_mask : (B, T) bool, True at real tokens, or (B, T, T) bool, True where i may attend to j; or None
        segment_ids : (B, T) ints, for a model with segment embeddings
        position_ids : (B, T) ints; None is 0 to T - 1 in every row
        predicted : (B, T) bool; only these positions are scored, and the last layer computes no others
        everywhere : compute the last layer at all positions, even where only some are scored
        how : fields of :class:`minibert.model.passes.Pass`, such as ``masks`` (dropout) and ``work`` (arrays)

        Returns
        -------
        logits : (B, T, V), or (P, V) for P predicted positions in row-major order
        cache : ForwardCache
        """
        inputs = Inputs(input_ids, attention_mask, segment_ids, position_ids)
        return self.forward_pass(inputs, Selection(predicted, None, everywhere), Pass(**how))

    def forward_pass(self, inputs: Inputs, selection: Selection = ALL_ROWS, how: Pass = DEFAULT_PASS):
        """:meth:`forward` of inputs and a selection. Returns logits and the cache.

        Raises :class:`MinibertError` for arrays that do not fit each other or the network.
        """
        config, params, work = self.config, self.params, how.work
        inputs = inputs.checked()
        batch, tokens = inputs.ids.shape
        bias = attention_bias(inputs.mask, config.dtype)
        places = self.position.places(inputs.positions, batch, tokens, bias, params)
        seen = [(bias, places)] * config.layers
        if config.attention_window is not None:
            mask = windowed(inputs.mask, inputs.positions, tokens, bias, config)
            turned = self.position.local_places(places, inputs.positions, tokens)
            local = attention_bias(mask, config.dtype), turned
            seen = [local if is_local(index, config) else seen[index] for index in range(config.layers)]
        selection = selection.checked((batch, tokens))
        rows, chosen = None, selection.read
        if chosen is not None and not selection.everywhere:
            rows, chosen = predicted_rows(chosen)

        x, embeddings_cache = embeddings(inputs, params, config, self.position, how.masks, work)
        hidden_states, layers = [x.reshape(batch, tokens, -1)], []
        room = work.empty(x.shape, x.dtype)
        ends = [work.used]
        for index, (bias, places) in enumerate(seen):
            asking = rows if index == config.layers - 1 else None
            compute = partial(layer, x, batch, f"layers.{index}", params, config, bias, asking, places=places)
            if how.checkpoint_activations:
                layers.append(RecomputedLayer(compute, how.masks, how.masks.draws if how.masks else 0))
                x = work.empty((len(x) if asking is None else asking.size, config.hidden_size), x.dtype)
                with work.scratch():
                    x[...] = compute(masks=how.masks, work=work)[0]
            else:
                x, cache = compute(masks=how.masks, work=work)
                layers.append(cache)
            hidden_states.append(x.reshape(batch, -1, config.hidden_size))
            ends.append(work.used)
        x, norm_cache = final_norm(x, params, config, work)
        hidden_states[-1] = x.reshape(batch, -1, config.hidden_size)
        if chosen is not None and not chosen.all():
            x = x[chosen.reshape(-1)]
        read, asked, scored = x, None, None
        if selection.predicted is not None and selection.asked is not None:
            asked = selection.predicted | selection.asked
            scored = selection.predicted[asked]
            x = read[scored]
        logits, head_cache = mlm_head(x, params, config, work, selection.words)
        if selection.predicted is None:
            logits = logits.reshape(batch, tokens, -1)
        return logits, ForwardCache(
            embeddings_cache,
            layers,
            norm_cache,
            head_cache,
            hidden_states,
            chosen,
            asked,
            read,
            scored,
            inputs.sequences,
            room,
            ends,
        )

    def backward(
        self,
        dlogits,
        cache: ForwardCache,
        grads: Gradients | None = None,
        work=NEW_ARRAYS,
        dread=None,
        spend: bool = False,
    ) -> Gradients:
        """The gradient of the loss with respect to every parameter, added to ``grads`` (a new set if None).

        ``dlogits`` has the shape of the logits of the forward pass that gave ``cache``; ``dread`` (U, D), what
        auxiliary heads add to the gradient with respect to ``cache.read``, is written over. With ``spend``, the
        memory of each layer's cache serves the backward pass of the layers below it.
        """
        config, params = self.config, self.params
        grads = Gradients(params.layout, config.dtype) if grads is None else grads
        input_ids = cache.embeddings.input_ids
        with work.scratch():
            full = cache.room
            computed = cache.hidden_states[-1]
            dx = full[: computed.shape[0] * computed.shape[1]]
            with work.scratch():
                dhead = mlm_head_backward(dlogits.reshape(-1, dlogits.shape[-1]), cache.head, params, grads, work)
                if dread is not None:
                    dread[cache.predicted] += dhead
                    dhead = dread
                dhead = self._unchoose(dhead, cache.chosen)
                dx[...] = final_norm_backward(dhead, cache.final_norm, params, grads, work)
            for index in reversed(range(config.layers)):
                # Memory of one layer's backward pass serves the next: only the gradient itself is carried on.
                with work.scratch(cache.ends[index + 1] if spend else None):
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
        auxiliary: Mapping[str, AuxiliaryTask] | None = None,
        count: int | None = None,
        grads: Gradients | None = None,
        **how: Any,
    ):
        """Masked cross-entropy, computed at predicted positions only, and its gradients.

        loss = -1/P Σ log softmax(logits)[label] over the P positions whose label is not -100; in nats.

        ``count`` replaces P where the batch is a part of a larger one, so that parts sum to the whole.
        No prediction at all gives loss 0 and zero gradients. Gradients are added to ``grads`` (a new set if None).

        ``auxiliary`` names tasks of the network's auxiliary heads, whose weighted losses are added
        (:func:`minibert.model.auxiliary_heads.auxiliary_losses`). ``how`` are fields of
        :class:`minibert.model.passes.Pass`, such as ``masks`` (dropout) and ``work`` (arrays).
        """
        inputs = Inputs(input_ids, attention_mask, segment_ids, position_ids)
        return self.gradient_pass(inputs, Targets(labels, auxiliary or {}, count), ALL_ROWS, Pass(**how), grads)

    def gradient_pass(
        self,
        inputs: Inputs,
        targets: Targets,
        selection: Selection = ALL_ROWS,
        how: Pass = DEFAULT_PASS,
        grads: Gradients | None = None,
    ) -> tuple[float, Gradients]:
        """:meth:`loss_and_gradients` of inputs and targets. The targets say which rows are predicted and asked.

        With ``selection.words``, loss and gradients are those of the softmax over that sample, and a prediction
        counts as right where its score, raised by -log π, is the best of the sample.
        """
        logits, labels, cache = self._score_predictions(inputs, targets, selection, how)
        if how.caches is not None:
            how.caches.append(cache)
        measured = how.measured if len(labels) else None
        hits = 0 if measured is None else int((logits.argmax(axis=1) == labels).sum())
        count = max(len(labels), 1) if targets.count is None else targets.count
        loss, dlogits = cross_entropy(logits, labels, count)
        if measured is not None:
            measured.add("mlm", loss, hits, len(labels))
        if not targets.auxiliary:
            return loss, self.backward(dlogits, cache, grads, how.work, spend=how.caches is None)
        grads = Gradients(self.params.layout, self.config.dtype) if grads is None else grads
        more, dread = auxiliary_losses(
            cache.read, cache.asked, targets.auxiliary, self.params, grads, how.measured, how.work
        )
        return loss + more, self.backward(dlogits, cache, grads, how.work, dread, how.caches is None)

    def score(
        self, input_ids, labels, attention_mask=None, segment_ids=None, *, position_ids=None, work=NEW_ARRAYS
    ):
        """Logits (P, V) and labels (P,) at the predicted positions, without dropout: for evaluation."""
        inputs = Inputs(input_ids, attention_mask, segment_ids, position_ids)
        return self._score_predictions(inputs, Targets(labels), ALL_ROWS, Pass(work=work))[:2]

    def _score_predictions(self, inputs: Inputs, targets: Targets, selection: Selection, how: Pass):
        """Logits (P, V) and labels (P,) at the predicted positions, both among the words of the selection, and the
        cache."""
        predicted, labels = targets.predicted(np.shape(inputs.ids), self.config.vocab_size)
        selection = selection._replace(predicted=predicted, asked=targets.asked)
        logits, cache = self.forward_pass(inputs, selection, how)
        return logits, labels if selection.words is None else selection.words.places(labels), cache

    @staticmethod
    def _unchoose(dx, chosen):
        """Put the gradients of the scored rows back among the rows that the last layer computed."""
        if chosen is None or chosen.all():
            return dx
        full = np.zeros((chosen.size, dx.shape[1]), dx.dtype)
        full[chosen.reshape(-1)] = dx
        return full


def _as_frequencies(given: Any, vocab_size: int) -> np.ndarray:
    """(V,) float64. Raises :class:`MinibertError` for anything but one finite number a token."""
    try:
        found = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (vocab_size,) or not np.isfinite(found).all():
        told = f"an array of shape {given.shape}" if isinstance(given, np.ndarray) else shown(given)
        raise MinibertError(
            f"log_frequencies: {told} was given. Allowed: an array of shape ({vocab_size},), a finite number "
            "for each token of model.vocab_size."
        )
    return found
