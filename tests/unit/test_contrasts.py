"""Contrasts, main effects and interactions of a grid, by hand and against other implementations."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.anova import AnovaRM

from analysis.statistics import contrast, interaction, main_effect, mean_of, paired_difference, unpaired_difference

T_2 = 4.302653  # 97.5 % quantile of Student's t, 2 degrees of freedom
HAND = {
    ("a", "x"): {0: 1.0, 1: 2.0, 2: 3.0}, ("b", "x"): {0: 2.0, 1: 3.0, 2: 5.0},
    ("a", "y"): {0: 1.0, 1: 1.0, 2: 2.0}, ("b", "y"): {0: 4.0, 1: 5.0, 2: 6.0},
}  # fmt: skip
"""b − a: 1, 1, 2 at x and 3, 4, 4 at y. Half of their sum: 2, 2.5, 3. y's less x's: 2, 3, 2."""


def test_effects_are_those_worked_out_by_hand():
    main = main_effect(HAND, 0, "b", "a").difference
    assert main.by_seed == {0: 2.0, 1: 2.5, 2: 3.0}
    assert (main.mean, main.half_width) == (2.5, pytest.approx(T_2 * 0.5 / math.sqrt(3), rel=1e-6))
    found = interaction(HAND, (0, 1), ("b", "y"), ("a", "x")).difference
    assert found.by_seed == {0: 2.0, 1: 3.0, 2: 2.0}
    assert found == interaction({cell[::-1]: by_seed for cell, by_seed in HAND.items()}, (0, 1), ("y", "b"),
                                ("x", "a")).difference  # fmt: skip


def test_the_mean_of_values_is_over_the_other_factors():
    assert mean_of(HAND, (0,), ("b",)).difference.by_seed == {0: 3.0, 1: 4.0, 2: 5.5}
    assert mean_of(HAND, (0, 1), ("b", "x")).difference.by_seed == HAND["b", "x"]


def test_p_values_are_those_of_the_analysis_of_variance_with_repeated_measures():
    """With two values a factor its F is the square of our t."""
    generator = np.random.default_rng(0)
    cells = {cell: dict(enumerate(generator.normal(size=6))) for cell in product("ab", "xy", "12")}
    rows = [(*cell, seed, value) for cell, by_seed in cells.items() for seed, value in by_seed.items()]
    frame = pd.DataFrame(rows, columns=["f", "g", "h", "seed", "loss"])
    known = AnovaRM(frame, "loss", "seed", within=["f", "g", "h"]).fit().anova_table["Pr > F"]
    for place, (name, values) in enumerate({"f": "ba", "g": "yx", "h": "21"}.items()):
        assert main_effect(cells, place, *values).difference.p_value == pytest.approx(known[name])
    assert interaction(cells, (0, 1), ("b", "y"), ("a", "x")).difference.p_value == pytest.approx(known["f:g"])
    assert interaction(cells, (1, 2), ("y", "2"), ("x", "1")).difference.p_value == pytest.approx(known["g:h"])


def test_a_contrast_of_two_cells_is_their_difference_paired_or_not():
    one, other = {0: 1.0, 1: 3.0, 2: 2.5}, {0: 0.5, 1: 1.0, 2: 2.5}
    assert contrast({"a": one, "b": other}, {"a": 1, "b": -1}) == paired_difference(one, other)
    later = {seed + 10: value for seed, value in other.items()}
    found, known = (
        contrast({"a": one, "b": later}, {"a": 1, "b": -1}),
        unpaired_difference([*one.values()], [*later.values()]),
    )
    assert found == known and found.unpaired


def test_degrees_of_freedom_of_an_unpaired_contrast_are_satterthwaites():
    """Variances 1 and 4, weights ½ and 1, n of 2 and 3: v = ⅛ and 4⁄3."""
    cells = {"a": {0: 0.0, 1: math.sqrt(2)}, "b": {10: 0.0, 11: 2.0, 12: 4.0}}
    found = contrast(cells, {"a": 0.5, "b": 1.0})
    assert found.standard_error == pytest.approx(math.sqrt(1 / 8 + 4 / 3))
    assert found.degrees == pytest.approx((1 / 8 + 4 / 3) ** 2 / ((1 / 8) ** 2 / 1 + (4 / 3) ** 2 / 2))
    assert found.n == 2 and found.mean == pytest.approx(math.sqrt(2) / 4 + 2)


def test_seeds_without_a_finite_value_in_a_cell_are_left_out_of_all():
    gap = HAND | {("b", "y"): {0: 4.0, 1: math.nan, 2: 6.0}}
    assert interaction(gap, (0, 1), ("b", "y"), ("a", "x")).difference.by_seed == {0: 2.0, 2: 2.0}


def test_a_combination_that_lacks_a_cell_is_left_out_on_both_sides():
    found = main_effect({cell: by_seed for cell, by_seed in HAND.items() if cell != ("b", "y")}, 0, "b", "a")
    assert (found.over, found.without) == ((("x",),), (("y",),))
    assert found.difference.by_seed == {0: 1.0, 1: 1.0, 2: 2.0}


def test_one_seed_has_a_difference_without_an_interval_and_no_cell_has_none():
    once = {cell: {0: by_seed[0]} for cell, by_seed in HAND.items()}
    found = main_effect(once, 0, "b", "a").difference
    assert (found.n, found.mean) == (1, 2.0) and math.isnan(found.half_width) and math.isnan(found.p_value)
    assert interaction({("a", "x"): HAND["a", "x"]}, (0, 1), ("b", "y"), ("a", "x")).difference.n == 0
