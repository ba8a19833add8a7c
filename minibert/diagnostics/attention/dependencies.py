"""Attention between words, compared with the arcs of a dependency treebank.

Clark, Khandelwal, Levy and Manning, "What Does BERT Look At? An Analysis of BERT's Attention", BlackboxNLP 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minibert.data.annotated.conllu import ROOT, AnnotatedSentence
from minibert.data.annotated.pieces import pieces_of_words
from minibert.diagnostics.attention.measures import network_and_tokenizer
from minibert.errors import MinibertError


@dataclass(frozen=True)
class DependencyAttention:
    """What :func:`compute_dependency_attention` finds. Arrays have the weights' leading axes, such as (L, H)"""

    to_head_share: np.ndarray
    """Mean attention that a word pays to its head"""
    to_dependent_share: np.ndarray
    """Mean attention that a head pays to its dependent"""
    to_head_accuracy: np.ndarray
    """Share of words that attend more to their head than to any other word"""
    to_dependent_accuracy: np.ndarray
    """Share of words that receive most attention from their head, among all other words"""
    to_head_uniform: float
    """What ``to_head_share`` is under uniform attention"""
    to_dependent_uniform: float
    """What ``to_dependent_share`` is under uniform attention. It differs, because words differ in tokens"""
    offset: int
    """The most frequent distance from a word to its head: -1 is the word before"""
    offset_accuracy: float
    """Share of words with their head at this distance: the baseline of the accuracies"""
    arcs: int
    """Number of arcs in all these means"""


def compute_dependency_attention(attention_weights, word_of_token, heads, relations=None, relation=None):
    """How much of each attention head's weight goes along the arcs of a treebank.    -> DependencyAttention

    Tokens become words as in Clark et al.: attention to a word is summed over its tokens, attention
    from a word is averaged over them. An arc i -> h counts in both directions: a[i, h], from the word to its head,
    and a[h, i], from the head to its dependent. Accuracies ask whether the right word has the most among all other
    words of the sentence, special tokens and the word itself aside: argmaxⱼ a[i, j] = h, and argmaxⱼ a[j, i] = h.

    Parameters
    ----------
    attention_weights : for each sentence, (..., T, T) with the same leading axes, such as (L, H)
    word_of_token : for each sentence, (T,) ints: the word of each token, counted from 0; -1 for special tokens
    heads : for each sentence, (W,) ints: the word that each word depends on, or -1
    relations : for each sentence, W names of arcs; only needed for ``relation``
    relation : count only the arcs of this name, such as ``"nsubj"``

    Raises :class:`MinibertError` for shapes that do not fit, a head that is no word of its sentence, a word
    without tokens, and where there is no arc.
    """
    if relation is not None and relations is None:
        raise MinibertError(f"relations: none were given, and relation={relation!r} asks for them.")
    names = [None] * len(heads) if relations is None else relations
    sums, uniform, offsets = [], np.zeros(2), []
    for weights, owners, parents, arcs in zip(attention_weights, word_of_token, heads, names, strict=True):
        weights, owners, parents = np.asarray(weights, np.float64), np.asarray(owners), np.asarray(parents)
        _check(weights, owners, parents)
        wanted = (parents >= 0) & (np.ones(len(parents), bool) if relation is None else np.array(arcs) == relation)
        if not wanted.any():
            continue
        member = (owners == np.arange(len(parents))[:, None]).astype(np.float64)
        between = (member / member.sum(axis=1, keepdims=True)) @ weights @ member.T
        word = np.flatnonzero(wanted)
        parent = parents[word]
        # A word is never its own head, so it is not a candidate.
        others = np.where(np.eye(len(parents), dtype=bool), -1.0, between)
        sums.append(
            [
                between[..., word, parent].sum(axis=-1),
                between[..., parent, word].sum(axis=-1),
                (others.argmax(axis=-1)[..., word] == parent).sum(axis=-1),
                (others.argmax(axis=-2)[..., word] == parent).sum(axis=-1),
            ]
        )
        uniform += np.array([member[parent].sum(), member[word].sum()]) / len(owners)
        offsets += (parent - word).tolist()
    if not sums:
        what = "arc" if relation is None else f"arc of the relation {relation!r}"
        raise MinibertError(f"heads: no {what} is in these {len(heads)} sentences. Allowed: at least one.")
    count = len(offsets)
    found, times = np.unique(offsets, return_counts=True)
    best = min(zip(-times, np.abs(found), found, strict=True))
    means = np.sum(sums, axis=0) / count
    uniform = (uniform / count).tolist()
    return DependencyAttention(
        to_head_share=means[0],
        to_dependent_share=means[1],
        to_head_accuracy=means[2],
        to_dependent_accuracy=means[3],
        to_head_uniform=uniform[0],
        to_dependent_uniform=uniform[1],
        offset=int(best[2]),
        offset_accuracy=float(-best[0] / count),
        arcs=count,
    )


def measure_dependency_attention(model, sentences: Sequence[AnnotatedSentence], tokenizer=None, relation=None):
    """:func:`compute_dependency_attention` of every head of a network, on a treebank.    -> arrays (L, H)

    ``model`` is a MiniBERT, with its ``tokenizer``, or a run of :func:`minibert.load_run`, which has both.
    Sentences that are longer than ``max_length``, or have a word without tokens, are left out. The network reads
    one sentence at a time, without dropout. Raises :class:`MinibertError` without a tokenizer, and if no sentence
    with an arc is left.
    """
    model, tokenizer = network_and_tokenizer(model, tokenizer)
    split, _ = pieces_of_words(tokenizer, [sentence.words for sentence in sentences], model.config.max_length)
    weights, owners, kept = [], [], []
    for sentence, pieces in zip(sentences, split, strict=True):
        if pieces is None or not pieces.counts.all():
            continue
        _, cache = model.forward(pieces.ids[None])
        weights.append(np.stack([layer.attention.weights[0] for layer in cache.layers]))
        owners.append(pieces.owners)
        kept.append(sentence)
    heads, relations = [sentence.heads for sentence in kept], [sentence.relations for sentence in kept]
    return compute_dependency_attention(weights, owners, heads, relations, relation)


def _check(weights: np.ndarray, owners: np.ndarray, parents: np.ndarray) -> None:
    tokens, words = len(owners), len(parents)
    if weights.ndim < 2 or weights.shape[-2:] != (tokens, tokens):
        raise MinibertError(
            f"attention_weights: shape {weights.shape} was given. "
            f"Allowed: (..., {tokens}, {tokens}), to go with word_of_token."
        )
    if not np.all((parents >= ROOT) & (parents < words)):
        raise MinibertError(
            f"heads: values from {parents.min()} to {parents.max()} were given. "
            f"Allowed: 0 to {words - 1}, and {ROOT} for the root."
        )
    without = np.setdiff1d(np.arange(words), owners)
    if len(without):
        raise MinibertError(
            f"word_of_token: word {without[0]} has no token. Allowed: at least one token for each word."
        )
