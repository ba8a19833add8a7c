"""What changes when heads are switched off."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from minibert.errors import MinibertError
from minibert.exploration.guesses import log_softmax, name_of
from minibert.exploration.sentence import Sentence
from minibert.model.bert import MiniBERT
from minibert.model.parameters import Parameters

Head = tuple[int, int]
"""Layer and head, from 0"""


@dataclass(frozen=True)
class HeadAblation:
    """The predictions of the whole network and of the one without some heads."""

    sentence: Sentence
    heads: list[Head]
    """Those switched off"""
    before: list[list[tuple[str, float]]]
    """T lists of the likeliest tokens with their probabilities, of the whole network"""
    after: list[list[tuple[str, float]]]
    divergences: np.ndarray
    """(T,) nats: KL(p ‖ p'), p before and p' after"""
    original_before: np.ndarray
    """(T,) log probability of the token that stood there before it was masked, nats"""
    original_after: np.ndarray


@dataclass(frozen=True)
class HeadEffects:
    """What each head does for one prediction."""

    sentence: Sentence
    position: int
    target: str
    log_probability: float
    """log p(target) of the whole network, nats"""
    effects: np.ndarray
    """(L, H) nats: log p(target) less what it is without that head alone; positive where the head helps"""
    divergences: np.ndarray
    """(L, H) nats: KL(p ‖ p') at the position, without that head alone"""


def without_heads(model: MiniBERT, heads: Iterable[Head]) -> MiniBERT:
    """The same network without the outputs of some heads: their rows of W_O are zero, in a copy of the parameters.

    y = Σ_h C_h W_O[h] + b, so that a head whose rows are zero adds nothing, whatever it attends to. Michel, Levy
    and Neubig, "Are Sixteen Heads Really Better than One?", NeurIPS 2019. Other layers read what is left; that a
    head matters little alone does not say that it does nothing: another may take its place.

    Raises :class:`MinibertError` for a head that is not there.
    """
    ablated = copy.copy(model)
    ablated.params = Parameters(model.params.layout, model.config.dtype, model.params.vector.copy())
    for head in checked_heads(model, heads):
        _output_rows(ablated, head)[...] = 0
    return ablated


def checked_heads(model: MiniBERT, heads: Iterable[Any]) -> list[Head]:
    """Pairs of layer and head, each once, in order. Raises :class:`MinibertError` for one that is not there."""
    layers, count = model.config.layers, model.config.heads
    found = set()
    for given in heads:
        pair = tuple(given) if isinstance(given, list | tuple | np.ndarray) else (given,)
        numbers = all(isinstance(each, int | np.integer) and not isinstance(each, bool) for each in pair)
        if len(pair) != 2 or not numbers or not (0 <= pair[0] < layers and 0 <= pair[1] < count):
            raise MinibertError(
                f"heads: {given!a:.60} is not there. Allowed: pairs of a layer from 0 to {layers - 1} and a head "
                f"from 0 to {count - 1}, such as (0, 0)."
            )
        found.add((int(pair[0]), int(pair[1])))
    return sorted(found)


def ablate(
    model: MiniBERT, tokenizer: Tokenizer, sentence: Sentence, heads: Iterable[Head], top_k: int
) -> HeadAblation:
    """Predictions at every position with and without the heads."""
    heads = checked_heads(model, heads)
    before, after = _log_shares(model, sentence), _log_shares(without_heads(model, heads), sentence)
    rows = np.arange(len(sentence.ids))
    return HeadAblation(
        sentence,
        heads,
        _likeliest(before, tokenizer, top_k),
        _likeliest(after, tokenizer, top_k),
        _divergences(before, after),
        before[rows, sentence.originals],
        after[rows, sentence.originals],
    )


def effects_of_heads(
    model: MiniBERT, tokenizer: Tokenizer, sentence: Sentence, position: int, target: int
) -> HeadEffects:
    """One pass for each head, without it, of which the last layer computes the position alone."""
    whole = _log_shares(model, sentence, position)[0]
    ablated = without_heads(model, ())
    shape = (model.config.layers, model.config.heads)
    effects, divergences = np.zeros(shape), np.zeros(shape)
    for head in np.ndindex(shape):
        rows = _output_rows(ablated, head)
        kept = rows.copy()
        rows[...] = 0
        without = _log_shares(ablated, sentence, position)[0]
        rows[...] = kept
        effects[head] = whole[target] - without[target]
        divergences[head] = _divergences(whole[None], without[None])[0]
    return HeadEffects(sentence, position, name_of(tokenizer, target), float(whole[target]), effects, divergences)


def _output_rows(model: MiniBERT, head: Head) -> np.ndarray:
    """The rows (K, D) of W_O that read a head, a view."""
    size = model.config.hidden_size // model.config.heads
    layer, number = head
    return model.params[f"layers.{layer}.attention.output.weight"][number * size : (number + 1) * size]


def _log_shares(model: MiniBERT, sentence: Sentence, position: int | None = None) -> np.ndarray:
    """log p (T, V), or (1, V) at one position"""
    predicted = np.ones((1, len(sentence.ids)), bool)
    if position is not None:
        predicted = np.arange(len(sentence.ids))[None] == position
    return log_softmax(model.forward(sentence.ids[None], predicted=predicted)[0])


def _divergences(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """KL(p ‖ p') of rows of log probabilities; rounding may give a tiny negative number."""
    return np.maximum(np.einsum("tv,tv->t", np.exp(before), before - after), 0)


def _likeliest(logs: np.ndarray, tokenizer: Tokenizer, top_k: int) -> list[list[tuple[str, float]]]:
    known = tokenizer.get_vocab_size()
    if not 1 <= top_k <= known:
        raise MinibertError(f"top_k={top_k}: out of range. Allowed: 1 to {known}.")
    best = np.argsort(-logs[:, :known], axis=1, kind="stable")[:, :top_k]
    return [
        [(name_of(tokenizer, id), float(np.exp(row[id]))) for id in ids]
        for row, ids in zip(logs, best, strict=True)
    ]
