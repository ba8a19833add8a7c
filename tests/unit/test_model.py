"""What holds of the network apart from its gradients: start, memory, input, padding, dropout, precision."""

import math

import numpy as np
import pytest

from minibert.config import ModelConfig, PositionConfig
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.dropout import DropoutMasks
from minibert.model.ops import activation
from minibert.model.workspace import Workspace

INPUT_IDS = np.array([[2, 9, 9, 5, 3], [2, 7, 3, 0, 0]])
MASK = np.array([[True] * 5, [True] * 3 + [False] * 2])


def config(**fields) -> ModelConfig:
    sizes = {
        "vocab_size": 40, "hidden_size": 16, "layers": 2, "heads": 4, "feed_forward_size": 24, "max_length": 6,
        "dropout": 0.0, "attention_dropout": 0.0, "position": PositionConfig(),
    }  # fmt: skip
    return ModelConfig(**sizes | fields)


def weights(model) -> dict[str, np.ndarray]:
    return {name: array for name, array in model.params.items() if name.endswith(".weight")}


# Start


def test_the_same_seed_starts_with_the_same_bits():
    one, same, other = (MiniBERT(config(), seed).params.vector for seed in (3, 3, 4))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


def test_parameters_of_different_names_draw_independent_numbers():
    """A correlation over 1024 independent pairs has a deviation of 1/32: 0.15 is 4.8 of them."""
    drawn = weights(MiniBERT(config(hidden_size=32))).values()
    square = [array.ravel() for array in drawn if array.shape == (32, 32)]
    correlations = np.corrcoef(square) - np.eye(len(square))
    assert len(square) == 9  # query, key, value and output of two layers, and the head's transform
    assert np.abs(correlations).max() < 0.15


def test_a_change_to_one_part_leaves_the_start_of_the_others():
    small, large = MiniBERT(config(layers=1)), MiniBERT(config(layers=3, segments=2, norm="post"))
    for name, array in weights(small).items():
        np.testing.assert_array_equal(array, large.params[name], err_msg=name)


def test_weights_start_truncated_normal_gains_at_one_and_biases_at_zero():
    """A normal variable cut at two deviations keeps 1 - 4 φ(2) / (Φ(2) - Φ(-2)) = 0.774 of its variance."""
    model = MiniBERT(config(vocab_size=2000, init_scale=0.1))
    table = model.params["embeddings.token.weight"]
    assert np.abs(table).max() <= 0.2
    assert table.mean() == pytest.approx(0, abs=0.003)
    assert table.std() == pytest.approx(0.1 * math.sqrt(0.774), rel=0.02)
    assert all((array == 1).all() for name, array in model.params.items() if name.endswith(".gain"))
    assert not any(array.any() for name, array in model.params.items() if name.endswith(".bias"))


def test_the_output_bias_starts_at_log_frequencies_only_if_configured():
    log_frequencies = np.log(np.arange(1, 41) / 820).astype(np.float32)
    started = MiniBERT(config(output_bias="unigram"), log_frequencies=log_frequencies)
    np.testing.assert_array_equal(started.params["mlm_head.bias"], log_frequencies)
    assert not MiniBERT(config(output_bias="zero"), log_frequencies=log_frequencies).params["mlm_head.bias"].any()
    assert not MiniBERT(config(output_bias="unigram")).params["mlm_head.bias"].any()


# Memory


def test_views_and_vector_share_memory():
    params = MiniBERT(config()).params
    assert sum(array.size for array in params.values()) == params.vector.size
    for name, array in params.items():
        assert np.shares_memory(array, params.vector), name
    params["layers.0.feed_forward.in.weight"] = 7
    assert (params.vector == 7).sum() == 16 * 24
    params.vector[:] = 5
    assert all((array == 5).all() for array in params.values())


def test_each_name_has_a_place_of_its_own():
    params = MiniBERT(config()).params
    params.vector[:] = 0
    for array in params.values():
        array += 1
    assert (params.vector == 1).all()


def test_query_key_and_value_stand_side_by_side_in_one_block():
    params = MiniBERT(config()).params
    parts = [params[f"layers.1.attention.{name}.weight"] for name in ("query", "key", "value")]
    np.testing.assert_array_equal(np.hstack(parts), params["layers.1.attention.query_key_value.weight"])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_decayed_slice_covers_exactly_the_weights(norm):
    params = MiniBERT(config(segments=2, norm=norm)).params
    params.vector[:] = 0
    params.vector[params.layout.decayed] = 1
    for name, array in params.items():
        assert (array == name.endswith(".weight")).all(), name


def test_the_number_of_parameters_is_the_one_counted_by_hand():
    """V 40, D 16, F 24, T 6: per layer 4 (D² + D) attention, 2DF + F + D feed-forward, 4D norms.

    One norm more: of the embeddings (post) or after the last layer (pre).
    """
    layer = 4 * (256 + 16) + (2 * 384 + 24 + 16) + 64
    embeddings, head = (40 + 6) * 16, 256 + 16 + 32 + 40
    for norm in ("pre", "post"):
        assert MiniBERT(config(norm=norm)).params.vector.size == embeddings + 2 * layer + 32 + head


def test_norms_of_groups_add_up_to_the_norm_of_the_vector():
    params = MiniBERT(config()).params
    assert params.groups == ("embeddings", "layers.0", "layers.1", "final_norm", "mlm_head")
    squares = sum(params.norm(group + ".") ** 2 for group in params.groups)
    assert squares == pytest.approx(float(np.vdot(params.vector, params.vector)), rel=1e-5)


def test_arrays_of_a_workspace_do_not_overlap_and_the_next_step_gets_them_again():
    work = Workspace()
    for _ in range(2):
        work.reset()
        arrays = [work.empty(shape, np.float32) for shape in ((3, 5), (1,), 7, (0, 4), (2, 2, 2))]
        for number, array in enumerate(arrays):
            array[...] = number
        assert all((array == number).all() for number, array in enumerate(arrays))
        assert [array.shape for array in arrays] == [(3, 5), (1,), (7,), (0, 4), (2, 2, 2)]
    first = arrays[0]
    work.reset()
    assert np.shares_memory(work.empty((3, 5), np.float32), first)


def test_scratch_memory_is_given_out_again():
    work = Workspace()
    work.empty(1000, np.float64)
    work.reset()
    kept = work.empty(10, np.float64)
    with work.scratch():
        scratch = work.empty(20, np.float64)
    after = work.empty(20, np.float64)
    assert np.shares_memory(after, scratch)
    assert not np.shares_memory(after, kept)


# Input


@pytest.mark.parametrize("wrong", [-1, 40])
def test_ids_outside_the_vocabulary_are_refused(wrong):
    ids = INPUT_IDS.copy()
    ids[1, 2] = wrong
    with pytest.raises(MinibertError, match=r"input_ids.*Allowed: 0 to 39"):
        MiniBERT(config()).forward(ids)


def test_sequences_longer_than_the_position_table_are_refused():
    model = MiniBERT(config())
    assert model.forward(np.zeros((1, 6), int))[0].shape == (1, 6, 40)
    with pytest.raises(MinibertError, match=r"7 tokens.*max_length=6"):
        model.forward(np.zeros((1, 7), int))


@pytest.mark.parametrize("ids", [[1, 2], [[1.0, 2.0]], [[[1]]]], ids=["one axis", "floats", "three axes"])
def test_input_that_is_not_a_table_of_ids_is_refused(ids):
    with pytest.raises(MinibertError, match=r"integers of shape \(batch, tokens\)"):
        MiniBERT(config()).forward(ids)


def test_labels_outside_the_vocabulary_are_refused():
    with pytest.raises(MinibertError, match=r"labels.*Allowed: 0 to 39, and -100"):
        MiniBERT(config()).loss_and_gradients(INPUT_IDS, np.full((2, 5), 40))


def test_segments_are_refused_where_there_is_no_place_for_them():
    with pytest.raises(MinibertError, match="without segment embeddings"):
        MiniBERT(config()).forward(INPUT_IDS, segment_ids=np.zeros((2, 5), int))
    with pytest.raises(MinibertError, match=r"segment_ids.*Allowed: 0 to 1"):
        MiniBERT(config(segments=2)).forward(INPUT_IDS, segment_ids=np.full((2, 5), 2))


def test_segments_left_out_are_segment_zero():
    model = MiniBERT(config(segments=2))
    given, _ = model.forward(INPUT_IDS, segment_ids=np.zeros((2, 5), int))
    np.testing.assert_array_equal(model.forward(INPUT_IDS)[0], given)


def test_heads_that_do_not_divide_the_hidden_size_are_refused():
    with pytest.raises(MinibertError, match=r"model\.heads=3: does not divide model\.hidden_size=16"):
        MiniBERT(config(heads=3))


def test_names_and_numbers_outside_the_schema_are_refused():
    with pytest.raises(MinibertError, match=r"model\.activation=glu.*did you mean 'gelu'"):
        MiniBERT(config(activation="glu"))
    with pytest.raises(MinibertError, match=r"model\.layers=0: out of range"):
        MiniBERT(config(layers=0))


# Padding


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_padding_does_not_influence_the_other_tokens(norm):
    """Not by a bit when the padding holds other ids, and not beyond rounding when it is cut off."""
    model = MiniBERT(config(norm=norm, dtype="float64", init_scale=0.5))
    logits, _ = model.forward(INPUT_IDS, MASK)
    other_padding = np.where(MASK, INPUT_IDS, 31)
    np.testing.assert_array_equal(model.forward(other_padding, MASK)[0][MASK], logits[MASK])
    cut, _ = model.forward(INPUT_IDS[1:, :3])
    np.testing.assert_allclose(logits[1, :3], cut[0], rtol=1e-11, atol=1e-12)
    assert np.abs(model.forward(INPUT_IDS)[0][1, :3] - logits[1, :3]).max() > 0.01  # without a mask it does


def test_sequences_of_a_batch_do_not_influence_each_other():
    model = MiniBERT(config(dtype="float64", init_scale=0.5))
    together, _ = model.forward(INPUT_IDS)
    for b in range(2):
        np.testing.assert_allclose(model.forward(INPUT_IDS[b : b + 1])[0][0], together[b], rtol=1e-11, atol=1e-12)


def test_a_mask_of_pairs_says_what_each_position_looks_at():
    """Under a causal mask, the last token changes no logits but its own."""
    model = MiniBERT(config(init_scale=0.5))
    causal = np.broadcast_to(np.tril(np.ones((5, 5), bool)), (2, 5, 5))
    changed = INPUT_IDS.copy()
    changed[:, -1] = 33
    one, other = model.forward(INPUT_IDS, causal)[0], model.forward(changed, causal)[0]
    np.testing.assert_array_equal(one[:, :-1], other[:, :-1])
    assert (one[:, -1] != other[:, -1]).any()


# Dropout


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_realises_its_rate_and_keeps_the_mean(rate):
    """Of 400,000 values, the share of zeros is within five standard deviations of the rate rounded to 1/256."""
    rounded = round(rate * 256) / 256
    mask = DropoutMasks(seed=1, step=0, first_sequence=0).draw(rate, (40, 100, 100), "float32")
    deviation = math.sqrt(rounded * (1 - rounded) / mask.size)
    assert (mask == 0).mean() == pytest.approx(rounded, abs=5 * deviation)
    assert np.unique(mask).tolist() == [0, np.float32(1 / (1 - rounded))]
    assert mask.dtype == np.float32


def test_dropout_masks_do_not_depend_on_how_sequences_are_split_over_lanes():
    shapes = [(3, 5), (2, 4, 4), (7,)]
    whole = DropoutMasks(seed=1, step=9, first_sequence=0)
    halves = [DropoutMasks(seed=1, step=9, first_sequence=first) for first in (0, 2)]
    for shape in shapes:
        expected = whole.draw(0.4, (5, *shape), "float64")
        parts = [half.draw(0.4, (size, *shape), "float64") for half, size in zip(halves, (2, 3), strict=True)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_dropout_masks_differ_between_seeds_steps_sequences_and_draws():
    def draw(seed=1, step=2, first_sequence=3, before=0):
        masks = DropoutMasks(seed, step, first_sequence)
        for _ in range(before):
            masks.draw(0.5, (1, 64), "float32")
        return masks.draw(0.5, (2, 64), "float32")

    drawn = [draw(), draw(seed=2), draw(step=3), draw(first_sequence=5), draw(before=1)]
    rows = {row.tobytes() for mask in drawn for row in mask}
    assert len(rows) == 10
    assert draw().tobytes() == draw().tobytes()


def test_a_rate_of_zero_draws_nothing_and_leaves_later_masks_as_they_are():
    masks, others = DropoutMasks(1, 0, 0), DropoutMasks(1, 0, 0)
    assert masks.draw(0.0, (2, 50), "float32") is None
    others.draw(0.3, (2, 50), "float32")
    np.testing.assert_array_equal(masks.draw(0.5, (2, 50), "float32"), others.draw(0.5, (2, 50), "float32"))


def test_dropout_is_off_without_masks_and_acts_with_them():
    model = MiniBERT(config(dropout=0.3, attention_dropout=0.3, init_scale=0.5))
    plain, _ = model.forward(INPUT_IDS)
    np.testing.assert_array_equal(MiniBERT(config(init_scale=0.5)).forward(INPUT_IDS)[0], plain)
    dropped, _ = model.forward(INPUT_IDS, masks=DropoutMasks(1, 0, 0))
    assert np.abs(dropped - plain).max() > 0.01


# Precision and cache


@pytest.mark.parametrize("activation_name", ["relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_float32_and_float64_agree_to_rounding(norm, activation_name):
    single, double = (
        MiniBERT(config(norm=norm, activation=activation_name, dtype=dtype, init_scale=0.3))
        for dtype in ("float32", "float64")
    )
    double.params.vector[:] = single.params.vector
    labels = np.where(MASK, 6, -100)
    logits, expected_logits = (model.forward(INPUT_IDS, MASK)[0] for model in (single, double))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected_logits, atol=1e-5 * np.abs(expected_logits).max())
    (loss, grads), (expected_loss, expected) = (
        model.loss_and_gradients(INPUT_IDS, labels, MASK) for model in (single, double)
    )
    assert grads.vector.dtype == np.float32
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert np.linalg.norm(grads.vector - expected.vector) < 1e-5 * np.linalg.norm(expected.vector)


def test_gelu_in_float32_is_within_the_error_of_its_formula():
    """Φ(x) is off by 9e-8, and by the roundings of q ≤ ½; y = x Φ(x) inherits |x| of it and rounds once more."""
    x = np.linspace(-12, 12, 24001).astype(np.float32)
    y, slope = activation(x.copy(), "gelu")
    for given, value, gradient in zip(x.tolist(), y.tolist(), slope.tolist(), strict=True):
        cumulative = math.erfc(-given / math.sqrt(2)) / 2
        density = math.exp(-given * given / 2) / math.sqrt(2 * math.pi)
        assert abs(value - given * cumulative) <= 2.8e-7 * abs(given) + 0.6e-7 * abs(given * cumulative)
        assert abs(gradient - (cumulative + given * density)) < 3e-7


@pytest.mark.parametrize("name", ["relu", "gelu", "gelu_tanh"])
def test_activations_are_finite_far_outside(name):
    x = np.array([-1e6, -30.0, 0.0, 30.0, 1e6], np.float32)
    with np.errstate(over="ignore"):
        y, slope = activation(x.copy(), name)
    np.testing.assert_allclose(y, [0, 0, 0, 30, 1e6], atol=1e-6)
    np.testing.assert_allclose(slope, [0, 0, 0.5 if "gelu" in name else 0, 1, 1], atol=1e-6)


def test_hidden_states_are_those_after_the_embeddings_and_after_every_layer():
    model = MiniBERT(config())
    logits, cache = model.forward(INPUT_IDS, MASK)
    assert logits.shape == (2, 5, 40)
    assert [state.shape for state in cache.hidden_states] == [(2, 5, 16)] * 3
    attention_weights = cache.layers[1].attention.weights
    assert attention_weights.shape == (2, 4, 5, 5)
    np.testing.assert_allclose(attention_weights.sum(axis=-1), 1, rtol=1e-6)
    assert not attention_weights[1, :, :, 3:].any()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": np.full((2, 4), -100)}, "labels: shape"),
        ({"labels": np.zeros((2, 5))}, "labels: type float64"),
        ({"attention_mask": np.ones((1, 5), bool)}, "attention_mask: shape"),
        ({"attention_mask": np.ones((2, 4), bool)}, "attention_mask: shape"),
        ({"segment_ids": np.zeros((2, 4), int)}, "segment_ids: shape"),
        ({"input_ids": np.zeros((0, 5), int), "labels": np.zeros((0, 5), int)}, "at least one token"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused_by_name(given, words):
    arrays = {"input_ids": np.zeros((2, 5), int), "labels": np.full((2, 5), 3)} | given
    with pytest.raises(MinibertError, match=words):
        MiniBERT(config(segments=2)).loss_and_gradients(**arrays)
