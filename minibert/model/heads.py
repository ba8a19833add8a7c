"""The masked-language-model head: hidden states to scores over the vocabulary."""

from typing import NamedTuple

import numpy as np

from minibert.config import ModelConfig
from minibert.model.feed_forward import head_activation
from minibert.model.norms import NormCache, norm, norm_backward, norm_blocks
from minibert.model.ops import activation, activation_backward, column_sums, linear, linear_backward
from minibert.model.parameters import Block, linear_blocks
from minibert.model.words import WordSample
from minibert.model.workspace import NEW_ARRAYS


class HeadCache(NamedTuple):
    input: np.ndarray
    """(P, D): the hidden states that are scored"""
    slope: np.ndarray
    """(P, D): slope of the activation"""
    norm: NormCache
    transformed: np.ndarray
    """(P, D): what is compared with the token embeddings, or with output weights of their own"""
    output_weight: np.ndarray
    """(D, V), or (D, S) of the words that are scored"""
    words: WordSample | None
    """None: all are scored"""


def mlm_head_blocks(config: ModelConfig) -> list[Block]:
    size = config.hidden_size
    return [
        *linear_blocks("mlm_head.transform", size, size, config.head_bias),
        *norm_blocks("mlm_head.norm", config),
        *([] if config.tie_word_embeddings else [Block("mlm_head.weight", (size, config.vocab_size))]),
        *([Block("mlm_head.bias", (config.vocab_size,))] if config.decoder_bias else []),
    ]


def predicted_rows(predicted):
    """Which positions the last layer computes when only some are predicted.

    predicted (B, T) bool -> rows (B, R) with R the largest number of predictions in a sequence, and chosen
    (B, R) bool. A sequence with fewer predictions is filled up with positions that are not chosen.
    """
    count = int(predicted.sum(axis=1).max(initial=0))
    rows = np.argsort(~predicted, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(predicted, rows, axis=1)


def output_weight(params, words: WordSample | None = None, work=NEW_ARRAYS):
    """(D, V): U, or the transpose of the token embeddings where these are used for both; (D, S) of some words"""
    untied = "mlm_head.weight" in params
    weight = params["mlm_head.weight"] if untied else params["embeddings.token.weight"]
    if words is not None:
        axis, count, size = int(untied), len(words.ids), weight.shape[1 - int(untied)]
        shape = (size, count) if untied else (count, size)
        weight = np.take(weight, words.ids, axis, out=work.empty(shape, weight.dtype), mode="clip")
    return weight if untied else weight.T


def mlm_head(x, params, config: ModelConfig, work=NEW_ARRAYS, words: WordSample | None = None):
    """logits = norm(f(x W + b)) Eᵀ + c, E the token embeddings: the output weights are tied to them.

    Untied, logits = norm(f(x W + b)) U + c with U (D, V), ``mlm_head.weight``, a matrix of its own.

    Of a sample of S words, s = logits - log π (:class:`minibert.model.words.WordSample`).

    x (P, D) -> logits (P, V), or (P, S).  Devlin et al., 2019; tied: Press and Wolf, EACL 2017; untied: Chung et
    al., "Rethinking Embedding Coupling in Pre-trained Language Models", ICLR 2021.
    """
    hidden, _ = linear(x, params["mlm_head.transform.weight"], params.get("mlm_head.transform.bias"), work)
    active, slope = activation(hidden, head_activation(config), work)
    transformed, norm_cache = norm(active, "mlm_head.norm", params, config, work)
    weight, bias = output_weight(params, words, work), params.get("mlm_head.bias")
    if words is not None:
        bias = words.raised if bias is None else bias[words.ids] + words.raised
    logits, _ = linear(transformed, weight, bias, work)
    return logits, HeadCache(x, slope, norm_cache, transformed, weight, words)


def mlm_head_backward(dlogits, cache: HeadCache, params, grads, work=NEW_ARRAYS):
    """dE += dlogitsᵀ h, or dU += hᵀ dlogits; dc += Σ dlogits, and back through norm, activation and transform"""
    untied, h = "mlm_head.weight" in params, cache.transformed
    name, left, right = ("mlm_head.weight", h.T, dlogits) if untied else ("embeddings.token.weight", dlogits.T, h)
    if cache.words is None:
        grads.add_product(name, left, right)
        if "mlm_head.bias" in params:
            grads.add("mlm_head.bias", column_sums(dlogits))
    else:
        ids = cache.words.ids
        product = np.matmul(left, right, out=work.empty((len(left), right.shape[1]), dlogits.dtype))
        grads.add_where(name, (slice(None), ids) if untied else ids, product)
        if "mlm_head.bias" in params:
            grads.add_where("mlm_head.bias", ids, column_sums(dlogits))
    dx = np.matmul(dlogits, cache.output_weight.T, out=work.empty(cache.transformed.shape, dlogits.dtype))
    dx = norm_backward(dx, cache.norm, "mlm_head.norm", params, grads, work)
    dx = activation_backward(dx, cache.slope)
    return linear_backward(dx, cache.input, "mlm_head.transform", params, grads, work)
