"""What every head attends to in one sentence."""

from dataclasses import dataclass

import numpy as np

from minibert.diagnostics.attention.measures import (
    compute_attention_distance,
    compute_attention_entropy,
    compute_attention_shares,
)
from minibert.exploration.sentence import Sentence
from minibert.model.bert import MiniBERT
from minibert.model.windows import is_local, windowed


@dataclass(frozen=True)
class AttentionHeads:
    """The attention of L layers of H heads on T tokens."""

    sentence: Sentence
    weights: np.ndarray
    """(L, H, T, T): row i is what token i attends to, and sums to one"""
    entropies: np.ndarray
    """(L, H), from 0, all weight on one token, to 1, evenly spread: means over rows of Hᵢ / log nᵢ"""
    distances: np.ndarray
    """(L, H) tokens: mean distance attended to"""
    shares: dict[str, np.ndarray]
    """Pattern -> (L, H): mean weight on the token itself, the previous and the next one, on [CLS] and on [SEP]"""

    def __str__(self) -> str:
        lines = ["layer  head  entropy  distance  " + "  ".join(f"{name:>8}" for name in self.shares)]
        for layer, head in np.ndindex(self.entropies.shape):
            numbers = "  ".join(f"{share[layer, head]:8.3f}" for share in self.shares.values())
            entropy, distance = self.entropies[layer, head], self.distances[layer, head]
            lines.append(f"{layer:5}  {head:4}  {entropy:7.3f}  {distance:8.2f}  {numbers}")
        return "\n".join(lines)


def explore_heads(model: MiniBERT, sentence: Sentence) -> AttentionHeads:
    """The weights of every head, and the measures of :mod:`minibert.diagnostics.attention.measures` on them.

    The largest entropy of a row is that of what it may see: in a layer of local attention, its window.
    """
    _, cache = model.forward(sentence.ids[None])
    weights = [layer.attention.weights for layer in map(cache.layer, range(model.config.layers))]
    marks = {"cls": int(sentence.ids[0]), "sep": int(sentence.ids[-1])}
    shares = [compute_attention_shares(each, input_ids=sentence.ids[None], tokens=marks) for each in weights]
    return AttentionHeads(
        sentence,
        np.concatenate(weights),
        np.stack(
            [
                compute_attention_entropy(each, _visible(model, layer, len(sentence.ids)), share=True)
                for layer, each in enumerate(weights)
            ]
        ),
        np.stack([compute_attention_distance(each) for each in weights]),
        {name: np.stack([found[name] for found in shares]) for name in shares[0]},
    )


def _visible(model: MiniBERT, layer: int, tokens: int) -> np.ndarray:
    """(1, T, T) bool: where a layer's attention may go."""
    if is_local(layer, model.config):
        return windowed(None, None, tokens, None, model.config)
    return np.ones((1, tokens, tokens), bool)
