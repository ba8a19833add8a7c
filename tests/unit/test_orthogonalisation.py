"""What Muon makes of a matrix."""

import numpy as np
import pytest

from minibert.training.transforms import orthogonalise


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
