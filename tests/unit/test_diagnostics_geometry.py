"""The geometry of hidden states: each quantity where its value is known, and what a run records."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from support.records import MemoryRecord

from minibert.config import Config, ModelConfig
from minibert.data.batches import Batch
from minibert.data.tokenizer import train_tokenizer
from minibert.diagnostics import (
    analyze_representation_geometry,
    compute_layer_similarity,
    compute_linear_cka,
    compute_representation_geometry,
    compute_token_diversity,
    detect_mode_collapse,
)
from minibert.diagnostics.catalogue import choose
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.geometry.collapse import measure_collapse
from minibert.diagnostics.geometry.figures import (
    plot_collapse,
    plot_representation_geometry,
    plot_similarity,
    plot_stability,
)
from minibert.diagnostics.geometry.measures import (
    compute_anisotropy,
    compute_intrinsic_dimension,
    compute_isotropy,
    compute_norm_frequency_correlation,
    compute_norms_by_token,
)
from minibert.diagnostics.geometry.perturbations import SENTENCES
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.training.trainer import Trainer

NAMES = ["representation_geometry", "layer_similarity", "mode_collapse", "representation_stability"]


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# Token diversity


def test_diversity_is_0_for_one_direction_and_1_for_orthogonal_tokens():
    lengths = np.array([1.0, 2.0, 5.0])
    one_direction = lengths[:, None] * np.array([[1.0, 2.0, 2.0]])
    assert compute_token_diversity(one_direction[None]) == pytest.approx(0)
    assert compute_token_diversity(lengths[:, None] * np.eye(3)[None]) == pytest.approx(1)


def test_diversity_compares_tokens_of_one_sequence_only_and_leaves_padding_out():
    right, up = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    states = np.stack([[right, right, up], [up, up, up]])  # pairs of the first: cosines 1, 0, 0
    assert compute_token_diversity(states) == pytest.approx((2 / 3 + 0) / 2)
    mask = np.array([[True, True, False], [True, True, True]])
    assert compute_token_diversity(states, mask) == pytest.approx(0)


def test_diversity_compares_no_tokens_of_different_pieces_of_a_row():
    right, up = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    states = np.array([[right, right, up, up]])
    same_piece = np.array([[0, 0, 1, 1]])[:, :, None] == np.array([[0, 0, 1, 1]])[:, None, :]
    assert compute_token_diversity(states) == pytest.approx(4 / 6)
    assert compute_token_diversity(states, same_piece) == pytest.approx(0)


# Anisotropy and isotropy


def test_anisotropy_is_the_mean_cosine_over_all_pairs():
    vectors = np.array([[2.0, 0], [0, 3.0], [1.0, 1.0]])  # cosines 0, √½, √½
    assert compute_anisotropy(vectors) == pytest.approx(2 * math.sqrt(0.5) / 3)
    assert compute_anisotropy(vectors.astype(np.float32)) == pytest.approx(2 * math.sqrt(0.5) / 3)


def test_anisotropy_is_near_0_for_a_gaussian_and_near_1_with_a_large_offset():
    assert compute_anisotropy(gaussian(500, 50)) == pytest.approx(0, abs=0.01)
    assert compute_anisotropy(gaussian(500, 50) + 10) == pytest.approx(100 / 101, abs=0.002)


def test_isotropy_of_a_gaussian_is_near_1_at_any_scale():
    for scale in (0.001, 1, 1000):
        assert compute_isotropy(scale * gaussian(4000, 20)) > 0.97


def test_isotropy_has_known_values_for_a_point_and_for_a_line():
    point = np.tile([3.0, 4.0], (6, 1))
    assert compute_isotropy(point) == pytest.approx(math.exp(-2))
    assert compute_isotropy(point, normalise=False) == pytest.approx(math.exp(-10))
    line = np.array([[1.0, 0], [-1.0, 0]])  # Z along it is 2 cosh 1, across it 2
    assert compute_isotropy(line) == pytest.approx(1 / math.cosh(1))
    assert compute_isotropy(1e4 * point, normalise=False) == 0  # e⁻¹⁰⁰⁰⁰⁰, and no overflow


# Intrinsic dimension


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_points_on_a_flat_sheet_have_its_dimension(dimension):
    sheet = np.random.default_rng(1).random((900, dimension)) @ gaussian(dimension, 50)
    assert compute_intrinsic_dimension(sheet) == pytest.approx(dimension, rel=0.15)


def test_a_rolled_sheet_has_dimension_2():
    random = np.random.default_rng(2)
    angle, height = random.uniform(4, 14, 1000), random.uniform(0, 20, 1000)
    roll = np.stack([angle * np.cos(angle), height, angle * np.sin(angle)], axis=1)
    assert compute_intrinsic_dimension(roll) == pytest.approx(2, rel=0.1)


def test_intrinsic_dimension_of_a_ratio_worked_out_by_hand():
    """Points 0, 1, 3, 7 on a line: r₂/r₁ are 3, 2, 3/2, 3/2 (3 to 1 and 0; 7 is 4 from 3 and 6 from 1)."""
    ratios = np.log([1.5, 1.5, 2])  # the largest has F = 1
    expected = ratios @ -np.log([3 / 4, 2 / 4, 1 / 4]) / (ratios @ ratios)
    assert compute_intrinsic_dimension(np.array([[0.0], [1], [3], [7]]), discard=0) == pytest.approx(expected)


def test_repeated_points_change_no_dimension_even_where_rounding_parts_them():
    sheet = np.random.default_rng(3).random((300, 2)) @ gaussian(2, 20)
    alone = compute_intrinsic_dimension(sheet)
    repeated = np.repeat(sheet, 3, axis=0)
    assert compute_intrinsic_dimension(repeated) == pytest.approx(alone, rel=1e-6)
    rounded = (repeated * (1 + 1e-7 * gaussian(900, 1))).astype(np.float32)
    assert compute_intrinsic_dimension(rounded) == pytest.approx(alone, rel=1e-3)


def test_what_is_all_one_point_has_dimension_0():
    assert compute_intrinsic_dimension(np.ones((20, 4))) == 0
    assert compute_intrinsic_dimension(np.zeros((20, 4))) == 0


GRID = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0)), axis=-1).reshape(-1, 2)
ANGLES = np.arange(40) * 2 * np.pi / 40


@pytest.mark.parametrize(
    "points",
    [
        GRID,
        1e-9 * np.random.default_rng(0).standard_normal((64, 2)) + GRID,  # even but for rounding
        np.repeat(GRID, 2, axis=0),
        np.vstack([GRID, [[100.0, 100.0]]]),  # the largest ratio is discarded
        np.arange(50.0)[:, None] * np.ones(5),
        np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1),
        np.eye(30),
        np.repeat([[1.0, 2], [3, 5]], 10, axis=0),
    ],
    ids=["grid", "rounded grid", "grid twice", "grid and outlier", "line", "circle", "orthogonal", "two points"],
)
def test_neighbours_at_equal_distances_tell_no_dimension(points):
    assert math.isnan(compute_intrinsic_dimension(points))


def test_a_grid_whose_points_are_shaken_has_its_dimension():
    shaken = GRID + 0.4 * np.random.default_rng(1).uniform(-1, 1, GRID.shape)
    assert compute_intrinsic_dimension(shaken) == pytest.approx(2, rel=0.5)


def test_many_points_are_drawn_from_by_seed():
    points = np.random.default_rng(4).random((3000, 2))
    first = compute_intrinsic_dimension(points, most=400, seed=1)
    assert first == compute_intrinsic_dimension(points, most=400, seed=1)
    assert first != compute_intrinsic_dimension(points, most=400, seed=2)
    assert first == pytest.approx(2, rel=0.2)


# Norms by frequency


def test_norms_are_means_over_a_tokens_places_and_special_tokens_are_left_out():
    counts = np.array([0, 7, 9])
    vectors = np.array([[3.0, 4.0], [0, 1.0], [0, 3.0], [8.0, 6.0]])
    ids, norms, frequencies = compute_norms_by_token(vectors, np.array([2, 1, 1, 0]), counts)
    assert (ids.tolist(), norms.tolist(), frequencies.tolist()) == ([1, 2], [2.0, 5.0], [7, 9])


def test_correlation_of_norm_and_frequency_is_spearmans():
    counts = np.array([0, 1, 10, 100, 1000])
    ids = np.array([1, 2, 3, 4, 0])

    def correlation(*norms):
        return compute_norm_frequency_correlation(np.array([[norm, 0] for norm in (*norms, 99.0)]), ids, counts)

    assert correlation(1, 2, 5, 50) == pytest.approx(1)
    assert correlation(9, 3, 2, 1) == pytest.approx(-1)
    assert correlation(2, 1, 4, 3) == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert correlation(3, 3, 3, 3 + 1e-8) == 0  # equal but for rounding


# All of it together


def test_geometry_of_all_places_leaves_out_what_is_not_chosen():
    states = [gaussian(2, 6, 8, seed=seed) for seed in range(3)]
    ids, counts = np.arange(12).reshape(2, 6), np.arange(12)
    chosen = np.ones((2, 6), bool)
    chosen[:, 4:] = False
    found = analyze_representation_geometry(states, None, ids, counts, tokens=chosen)
    assert list(found) == ["embeddings", "layer_0", "layer_1"]
    assert found["layer_1"] == compute_representation_geometry(states[2][:, :4], None, ids[:, :4], counts)
    assert found["layer_1"].tokens == 8
    assert compute_representation_geometry(states[0], chosen).norm_frequency_correlation is None


def test_words_that_recur_with_almost_the_same_vector_change_no_intrinsic_dimension():
    words = np.random.default_rng(5).random((400, 2)) @ gaussian(2, 20)
    ids = np.repeat(np.arange(400), 2)
    twice = words[ids] + 1e-3 * gaussian(800, 20)
    assert compute_intrinsic_dimension(twice) < 0.5
    found = compute_representation_geometry(twice.reshape(8, 100, 20), token_ids=ids.reshape(8, 100))
    assert found.intrinsic_dimension == pytest.approx(2, rel=0.2)
    assert found.norm_frequency_correlation is None


# Similarity of layers


def unbiased_hsic(first, second):
    """As in Song et al., with matrices over pairs of tokens."""
    K, L = first @ first.T, second @ second.T
    np.fill_diagonal(K, 0)
    np.fill_diagonal(L, 0)
    n = len(K)
    crossed = K.sum() * L.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (K @ L).sum()
    return (np.trace(K @ L) + crossed) / (n * (n - 3))


def test_similarity_equals_the_formula_over_pairs_of_tokens():
    first = gaussian(30, 6) + 3
    second = np.tanh(first @ gaussian(6, 9, seed=1)) + gaussian(30, 9, seed=2)
    hsic = unbiased_hsic(first, second)
    expected = hsic / math.sqrt(unbiased_hsic(first, first) * unbiased_hsic(second, second))
    assert compute_linear_cka(first, second) == pytest.approx(expected)
    centred = [array - array.mean(axis=0) for array in (first, second)]
    crossed = np.linalg.norm(centred[0].T @ centred[1]) ** 2
    own = [np.linalg.norm(array.T @ array) for array in centred]
    assert compute_linear_cka(first, second, debiased=False) == pytest.approx(crossed / (own[0] * own[1]))


@pytest.mark.parametrize("debiased", [True, False])
def test_similarity_is_1_under_rotation_scale_and_shift(debiased):
    states = gaussian(60, 12)
    rotation, _ = np.linalg.qr(gaussian(12, 12, seed=1))
    assert compute_linear_cka(states, 1e3 * states @ rotation + 7, debiased) == pytest.approx(1)


def test_independent_gaussians_are_unlike_without_the_bias_only():
    first, second = gaussian(150, 100), gaussian(150, 100, seed=1)
    assert compute_linear_cka(first, second) == pytest.approx(0, abs=0.03)
    assert compute_linear_cka(first, second, debiased=False) > 0.35


def test_similarity_of_all_places_is_symmetric_and_that_of_two_networks_need_not_be():
    states = [gaussian(2, 10, 8, seed=seed).astype(np.float32) for seed in range(3)]
    chosen = np.ones((2, 10), bool)
    chosen[1, 5:] = False
    matrix = compute_layer_similarity(states, chosen=chosen)
    assert np.array_equal(matrix, matrix.T)
    assert np.diagonal(matrix) == pytest.approx([1, 1, 1])
    assert matrix[0, 2] == pytest.approx(compute_linear_cka(states[0][chosen], states[2][chosen]))
    against = compute_layer_similarity(states, states[1:], chosen)
    assert against == pytest.approx(matrix[:, 1:])


@pytest.mark.parametrize("kind", ["float64", "float32"])
def test_a_constant_representation_is_like_nothing(kind):
    row = gaussian(3).astype(kind)
    for constant in (np.full((9, 3), 0.1, kind), np.tile(row, (9, 1)), rounded(np.tile(row, (9, 1)))):
        assert compute_linear_cka(constant, gaussian(9, 3)) == 0
        assert compute_linear_cka(constant, constant) == 0
        assert measure_collapse(np.repeat(constant, 2, axis=0)) == (0, 1)
        assert compute_isotropy(constant) == pytest.approx(math.exp(-2), rel=1e-4)


def rounded(matrix):
    """Every entry off by up to one unit of its rounding."""
    noise = np.random.default_rng(7).uniform(-1, 1, matrix.shape)
    return matrix + (noise * np.spacing(np.abs(matrix))).astype(matrix.dtype)


# Collapse


def test_spread_and_share_have_known_values():
    cross = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]] * 3)
    assert measure_collapse(cross) == pytest.approx((1, 0.9))
    offset = np.array([2, 1])  # its square, 5, is the mean square of the cross
    assert measure_collapse(cross + offset) == pytest.approx((0.5, 0.9))
    assert measure_collapse(np.ones((12, 3))) == (0, 1)


def test_a_planted_collapse_to_a_point_is_found_with_the_step_at_which_it_began():
    cloud, point = gaussian(8, 16, 32), gaussian(32, seed=1)
    history = {0: cloud, 10: cloud + point, 20: 0.1 * cloud + point, 40: 1e-3 * cloud + point}
    found = detect_mode_collapse(history)
    assert (found.collapsed, found.began, found.kind) == (True, 20, "point")
    assert found.steps == (0, 10, 20, 40)
    assert found.collapsed_steps == (20, 40)
    assert (np.diff(found.spread) < 0).all()


def test_a_planted_collapse_to_a_line_is_found():
    cloud = gaussian(200, 32)
    line = gaussian(200, 1, seed=1) * gaussian(1, 32, seed=2)
    found = detect_mode_collapse([cloud, cloud + 0.3 * line, 0.1 * cloud + line])
    assert (found.collapsed, found.began, found.kind) == (True, 2, "line")
    assert found.first_direction_share[-1] > 0.95


def test_a_healthy_history_and_one_that_recovers_are_not_collapsed():
    cloud = gaussian(200, 32)
    assert not detect_mode_collapse([cloud, cloud + 1, 5 * cloud]).collapsed
    recovered = detect_mode_collapse({0: cloud, 5: 1e-3 * cloud + 1, 9: cloud})
    assert (recovered.collapsed, recovered.began, recovered.kind) == (False, None, None)
    assert recovered.collapsed_steps == (5,)


# Bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compute_token_diversity(np.ones((4, 3))), r"\(4, 3\).*\(B, T, D\)"),
        (lambda: compute_token_diversity(np.ones((2, 1, 3))), "longer sequences"),
        (
            lambda: compute_token_diversity(np.ones((2, 3, 4)), np.ones((2, 2), bool)),
            r"attention_mask.*\(2, 3, 3\)",
        ),
        (lambda: compute_representation_geometry(np.ones((2, 3, 4)), token_ids=np.ones(6)), r"token_ids.*\(6,\)"),
        (lambda: compute_anisotropy(np.ones((1, 3))), "At least 2"),
        (lambda: compute_isotropy(np.array([[np.nan, 1.0]])), "infinite or NaN"),
        (lambda: compute_intrinsic_dimension(np.ones((2, 3))), "At least 3"),
        (lambda: compute_intrinsic_dimension(np.ones((9, 3)), discard=1), "discard=1"),
        (lambda: compute_norms_by_token(np.ones((2, 3)), np.array([1]), np.ones(4)), "one id for each"),
        (lambda: compute_norms_by_token(np.ones((1, 3)), np.array([4]), np.ones(4)), "below the number of counts"),
        (lambda: compute_linear_cka(np.ones((5, 2)), np.ones((6, 2))), r"\[5, 6\] tokens"),
        (lambda: compute_linear_cka(np.ones((3, 2)), np.ones((3, 2))), "At least 4"),
        (lambda: measure_collapse(np.ones((9, 2))), "At least 10"),
        (lambda: detect_mode_collapse([]), "history is empty"),
        (lambda: detect_mode_collapse([np.ones((10, 2))], share_threshold=2), "share_threshold=2"),
    ],
)
def test_bad_input_is_one_message_that_says_what_is_allowed(call, message):
    with pytest.raises(MinibertError, match=message):
        call()


# In training


class RandomBatches:
    def __init__(self, vocab_size):
        self.vocab_size = vocab_size

    def at(self, step):
        random = np.random.default_rng(step)
        input_ids = random.integers(5, self.vocab_size, (4, 12)).astype("int32")
        input_ids[:, 0] = 2
        labels = np.where(random.random(input_ids.shape) < 0.3, input_ids, -100)
        mask = np.ones(input_ids.shape, bool)
        mask[0, 8:] = False
        return Batch(input_ids, labels, mask, int(mask.sum()), int((labels != -100).sum()))


@pytest.fixture(scope="module")
def recorded():
    tokenizer = train_tokenizer(SENTENCES, 300, lowercase=True)
    size = tokenizer.get_vocab_size()
    config = Config(model=ModelConfig(
        vocab_size=size, hidden_size=16, layers=2, heads=2, feed_forward_size=24, max_length=64
    ))  # fmt: skip
    config.seeds.dropout, config.training.steps = 5, 2
    counts = np.arange(size)
    counts[:5] = 0
    record, batches = MemoryRecord(), RandomBatches(size)
    diagnostics = Diagnostics(choose(NAMES), [0, 1, 2], 2, record)
    data = SimpleNamespace(tokenizer=tokenizer, unigram_counts=counts)
    with Trainer(MiniBERT(config.model, 1), batches, config, (), diagnostics, data, batches.at(99)) as trainer:
        trainer.train()
    return record


def test_a_run_records_every_quantity_at_every_place(recorded):
    assert not recorded.tags
    places = ["embeddings", "layer_0", "layer_1"]
    quantities = ["token_diversity", "anisotropy", "isotropy", "intrinsic_dimension", "norm_frequency_correlation"]
    quantities += ["mode_collapse/spread", "mode_collapse/first_direction_share"]
    at_every_look = {f"{quantity}/{place}" for quantity in quantities for place in places}
    at_every_look |= {"layer_similarity/embeddings_layer_0", "layer_similarity/layer_0_layer_1"}
    at_every_look |= {"mode_collapse/collapsed_places"}
    assert all(list(recorded.metrics[name]) == [0, 1, 2] for name in at_every_look)
    perturbations = ["typos", "case", "synonym", "dropout"]
    at_the_end = {f"stability_changed/{name}" for name in perturbations}
    at_the_end |= {f"stability_baseline/{place}" for place in places}
    for kind in ("stability", "stability_cosine"):
        at_the_end |= {f"{kind}/{name}/{place}" for name in perturbations for place in places}
    assert all(list(recorded.metrics[name]) == [2] for name in at_the_end)
    assert set(recorded.metrics) == at_every_look | at_the_end
    assert {name.split("/")[0] for name in recorded.metrics} == {
        room for each in choose(NAMES) for room in each.metrics
    }
    assert recorded.metrics["mode_collapse/collapsed_places"][0] == 0
    matrix = recorded.stored["layer_similarity"][2]["similarity"]
    assert matrix[0, 1] == recorded.metrics["layer_similarity/embeddings_layer_0"][2]
    norms = recorded.stored["representation_geometry"][2]
    assert {array.shape for array in norms.values()} == {norms["counts"].shape}
    assert norms["counts"].min() > 0


def test_figures_are_drawn_from_what_is_recorded_and_only_then(recorded):
    plots = (plot_representation_geometry, plot_similarity, plot_collapse, plot_stability)
    drawn = [name for plot in plots for name in plot(recorded)]
    assert drawn == [
        "quantities", "norm_frequency", "layer_similarity", "neighbour_similarity", "mode_collapse", "stability"
    ]  # fmt: skip
    assert all(plot(MemoryRecord()) == {} for plot in plots)
