"""Attention between words, compared with the arcs of a dependency treebank.

Clark, Khandelwal, Levy and Manning, "What Does BERT Look At? An Analysis of BERT's Attention", BlackboxNLP 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minibert.data.tokenizer import encode_texts
from minibert.diagnostics.attention.measures import network_and_tokenizer
from minibert.errors import MinibertError

ROOT = -1
"""The head of a word that depends on no other"""
COLUMNS = 10


@dataclass(frozen=True)
class ParsedSentence:
    """Words with their arcs."""

    words: tuple[str, ...]
    heads: tuple[int, ...]
    """For each word, which word it depends on, counted from 0; ROOT for the one that depends on none"""
    relations: tuple[str, ...]
    """The name of each arc, such as ``nsubj``"""


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


def read_conllu(path) -> list[ParsedSentence]:
    """The sentences of a file in CoNLL-U: ten columns a word, split by tabs; an empty line after each sentence.

    Multiword tokens (2-3), empty nodes (2.1) and the part of a relation after a colon are left out.
    Raises :class:`MinibertError` for a file that cannot be read, and for a line that is not in this format.

    Nivre et al., "Universal Dependencies v2", LREC 2020.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MinibertError(
            f"{path}: cannot be read ({error}). Allowed: a file of annotated text in CoNLL-U."
        ) from error
    sentences, words = [], []
    for number, line in enumerate([*lines, ""], start=1):
        if not line.strip():
            if words:
                sentences.append(_sentence(words, f"{path}, line {number - 1}"))
            words = []
        elif not line.startswith("#"):
            columns = line.split("\t")
            if len(columns) != COLUMNS:
                raise MinibertError(
                    f"{path}, line {number}: has {len(columns)} columns. "
                    f"Allowed: {COLUMNS}, split by tabs (CoNLL-U)."
                )
            if columns[0].isdigit():
                words.append((columns[1], columns[6], columns[7]))
    return sentences


def encode_words(tokenizer, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (T,) of [CLS] words [SEP], and the word that each token belongs to (T,), counted from 0, or -1.

    ``tokenizer`` is of the library ``tokenizers``.
    """
    (encoding,) = encode_texts(tokenizer, [list(words)], is_pretokenized=True)
    owners = [-1 if word is None else word for word in encoding.word_ids]
    return np.array(encoding.ids), np.array(owners)


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


def measure_dependency_attention(model, sentences: Sequence[ParsedSentence], tokenizer=None, relation=None):
    """:func:`compute_dependency_attention` of every head of a network, on parsed sentences.    -> arrays (L, H)

    ``model`` is a MiniBERT, with its ``tokenizer``, or a run of :func:`minibert.load_run`, which has both.
    Sentences that are longer than ``max_length``, or have a word without tokens, are left out. The network reads
    one sentence at a time, without dropout. Raises :class:`MinibertError` without a tokenizer, and if no sentence
    with an arc is left.
    """
    model, tokenizer = network_and_tokenizer(model, tokenizer)
    weights, owners, kept = [], [], []
    for sentence in sentences:
        ids, words = encode_words(tokenizer, sentence.words)
        if len(ids) > model.config.max_length or len(np.unique(words[words >= 0])) < len(sentence.words):
            continue
        _, cache = model.forward(ids[None])
        weights.append(np.stack([layer.attention.weights[0] for layer in cache.layers]))
        owners.append(words)
        kept.append(sentence)
    heads, relations = [sentence.heads for sentence in kept], [sentence.relations for sentence in kept]
    return compute_dependency_attention(weights, owners, heads, relations, relation)


def _sentence(words: list[tuple[str, str, str]], place: str) -> ParsedSentence:
    forms, heads, relations = zip(*words, strict=True)
    if not all(head.isdigit() and int(head) <= len(words) for head in heads):
        raise MinibertError(
            f"{place}: a head of this sentence is none of its words. Allowed: 0 (root) to {len(words)}."
        )
    return ParsedSentence(
        forms, tuple(int(head) - 1 for head in heads), tuple(name.split(":")[0] for name in relations)
    )


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
