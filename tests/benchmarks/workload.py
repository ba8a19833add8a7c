"""What every contender computes: a network of one shape, trained on the same batches from the same start."""

import os
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Shape:
    """Sizes of a network and of the batch that it is trained on."""

    hidden_size: int = 192
    layers: int = 3
    heads: int = 4
    feed_forward_size: int = 768
    vocab_size: int = 8192
    sequences: int = 32
    tokens: int = 64
    """In each sequence, none of them padding"""
    rate: float = 0.15
    """Share of the tokens that is predicted"""

    @property
    def predictions(self) -> int:
        """In each sequence: the rate, rounded to whole tokens, so that no contender has to pad or recompile."""
        return max(round(self.rate * self.tokens), 1)


BASE = Shape()
SHAPES = {
    "base": BASE,
    "tiny": replace(BASE, hidden_size=128, layers=2, feed_forward_size=512),
    "small": replace(BASE, hidden_size=160, feed_forward_size=640),
    "large": replace(BASE, hidden_size=384, layers=6, heads=6, feed_forward_size=1536),
    "base_T128": replace(BASE, tokens=128),
    "base_40": replace(BASE, rate=0.40),
}
BATCHES = 4
"""Different batches, taken in turn"""
SEED = 0


@dataclass(frozen=True)
class Workload:
    """Everything that a worker is told, in plain arrays: it imports only what it measures."""

    shape: Shape
    dropout: float
    lanes: int
    """Threads, also of PyTorch"""
    batches: list[tuple[np.ndarray, np.ndarray]]
    """Token ids and labels, (B, T) int32 each"""
    parameters: dict[str, np.ndarray] | None
    """Where the network starts, under minibert's names; None for contenders that start by themselves"""


def model_config(shape: Shape, dropout: float, position: str = "absolute"):
    """The network that the contenders share, whatever minibert's defaults: pre-norm, learned positions, GELU."""
    from minibert.config import ModelConfig
    from minibert.config.model import POSITIONS

    return ModelConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        layers=shape.layers,
        heads=shape.heads,
        feed_forward_size=shape.feed_forward_size,
        max_length=max(shape.tokens, 128),
        dropout=dropout,
        attention_dropout=dropout,
        attention="softmax",
        norm="pre",
        norm_kind="layer_norm",
        activation="gelu",
        position=POSITIONS[position](name=position),
    )


def draw_batches(shape: Shape) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random ordinary tokens under minibert's own masking, with equally many predictions in every sequence."""
    from minibert.config import MaskingConfig
    from minibert.data.masking import build_masking
    from minibert.data.tokenizer import FIRST_ORDINARY
    from minibert.randomness import generator

    masking = build_masking(MaskingConfig(rate=shape.predictions / shape.tokens), shape.vocab_size)
    batches = []
    for number in range(BATCHES):
        size = (shape.sequences, shape.tokens)
        input_ids = generator(SEED, number).integers(FIRST_ORDINARY, shape.vocab_size, size, np.int32)
        batches.append(masking.apply(input_ids, [generator(SEED, number, row) for row in range(shape.sequences)]))
    return batches


def initial_parameters(shape: Shape) -> dict[str, np.ndarray]:
    """minibert's start, so that PyTorch can be shown to compute the same losses."""
    from minibert.model.bert import MiniBERT

    return {name: np.array(array) for name, array in MiniBERT(model_config(shape, 0.0), SEED).params.items()}


def needed_flops(shape: Shape) -> float:
    """Floating-point operations of the matrix products that reach the loss, in one step."""
    from minibert.model.arithmetic import count_flops

    predictions = shape.sequences * shape.predictions
    return count_flops(model_config(shape, 0.0), shape.sequences, shape.tokens, predictions)


def physical_cores() -> int:
    """Cores that this process may use, hyper-threads counted once."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(psutil.cpu_count(logical=False) or allowed, allowed)
