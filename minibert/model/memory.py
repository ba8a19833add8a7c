"""How much memory a network and its training take, estimated before any of it is taken."""

from pathlib import Path

import numpy as np
import psutil

from minibert.config import Config, ModelConfig, RelativeConfig
from minibert.config.optimizers import LookaheadConfig
from minibert.errors import MinibertError
from minibert.model.feed_forward import GATED, inner_size

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory a container may use: cgroups version 2 and 1"""
USED = (("memory.current", "inactive_file"), ("memory.usage_in_bytes", "total_inactive_file"))
"""Beside each of these, what is in use, and the entry of ``memory.stat`` that is given back when it is needed"""
PROCESS = 510_000_000
"""Bytes of a process that trains a network of no size: Python, the packages, the text and the figures"""
WORKING = 1.7
"""What a training takes at its peak, relative to :func:`estimate_training_memory`: at most so much, as measured"""
STATE_VECTORS = {"adamw": 2, "lion": 1, "sgd": 1, "lamb": 2, "adafactor": 0, "muon": 3}
"""Optimizer -> vectors of the parameters' size that it keeps, or somewhat less"""


def machine_memory() -> int:
    """Bytes that this process may use: the machine's memory, or the container's where that is less."""
    sizes = [psutil.virtual_memory().total]
    for path in map(Path, LIMITS):
        try:
            sizes.append(int(path.read_text()))
        except (OSError, ValueError):  # no such limit: no file, or the word "max"
            continue
    return min(sizes)


def available_memory() -> int:
    """Bytes that are free for new processes: of the machine, or of the container where that is less."""
    sizes = [psutil.virtual_memory().available]
    for limit, (used, cached) in zip(map(Path, LIMITS), USED, strict=True):
        try:
            entries = dict(line.split() for line in limit.with_name("memory.stat").read_text().splitlines())
            in_use = int(limit.with_name(used).read_text()) - int(entries.get(cached, 0))
            sizes.append(max(int(limit.read_text()) - in_use, 0))
        except (OSError, ValueError):  # no such limit
            continue
    return min(sizes)


def count_parameters(config: ModelConfig) -> int:
    """Weights, gains and biases of a network, except for a few vectors of its width."""
    hidden, inner = config.hidden_size, inner_size(config)
    tables = config.vocab_size + config.segments
    tables += config.max_length if config.position.name == "absolute" else 0
    matrices = 3 if config.activation in GATED else 2
    layer = 4 * hidden**2 + matrices * hidden * inner
    if isinstance(config.position, RelativeConfig):
        layer += (2 * config.position.distance + 1) * (hidden // config.heads) * 2
    tables += 0 if config.tie_word_embeddings else config.vocab_size
    return tables * hidden + config.layers * layer + hidden**2 + config.vocab_size


def estimate_training_memory(config: Config) -> dict[str, int]:
    """Part -> bytes of one training run, for its largest parts.

    ``parameters``; ``gradients``, one vector a lane; ``optimizer_state``; ``activations``: what the forward pass
    keeps for the backward pass, in each layer or, with ``checkpoint_activations``, in one; and ``scores`` over the
    vocabulary with their gradient, or those of an evaluation where these are more. The counts of arrays were
    fitted to :meth:`minibert.training.trainer.Trainer.memory_report`. The text and Python itself come on top.
    """
    model, training = config.model, config.training
    item = np.dtype(model.dtype).itemsize
    parameters = count_parameters(model) * item
    optimizer, evaluated = config.optimizer, int(config.averaging.name != "none")
    if isinstance(optimizer, LookaheadConfig):
        optimizer, evaluated = optimizer.inner, 1
    sequences = -(-training.batch_size // training.accumulation)
    rows = sequences * training.sequence_length
    masking, evaluation = config.masking, config.evaluation
    rate = masking.rate if masking.prediction_rate is None else masking.prediction_rate
    words, drawn = model.vocab_size, training.sampled_words(model.vocab_size)
    if drawn is not None:
        words = min(words, drawn + int(training.batch_size * training.sequence_length * rate))
    scored = evaluation.batch_size * training.sequence_length * max([evaluation.rate, *evaluation.rates])
    return {
        "parameters": parameters,
        "gradients": parameters * training.lanes,
        "optimizer_state": parameters * (STATE_VECTORS.get(optimizer.name, 2) + evaluated),
        "activations": activations_memory(
            model, sequences, training.sequence_length, training.checkpoint_activations
        ),
        "scores": int(max(rows * rate * 2 * words, scored * model.vocab_size) * item),
    }


def estimate_run_memory(config: Config) -> int:
    """Bytes that the process of one run takes at its peak, with its evaluations and figures."""
    return PROCESS + int(WORKING * sum(estimate_training_memory(config).values()))


def activations_memory(model: ModelConfig, sequences: int, tokens: int, checkpointed: bool = False) -> int:
    """Bytes that a forward pass keeps for the backward pass, in every layer or, checkpointed, in one."""
    wide = 11 if model.dropout else 9
    inner = 4 if model.activation in GATED else 2
    heads = sequences * model.heads * tokens**2 * (4 if model.attention_dropout else 2)
    layer = sequences * tokens * (wide * model.hidden_size + inner * inner_size(model)) + heads
    return layer * (1 if checkpointed else model.layers) * np.dtype(model.dtype).itemsize


def pass_memory(
    model: ModelConfig,
    sequences: int,
    tokens: int,
    predictions: int,
    checkpointed: bool = False,
    words: int | None = None,
) -> int:
    """Bytes that a lane reserves for its share of a batch before the first step: an estimate, rather too large.

    ``words``: how many words of the vocabulary are scored; None: all.
    """
    item = np.dtype(model.dtype).itemsize
    inputs = sequences * tokens * model.hidden_size * item * (model.layers if checkpointed else 0)
    working = sequences * tokens * (6 * model.hidden_size + 4 * inner_size(model)) * item
    scores = 2 * predictions * model.vocab_size * item
    if words is not None:  # their scores; their rows of the table, and the gradient of these
        scores = 2 * words * (predictions + model.hidden_size) * item
    return activations_memory(model, sequences, tokens, checkpointed) + inputs + working + scores


def refuse_what_does_not_fit(config: ModelConfig | Config) -> None:
    """Raise :class:`MinibertError` where a network, or its training, needs more memory than this machine has."""
    if isinstance(config, ModelConfig):
        needed = {"parameters": count_parameters(config) * np.dtype(config.dtype).itemsize}
    else:
        needed = estimate_training_memory(config)
    there, total = machine_memory(), sum(needed.values())
    if total <= there:
        return
    largest = max(needed, key=lambda name: needed[name])
    settings = {
        "parameters": "model.hidden_size, model.layers, model.feed_forward_size or model.vocab_size",
        "gradients": "training.lanes or the model's sizes",
        "optimizer_state": "the model's sizes, or another optimizer",
        "activations": "training.batch_size or training.sequence_length, or a higher training.accumulation",
        "scores": "training.batch_size, masking.rate or model.vocab_size, or a higher training.accumulation",
    }[largest]
    parts = ", ".join(f"{name.replace('_', ' ')} {size / 1e9:,.1f}" for name, size in needed.items())
    raise MinibertError(
        f"This needs about {total / 1e9:,.1f} GB of memory ({parts}), and this machine has {there / 1e9:,.1f} GB. "
        f"Lower {settings}."
    )
