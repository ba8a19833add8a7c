"""Token ids to the first hidden states: token + position + segment vectors."""

from typing import NamedTuple

import numpy as np

from minibert.config import ModelConfig
from minibert.errors import MinibertError
from minibert.model.norms import NormCache, norm, norm_backward, norm_blocks
from minibert.model.ops import dropout
from minibert.model.parameters import Block
from minibert.model.passes import Inputs
from minibert.model.workspace import NEW_ARRAYS


class EmbeddingsCache(NamedTuple):
    input_ids: np.ndarray
    """(B, T)"""
    segment_ids: np.ndarray | None
    """(B, T)"""
    position_ids: np.ndarray | None
    """(B, T); None where they are 0 to T - 1 in every row"""
    norm: NormCache | None
    """None where the sum is not normalised"""
    dropout: np.ndarray | None
    """(B, T, D) mask"""


def embeddings_blocks(config: ModelConfig, position) -> list[Block]:
    size = config.hidden_size
    blocks = [Block("embeddings.token.weight", (config.vocab_size, size)), *position.blocks(config)]
    if config.segments:
        blocks.append(Block("embeddings.segment.weight", (config.segments, size)))
    if has_embedding_norm(config):
        blocks += norm_blocks("embeddings.norm", config)
    return blocks


def has_embedding_norm(config: ModelConfig) -> bool:
    return config.norm == "post" or config.embedding_norm


def embeddings(inputs: Inputs, params, config: ModelConfig, position, masks=None, work=NEW_ARRAYS):
    """x = dropout(norm(E[ids] + P + S[segments])).    ids (B, T) -> x (N, D)

    In post-norm networks the sum is normalised, as every later one is. In pre-norm networks it is not, unless
    ``model.embedding_norm`` says so, as in ESM-1b and in ModernBERT. ModernBERT's first attention has no norm of
    its own then (``model.first_attention_norm``): what it reads is normalised already. Rives et al., PNAS 2021;
    Warner et al., "Smarter, Better, Faster, Longer", 2024.
    """
    input_ids, segment_ids, position_ids = inputs.ids, inputs.segments, inputs.positions
    batch, tokens = input_ids.shape
    table = params["embeddings.token.weight"]
    _check_ids("input_ids", input_ids, len(table))
    x = work.empty((batch, tokens, table.shape[1]), table.dtype)
    np.take(table, input_ids, axis=0, out=x, mode="clip")
    position.embed(x, position_ids, params)
    if config.segments:
        segment_ids = np.zeros_like(input_ids) if segment_ids is None else segment_ids
        _check_ids("segment_ids", segment_ids, config.segments)
        x += params["embeddings.segment.weight"][segment_ids]
    elif segment_ids is not None:
        raise MinibertError("segment_ids were given to a model without segment embeddings: set model.segments=2.")
    x, norm_cache = x.reshape(batch * tokens, -1), None
    if has_embedding_norm(config):
        x, norm_cache = norm(x, "embeddings.norm", params, config, work)
    mask = masks and masks.draw(config.dropout, (batch, tokens, x.shape[1]), x.dtype, work)
    dropout(x.reshape(batch, tokens, -1), mask)
    return x, EmbeddingsCache(input_ids, segment_ids, position_ids, norm_cache, mask)


def embeddings_backward(dx, cache: EmbeddingsCache, params, grads, position, work=NEW_ARRAYS):
    """dE[id] += Σ dx over the places where id stands; dP_t += Σ_b dx_bt; dS[s] += Σ dx where the segment is s"""
    batch, tokens = cache.input_ids.shape
    dropout(dx.reshape(batch, tokens, -1), cache.dropout)
    if cache.norm is not None:
        dx = norm_backward(dx, cache.norm, "embeddings.norm", params, grads, work)
    grads.add_rows("embeddings.token.weight", cache.input_ids.reshape(-1), dx)
    position.embed_backward(dx.reshape(batch, tokens, -1), cache.position_ids, grads)
    if cache.segment_ids is not None:
        grads.add_rows("embeddings.segment.weight", cache.segment_ids.reshape(-1), dx)


def _check_ids(name: str, ids: np.ndarray, size: int) -> None:
    if ids.size and not (ids.min() >= 0 and ids.max() < size):
        raise MinibertError(
            f"{name}: values from {ids.min()} to {ids.max()} were given. Allowed: 0 to {size - 1}, "
            "the rows of the embedding table."
        )
