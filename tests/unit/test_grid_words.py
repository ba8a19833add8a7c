"""What a report says of a sweep of two settings, and in which order."""

import re
from datetime import datetime

import pytest

from analysis import grid_tables
from analysis.answers import answer
from analysis.combinations import examine
from analysis.evidence import Evidence
from analysis.findings import find
from analysis.formatting import show_estimate
from analysis.grid import lay_out
from analysis.lab_book import entry, portable
from analysis.page.render import render
from analysis.quantities import quantity
from analysis.statistics import Estimate
from analysis.study import ALL_ALIKE
from analysis.tables import results
from tests.support.studies import study_of, tracked_run

FACTORS = ("masking.rate", "optimizer")
QUESTION = "How do masking.rate and optimizer affect the held-out loss?"
NOISE = {0: 0.0, 1: 0.02, 2: -0.01}


def crossed(loss, rates=("0.15", "0.4", "0.6"), optimizers=("lion", "adamw")):
    """``loss``: (rate, optimizer) -> what a run adds to 5. A seed adds about the same in all cells."""
    return {
        (rate, optimizer): {
            seed: 5 + loss(rate, optimizer) + noise + 0.001 * ((seed + place) % 3) for seed, noise in NOISE.items()
        }
        for place, (rate, optimizer) in enumerate((rate, name) for rate in rates for name in optimizers)
    }


def additive(rate, optimizer):
    return -0.3 * (rate == "0.4") + 0.1 * (optimizer == "adamw")


@pytest.fixture
def told():
    findings = find(study_of(crossed(additive), FACTORS))
    return findings, examine(findings)


def test_the_answer_is_the_best_combination_and_what_matters(told):
    assert answer(*told) == (
        "After 100 steps, the held-out loss is lowest with masking.rate 0.40 and optimizer lion: 4.704 ± 0.036 "
        "nats per masked token (95 % interval, 3 seeds; best of 6 combinations). On average, with masking.rate "
        "0.40 the held-out loss is 0.300 [0.298, 0.302] lower than with 0.15 (better), and with optimizer adamw "
        "0.100 [0.100, 0.100] higher than with lion (worse). These seeds do not show that the effect of one "
        "depends on the other."
    )


def test_where_nothing_is_separated_that_is_said_first():
    findings = find(study_of(crossed(lambda rate, name: 0.0), FACTORS))
    said = answer(findings, examine(findings))
    assert said.startswith(
        "After 100 steps, these seeds show no effect of masking.rate or optimizer on the held-out loss, nor that "
        "the effect of one depends on the other. The lowest mean is with masking.rate 0."
    )


def test_each_setting_has_a_sentence_and_what_is_open_has_a_point(told):
    _, examination = told
    does, depends, open_, fixed = examination.sections
    assert does.title == "What each setting does" and depends.title == "Whether one depends on the other"
    rate, optimizer = does.points
    assert rate.startswith("masking.rate: with 0.40, the held-out loss is 0.300 [")
    assert " lower than with 0.15 (better); these seeds do not separate 0.15 from 0.60." in rate
    assert optimizer.startswith("optimizer: with adamw, the held-out loss is 0.100 [")
    assert optimizer.endswith(" higher than with lion (worse).")
    assert open_.title == "What is not known" and fixed.folded
    first, second, *_ = open_.points
    assert first.startswith("Whether masking.rate 0.60 differs from 0.15: the change seen is ")
    assert re.search(r"; if so, by no more than 0\.00\d nats per masked token", first)
    assert second.startswith(
        "Whether the effect of masking.rate depends on optimizer; if so, by no more than 0.00"
    )


def test_the_setting_with_more_values_is_the_one_whose_effect_is_told_at_each_value_of_the_other():
    findings = find(study_of(crossed(lambda rate, name: -0.3 * (rate == "0.4") * (name == "lion")), FACTORS))
    examination = examine(findings)
    said = answer(findings, examination)
    assert (
        "What masking.rate does depends on optimizer (p " in said
        and "] (better) with optimizer lion, and by too little to matter with adamw" in said
    )
    (table,) = examination.sections[1].tables
    assert table.columns == (
        "masking.rate", "change with optimizer lion", "change with adamw", "difference", "p (Holm)", "seeds"
    )  # fmt: skip
    assert [row[0] for row in table.rows] == ["0.15 → 0.40", "0.15 → 0.60"]


def test_the_page_answers_first_then_tells_each_setting_dependence_and_what_is_open(told):
    findings, examination = told
    figures = dict.fromkeys(examination.figures, b"")
    page = render(Evidence(findings, examination=examination), figures, datetime(2026, 1, 1))
    headings = re.findall(r"<h[12]>(.+?)</h[12]>|<summary>(Each .+?)</summary>", page)
    assert ["".join(each) for each in headings][:7] == [
        QUESTION, "What each setting does", "Whether one depends on the other", "What is not known",
        "Each setting with the others held fixed", "All combinations", "Learning",
    ]  # fmt: skip
    assert page.index('class="answer"') < page.index(
        "Lower is better. 18 runs: 6 combinations, each with 3 seeds."
    )
    said = entry(Evidence(findings, examination=examination), examination.figures)
    titles = [line.strip("# ") for line in said.splitlines() if line.startswith("#")]
    assert titles == [QUESTION, *(each.title for each in examination.sections), "All combinations"]
    assert "nan" not in said and "![Means of all combinations, and what" in said


def test_a_value_whose_runs_all_failed_stands_in_the_tables_with_its_count():
    failed = [tracked_run(("0.9", name), seed, None, "FAILED") for name in ("lion", "adamw") for seed in NOISE]
    failed.append(tracked_run(("0.6", "sgd"), 0, 5.0, "KILLED"))  # what it recorded last is no result
    findings = find(study_of(crossed(additive), FACTORS, tuple(failed)))
    rows = {row[0]: row[1:3] for row in results(findings).rows}
    gone = ("0.90 · lion", "0.90 · adamw", "0.60 · sgd")
    assert rows.keys() == {group.shown for group in findings.groups} | set(gone)
    assert [rows[each] for each in gone] == [("0", "no result")] * 3
    fixed = grid_tables.held_fixed(lay_out(findings.study), "masking.rate").rows
    assert {row[:2] for row in fixed if row[2] == "0"} == {("lion", "0.90"), ("adamw", "0.90"), ("sgd", "0.60")}
    assert all(row[3:] == ("no result", "–", "–") for row in fixed if row[2] == "0")
    assert len(fixed) == len(rows)  # a combination that no run was begun of is not asked for


def test_a_sweep_without_a_question_asks_by_what_varies():
    cells = {("0.15",): {0: 5.0, 1: 5.1}, ("0.4",): {0: 5.0, 1: 5.2}}
    one = study_of(cells, ("masking.rate",), worked_out="One setting varies.")
    assert one.title == "How does masking.rate affect the held-out loss?"
    assert study_of(crossed(additive), FACTORS).title == QUESTION
    alike = study_of({("all",): {0: 5.0, 1: 5.1}}, ("x",), worked_out="Nothing varies.", factor=ALL_ALIKE)
    assert alike.title == "How much does the held-out loss differ between seeds?"


@pytest.mark.parametrize(
    ("metric", "mean", "half_width", "expected"),
    [
        ("tokens_predicted", 1386.2, 428.3, "1,390 ± 430"), ("step", 39.4, 12.2, "39 ± 12"),
        ("train/tokens_per_second", 34_722.0, 9_911.0, "34,700 ± 9,900"), ("step", 53.2, 0.4, "53 ± 0"),
        ("eval/loss", 5.8, 0.237, "5.800 ± 0.237"),
    ],
)  # fmt: skip
def test_counts_are_rounded_to_what_their_interval_tells(metric, mean, half_width, expected):
    assert show_estimate(Estimate(3, mean, half_width), quantity(metric)) == expected


def test_the_command_of_the_report_names_the_store_and_that_of_the_lab_book_does_not():
    command = (
        "python -m minibert.run -m masking.rate=0.15,0.4 tracking=server tracking.folder=/a tracking.report=false"
    )
    findings = find(study_of(crossed(additive), FACTORS, command=command))
    page = render(Evidence(findings), {}, datetime(2026, 1, 1))
    assert "python -m minibert.report 0 tracking=server tracking.folder=/a</pre>" in page
    assert portable(command) == "python -m minibert.run -m masking.rate=0.15,0.4"
