"""What varies in a sweep that names no factor, and what is compared with what."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from analysis.answers import answer, details
from analysis.combinations import examine
from analysis.findings import find
from analysis.grid import lay_out
from analysis.statistics import holm, paired_difference
from analysis.study import Study
from analysis.tracked_runs import Curve, TrackedRun
from analysis.varying import explanation, varying

ADAMW = {
    "optimizer": "adamw",
    "optimizer.name": "adamw",
    "optimizer.beta2": "0.999",
    "optimizer.learning_rate": "0.001",
}
LION = {
    "optimizer": "lion",
    "optimizer.name": "lion",
    "optimizer.beta2": "0.99",
    "optimizer.learning_rate": "0.0001",
}


def settings(rate="0.15", option=ADAMW, seed=0, **others):
    rates = {"masking.rate": rate, "masking.corruption_rate": rate}
    return rates | option | {"seed": str(seed), "seeds.init": f"7{seed}", "model.layers": "2"} | others


def grid(seeds=(0, 1)):
    return [settings(*each) for each in product(("0.15", "0.4"), (ADAMW, LION), seeds)]


@pytest.mark.parametrize("swept", [["masking.rate", "optimizer", "seed"], []])
def test_a_grid_has_a_factor_for_each_thing_that_varies_by_itself(swept):
    found = varying(grid(), swept)
    assert sorted(found) in (["masking.corruption_rate", "optimizer"], ["masking.rate", "optimizer"])
    if swept:
        assert found == ["masking.rate", "optimizer"]


def test_fields_of_an_option_follow_it_and_seeds_are_replicates():
    assert varying([settings(option=each, seed=seed) for each in (ADAMW, LION) for seed in (0, 1)], []) == [
        "optimizer"
    ]
    assert varying([settings(seed=seed) for seed in range(3)], ["seed"]) == []


def test_what_is_tuned_within_an_option_is_a_factor_of_its_own():
    runs = [
        settings(option=each | {"optimizer.learning_rate": rate}) for each in (ADAMW, LION) for rate in ("1", "2")
    ]
    assert varying(runs, ["optimizer", "optimizer.learning_rate"]) == ["optimizer", "optimizer.learning_rate"]


def test_a_second_swept_key_stays_a_factor_though_runs_are_missing():
    diagonal = [settings("0.15", ADAMW), settings("0.4", LION)]
    assert varying(diagonal, ["masking.rate", "optimizer"]) == ["masking.rate", "optimizer"]


def test_what_nobody_swept_is_found_too_and_what_is_asked_after_training_is_not():
    runs = [
        settings(rate, **{"training.steps": steps}) for rate, steps in (("0.15", "9"), ("0.15", "8"), ("0.4", "9"))
    ]
    assert varying(runs, ["masking.rate"]) == ["masking.rate", "training.steps"]
    quick = [settings(**{"evaluation.quick": each}) for each in ("true", "false")]
    assert varying(quick, []) == []


def test_what_was_worked_out_is_said_in_words():
    said = explanation(grid(), ["masking.rate", "optimizer"], 2)
    assert "masking.rate (0.15, 0.40) and optimizer (adamw, lion) vary" in said
    assert "masking.corruption_rate" not in said and "optimizer.beta2, " in said
    assert "replicates" in said
    assert "nothing but seeds varies" in explanation([settings(seed=1), settings()], [], 2)


LOSSES = {("0.15", "adamw"): 6.0, ("0.4", "adamw"): 5.5, ("0.15", "lion"): 7.0, ("0.4", "lion"): 7.1}


def study(losses=LOSSES, seeds=3) -> Study:
    """At adamw, 0.4 is better by half a nat; at lion it is worse by a tenth."""
    runs = []
    for (parts, loss), seed in product(losses.items(), range(seeds)):
        final = loss + 0.2 * seed + 0.001 * seed * seed * float(parts[0])
        curves = {"eval/loss": Curve(np.array([0, 4]), np.array([8.0, final]))}
        runs.append(
            TrackedRun(
                id=f"{parts}{seed}", name=f"{parts} {seed}", status="FINISHED", reason=None,
                value=" · ".join(parts), setting=None, seed=seed,
                replicate=(f"seed={seed}",), metrics={"eval/loss": final}, curves=curves,
                parameters={"seed": str(seed)}, tags={}, parts=parts,
            )
        )  # fmt: skip
    return Study(
        name="masking.rate x optimizer", sweep_id="0", question=None, hypothesis=None,
        factor="masking.rate × optimizer", label="masking.rate × optimizer", tuned=None, baseline=None,
        metric="eval/loss", target=None, command="", opened="", planned={}, runs=tuple(runs),
        factors=("masking.rate", "optimizer"), first={"masking.rate": "0.15", "optimizer": "adamw"},
        worked_out="x",
    )  # fmt: skip


def fixed_tables(examination):
    (section,) = [section for section in examination.sections if section.folded]
    return section.tables


def test_each_setting_is_compared_with_the_others_held_fixed():
    table, other = fixed_tables(examine(find(study())))
    assert [row[:2] for row in table.rows] == [
        ("adamw", "0.15"), ("adamw", "0.40"), ("lion", "0.15"), ("lion", "0.40")
    ]  # fmt: skip
    assert [row[4][:6] for row in table.rows] == ["baseli", "−0.500", "baseli", "+0.100"]
    assert [row[:2] for row in other.rows] == [
        ("0.15", "adamw"), ("0.15", "lion"), ("0.40", "adamw"), ("0.40", "lion")
    ]  # fmt: skip
    assert [row[4][:6] for row in other.rows] == ["baseli", "+1.00 ", "baseli", "+1.60 "]


def test_p_values_are_adjusted_for_all_comparisons_with_the_others_held_fixed():
    cells = lay_out(study()).cells
    pairs = [
        *((("0.4", each), ("0.15", each)) for each in ("adamw", "lion")),
        *(((each, "lion"), (each, "adamw")) for each in ("0.15", "0.4")),
    ]
    alone = [paired_difference(cells[one], cells[other]).p_value for one, other in pairs]
    tables = fixed_tables(examine(find(study())))
    shown = [row[5] for table in tables for row in table.rows if row[5] != "–"]
    assert shown == ["< 0.001" if p < 0.001 else f"{p:.3f}" for p in holm(alone)]
    assert {table.note for table in tables} == {
        "p (Holm): t test, paired by seed, adjusted for all 4 comparisons with the others held fixed."
    }


def test_every_combination_has_a_row_and_numbers_are_in_their_order():
    findings = find(study({(rate, "adamw"): 6.0 for rate in ("1e-2", "1e-3", "0.1")}))
    assert [group.value for group in findings.groups] == ["1e-3 · adamw", "1e-2 · adamw", "0.1 · adamw"]
    assert len(find(study()).groups) == 4


def test_the_best_combination_is_named_and_not_called_a_finding():
    findings = find(study())
    examination = examine(findings)
    assert "the held-out loss is lowest with masking.rate 0.40 and optimizer adamw: 5.7" in answer(
        findings, examination
    )
    assert "it was chosen after the means were seen" in " ".join(details(findings, examination))
    assert "claims nothing" in answer(find(study(seeds=1)), None)


def test_one_seed_is_so_far_the_only_one_while_others_are_planned():
    alone, more = study(seeds=1), replace(study(seeds=1), planned={"later": "seed 1"})
    assert answer(find(alone), None).startswith("There is one seed at every ")
    assert answer(find(more), None).startswith("So far there is one seed at every ")
    assert "So far there is one seed." in explanation(
        grid((0,)), ["masking.rate", "optimizer"], 1, all_begun=False
    )
    assert "There is one seed." in explanation(grid((0,)), ["masking.rate", "optimizer"], 1)


def test_a_combination_that_diverged_does_not_hide_the_others():
    findings = find(study(LOSSES | {("0.4", "lion"): math.nan}))
    assert "masking.rate 0.40 and optimizer adamw" in answer(findings, examine(findings))
