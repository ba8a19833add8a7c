"""What Muon makes of a matrix."""

import numpy as np
import pytest

from minibert.training.transforms import orthogonalise, scale_by_muon
from minibert.training.transforms.chains import Moment
from minibert.training.transforms.orthogonal import POLAR_EXPRESS, QUINTIC, UPPER_ENDS, is_cheaper_small, schedule


def matrix_of(singular_values, rows, columns, seed=0):
    random = np.random.default_rng(seed)
    left, _ = np.linalg.qr(random.normal(size=(rows, rows)))
    right, _ = np.linalg.qr(random.normal(size=(columns, columns)))
    count = min(rows, columns)
    return left[:, :count] * singular_values @ right[:, :count].T, left[:, :count] @ right[:, :count].T


@pytest.mark.parametrize(("rows", "columns"), [(12, 12), (12, 40), (40, 12), (1, 5), (5, 1)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_singular_values_come_near_one_whatever_they_were(rows, columns, scale):
    values = np.geomspace(1.0, 0.02, min(rows, columns)) * scale
    matrix, _ = matrix_of(values, rows, columns)
    found = np.linalg.svd(orthogonalise(matrix), compute_uv=False)
    assert found.min() > 0.65 and found.max() < 1.2


def test_singular_vectors_stay():
    """U Vᵀ and the result commute in the sense that (U Vᵀ)ᵀ X is symmetric and positive, as V f(S) Vᵀ is."""
    matrix, polar = matrix_of(np.geomspace(1.0, 0.02, 8), 8, 20)
    product = orthogonalise(matrix) @ polar.T
    assert product == pytest.approx(product.T, abs=1e-12)
    assert np.linalg.eigvalsh(product).min() > 0.65


def test_a_gradient_of_rank_one_and_a_zero_one():
    found = np.linalg.svd(orthogonalise(np.outer([1.0, 2.0, 3.0], [4.0, 5.0])), compute_uv=False)
    assert 0.65 < found[0] < 1.2 and found[1] == pytest.approx(0, abs=1e-9)
    assert not orthogonalise(np.zeros((3, 2))).any()


def test_the_argument_is_left_alone_and_its_type_kept():
    matrix = np.random.default_rng(0).normal(size=(6, 9)).astype("float32")
    before = matrix.copy()
    found = orthogonalise(matrix[:, ::3])
    assert found.dtype == np.float32 and found.shape == (6, 3)
    assert matrix.tobytes() == before.tobytes()


def as_stated(matrix, iterations, polynomials):
    """X = (a I + b A + c A²) X with A = X Xᵀ, from X = start · M / ‖M‖_F, in the matrix's own shape."""
    start, coefficients = schedule(polynomials, iterations)
    x = start * matrix / np.linalg.norm(matrix)
    for a, b, c in coefficients:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


@pytest.mark.parametrize("polynomials", ["jordan", "polar_express"])
@pytest.mark.parametrize("iterations", [1, 2, 3, 5, 6, 11])
@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (8, 40), (40, 8)])
def test_the_fast_form_equals_the_textbook_one_on_either_side(rows, columns, iterations, polynomials):
    matrices = np.random.default_rng(0).normal(size=(3, rows, columns))
    found = orthogonalise(matrices, iterations, polynomials)
    for matrix, one in zip(matrices, found, strict=True):
        assert one == pytest.approx(as_stated(matrix, iterations, polynomials), abs=1e-9)


def test_wide_matrices_are_iterated_on_their_small_side():
    assert is_cheaper_small((192, 768), 5) and not is_cheaper_small((192, 192), 5)
    assert is_cheaper_small((48, 192), 3) and not is_cheaper_small((192, 768), 1)


@pytest.mark.parametrize("place", range(6))
def test_each_polynomial_is_the_best_of_its_kind_where_the_one_before_ends(place):
    """An odd quintic is best on an interval if its error is equally large, with changing signs, at four points.

    The first three are made for an interval that begins higher: three of their errors are equal, one is smaller.
    """
    lower, upper = 0.001, 1.0
    for a, b, c in POLAR_EXPRESS[: place + 1]:
        start, end = lower, upper
        x = np.linspace(start, end, 200001)
        values = a * x + b * x**3 + c * x**5
        lower, upper = values.min(), values.max()
    assert UPPER_ENDS[place] == pytest.approx(end, abs=1e-4)
    error = values - 1
    turns = np.flatnonzero(np.diff(np.sign(np.diff(values)))) + 1
    extremes = error[[0, *turns, -1]]
    assert len(extremes) == 4 and (np.sign(extremes) == [-1, 1, -1, 1]).all()
    equal = np.abs(extremes) == pytest.approx(np.abs(error).max(), rel=1e-2)
    assert equal or (place < 3 and np.abs(extremes[[0, 1, 3]]) == pytest.approx(np.abs(error).max(), rel=1e-2))


@pytest.mark.parametrize(("iterations", "least"), [(3, 0.018), (4, 0.0043), (5, 0.001), (7, 0.001)])
def test_the_best_polynomials_end_near_one_from_the_value_that_they_promise(iterations, least):
    values = np.geomspace(1.0, least, 12)
    matrix, _ = matrix_of(values / np.linalg.norm(values), 12, 12)
    matrix, _ = matrix_of(np.r_[1.0, [least] * 11], 12, 30)
    least_share = least / np.linalg.norm(np.r_[1.0, [least] * 11])
    assert least_share >= least * 0.99
    found = np.linalg.svd(orthogonalise(matrix, iterations, "polar_express"), compute_uv=False)
    assert found.min() > 0.86 and found.max() < 1.13
    if iterations == 7:
        assert found == pytest.approx(np.ones(12), abs=1e-3)


@pytest.mark.parametrize("polynomials", ["jordan", "polar_express"])
def test_rounding_does_not_grow_with_many_iterations(polynomials):
    values = np.geomspace(1.0, 1e-5, 24)
    matrix, _ = matrix_of(values, 24, 120)
    found = np.linalg.svd(orthogonalise(matrix.astype("float32"), 23, polynomials), compute_uv=False)
    assert found.max() < 1.25 and found.min() > 0.6


@pytest.mark.parametrize("divided", [(1, 3), (3, 1), (1, 1)])
def test_heads_are_made_orthogonal_one_by_one(divided):
    gradient = np.random.default_rng(0).normal(size=(12, 12))
    update = gradient.copy()
    transform = scale_by_muon(0.0, False, 5, "jordan", divided)
    transform.update(update, None, {"first_moment": np.zeros((12, 12))}, Moment(1, 0.1, 1.0))
    rows, columns = (np.split(np.arange(12), parts) for parts in divided)
    for inputs in rows:
        for outputs in columns:
            part = np.ix_(inputs, outputs)
            scale = 0.2 * max(len(inputs), len(outputs)) ** 0.5
            assert update[part] == pytest.approx(scale * orthogonalise(gradient[part]), abs=1e-12)


def test_jordans_coefficients_are_the_same_in_every_iteration():
    assert schedule("jordan", 3) == (1.0, [QUINTIC] * 3)


@pytest.mark.parametrize("polynomials", ["jordan", "polar_express"])
@pytest.mark.parametrize("length", [1e-12, 1e-19, 1e-22, 1e-30, 1e-41])
def test_a_matrix_that_has_all_but_vanished_stays_small(length, polynomials):
    """Squares of numbers below 1e-19 are not in float32: a length made of them is too small."""
    random = np.random.default_rng(0)
    left, _ = np.linalg.qr(random.normal(size=(64, 32)))
    right, _ = np.linalg.qr(random.normal(size=(32, 32)))
    matrix = ((left * (length * 0.005 ** np.arange(32.0))) @ right).astype("float32")
    found = orthogonalise(np.stack([matrix, np.eye(64, 32, dtype="float32")]), 3, polynomials)
    assert np.isfinite(found).all() and np.abs(found[0]).max() < 1e-3
    assert np.linalg.svd(found[1], compute_uv=False).max() < 1.3
