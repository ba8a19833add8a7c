"""What each position scheme promises: by what it tells positions apart, and how far it reaches."""

import math

import numpy as np
import pytest

from minibert.config import ModelConfig, PositionConfig, RelativeBiasConfig, RelativeConfig, RopeConfig
from minibert.errors import MinibertError
from minibert.mistakes.layers import EVERY_SCHEME
from minibert.model.bert import MiniBERT
from minibert.model.positions import build_positions
from minibert.model.positions.biases import RelativeBiasPositions, alibi_slopes, bucket_edges
from minibert.model.positions.scheme import distances

INPUT_IDS = np.array([[2, 9, 9, 5, 3], [2, 7, 3, 1, 0]])


def build(position="none", **fields) -> MiniBERT:
    settings = {
        "vocab_size": 40, "hidden_size": 16, "layers": 2, "heads": 4, "feed_forward_size": 24, "max_length": 6,
        "dropout": 0.0, "attention_dropout": 0.0, "dtype": "float64", "init_scale": 0.5,
    }  # fmt: skip
    position = EVERY_SCHEME[position] if isinstance(position, str) else position
    return MiniBERT(ModelConfig(position=position, **settings | fields), seed=1)


def share(model: MiniBERT, other: MiniBERT) -> MiniBERT:
    """``model`` with the parameters of ``other`` wherever both have them."""
    for name, array in model.params.items():
        if name in other.params:
            array[...] = other.params[name]
    return model


# The order of tokens


def test_none_is_permutation_equivariant():
    """Tokens in another order have the same logits in that order."""
    order = [3, 0, 4, 2, 1]
    model = build("none")
    logits, _ = model.forward(INPUT_IDS)
    permuted, _ = model.forward(INPUT_IDS[:, order])
    np.testing.assert_allclose(permuted, logits[:, order], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("scheme", [name for name in EVERY_SCHEME if name != "none"])
def test_every_other_scheme_tells_orders_apart(scheme):
    order = [3, 0, 4, 2, 1]
    model = build(scheme)
    logits, _ = model.forward(INPUT_IDS)
    permuted, _ = model.forward(INPUT_IDS[:, order])
    assert np.abs(permuted - logits[:, order]).max() > 1e-3


@pytest.mark.parametrize("scheme", ["relative", "relative_bias", "rope", "alibi", "none"])
def test_schemes_of_distances_do_not_see_a_shift_of_all_positions(scheme):
    model = build(scheme, max_length=600)
    logits, _ = model.forward(INPUT_IDS)
    for shift in (1, 500):
        shifted, _ = model.forward(INPUT_IDS, position_ids=np.arange(5) + np.full((2, 1), shift))
        np.testing.assert_allclose(shifted, logits, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("scheme", ["absolute", "sinusoidal"])
def test_schemes_of_places_see_a_shift_of_all_positions(scheme):
    model = build(scheme)
    shifted, _ = model.forward(INPUT_IDS, position_ids=np.arange(5) + np.ones((2, 1), int))
    assert np.abs(shifted - model.forward(INPUT_IDS)[0]).max() > 1e-3


@pytest.mark.parametrize("scheme", EVERY_SCHEME)
def test_positions_left_out_are_those_from_zero_on(scheme):
    model = build(scheme)
    given, _ = model.forward(INPUT_IDS, position_ids=np.tile(np.arange(5), (2, 1)))
    np.testing.assert_array_equal(given, model.forward(INPUT_IDS)[0])


# How far a scheme reaches


@pytest.mark.parametrize("scheme", ["absolute", "relative"])
def test_tables_refuse_sequences_longer_than_trained(scheme):
    model = build(scheme)
    assert model.forward(np.zeros((1, 6), int))[0].shape == (1, 6, 40)
    with pytest.raises(MinibertError, match=r"7 tokens.*max_length=6"):
        model.forward(np.zeros((1, 7), int))
    with pytest.raises(MinibertError, match=r"7 tokens.*max_length=6"):
        model.forward(np.zeros((1, 2), int), position_ids=np.array([[0, 6]]))


@pytest.mark.parametrize("scheme", [name for name, scheme in EVERY_SCHEME.items() if not scheme.has_table])
def test_the_other_schemes_extrapolate(scheme):
    """What they compute of a sequence's start, looking at that start alone, is what they compute of it cut."""
    model = build(scheme)
    long = np.random.default_rng(0).integers(0, 40, (1, 50))
    logits, _ = model.forward(long, np.arange(50)[None] < 6)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(logits[:, :6], model.forward(long[:, :6])[0], rtol=1e-10, atol=1e-11)


# Each scheme's own formula


def test_sinusoidal_vectors_are_those_of_the_paper():
    """Position 3 of 4 entries: sin 3, cos 3, sin 3/100, cos 3/100, times the deviation of the embeddings."""
    model = build("sinusoidal", hidden_size=4, heads=2, init_scale=0.5)
    row = model.position.table(4)[3]
    np.testing.assert_allclose(row * 2, [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)], rtol=1e-12)


def rotated(positions, config=None, seed=0):
    """Random queries and keys (1, H, T, K), before and after they have turned."""
    settings = ModelConfig(position=config or RopeConfig(), hidden_size=32, heads=2, dtype="float64")
    query, key = np.random.default_rng(seed).normal(size=(2, 1, 2, len(positions), 16))
    before = query.copy(), key.copy()
    places = build_positions(settings).places(np.array([positions]), 1, len(positions), None, {})
    places.rotate(query, key)
    return before, (query, key)


def test_rotary_scores_depend_on_the_distance_alone():
    """A query at m and a key at n, both shifted by any s, have one product; shifted apart, another."""
    query, key = np.random.default_rng(0).normal(size=(2, 16))
    settings = ModelConfig(position=RopeConfig(), hidden_size=32, heads=2, dtype="float64")

    def score(m, n):
        pair = np.stack([query, key]).reshape(1, 1, 2, 16).repeat(2, axis=1)
        turned_queries, turned_keys = pair.copy(), pair.copy()
        places = build_positions(settings).places(np.array([[m, n]]), 1, 2, None, {})
        places.rotate(turned_queries, turned_keys)
        return turned_queries[0, 0, 0] @ turned_keys[0, 0, 1]

    assert score(7, 7) == pytest.approx(query @ key, rel=1e-12)
    for shift in (1, 13, 4000):
        assert score(3 + shift, 8 + shift) == pytest.approx(score(3, 8), rel=1e-9)
    assert abs(score(3, 9) - score(3, 8)) > 1e-3
    assert abs(score(8, 3) - score(3, 8)) > 1e-3


def test_rotation_keeps_norms_and_leaves_position_zero_alone():
    (query, key), (turned_query, turned_key) = rotated([0, 1, 17, 900])
    for before, after in ((query, turned_query), (key, turned_key)):
        np.testing.assert_allclose(np.linalg.norm(after, axis=3), np.linalg.norm(before, axis=3), rtol=1e-12)
        np.testing.assert_allclose(after[:, :, 0], before[:, :, 0], rtol=1e-15)
        assert np.abs(after[:, :, 1:] - before[:, :, 1:]).max() > 0.1


def test_a_rotated_fraction_leaves_the_rest_as_it_is():
    """A quarter of 16 entries: two pairs, of frequencies 1 and base^-½."""
    (query, _), (turned, _) = rotated([5], RopeConfig(base=100.0, fraction=0.25))
    np.testing.assert_array_equal(turned[..., 4:], query[..., 4:])
    for pair, angle in enumerate((5.0, 0.5)):
        a, b = query[0, 0, 0, 2 * pair : 2 * pair + 2]
        expected = [a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)]
        np.testing.assert_allclose(turned[0, 0, 0, 2 * pair : 2 * pair + 2], expected, rtol=1e-12)


def test_rotating_back_undoes_the_rotation():
    """The turns are unitary: the backward pass is the inverse."""
    settings = ModelConfig(position=RopeConfig(), hidden_size=32, heads=2, dtype="float64")
    places = build_positions(settings).places(None, 1, 5, None, {}).at(np.array([[4, 1]]))
    query, key = np.random.default_rng(0).normal(size=(1, 2, 2, 16)), np.ones((1, 2, 5, 16))
    turned_query, turned_key = query.copy(), key.copy()
    places.rotate(turned_query, turned_key)
    places.rotate_backward(turned_query, turned_key)
    np.testing.assert_allclose(turned_query, query, rtol=1e-12)
    np.testing.assert_allclose(turned_key, key, rtol=1e-12)


@pytest.mark.parametrize(
    "position",
    [
        RelativeConfig(distance=2), RelativeConfig(distance=9, values=False),
        RelativeBiasConfig(buckets=8, farthest=3),
    ],
)  # fmt: skip
def test_tables_of_zeros_equal_none(position):
    model = build(position)
    for name, array in model.params.items():
        if "relative" in name:
            assert array.any()
            array[...] = 0
    expected, _ = share(build("none"), model).forward(INPUT_IDS)
    np.testing.assert_allclose(model.forward(INPUT_IDS)[0], expected, rtol=1e-12, atol=1e-13)


def test_switched_off_terms_have_no_tables():
    names = [name for name in build(RelativeConfig(values=False)).params if "relative" in name]
    assert names == ["layers.0.attention.relative_key.weight", "layers.1.attention.relative_key.weight"]
    (name, _) = [name for name in build(RelativeConfig(keys=False)).params if "relative" in name]
    assert name == "layers.0.attention.relative_value.weight"


def test_distances_beyond_the_clip_share_their_vector():
    """With distance 1 there is one vector for all that stands before, one for itself, one for all behind."""
    model = build(RelativeConfig(distance=1), layers=1)
    wide = build(RelativeConfig(distance=4), layers=1)
    plain = build("none", layers=1)
    share(wide, plain)
    share(model, plain)
    for name in ("relative_key", "relative_value"):
        before, itself, behind = model.params[f"layers.0.attention.{name}.weight"]
        wide.params[f"layers.0.attention.{name}.weight"] = [before] * 4 + [itself] + [behind] * 4
    np.testing.assert_allclose(wide.forward(INPUT_IDS)[0], model.forward(INPUT_IDS)[0], rtol=1e-11, atol=1e-12)


def test_edges_of_buckets_are_those_of_the_paper():
    """16 buckets a direction: 0 to 7 one each, then 8 · 16^(r/8) = 8, 11.3, 16, 22.6, 32, 45.3, 64, 90.5."""
    assert bucket_edges(16, 128).tolist() == [*range(8), 8, 12, 16, 23, 32, 46, 64, 91]


def test_buckets_of_both_directions_equal_those_worked_out_from_the_paper():
    """relative position = key - query; buckets 16 to 31 are for keys behind the query."""
    scheme = RelativeBiasPositions(ModelConfig(position=RelativeBiasConfig()))
    expected = {
        0: 0, -1: 1, -7: 7, -8: 8, -11: 8, -12: 9, -15: 9, -16: 10, -31: 11, -32: 12, -90: 14, -91: 15, -127: 15,
        -128: 15, -5000: 15, 1: 17, 7: 23, 8: 24, 11: 24, 12: 25, 22: 26, 23: 27, 45: 28, 46: 29, 64: 30, 91: 31,
        128: 31, 5000: 31,
    }  # fmt: skip
    assert dict(zip(expected, scheme.bucket(np.array(list(expected))).tolist(), strict=True)) == expected


def test_the_bias_of_a_bucket_is_added_to_the_scores_after_their_scaling():
    """All scores zero but for the bias: weights are its softmax, whatever the head size."""
    model = build("relative_bias", layers=1)
    for name in ("query", "key"):
        model.params[f"layers.0.attention.{name}.weight"] = 0
    table = model.params["embeddings.relative_bias.weight"]
    _, cache = model.forward(INPUT_IDS[:1, :2])
    for head in range(4):
        # bucket 0 holds distance 0, bucket 5 = 4 + 1 a key one behind, bucket 1 a key one before
        here, behind, before = math.exp(table[0, head]), math.exp(table[5, head]), math.exp(table[1, head])
        first, second = np.array([here, behind]), np.array([before, here])
        expected = [first / first.sum(), second / second.sum()]
        np.testing.assert_allclose(cache.layers[0].attention.weights[0, head], expected, rtol=1e-12)


def test_penalties_of_alibi_are_symmetric_and_grow_with_the_distance():
    settings = ModelConfig(position=PositionConfig("alibi"), hidden_size=16, heads=4, dtype="float64")
    bias = build_positions(settings).places(None, 2, 7, None, {}).bias[0] / math.sqrt(4)
    np.testing.assert_array_equal(bias, bias.transpose(0, 2, 1))
    assert not np.diagonal(bias, axis1=1, axis2=2).any()
    np.testing.assert_allclose(bias[:, 0], -np.outer([1 / 4, 1 / 16, 1 / 64, 1 / 256], np.arange(7)), rtol=1e-12)


def test_slopes_of_alibi_are_those_of_the_paper():
    """8 heads: ½, ¼, ..., 2^-8. 12 heads: these, and every second one of the slopes of 16 heads."""
    assert alibi_slopes(8).tolist() == [2.0**-n for n in range(1, 9)]
    np.testing.assert_allclose(alibi_slopes(12)[8:], [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5], rtol=1e-12)
    assert alibi_slopes(1).tolist() == [2.0**-8]


def test_alibi_far_from_all_it_may_look_at_stays_finite():
    """In float32 exp(-300 / 4) is not 0 but exp(-1000 / 4) is: a row whose keys are all far away is shifted."""
    model = build("alibi", dtype="float32")
    ids = np.zeros((1, 1200), int)
    mask = np.broadcast_to(np.arange(1200) < 3, (1, 1200))
    logits, cache = model.forward(ids, mask)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(cache.layers[0].attention.weights.sum(axis=3), 1, rtol=1e-5)


# Packed rows


def test_pieces_that_a_mask_keeps_apart_share_one_table_of_distances():
    positions, piece = np.array([[0, 1, 2, 0, 1]]), np.array([0, 0, 0, 1, 1])
    apart = np.where(piece[:, None] == piece, 0.0, -1e30)[None, None]
    plain = np.arange(5) - np.arange(5)[:, None]
    np.testing.assert_array_equal(distances(positions, 5, apart), plain[None])
    np.testing.assert_array_equal(distances(np.array([[8, 9, 10, 11, 12]]), 5, None), plain[None])
    np.testing.assert_array_equal(distances(positions, 5, None)[0, 2], [-2, -1, 0, -2, -1])


# What makes no sense


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"position": RopeConfig(), "hidden_size": 12}, r"position=rope.*12 / .*heads=4.*heads of 3.*even"),
        ({"position": RopeConfig(fraction=0.1), "heads": 4}, r"fraction=0\.1.*less than one pair.*at least 0\.5"),
        ({"position": PositionConfig("sinusoidal"), "hidden_size": 15, "heads": 3}, "hidden_size=15 is odd"),
        ({"position": RelativeConfig(keys=False, values=False)}, r"keys=False and .*position=none"),
        ({"position": RelativeBiasConfig(buckets=10)}, "buckets=10.*multiples of 4"),
        ({"position": RelativeBiasConfig(buckets=32, farthest=8)}, "farthest=8.*more than 8"),
        ({"position": PositionConfig("rope")}, r"rope belongs in a RopeConfig"),
        ({"position": PositionConfig("roep")}, r"model\.position\.name=roep.*did you mean 'rope'"),
        ({"position": RopeConfig(fraction=1.5)}, r"model\.position\.fraction=1\.5: out of range"),
    ],
)
def test_combinations_that_make_no_sense_are_refused(fields, words):
    with pytest.raises(MinibertError, match=words):
        build(**fields)
