"""The gradient check itself: what it lets pass, what it does not, and what it cannot judge."""

import numpy as np
import pytest

from minibert.errors import MinibertError
from minibert.mistakes.gradient_check import Problem, assert_right, compare, of_layer, points


def cubes(factor=3.0, dtype="float64"):
    """Σ x³, whose gradient is 3 x²."""
    x = np.random.default_rng(0).normal(size=(3, 2)).astype(dtype)
    return Problem(lambda: float((x**3).sum()), {"x": x}, {"x": factor * x**2})


def test_a_right_gradient_passes_and_one_that_is_off_by_a_millionth_of_two_does_not():
    assert_right(cubes())
    assert_right(cubes(3 * (1 + 5e-7)))
    with pytest.raises(AssertionError, match=r"x: gradient \S+, slope \S+, error 2e-06"):
        assert_right(cubes(3 * (1 + 2e-6)))


def test_the_arrays_are_as_they_were():
    problem = cubes()
    before = problem.arrays["x"].copy()
    compare(problem), points(problem, ["x"], 4)
    assert problem.arrays["x"].tobytes() == before.tobytes()


def test_a_gradient_of_zero_is_right_only_where_theory_says_so():
    flat = Problem(lambda: 1.0, {"x": np.ones(3)}, {"x": np.zeros(3)})
    (found,) = compare(flat)
    assert np.isnan(found.error) and not found.right
    assert_right(flat._replace(zero=["x"]))
    with pytest.raises(AssertionError, match="x: gradient 1e-12, slope 0"):
        assert_right(flat._replace(zero=["x"], gradients={"x": np.full(3, 1e-12)}))


def test_single_entries_are_gradients_beside_slopes():
    found = points(cubes(), ["x"], 4)["x"]
    assert found.shape == (4, 2) and len(np.unique(found)) > 4
    np.testing.assert_allclose(found[:, 0], found[:, 1], rtol=1e-9)
    assert points(cubes(), ["x"], 100)["x"].shape == (6, 2)


def test_a_layer_is_checked_with_a_random_gradient_from_above():
    """Under ones, a softmax has no gradient, and a backward pass of zeros would pass."""
    x = np.random.default_rng(0).normal(size=(4, 3))

    def softmax():
        shares = np.exp(x)
        return shares / shares.sum(axis=1, keepdims=True)

    def backward(dy):
        weights = softmax()
        return {"x": weights * (dy - (weights * dy).sum(axis=1, keepdims=True))}

    assert_right(of_layer(softmax, backward, {"x": x}))
    np.testing.assert_allclose(backward(np.ones((4, 3)))["x"], 0, atol=1e-15)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(MinibertError, match=r"x: is float32\. Allowed: float64"):
        compare(cubes(dtype="float32"))
    problem = cubes()
    with pytest.raises(MinibertError, match=r"gradient of x: has shape \(6,\)\. Allowed: \(3, 2\)"):
        compare(problem._replace(gradients={"x": problem.gradients["x"].ravel()}))
