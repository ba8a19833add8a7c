"""Local layers: who sees whom."""

import numpy as np
import pytest

from minibert.config import ModelConfig
from minibert.model.bert import MiniBERT
from minibert.model.windows import is_local, windowed

SIZES = {
    "vocab_size": 40, "hidden_size": 16, "layers": 4, "heads": 2, "feed_forward_size": 24, "max_length": 16,
    "dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip


def build(**fields) -> MiniBERT:
    return MiniBERT(ModelConfig(**SIZES | fields), seed=1)


@pytest.mark.parametrize(("every", "local"), [(3, [1, 2, 4, 5]), (1, []), (0, [0, 1, 2, 3, 4, 5])])
def test_every_nth_layer_is_global_from_the_first_on(every, local):
    config = ModelConfig(attention_window=8, global_every=every)
    assert [index for index in range(6) if is_local(index, config)] == local


def test_without_a_window_every_layer_is_global():
    assert not any(is_local(index, ModelConfig()) for index in range(6))


def test_a_position_sees_half_of_the_window_in_both_directions_and_no_padding():
    mask = np.array([[True, True, True, True, False]])
    seen = windowed(mask, None, 5, None, ModelConfig(attention_window=3))
    assert seen.astype(int).tolist() == [
        [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 0]]
    ]


@pytest.mark.parametrize("attention", ["softmax", "gated"])
def test_a_local_layer_gives_no_weight_beyond_its_window_and_a_global_one_does(attention):
    model, ids = build(attention=attention, attention_window=4, global_every=2), np.arange(20).reshape(2, 10)
    _, cache = model.forward(ids)
    far = np.abs(np.arange(10) - np.arange(10)[:, None]) > 2
    for index in range(len(cache.layers)):
        weights = cache.layer(index).attention.weights
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)
        assert bool(weights[:, :, far].any()) == (index % 2 == 0)


@pytest.mark.parametrize("mask", [None, np.arange(10) < np.array([[10], [7]])], ids=["all", "padding"])
def test_a_window_over_the_whole_sequence_changes_nothing(mask):
    ids = np.arange(20).reshape(2, 10)
    plain, _ = build().forward(ids, mask)
    wide, _ = build(attention_window=18, global_every=0).forward(ids, mask)
    real = np.ones(ids.shape, bool) if mask is None else mask
    np.testing.assert_array_equal(wide[real], plain[real])


def test_biases_of_zero_are_no_biases():
    """A network without biases gives the bits of one whose biases are zero, as all are at the start."""
    parts = ("attention", "feed_forward", "norm", "head", "decoder")
    without = {f"{part}_bias": False for part in parts}
    ids = np.arange(20).reshape(2, 10)
    for fields in ({}, {"activation": "geglu"}, {"norm": "post"}):
        bare = build(**fields, **without)
        assert not any(name.endswith(".bias") for name in bare.params)
        np.testing.assert_array_equal(bare.forward(ids)[0], build(**fields).forward(ids)[0])
