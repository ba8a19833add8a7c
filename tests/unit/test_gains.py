"""A report says first if training did not help: no mean below its first evaluation, or below word frequencies."""

import math

import pytest

from analysis.answers import answer, comparisons, details
from analysis.findings import find
from tests.support.studies import START, study_of

SEEDS = {0: 0.0, 1: 0.1, 2: 0.2}


def found(ends, unigram=None, **stated):
    """Rate -> the loss of seed 0 at the end. Every run begins at :data:`START`."""
    study = study_of(
        {(rate,): {seed: end + noise for seed, noise in SEEDS.items()} for rate, end in ends.items()}, **stated
    )
    for run in study.runs if unigram is not None else ():
        run.metrics["baseline/unigram_entropy"] = unigram
    return find(study)


def test_a_sweep_whose_runs_all_end_above_where_they_began_says_so_first():
    said = answer(found({"0.15": START + 0.5, "0.4": START + 1}, unigram=6.0))
    assert said.startswith(
        "Training did not help: no mean held-out loss ends below its first evaluation (8.000), nor below word "
        "frequencies alone (6.000, unigram). After 100 steps, rate 0.15 has the lowest mean held-out loss, "
    )


def test_runs_that_end_where_they_began_have_not_gained():
    cells = {("0",): dict.fromkeys(SEEDS, START)}
    assert answer(find(study_of(cells))).startswith("Training did not help: ")


def test_a_sweep_that_falls_and_stays_above_word_frequencies_says_so_first():
    said = answer(found({"0.15": 6.5, "0.4": 7.0}, unigram=6.0))
    assert said.startswith("No mean held-out loss ends below word frequencies alone (6.000, unigram). After 100 ")


def test_one_seed_is_enough_for_the_warning_which_claims_nothing():
    said = answer(find(study_of({("0.15",): {0: START + 0.5}, ("0.4",): {0: START + 1}})))
    assert said.startswith("Training did not help: no held-out loss ends below its first evaluation (8.000). ")
    assert said.endswith("this report claims nothing.")


def test_where_some_have_gained_the_others_are_named_behind_the_answer():
    findings = found({"0.15": 5.0, "0.4": 7.0, "0.6": START + 1}, unigram=6.0)
    assert answer(findings).startswith("After 100 steps, ")
    first, second, *_ = comparisons(findings)
    assert first == "The mean held-out loss does not end below its first evaluation: rate 0.60."
    assert second == (
        "The mean held-out loss does not end below word frequencies alone (6.000, unigram): rate 0.40 and 0.60."
    )


@pytest.mark.parametrize(
    "findings",
    [
        found({"0.15": 5.0, "0.4": 5.5}, unigram=6.0),
        found({"0.15": math.nan, "0.4": math.nan}),
        found({"0.15": 9.0, "0.4": 9.5}, have_curves=False),
        found({"0.15": 9.0}, metric="lr_range/suggested_rate"),
    ],
    ids=["all gained", "all diverged", "one evaluation", "neither is better"],
)
def test_nothing_is_said_where_runs_gained_or_nothing_is_known(findings):
    said = " ".join([answer(findings), *details(findings)])
    assert "did not help" not in said and "not end" not in said and "nan" not in said
