"""The report of a metric that instruments record once a run: ties, controls, and which direction is better."""

import csv
import json

import numpy as np
import pytest

from analysis.controls import controls_of
from analysis.quantities import quantity
from analysis.report import write_report
from minibert.tracking import claim, open_sweep, start_run
from tests.support.reports import copied_store

METRIC = "minimal_pairs/accuracy"
UNTRAINED = (0.50, 0.52, 0.51)


def track(store, name, finals, metric=METRIC, steps=(100,)):
    """``finals``: rate -> scores of the seeds; at earlier steps, a tenth less"""
    study = {"name": name, "factor": "masking.rate", "baseline": 0.15, "metric": metric, "label": "masking rate"}
    sweep = open_sweep(store, name, name.encode().hex().ljust(64, "0")[-64:], [], {}, {"study": study})
    for rate, scores in finals.items():
        for seed, score in enumerate(scores):
            with claim(store, f"{name}{rate}{seed}".encode().hex()) as held:
                run = start_run(held, f"{rate} · {seed}", {"masking": {"rate": rate}, "seed": seed}, {}, sweep.id)
                for step in (0, 50, 100):
                    run.log({"eval/loss": 7.0, "tokens_seen": float(step)}, step)
                run.flush()
                for step in steps:
                    value = score - 0.1 * (step < 100)
                    control = {METRIC.replace("acc", "untrained_acc"): UNTRAINED[seed]} if metric == METRIC else {}
                    run.log_results({metric: value, **control}, step)
                run.finish("FINISHED")
    sweep.finish("FINISHED")
    return write_report(store, name)


@pytest.fixture(scope="module")
def store(empty_database, rough_figures, tmp_path_factory):
    return copied_store(empty_database, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def once(store):
    return track(store, "once", {0.15: (0.60, 0.62, 0.61), 0.4: (0.70, 0.72, 0.71), 0.6: (0.49, 0.53, 0.50)})


def test_a_metric_of_one_point_has_no_curve_and_no_cost_of_reaching_a_level(once):
    drawn = {path.name for path in once.path.parent.iterdir()}
    assert "finals.png" in drawn and not {"curves.png", "efficiency.png"} & drawn
    assert once.evidence.findings.efficiencies == ()
    assert once.answer.startswith("After 100 steps, masking rate 0.40 has the highest mean minimal pairs accuracy")


def test_the_controls_stand_in_the_table_the_text_the_figure_and_the_file(once):
    findings, table = once.evidence.findings, once.table
    assert findings.references == {"untrained network": pytest.approx(0.51), "chance": 0.5}
    column = table.columns.index("untrained network")
    assert {row[column] for row in table.rows} == {"0.510 ± 0.025"}
    assert "Chance is 0.5." in table.note
    said = " ".join(once.details)
    assert "No better than the control untrained network (0.510): masking rate 0.60." in said
    assert "No better than the control chance (0.500): masking rate 0.60." in said
    with (once.path.parent / "finals.csv").open(newline="", encoding="utf-8") as file:
        assert {"minimal_pairs/accuracy", "minimal_pairs/untrained_accuracy"} <= {*csv.DictReader(file).fieldnames}


def test_a_metric_of_several_checkpoints_has_curves(store):
    report = track(store, "often", {0.15: (0.60, 0.62), 0.4: (0.70, 0.72)}, steps=(0, 50, 100))
    assert (report.path.parent / "curves.png").exists() and report.evidence.findings.efficiencies


@pytest.mark.parametrize(
    ("finals", "answer"),
    [
        (
            {0.15: (0.5, 0.6), 0.4: (0.6, 0.5), 0.6: (0.55, 0.55)},
            "After 100 steps, every masking rate has the same mean minimal pairs accuracy, 0.550: a tie. Nothing "
            "does better than the baseline itself.",
        ),
        (
            {0.15: (0.4, 0.5), 0.4: (0.6, 0.5), 0.6: (0.55, 0.55)},
            "After 100 steps, masking rate 0.40 and 0.60 have the same highest mean minimal pairs accuracy, "
            "0.550: a tie. The data separate none of them from the baseline 0.15.",
        ),
        (
            {0.15: (0.5, 0.6), 0.4: (0.6, 0.5), 0.6: (0.4, 0.4)},
            "After 100 steps, masking rate 0.15 and 0.40 have the same highest mean minimal pairs accuracy, "
            "0.550: a tie. Nothing does better than the baseline itself.",
        ),
    ],
)
def test_a_tie_is_called_a_tie(store, finals, answer):
    assert track(store, f"tie{len(answer)}", finals).answer == answer


def test_of_a_loss_the_lowest_is_best_and_a_number_that_is_no_score_has_no_best(store):
    loss = track(store, "words", {0.15: (8.0, 8.1), 0.4: (7.0, 7.1)}, "intrinsic/nats_per_word")
    assert "masking rate 0.40 has the lowest mean intrinsic nats per word" in loss.answer
    share = track(store, "coverage", {0.15: (0.8, 0.8), 0.4: (0.7, 0.7)}, "semantics/coverage/analogies")
    assert "0.800 ± 0.000 at masking rate 0.15" in share.answer and "highest" not in share.answer


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        ("downstream/frozen_accuracy", True), ("downstream/macro_f1", True),
        ("downstream/forgetting/agreement", False), ("probing/compression/tense/layer_0", True),
        ("probing/half_gain_step/tense", False), ("facts/mean_reciprocal_rank", True),
        ("facts/frequent_answer_choice_accuracy/capital", True), ("facts/coverage", None),
        ("semantics/analogy_accuracy_in_context/layer_0", True), ("intrinsic/untrained_loss/all", False),
        ("intrinsic/expected_calibration_error", False), ("intrinsic/mean_confidence", None),
        ("composition/loss_increase/1", None), ("composition/divergence/negation", None),
        ("composition/phrase_cosine/layer_0", None), ("composition/untrained_loss_intact", False),
        ("word_learning/mean_surprisal", False), ("word_learning/learnt_share_above_unigram", True),
        ("word_learning/median_age", False), ("word_learning/age_length_correlation", None),
        ("intrinsic/bits_per_byte", False), ("intrinsic/loss/frequency/10_to_99", False),
    ],
)  # fmt: skip
def test_every_metric_of_an_instrument_has_its_direction(metric, higher):
    assert quantity(metric).higher_is_better is higher


@pytest.mark.parametrize(
    ("metric", "controls"),
    [
        ("minimal_pairs/accuracy/blimp", ["minimal_pairs/untrained_accuracy/blimp", None]),
        ("downstream/frozen_accuracy", ["downstream/untrained_frozen_accuracy", "downstream/majority_accuracy"]),
        ("probing/selectivity/tense/layer_1", [None]),
        ("intrinsic/loss/all", ["intrinsic/untrained_loss/all"]),
        ("minimal_pairs/untrained_accuracy/blimp", []),
        ("eval/loss", []),
        ("composition/loss_increase/1", []),
    ],
)
def test_a_score_finds_the_controls_that_are_of_the_same_data(metric, controls):
    recorded = [
        "minimal_pairs/untrained_accuracy", "minimal_pairs/untrained_accuracy/blimp",
        "minimal_pairs/untrained_accuracy/zorro", "downstream/untrained_frozen_accuracy",
        "downstream/untrained_accuracy", "downstream/majority_accuracy", "intrinsic/untrained_loss/all",
        "probing/untrained_accuracy/tense/layer_1", "composition/untrained_loss_increase/1",
    ]  # fmt: skip
    found = controls_of(metric, recorded)
    assert [each.metric for each in found] == controls
    assert all(np.isfinite(each.value) for each in found if each.metric is None)


def plant_answers(store, name, asked):
    """A sweep over seeds; ``asked``: the settings that the instrument had in each run"""
    study = {"name": name, "factor": None, "metric": METRIC}
    sweep = open_sweep(store, name, name.encode().hex().ljust(64, "0")[-64:], [], {}, {"study": study})
    for seed, settings in enumerate(asked):
        with claim(store, f"{name}{seed}".encode().hex()) as held:
            run = start_run(held, f"seed {seed}", {"seed": seed}, {}, sweep.id)
            run.log_results({METRIC: 0.5 + seed / 100}, 100)
            answered = {"asked": settings, "data": settings.get("digest", "")}
            run.log_text(json.dumps(answered), "evaluation/minimal_pairs/step_0000100.json")
            run.finish("FINISHED")
    sweep.finish("FINISHED")
    return write_report(store, name)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": ["zorro"]}, 'data is ["blimp"] in seed 0, seed 1; ["zorro"] in seed 2'),
        ({"quick": True}, "quick is false in seed 0, seed 1; true in seed 2"),
        ({"digest": "f" * 64}, 'content of the data is "" in seed 0, seed 1; "ffffffff" in seed 2'),
    ],
)
def test_runs_that_were_asked_differently_are_named_before_their_mean_is_believed(store, changed, said):
    asked = {"data": ["blimp"], "quick": False}
    report = plant_answers(store, f"{next(iter(changed))} mixed", [asked, asked, asked | changed])
    assert "not asked alike" in report.details[0] and said in report.details[0]
    assert "not asked alike" in report.path.read_text(encoding="utf-8").partition("<h2")[0]


def test_of_runs_that_were_asked_alike_nothing_is_said(store):
    report = plant_answers(store, "alike", [{"data": ["blimp"], "quick": False}] * 2)
    assert "asked alike" not in " ".join(report.details) + report.path.read_text(encoding="utf-8")
