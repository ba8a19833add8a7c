"""Spectra: matrices whose singular values are known, and what a run records of its weights and hidden states."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from support.batches import RandomBatches
from support.records import MemoryRecord
from support.trainers import small_config, small_model, small_trainer

from minibert import MiniBERT, MinibertError
from minibert.diagnostics import (
    compute_condition_number,
    compute_effective_dimensionality,
    compute_effective_rank,
    compute_spectral_norm,
    compute_spectrum,
    compute_stable_rank,
    compute_tail_exponent,
)
from minibert.diagnostics.catalogue import choose
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.spectra.figures import (
    plot_hidden_quantities,
    plot_hidden_spectra,
    plot_singular_values,
    plot_weight_spectra,
)
from minibert.diagnostics.spectra.measures import QUANTITIES, fit_tail
from minibert.diagnostics.spectra.recorded import hidden_spectra, weight_spectra

MODEL = small_model(vocab_size=40, dropout=0.1, attention_dropout=0.1)


def planted(values, rows, columns, seed=0):
    """A matrix with these singular values, in random directions."""
    random = np.random.default_rng(seed)
    left = np.linalg.qr(random.normal(size=(rows, len(values))))[0]
    right = np.linalg.qr(random.normal(size=(columns, len(values))))[0]
    return left * np.asarray(values, float) @ right.T


@pytest.mark.parametrize("shape", [(50, 8), (8, 50)])
def test_a_matrix_of_rank_three(shape):
    matrix = planted([4, 2, 1], *shape).astype("float32")
    spectrum = compute_spectrum(matrix)
    np.testing.assert_allclose(spectrum.values, [4, 2, 1, 0, 0, 0, 0, 0], rtol=1e-6)
    # log 7 - (4 log 4 + 2 log 2) / 7 nats of entropy
    assert compute_effective_rank(matrix) == pytest.approx(7 / 2 ** (10 / 7), rel=1e-6)
    assert compute_stable_rank(matrix) == pytest.approx(21 / 16, rel=1e-6)
    assert compute_effective_dimensionality(matrix) == pytest.approx(21**2 / (256 + 16 + 1), rel=1e-6)
    assert compute_spectral_norm(matrix) == pytest.approx(4, rel=1e-6)
    assert compute_condition_number(matrix) == math.inf
    assert math.isnan(compute_tail_exponent(matrix))


def test_a_rotation_uses_all_directions_alike():
    rotation = 3 * planted(np.ones(20), 20, 20)
    for compute in (compute_effective_rank, compute_stable_rank, compute_effective_dimensionality):
        assert compute(rotation) == pytest.approx(20)
    assert compute_spectral_norm(rotation) == pytest.approx(3)
    assert compute_condition_number(rotation) == pytest.approx(1)
    assert compute_tail_exponent(rotation) == math.inf


def test_a_zero_matrix_has_no_direction():
    zero = np.zeros((12, 15))
    found = {name: compute(compute_spectrum(zero)) for name, compute in QUANTITIES.items()}
    assert [found[name] for name in ("effective_rank", "stable_rank", "participation_ratio", "spectral_norm")] == [
        0
    ] * 4
    assert found["condition_number"] == math.inf
    assert math.isnan(found["tail_exponent"])


def test_a_single_row_is_one_direction():
    row = np.array([[3.0, 0.0, 4.0]])
    for compute in (compute_effective_rank, compute_stable_rank, compute_effective_dimensionality):
        assert compute(row) == pytest.approx(1)
    assert compute_spectral_norm(row) == pytest.approx(5)
    assert compute_condition_number(row) == pytest.approx(1)


@pytest.mark.parametrize("exponent", [1.5, 2.5, 4.0])
def test_a_planted_power_law_is_found(exponent):
    count = 200
    # The quantiles of the law, which lets (λ/c)^(1-α) of the mass lie beyond λ.
    eigenvalues = ((np.arange(count) + 0.5) / count) ** (-1 / (exponent - 1))
    assert compute_tail_exponent(planted(np.sqrt(eigenvalues), 400, count)) == pytest.approx(exponent, rel=0.02)


def test_the_tail_begins_where_the_power_law_does():
    tail = (np.arange(60) + 0.5) / 60
    numbers = np.concatenate([10 * tail ** (-1 / 2), np.linspace(1, 10, 200)])
    found = fit_tail(numbers)
    assert found.exponent == pytest.approx(3, rel=0.05)
    assert found.size == pytest.approx(60, abs=10)
    assert found.cut == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("shape", [(300, 40), (40, 300), (64, 64)])
def test_singular_values_are_those_of_a_full_decomposition(shape):
    matrix = np.random.default_rng(1).normal(size=shape).astype("float32")
    expected = np.linalg.svd(matrix.astype("float64"), compute_uv=False)
    np.testing.assert_allclose(compute_spectrum(matrix).values, expected, rtol=1e-9)


def test_centring_takes_the_mean_row_out():
    rows = np.full((6, 4), 7.0)
    rows[:, 0] += [1, -1, 1, -1, 1, -1]
    assert compute_effective_dimensionality(rows, centred=True) == pytest.approx(1)
    assert compute_spectral_norm(rows, centred=True) == pytest.approx(math.sqrt(6))
    assert compute_spectral_norm(rows) > 7 * math.sqrt(24) - 1e-9
    assert (rows[:, 1] == 7).all()


@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(100, 20), (10, 300), (3, 2)])
def test_rows_that_are_equal_but_for_rounding_have_no_direction_once_they_are_centred(shape, kind):
    draws = np.random.default_rng(3)
    row = (3 * draws.standard_normal(shape[1])).astype(kind)
    equal = np.tile(row, (shape[0], 1))
    noise = draws.uniform(-0.5, 0.5, shape)  # an entry is rounded to the nearest number of its kind
    for constant in (np.full(shape, 0.1, kind), equal, equal + (noise * np.spacing(np.abs(equal))).astype(kind)):
        spectrum = compute_spectrum(constant, centred=True)
        assert not spectrum.values.any()
        assert compute_effective_rank(spectrum) == compute_stable_rank(spectrum) == 0
        assert compute_effective_dimensionality(spectrum) == compute_spectral_norm(spectrum) == 0
        assert math.isinf(compute_condition_number(spectrum))
        assert compute_effective_rank(constant) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("kind", "size"), [("float64", 1e-9), ("float32", 1e-3)])
def test_a_small_spread_about_a_large_mean_is_no_rounding(kind, size):
    spread = np.random.default_rng(4).standard_normal((200, 8))
    expected = compute_effective_rank(spread, centred=True)
    assert compute_effective_rank((30 + size * spread).astype(kind), centred=True) == pytest.approx(
        expected, rel=1e-2
    )


@pytest.mark.parametrize("matrix", [np.zeros(3), np.zeros((2, 3, 4)), np.zeros((0, 3)), np.array([[1, np.nan]])])
def test_what_is_no_matrix_of_finite_numbers_is_refused(matrix):
    with pytest.raises(MinibertError, match="Allowed"):
        compute_effective_rank(matrix)


def test_a_spectrum_cannot_be_centred_afterwards():
    with pytest.raises(MinibertError, match="centred"):
        compute_stable_rank(compute_spectrum(np.eye(3)), centred=True)


def test_weights_are_told_by_parameter_and_what_is_infinite_is_left_out():
    model = MiniBERT(MODEL, seed=0)
    model.params["layers.1.feed_forward.out.weight"] = 0
    model.params["layers.0.attention.query.weight"] = 2 * np.eye(16)
    found = weight_spectra(model)
    matrices = [name for name in model.params if name.endswith(".weight")]
    assert {key for key, value in found.items() if isinstance(value, np.ndarray)} == set(matrices)
    assert {f"{quantity}/embeddings.token.weight" for quantity in QUANTITIES} <= found.keys()
    assert found["effective_rank/layers.0.attention.query.weight"] == pytest.approx(16)
    assert found["spectral_norm/layers.0.attention.query.weight"] == pytest.approx(2)
    assert found["effective_rank/layers.1.feed_forward.out.weight"] == 0
    assert "condition_number/layers.1.feed_forward.out.weight" not in found
    assert all(math.isfinite(value) for value in found.values() if not isinstance(value, np.ndarray))


def hidden(states, attention_mask=None):
    return SimpleNamespace(
        batch=SimpleNamespace(attention_mask=attention_mask), cache=SimpleNamespace(hidden_states=states)
    )


def test_hidden_states_are_centred_and_padding_is_left_out():
    cross = np.array([[[3, 5], [3, 3]], [[-3, 5], [-3, 3]]], "float32")  # mean (0, 4), deviations 3 and 1
    padded = np.concatenate([cross, np.full((2, 1, 2), 1e6, "float32")], axis=1)
    mask = np.array([[True, True, False]] * 2)
    pieces = mask[:, None, :] & np.ones((2, 3, 1), bool)
    for each in (hidden([cross]), hidden([padded], mask), hidden([padded], pieces)):
        found = hidden_spectra(each)
        assert found["hidden_spectral_norm/embeddings"] == pytest.approx(3)
        assert found["hidden_condition_number/embeddings"] == pytest.approx(3)
        assert found["hidden_participation_ratio/embeddings"] == pytest.approx(100 / 82)
        assert found["hidden_mean_share/embeddings"] == pytest.approx(16 / 26)
        np.testing.assert_allclose(found["embeddings"], [3, 1], rtol=1e-6)


NAMES = ("weight_spectra", "hidden_spectra")


@pytest.fixture(scope="module")
def record():
    config = small_config(MODEL, 2)
    found = MemoryRecord()
    diagnostics = Diagnostics(choose(NAMES), [0, 1, 2], 2, found)
    batches = RandomBatches(40)
    with small_trainer(config, batches, diagnostics, probe=batches.at(99)) as trainer:
        trainer.train()
    return found


def test_a_run_records_spectra_at_every_look(record):
    assert not record.tags
    assert {name.split("/")[0] for name in record.metric_names()} == {
        room for each in choose(NAMES) for room in each.metrics
    }
    steps, values = record.history("effective_rank/layers.1.attention.query.weight")
    assert steps == [0, 1, 2]
    assert all(1 < value <= 16 for value in values)
    for place in ("embeddings", "layer_0", "layer_1"):
        for quantity in ("effective_rank", "stable_rank", "participation_ratio", "spectral_norm", "mean_share"):
            assert record.history(f"hidden_{quantity}/{place}")[0] == [0, 1, 2]
    assert record.arrays("weight_spectra")[2]["embeddings.token.weight"].shape == (16,)
    assert record.arrays("hidden_spectra")[0]["layer_1"].shape == (16,)


def test_figures_are_drawn_of_what_is_recorded(record):
    drawings = (plot_weight_spectra, plot_singular_values, plot_hidden_quantities, plot_hidden_spectra)
    assert all(draw(MemoryRecord()) == {} for draw in drawings)
    drawn = {name: drawing for draw in drawings for name, drawing in draw(record).items()}
    assert set(drawn) == {*QUANTITIES, "singular_values", "hidden_quantities", "hidden_spectra"}
    titles = [panel.get_title() for panel in drawn["effective_rank"].figure.axes]
    assert {"attention query", "feed forward out", "outside the layers"} <= set(titles)
    lines = drawn["effective_rank"].figure.axes[0].get_lines()
    assert len(lines) == 2 + 2  # layers, and what each started at
