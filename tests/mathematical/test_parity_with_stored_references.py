"""The same function as ``transformers``, by numbers that it gave once (make_references.py). Needs no PyTorch."""

import json
from functools import cache

import numpy as np
import pytest
from make_references import (
    DTYPES,
    REFERENCES,
    SMOOTH,
    STEPS,
    STORED,
    TINY,
    TRAINING,
    TrainingBatches,
    batch,
    sketch,
    to_foreign,
)
from safetensors.numpy import save_file

from minibert.model import foreign, foreign_settings
from minibert.model.bert import MiniBERT
from minibert.training.trainer import Trainer

CASES = [(family, activation) for family in STORED for activation in STORED[family]]
LOGITS = {"float32": 1e-5, "float64": 1e-10}
GRADIENTS = {"float32": 1e-4, "float64": 1e-10}
"""Relative to the norm of each parameter's gradient"""
LOSSES = {"float32": 1e-3, "float64": 1e-5}
"""In float64 what is left is that torch clips to c / (‖g‖ + 1e-6)"""


@cache
def stored(family: str) -> dict[str, np.ndarray]:
    with np.load(REFERENCES / f"{family}.npz") as file:
        return dict(file)


def read(family: str, activation: str, dtype: str, folder) -> MiniBERT:
    """The stored network, from a folder as ``transformers`` would have written it."""
    tensors = {
        name.removeprefix("tensor:"): array.astype(dtype)
        for name, array in stored(family).items()
        if name.startswith("tensor:")
    }
    save_file(tensors, folder / "model.safetensors")
    config = json.loads(str(stored(family)["config"])) | {"hidden_act": activation}
    (folder / "config.json").write_text(json.dumps(config))
    return MiniBERT.from_pretrained(folder)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("family", "activation"), CASES)
def test_logits_loss_and_gradients_are_those_of_transformers(family, activation, dtype, tmp_path):
    model, numbers, made = read(family, activation, dtype, tmp_path), stored(family), batch(0, TINY)
    segments = made.segment_ids if family == "bert" else None

    logits, _ = model.forward(made.input_ids, made.attention_mask, segments)
    # At padding esm computes something else, which nobody reads.
    difference = np.abs(logits - numbers[f"{activation}:logits"])[made.attention_mask]
    assert difference.max() < LOGITS[dtype]

    loss, grads = model.loss_and_gradients(made.input_ids, made.labels, made.attention_mask, segments)
    assert loss == pytest.approx(float(numbers[f"{activation}:loss"]), rel=GRADIENTS[dtype])
    ours = to_foreign(grads, model.config)
    names = [name.removeprefix("tensor:") for name in numbers if name.startswith("tensor:")]
    expected = dict(zip(names, numbers[f"{activation}:gradients"], strict=True))
    assert set(ours) == set(expected)
    for name in names:
        # A key's bias adds the same to all scores of a query: its gradient is zero but for rounding.
        norm = expected[name.replace("key.bias", "key.weight")][0]
        assert np.abs(sketch(ours[name]) - expected[name]).max() < GRADIENTS[dtype] * norm, name


def value_before_gate(self, names):
    """Their name of a tensor -> its parameters, with the value of a gated unit above the gate"""
    joined = {}
    for name in names:
        joined.setdefault(self.name(name), []).append(name)
    return {theirs: ours[::-1] if theirs.endswith("mlp.Wi.weight") else ours for theirs, ours in joined.items()}


@pytest.mark.parametrize(
    ("family", "owner", "name", "mistake"),
    [
        ("esm_rotary", foreign, "order_of", lambda name, config: slice(None)),
        ("modernbert", foreign, "order_of", lambda name, config: slice(None)),
        ("modernbert", foreign.Family, "joined", value_before_gate),
        ("modernbert", foreign_settings, "global_every", lambda settings, layers: 1),
        ("modernbert", foreign_settings, "rope_base", lambda settings, kind, family: 20.0),
    ],
    ids=[
        "esm's turns",
        "modernbert's turns",
        "gate and value",
        "windows left out",
        "base of local layers for all",
    ],
)
def test_a_mistake_in_reading_would_be_noticed(family, owner, name, mistake, tmp_path, monkeypatch):
    monkeypatch.setattr(owner, name, mistake)
    model, made = read(family, "gelu", "float64", tmp_path), batch(0, TINY)
    logits, _ = model.forward(made.input_ids, made.attention_mask)
    assert np.abs(logits - stored(family)["gelu:logits"])[made.attention_mask].max() > 100 * LOGITS["float32"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("family", "activation"), [case for case in CASES if case[1] in SMOOTH])
def test_every_loss_of_100_steps_is_that_of_torch(family, activation, dtype, tmp_path):
    with Trainer(read(family, activation, dtype, tmp_path), TrainingBatches(TINY), TRAINING) as trainer:
        losses = np.array([trainer.step().loss for _ in range(STEPS)])
    expected = stored(family)[f"{activation}:losses:{dtype}"]
    assert expected[-1] < expected[0] - 0.4  # there was something to learn
    assert np.abs(losses - expected).max() < LOSSES[dtype]
