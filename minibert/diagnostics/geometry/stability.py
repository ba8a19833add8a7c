"""Stability: how much a text's representation changes under small changes of the text or the network."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tokenizers import Tokenizer

from minibert.data.tokenizer import encode_texts
from minibert.diagnostics.geometry.measures import compute_anisotropy, place_names
from minibert.diagnostics.geometry.perturbations import SENTENCES, TEXT_CHANGES
from minibert.errors import MinibertError, unknown_name
from minibert.model.bert import MiniBERT
from minibert.model.dropout import DropoutMasks
from minibert.randomness import generator

DROPOUT = "dropout"
PERTURBATIONS = (*TEXT_CHANGES, DROPOUT)
"""Names of the built-in perturbations: typos, case, synonym, dropout."""
POOLINGS = ("mean", "first")
ALL_ALIKE = 1e-6
"""If different texts differ by less than this in cosine, stability is undefined."""


@dataclass(frozen=True)
class Stability:
    """The effect of one perturbation on the representations at one place."""

    cosine: float
    """Mean cosine of a text with its perturbed self, over the texts whose tokens changed; 1 where none did"""
    baseline: float
    """Mean cosine of two different texts, unperturbed"""
    stability: float
    """(cosine - baseline) / (1 - baseline): 1 when nothing changes, 0 when the perturbed text is as far off as any
    other; NaN where all texts are represented alike"""
    changed: float
    """Share of the texts that were changed"""


def measure_representation_stability(
    model,
    perturbations: Iterable[str] | Mapping[str, Callable[[str], str]] = PERTURBATIONS,
    *,
    texts: Sequence[str] = SENTENCES,
    tokenizer: Tokenizer | None = None,
    pooling: str = "mean",
    dropout_rate: float = 0.1,
    seed: int = 0,
) -> dict[str, dict[str, Stability]]:
    """Stability of texts' representations under perturbations that keep the meaning: name -> place -> value.

    For every text, the hidden states of a place are pooled, h = mean over its words' tokens or the first token's,
    before and after the perturbation. The measure is cos(h, h') beside the baseline b of two different texts:
    in an anisotropic space everything is similar to everything, so stability = (cos - b) / (1 - b).

    Built in are ``"typos"``, ``"case"``, ``"synonym"`` (:mod:`minibert.diagnostics.geometry.perturbations`) and
    ``"dropout"``: the same text twice, once with dropout at ``dropout_rate`` in all layers, also if the network
    was trained with another rate. Under a tokenizer that lower-cases, ``case`` changes no token and is 1 by
    construction;
    ``changed`` is 0 then. A text that is not changed says nothing, and is left out of the mean.

    Parameters
    ----------
    model : what ``load_run`` returns, or a MiniBERT together with its ``tokenizer``
    perturbations : names of built-in ones, or a mapping of names to functions text -> text
    texts : at least two
    pooling : ``"mean"``, without [CLS] and [SEP], or ``"first"``, [CLS] alone
    dropout_rate : of the perturbation ``dropout``
    seed : of typos and dropout masks; the same seed gives the same numbers

    Raises :class:`MinibertError` for an unknown name, fewer than two texts, and a text without tokens.
    """
    network, tokenizer = _network_and_tokenizer(model, tokenizer)
    if pooling not in POOLINGS:
        raise unknown_name("pooling", pooling, POOLINGS)
    if not 0 < dropout_rate < 1:
        raise MinibertError(f"dropout_rate={dropout_rate}: not allowed. Allowed: a rate between 0 and 1.")
    texts = list(texts)
    if len(texts) < 2:
        raise MinibertError(f"{len(texts)} texts were given. At least 2 are needed, to compare different ones.")
    changes = _changes(perturbations, seed)
    length = network.config.max_length
    ids = [_encode(tokenizer, text, length) for text in texts]
    original = _pool(network, ids, pooling)
    baselines = [compute_anisotropy(vectors) for vectors in original]
    found = {}
    for name, change in changes.items():
        if change is None:
            changed = np.ones(len(texts), bool)
            perturbed = _pool(_with_dropout(network, dropout_rate), ids, pooling, DropoutMasks(seed, 0, 0))
        else:
            after = [_encode(tokenizer, change(text, index), length) for index, text in enumerate(texts)]
            changed = np.array([one != other for one, other in zip(ids, after, strict=True)])
            perturbed = _pool(network, after, pooling)
        cosines = [_cosines(one, other) for one, other in zip(original, perturbed, strict=True)]
        found[name] = {
            place: _stability(values[changed], baseline, changed.mean())
            for place, values, baseline in zip(place_names(len(original)), cosines, baselines, strict=True)
        }
    return found


def _changes(perturbations, seed: int) -> dict[str, Callable[[str, int], str] | None]:
    """Name -> function of a text and its number, which decides what is drawn for it; None stands for dropout."""
    if isinstance(perturbations, Mapping):
        return {name: lambda text, _, change=change: change(text) for name, change in perturbations.items()}
    names = [perturbations] if isinstance(perturbations, str) else list(perturbations)
    changes = {}
    for name in names:
        if name not in PERTURBATIONS:
            raise unknown_name("perturbations", name, PERTURBATIONS)

        def draw(text: str, index: int, name=name) -> str:
            return TEXT_CHANGES[name](text, generator(seed, PERTURBATIONS.index(name), index))

        changes[name] = None if name == DROPOUT else draw
    return changes


def _network_and_tokenizer(model, tokenizer: Tokenizer | None) -> tuple[MiniBERT, Tokenizer]:
    network = getattr(model, "model", model)
    tokenizer = getattr(model, "tokenizer", None) if tokenizer is None else tokenizer
    if not isinstance(network, MiniBERT) or tokenizer is None:
        raise MinibertError(
            f"model: a {type(model).__name__} {'without a tokenizer ' if tokenizer is None else ''}was given. "
            "Allowed: what load_run returns, or a MiniBERT with tokenizer=..."
        )
    return network, tokenizer


def _encode(tokenizer: Tokenizer, text: str, longest: int) -> tuple[list[int], list[bool]]:
    """The ids of a text with [CLS] and [SEP], cut to ``longest``, and which of them are words."""
    (encoding,) = encode_texts(tokenizer, [text])
    kept = range(min(len(encoding.ids), longest))
    words = [not encoding.special_tokens_mask[index] for index in kept]
    if not any(words):
        raise MinibertError(
            f"text {text!r}: has no tokens. Give texts with at least one word, or another perturbation."
        )
    return [encoding.ids[index] for index in kept], words


def _pool(
    network: MiniBERT, encoded: list[tuple[list[int], list[bool]]], pooling: str, masks: DropoutMasks | None = None
) -> list[np.ndarray]:
    """A vector for each text at each place: L + 1 arrays (texts, D), of one pass over all texts."""
    tokens = max(len(ids) for ids, _ in encoded)
    input_ids, words = np.zeros((len(encoded), tokens), np.int32), np.zeros((len(encoded), tokens), bool)
    real = np.zeros_like(words)
    for row, (ids, are_words) in enumerate(encoded):
        input_ids[row, : len(ids)], words[row, : len(ids)], real[row, : len(ids)] = ids, are_words, True
    # The scores are not used: the head computes one position, the layers compute all.
    first = np.zeros_like(real)
    first[:, 0] = True
    _, cache = network.forward(
        input_ids, None if real.all() else real, predicted=first, masks=masks, everywhere=True
    )
    weights = (words if pooling == "mean" else first).astype(np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    return [np.einsum("bt,btd->bd", weights, states.astype(np.float64)) for states in cache.hidden_states]


def _with_dropout(network: MiniBERT, rate: float) -> MiniBERT:
    """The same network, sharing its parameters, that drops at ``rate`` when it is given masks."""
    dropping = copy.copy(network)
    dropping.config = replace(network.config, dropout=rate, attention_dropout=rate)
    return dropping


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """cos of each row of one with the same row of the other; 0 where either is a vector of zeros."""
    sizes = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.einsum("nd,nd->n", first, second) / np.where(sizes > 0, sizes, 1)


def _stability(cosines: np.ndarray, baseline: float, changed: float) -> Stability:
    cosine = float(cosines.mean()) if len(cosines) else 1.0
    alike = 1 - baseline < ALL_ALIKE
    return Stability(
        cosine, baseline, float("nan") if alike else (cosine - baseline) / (1 - baseline), float(changed)
    )
