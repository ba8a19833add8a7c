"""What the network would predict if it stopped after a layer: the head, applied to that layer's hidden states."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from minibert.diagnostics.plotting.series import place_names
from minibert.errors import MinibertError
from minibert.exploration.sentence import Sentence
from minibert.model.bert import MiniBERT
from minibert.model.caches import ForwardCache
from minibert.model.encoder import final_norm
from minibert.model.heads import mlm_head


@dataclass(frozen=True)
class LayerGuesses:
    """The likeliest tokens at every position, after the embeddings and after every layer; M = L + 1 places."""

    sentence: Sentence
    places: list[str]
    """M names: embeddings, layer_0, ..., of which the last is the prediction of the whole network"""
    ids: np.ndarray
    """(M, T, k): the likeliest first"""
    tokens: list[list[list[str]]]
    """The same as text"""
    probabilities: np.ndarray
    """(M, T, k)"""
    entropies: np.ndarray
    """(M, T) nats: 0 where one token is certain, log V where all are as likely"""
    original_probabilities: np.ndarray
    """(M, T): of the token that stood there before it was masked"""
    original_ranks: np.ndarray
    """(M, T): 1 where it is the likeliest"""

    def __str__(self) -> str:
        lines = []
        for position in self.sentence.masked or range(len(self.sentence.ids)):
            lines.append(f"position {position}, {self.sentence.tokens[position]}")
            for place, tokens, shares in zip(self.places, self.tokens, self.probabilities, strict=True):
                guessed = (f"{t} {p:.3f}" for t, p in zip(tokens[position], shares[position], strict=True))
                lines.append(f"  {place:<12}{', '.join(guessed)}")
        return "\n".join(lines)


def early_exits(model: MiniBERT, cache: ForwardCache) -> Iterator[np.ndarray]:
    """The scores (N, V) after the embeddings and after every layer: z_l = head(norm_final(h_l)).

    The last hidden state of a cache has passed the final norm already, and a post-norm network has none. So the
    last scores are those of the whole network. Layers before the last were never trained for this head: a guess
    that is wrong there need not mean that a layer does not know.

    nostalgebraist, "interpreting GPT: the logit lens", 2020; what it misses: Belrose et al., "Eliciting Latent
    Predictions from Transformers with the Tuned Lens", 2023.
    """
    *inner, last = (states.reshape(-1, states.shape[-1]) for states in cache.hidden_states)
    for states in inner:
        yield mlm_head(final_norm(states, model.params, model.config)[0], model.params, model.config)[0]
    yield mlm_head(last, model.params, model.config)[0]


def guess(model: MiniBERT, tokenizer: Tokenizer, sentence: Sentence, top_k: int) -> LayerGuesses:
    """The ``top_k`` likeliest tokens of the tokenizer, at every place and position.

    Probabilities are over all V rows of the model's table. Raises :class:`MinibertError` for another ``top_k``
    than 1 to the size of the vocabulary, and where scores are not finite.
    """
    known = tokenizer.get_vocab_size()
    if not 1 <= top_k <= known:
        raise MinibertError(f"top_k={top_k}: out of range. Allowed: 1 to {known}.")
    _, cache = model.forward(sentence.ids[None])
    rows = np.arange(len(sentence.ids))
    ids, shares, entropies, originals, ranks = [], [], [], [], []
    for scores in early_exits(model, cache):
        logs = log_softmax(scores)
        best = np.argsort(-logs[:, :known], axis=1, kind="stable")[:, :top_k]
        ids.append(best)
        shares.append(np.exp(np.take_along_axis(logs, best, axis=1)))
        entropies.append(-np.einsum("tv,tv->t", np.exp(logs), logs))
        original = logs[rows, sentence.originals]
        originals.append(np.exp(original))
        ranks.append(1 + (logs > original[:, None]).sum(axis=1))
    tokens = [[[name_of(tokenizer, id) for id in row] for row in place] for place in ids]
    return LayerGuesses(
        sentence,
        place_names(len(ids)),
        np.array(ids),
        tokens,
        np.array(shares),
        np.array(entropies),
        np.array(originals),
        np.array(ranks),
    )


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """log softmax over the last axis, in float64. Raises :class:`MinibertError` for scores that are not finite."""
    if not np.isfinite(scores).all():
        raise MinibertError(
            "The network gives scores that are not finite: its parameters are too large, or NaN. Take an earlier "
            "checkpoint, from before training failed."
        )
    scores = scores.astype(np.float64)
    scores -= scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def name_of(tokenizer: Tokenizer, id: int) -> str:
    """The token of an id; empty where the model's table has more rows than the tokenizer tokens."""
    return tokenizer.id_to_token(int(id)) or ""
