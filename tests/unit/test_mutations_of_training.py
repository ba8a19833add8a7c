"""Mistakes in averages, Lookahead, AdamW and Muon, each made on purpose: a named test must turn red."""

import pytest
import test_averaging as averaging
import test_optimizers as optimizers
import test_orthogonalisation as orthogonalisation
import test_transforms as transforms
from support.mutations import failure, inject

from minibert.config import AdamWConfig
from minibert.config.averaging import EMAConfig

SUM = averaging.test_the_exponential_average_is_the_weighted_sum_over_all_steps_without_the_initial_weights
MEAN = averaging.test_the_mean_of_the_last_steps_is_that_and_before_it_the_trained_weights_are_evaluated
NO_BIT = averaging.test_an_average_changes_no_bit_of_training
SLOW = optimizers.test_the_last_step_moves_the_slow_weights_whatever_the_number_of_steps
TOGETHER = transforms.test_adamw_in_one_is_equal_to_its_transforms_one_by_one
SMALL_SIDE = orthogonalisation.test_the_fast_form_equals_the_textbook_one_on_either_side
WIDE = {"rows": 8, "columns": 40, "iterations": 5, "polynomials": "polar_express"}
DOUBLE = {"settings": {"optimizer": AdamWConfig(weight_decay=0.5)}, "dtype": "float64"}

MUTATIONS = {
    "an average that begins with the initial weights": (
        "averaging:_average", {"np.zeros_like": "np.copy", "share_of_newest(count)": "share_of_newest(count + 1)"},
        SUM, {},
    ),
    "a half-life of twice the length": (
        "averaging:average_exponentially",
        {"expm1(-math.log(2) / half_life)": "expm1(-math.log(2) / half_life / 2)"}, SUM, {},
    ),
    "a mean that begins one step late": (
        "averaging:_last", {", 1) + 1)": ", 1) + 2)"}, MEAN, {},
    ),
    "training that goes on from the average": (
        "averaging:_average", {"average += update": "average += update; params[...] = average"},
        NO_BIT, {"averaging": EMAConfig(half_life=1.0), "optimizer": "adamw"},
    ),
    "a mean that is evaluated before its first step": (
        "averaging:averaged_weights", {" and state[AVERAGED_STEPS][0]": ""}, MEAN, {},
    ),
    "the steps after Lookahead's last period lost": (
        "elements:lookahead", {" and moment.step != steps": ""}, SLOW, {},
    ),
    "a clipping factor that is not squared for the second moment": (
        "fused:_fused", {"* factor * factor": "* factor"}, TOGETHER, DOUBLE,
    ),
    "a decay without the corrections of Adam taken out": (
        "fused:_fused", {"decay / slope": "decay / slope * correction2"}, TOGETHER, DOUBLE,
    ),
    "an epsilon within the corrections": (
        "fused:_fused", {"epsilon * correction2**0.5": "epsilon"},
        TOGETHER, {"settings": {"optimizer": AdamWConfig(epsilon=0.1)}, "dtype": "float64"},
    ),
    "a Gram matrix that is multiplied by the polynomial once": (
        "orthogonal:_on_the_small_side", {"np.matmul(kept, other, out=gram)": "np.copyto(gram, other)"},
        SMALL_SIDE, WIDE,
    ),
    "a product that forgets the polynomials before": (
        "orthogonal:_on_the_small_side", {"np.matmul(polynomial, product, out=other)": "polynomial.copy()"},
        SMALL_SIDE, WIDE,
    ),
    "a polynomial without its constant": (
        "orthogonal:_evaluate", {"[...] += a": "[...] += 0"}, SMALL_SIDE, WIDE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MUTATIONS)
def test_a_mistake_is_caught(mistake, monkeypatch):
    """Red with the mistake, green without it."""
    target, replacements, check, arguments = MUTATIONS[mistake]
    with monkeypatch.context() as patch:
        inject(patch, target, replacements, "training.transforms")
        found = failure(check, **arguments)
    assert found, f"{check.__name__}{arguments} passes although: {mistake}"
    assert failure(check, **arguments) is None
