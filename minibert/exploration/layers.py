"""The representations of a sentence, compared across layers and networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from minibert.diagnostics.geometry.similarity import compute_layer_similarity
from minibert.diagnostics.plotting.series import place_names
from minibert.errors import MinibertError
from minibert.exploration.sentence import Sentence
from minibert.model.bert import MiniBERT

FEWEST = 4
"""Tokens that CKA needs"""


@dataclass(frozen=True)
class LayerComparison:
    """M = L + 1 places of a network, against the M' of the same or another one, over all n tokens of the texts."""

    sentences: list[Sentence]
    places: list[str]
    """M names: embeddings, layer_0, ..., the last behind the final norm where the network has one"""
    other_places: list[str]
    """M' names"""
    similarity: np.ndarray | None
    """(M, M'): debiased linear CKA; None of fewer than four tokens"""
    cosines: np.ndarray | None
    """(M, M'): mean cosine of a token's vectors at two places; None where the two networks differ in size"""
    norms: np.ndarray
    """(M, n): length of every token's vector"""
    changes: np.ndarray
    """(M - 1, n): ‖h_{l+1} - h_l‖ / ‖h_l‖, how much a layer changes a token"""

    def __str__(self) -> str:
        lines = []
        for title, matrix in (("linear CKA", self.similarity), ("cosine of the same token", self.cosines)):
            if matrix is not None:
                lines += [title, " " * 12 + " ".join(f"{place:>10}" for place in self.other_places)]
                for place, row in zip(self.places, matrix, strict=True):
                    lines.append(f"{place:<12}" + " ".join(f"{value:10.3f}" for value in row))
        return "\n".join(lines)


def compare(
    model: MiniBERT, sentences: Sequence[Sentence], other: MiniBERT | None, others: Sequence[Sentence]
) -> LayerComparison:
    """Hidden states of the model against its own or those of ``other``, which reads ``others``.

    Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019. One sentence is a small
    sample: give several to compare networks.

    Raises :class:`MinibertError` where the two networks read other tokens.
    """
    if [each.tokens for each in sentences] != [each.tokens for each in others]:
        raise MinibertError(
            "other: its tokenizer reads the text as other tokens. Allowed: a network with the same tokenizer."
        )
    states = _states(model, sentences)
    second = states if other is None else _states(other, others)
    alike = states[0].shape == second[0].shape
    return LayerComparison(
        list(sentences),
        place_names(len(states)),
        place_names(len(second)),
        None if len(states[0]) < FEWEST else compute_layer_similarity(states, None if other is None else second),
        np.array([[_cosine(one, two) for two in second] for one in states]) if alike else None,
        np.array([np.linalg.norm(each, axis=1) for each in states]),
        np.array([_change(before, after) for before, after in pairwise(states)]),
    )


def _states(model: MiniBERT, sentences: Sequence[Sentence]) -> list[np.ndarray]:
    """M arrays (n, D) in float64"""
    caches = [model.forward(each.ids[None])[1] for each in sentences]
    return [
        np.concatenate([cache.hidden_states[place][0] for cache in caches]).astype(np.float64)
        for place in range(model.config.layers + 1)
    ]


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    sizes = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float((np.einsum("nd,nd->n", first, second) / np.where(sizes > 0, sizes, 1)).mean())


def _change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    sizes = np.linalg.norm(before, axis=1)
    return np.linalg.norm(after - before, axis=1) / np.where(sizes > 0, sizes, 1)
