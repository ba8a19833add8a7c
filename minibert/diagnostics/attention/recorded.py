"""Attention weights, taken in training and on held-out sequences."""

from itertools import combinations

import numpy as np

from minibert.diagnostics.attention.measures import (
    AttentionRows,
    attention_rows,
    cluster_heads,
    compute_attention_distance,
    compute_attention_entropy,
    compute_attention_shares,
    compute_head_distances,
    join_rows,
)
from minibert.diagnostics.engine.registry import diagnostic
from minibert.diagnostics.plotting.series import head_name, layer_name, metric_name

COMPARED_ROWS = 256
"""Largest number of rows of the probe batch on which heads are compared, evenly spaced over its real tokens"""
LONGEST_MAP = 128
"""Tokens of a sequence whose attention is kept"""
SPECIAL = {"cls": "[CLS]", "sep": "[SEP]"}
METRICS = (
    "attention_entropy", "attention_entropy_share", "attention_distance", "attention_to_self",
    "attention_to_previous", "attention_to_next", "attention_to_cls", "attention_to_sep", "attention_uniform",
)  # fmt: skip


@diagnostic("attention_patterns", level="light", metrics=METRICS)
def attention_patterns(batch, caches, data):
    """Of each head, as ``<quantity>/layer_i/head_j``, on the training step's own forward pass:

    ``attention_entropy`` (nats), ``attention_entropy_share`` (of its maximum), ``attention_distance`` (tokens),
    and the shares of attention ``attention_to_self``, ``_previous``, ``_next``, ``_cls`` and ``_sep``. Uniform
    attention on the same rows has ``attention_uniform/<distance, to_self, to_previous, ...>/layer_i``.

    Weights are those before dropout on themselves, in a network whose hidden states are under dropout. Rows are
    those of all real tokens; in the last layer, of the predicted tokens alone, unless
    ``training.last_layer_everywhere``.
    """
    tokens = {name: data.tokenizer.token_to_id(token) for name, token in SPECIAL.items()}
    found = {}
    for layer in range(len(caches[0].layers)):
        taken = join_rows([_rows_of_layer(cache, layer, batch) for cache in caches])
        for quantity, values in _quantities(taken, tokens).items():
            found |= {
                metric_name(f"attention_{quantity}", layer_name(layer), head_name(head)): value
                for head, value in enumerate(values)
            }
        for quantity, values in _means(taken.uniform, tokens).items():
            found[metric_name("attention_uniform", quantity, layer_name(layer))] = values[0]
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


@diagnostic("head_distances", level="standard", metrics=("head_distance",))
def head_distances(probe):
    """Mean Jensen-Shannon divergence (nats) between the heads of layer i, ``head_distance/layer_i``, and the
    number of groups that the heads of all layers fall into, ``head_distance/clusters``
    (:func:`minibert.diagnostics.attention.measures.cluster_heads`).

    The array ``distances`` (L·H, L·H) has every two heads of the network, those of layer 0 first, and ``layers``
    (L·H,) the layer of each. Rows are those of held-out sequences, masked, without dropout: 256, evenly spaced
    over all real tokens, where there are more.
    """
    batch, layers = probe.batch, probe.cache.layers
    parts = [
        attention_rows(layer.attention.weights, batch.attention_mask).spread(COMPARED_ROWS) for layer in layers
    ]
    weights = np.concatenate([part.weights for part in parts])
    distances = compute_head_distances(AttentionRows(weights, parts[0].places, parts[0].visible))
    heads = len(distances) // len(layers)
    found = {
        "distances": distances.astype(np.float32),
        "layers": np.repeat(np.arange(len(layers)), heads),
        metric_name("head_distance", "clusters"): cluster_heads(distances).count,
    }
    for layer in range(len(layers)):
        pairs = list(combinations(range(layer * heads, (layer + 1) * heads), 2))
        if pairs:
            mean = float(np.mean([distances[pair] for pair in pairs]))
            found[metric_name("head_distance", layer_name(layer))] = mean
    return found


@diagnostic("attention_maps", level="standard")
def attention_maps(probe, data):
    """The attention of every head on the first held-out sequence, masked, without dropout, as arrays:

    ``weights`` (L, H, T, T) float16, row i: what token i attends to; ``tokens`` (T,) texts; ``input_ids`` (T,).
    Padding is cut off. Of a sequence of more than 128 tokens it is the first 128, and rows then sum to less than
    one.
    """
    batch = probe.batch
    mask = batch.attention_mask
    real = np.ones(batch.input_ids.shape[1], bool)
    if mask is not None:
        real = mask[0] if mask.ndim == 2 else mask[0].any(axis=0)
    kept = np.flatnonzero(real)[:LONGEST_MAP]
    weights = np.stack([layer.attention.weights[0][:, kept[:, None], kept] for layer in probe.cache.layers])
    ids = batch.input_ids[0, kept]
    # A model's table may be larger than its tokenizer, which then has no text for the last ids.
    tokens = np.array([data.tokenizer.id_to_token(int(index)) or f"id {index}" for index in ids])
    return {"weights": weights.astype(np.float16), "tokens": tokens, "input_ids": ids}


def _quantities(taken: AttentionRows, tokens: dict[str, int]) -> dict[str, np.ndarray]:
    entropies = {
        "entropy": compute_attention_entropy(taken),
        "entropy_share": compute_attention_entropy(taken, share=True),
    }
    return entropies | _means(taken, tokens)


def _means(taken: AttentionRows, tokens: dict[str, int]) -> dict[str, np.ndarray]:
    """The measures that are linear in the weights."""
    shares = compute_attention_shares(taken, tokens=tokens)
    return {"distance": compute_attention_distance(taken)} | {
        f"to_{name}": values for name, values in shares.items()
    }


def _rows_of_layer(cache, layer: int, batch) -> AttentionRows:
    attention = cache.layer(layer).attention
    ids = cache.embeddings.input_ids
    mask = None if batch.attention_mask is None else batch.attention_mask[cache.sequences]
    chosen = None if attention.rows is None else cache.chosen
    return attention_rows(attention.weights, mask, attention.rows, chosen, ids)
