"""Local attention: most layers see only a window, so that a few global ones carry what is far.

    s_ij = q_i · k_j / √K  where |i - j| ≤ w / 2, and weight 0 elsewhere,  w = ``model.attention_window``

in every layer but the first, the ``global_every``-th after it, and so on. It is a mask like that of padding,
and the gradient is that of any masked attention: where the weight is 0, so is the gradient of the score. All
scores are computed: a window saves nothing here.

Beltagy, Peters and Cohan, "Longformer: The Long-Document Transformer", 2020; alternating with global layers:
Warner et al., "Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder" (ModernBERT), 2024.
"""

import numpy as np

from minibert.config import ModelConfig
from minibert.model.positions.scheme import distances


def is_local(index: int, config: ModelConfig) -> bool:
    """Whether layer ``index``, counted from 0, sees a window only."""
    every = config.global_every
    return config.attention_window is not None and (not every or index % every > 0)


def windowed(attention_mask, position_ids, tokens: int, bias, config: ModelConfig):
    """Where attention may go in a local layer: as ``attention_mask`` says, and not beyond the window.

    (B, T) or (B, T, T) bool, or None -> (B, T, T) bool, or (1, T, T) where all sequences agree. ``bias`` is what
    the mask adds to scores: where pieces share a row, distances are those within a piece.
    """
    assert config.attention_window is not None
    near = np.abs(distances(position_ids, tokens, bias)) <= config.attention_window // 2
    if attention_mask is None:
        return near
    return near & (attention_mask[:, None, :] if attention_mask.ndim == 2 else attention_mask)
