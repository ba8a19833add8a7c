"""What the answer of a sweep of several settings says, and that it says no more than its runs show."""

import math
from itertools import product

import pytest

from analysis.answers import answer
from analysis.combinations import examine
from analysis.findings import find
from analysis.grid import lay_out
from analysis.tracked_runs import BELOW_UNIGRAM
from tests.support.studies import study_of, tracked_run

FACTORS = ("masking.rate", "position")
RATES, SCHEMES = ("0.15", "0.4"), ("rope", "absolute")
NOISE = {0: 0.0, 1: 0.02, 2: -0.01}
UNIGRAM = 5.5
MOST_WORDS = 90
"""Of an answer, without the sentence that counts runs which have no result"""


def crossed(loss, rates=RATES, schemes=SCHEMES, uneven=0.001):
    """``loss``: (rate, scheme) -> what a run adds to 5. ``uneven``: how unlike the seeds of two cells are."""
    return {
        (rate, scheme): {
            seed: 5 + loss(rate, scheme) + noise + uneven * ((2 * seed + place) % 3)
            for seed, noise in NOISE.items()
        }
        for place, (rate, scheme) in enumerate(product(rates, schemes))
    }


def answered(cells, *others, factors=FACTORS, unigram=None, **stated):
    study = study_of(cells, factors, others, **stated)
    for run in study.runs if unigram is not None else ():
        if "eval/loss" in run.metrics:
            run.metrics.update(
                {"baseline/unigram_entropy": unigram, BELOW_UNIGRAM: unigram - run.metrics["eval/loss"]}
            )
    findings = find(study)
    return answer(findings, examine(findings))


def of_rope_alone(rate, scheme):
    return 0.5 * (scheme == "absolute") - 0.3 * (rate == "0.4") * (scheme == "rope")


def test_a_change_at_one_value_of_the_other_setting_alone_is_in_the_answer_with_interval_and_p():
    said = answered(crossed(of_rope_alone))
    assert (
        "What masking.rate does depends on position (p < 0.001): from 0.15 to 0.40 the held-out loss falls by "
        "0.300 [0.296, 0.304] (better) with position rope, and by too little to matter with absolute." in said
    )
    assert said.endswith(
        "On average, with position absolute the held-out loss is 0.650 [0.648, 0.652] higher than with rope "
        "(worse)."
    )


def test_changes_at_both_values_are_told_with_their_directions():
    said = answered(crossed(lambda rate, scheme: (0.2 if scheme == "absolute" else -0.3) * (rate == "0.4")))
    assert "the held-out loss falls by 0.300 [" in said
    assert "] (better) with position rope, and rises by 0.200 [" in said and "] (worse) with absolute." in said


def test_a_dependence_whose_changes_are_not_told_by_themselves_is_told_with_both_numbers():
    cells = crossed(lambda rate, scheme: 0)
    for place, seed in enumerate(
        NOISE
    ):  # what seeds of one rate share is far larger than what differs between rates
        for rate, scheme in cells:
            sign = (1 if rate == "0.4" else -1) * (1 if scheme == "rope" else -1)
            cells[rate, scheme][seed] = 5 + 0.3 * place * (rate == "0.4") - 0.3 * (rate == "0.4") + 0.1 * sign
    said = answered(cells)
    assert "from 0.15 to 0.40 the held-out loss changes by " in said and "no change is shown" not in said


def test_a_change_seen_at_one_value_is_not_called_a_dependence_that_the_runs_do_not_show():
    """At rope the seeds agree, at absolute they do not: the change at rope is told, the difference is not."""
    cells = crossed(lambda rate, scheme: -0.1 * (rate == "0.4") * (scheme == "rope"))
    for seed, off in zip(NOISE, (-0.3, 0.0, 0.3), strict=True):
        cells["0.4", "absolute"][seed] += off
    said = answered(cells)
    assert said.startswith(
        "After 100 steps, these seeds show no effect of masking.rate or position on the held-out loss on average, "
        "nor that the effect of one depends on the other. With position rope held fixed, though, the held-out "
        "loss falls by 0.100 [0.096, 0.104] (better) from masking.rate 0.15 to 0.40 (p < 0.001). The lowest mean "
    )
    assert "depends on position" not in said


def test_effects_that_add_up_are_told_as_averages_alone():
    said = answered(crossed(lambda rate, scheme: -0.3 * (rate == "0.4") + 0.1 * (scheme == "absolute")))
    assert (
        "On average, with masking.rate 0.40 the held-out loss is 0.300 [0.298, 0.302] lower than with 0.15 "
        "(better), and with position absolute 0.100 [0.098, 0.102] higher than with rope (worse)." in said
    )
    assert "held fixed" not in said and said.endswith("do not show that the effect of one depends on the other.")


@pytest.mark.parametrize(
    ("unigram", "said"),
    [
        (6.5, "All end below word frequencies alone (6.500, unigram)."),
        (4.0, "No mean held-out loss ends below word frequencies alone (4.000, unigram). After 100 steps, "),
        (4.71, "No combination is shown to end below word frequencies alone (4.710, unigram)."),
        (5.25, None),
    ],
)
def test_that_all_or_none_predict_better_than_word_frequencies_is_said(unigram, said):
    found = answered(crossed(of_rope_alone), unigram=unigram)
    assert said in found if said else "word frequencies" not in found


def test_a_combination_of_one_seed_takes_no_part_in_what_is_said_of_all():
    cells = crossed(of_rope_alone)
    cells["0.4", "absolute"] = {0: 7.0}
    found = answered(cells, unigram=6.5)
    assert "3 of 4 combinations have two results or more and were compared" in found
    assert "All with two results end below word frequencies alone (6.500" in found


def test_an_incomplete_grid_says_at_which_value_an_effect_was_found_and_what_is_missing():
    cells = crossed(of_rope_alone)
    cells["0.4", "absolute"] = dict.fromkeys(NOISE, math.nan)
    found = answered(cells)
    assert "On average, with masking.rate 0.40 (at position rope alone) the held-out loss is 0.300 [" in found
    assert "Whether the effect of one depends on the other cannot be told for lack of runs." in found
    assert found.endswith("3 ended without a finite held-out loss (0.40 · absolute: 3).")


def test_one_seed_claims_nothing_beside_word_frequencies_either():
    cells = {cell: {0: by_seed[0]} for cell, by_seed in crossed(of_rope_alone).items()}
    found = answered(cells, unigram=6.5)
    assert found.endswith("this report claims nothing.") and "unigram" not in found


def test_of_three_settings_the_clearest_dependence_is_told_and_others_are_named():
    factors, names = (*FACTORS, "norm"), ("pre", "post")
    cells = {
        (rate, scheme, norm): {
            seed: 5 + noise + 0.001 * ((2 * seed + place) % 3)
            - 0.3 * (rate == "0.4") * (scheme == "rope") - 0.1 * (rate == "0.4") * (norm == "pre")
            for seed, noise in NOISE.items()
        }
        for place, (rate, scheme, norm) in enumerate(product(RATES, SCHEMES, names))
    }  # fmt: skip
    said = answered(cells, factors=factors)
    assert (
        "What masking.rate does depends on position (p < 0.001): from 0.15 to 0.40 the held-out loss changes"
        in said
    )
    assert "What masking.rate does also depends on norm." in said and "no change is shown" not in said


def test_a_change_that_all_seeds_agree_on_and_that_is_too_small_to_matter_is_not_called_an_effect():
    """Seeds differ by 0.015, standard deviation, and the schemes by 0.003 in every one of them."""
    said = answered(crossed(lambda rate, scheme: 0.003 * (scheme == "absolute"), uneven=0.0001))
    assert said.startswith(
        "After 100 steps, these seeds show no effect of masking.rate on the held-out loss, nor that the effect of "
        "one depends on the other. With position absolute the held-out loss is 0.003 [0.003, 0.003] higher than "
        "with rope: too small to matter (less than 0.008, half the standard deviation between seeds). The "
        "lowest mean is with "
    )
    points = examine(find(study_of(crossed(lambda rate, scheme: 0.003 * (scheme == "absolute"), uneven=0.0001),
                                   FACTORS))).sections[0]  # fmt: skip
    assert " higher than with rope, too small to matter (less than 0.008, half the" in points.points[1]
    assert points.notes and "half the standard deviation" in points.notes[0]


def test_a_small_change_stands_behind_those_that_matter_and_a_small_dependence_is_none():
    def loss(rate, scheme):
        return -0.3 * (rate == "0.4") + 0.003 * (rate == "0.4") * (scheme == "absolute")

    said = answered(crossed(loss, uneven=0.0001))
    assert (
        "with masking.rate 0.40 the held-out loss is 0.298 [" in said and "lower than with 0.15 (better)." in said
    )
    assert "With position absolute the held-out loss is 0.002 [" in said
    assert said.endswith("higher than with rope: too small to matter.") and "depends on" not in said


def test_a_small_dependence_alone_is_told_as_such():
    sign = {("0.15", "rope"): 1, ("0.4", "absolute"): 1}
    said = answered(crossed(lambda rate, scheme: 0.0007 * sign.get((rate, scheme), -1), uneven=0.0001))
    assert said.startswith(
        "After 100 steps, these seeds show no effect of masking.rate or position on the held-out"
    )
    assert "The effect of masking.rate differs with position by +0.003 [" in said
    assert "]: too small to matter (less than 0.008, half the standard deviation between seeds)." in said
    assert "depends on" not in said


def test_the_largest_of_several_changes_is_told_with_their_number():
    said = answered(crossed(lambda rate, scheme: -float(rate), rates=("0.15", "0.4", "0.6")))
    assert "with masking.rate 0.60 the held-out loss is 0.450 [" in said
    assert "] lower than with 0.15 (better), the largest of 2 changes." in said


@pytest.mark.parametrize("unigram", [6.5, 4.0, 5.25])
@pytest.mark.parametrize("worse", [0.0, 4.0])
@pytest.mark.parametrize(
    "loss",
    [
        of_rope_alone,
        lambda rate, scheme: 0.0,
        lambda rate, scheme: 0.003 * (scheme == "absolute"),
        lambda rate, scheme: 0.3 * (rate == "0.4") - 0.1 * (scheme == "rope"),
    ],
)
def test_an_answer_is_short_enough_to_be_read_aloud(loss, unigram, worse):
    """``worse``: runs begin at 8, and end above that"""
    cells = crossed(lambda rate, scheme: loss(rate, scheme) + worse, uneven=0.0001)
    said = answered(cells, tracked_run(("0.4", "rope"), 9, None, "FAILED"), unigram=unigram)
    assert said.startswith("Training did not help: ") == bool(worse)
    findings, _, counted = said.partition(" 1 of 13 runs has no result")
    assert counted and len(findings.split()) <= MOST_WORDS


def test_changes_with_the_others_held_fixed_are_adjusted_for_all_settings_together():
    grid = lay_out(study_of(crossed(of_rope_alone, uneven=0.05), FACTORS))
    rows = [row for factor in FACTORS for row in grid.held_fixed[factor] if row.difference is not None]
    assert len(rows) == 4
    smallest = min(rows, key=lambda row: row.difference.p_value)
    assert smallest.adjusted_p == pytest.approx(4 * smallest.difference.p_value)
