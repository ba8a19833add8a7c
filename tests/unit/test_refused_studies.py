"""The ways in which a study is refused, by the path of a report, and those in which runs are not pooled."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from analysis.answers import answer, details
from analysis.combinations import examine
from analysis.findings import find
from analysis.protocol import limits
from analysis.report import write_report
from minibert.errors import MinibertError
from tests.support.reports import copied_store, plant
from tests.support.studies import study_of, tracked_run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
RATES = (0.15, 0.4)
SWEPT = ("masking.rate", "seed")


def record(run, corpus=""):
    run.log({"eval/loss": 5.0}, 60)
    run.flush()
    if corpus:
        run.set_tags({"corpus.hash": corpus})


def runs(layers=(2,), corpora=("",), doubled=False):
    """Two rates and two seeds. Runs of the second seed have the last of the layers and of the corpora."""
    found = []
    for rate in RATES:
        for seed in (0, 1):
            settings = {"masking": {"rate": rate}, "model": {"layers": (layers * 2)[seed]}, "seed": seed}
            found.append((f"{rate} {seed}", settings, partial(record, corpus=(corpora * 2)[seed])))
    return [*found, ("again", found[0][1], record)] if doubled else found


REFUSED = {
    "no run recorded the factor": (
        {"factor": "masking.rat"}, runs(), SWEPT,
        "study.factor=masking.rat: no run recorded it (did you mean 'masking.rate'?)",
    ),
    "no run recorded the tuned key": (
        {"tuned": "model.layer"}, runs(), SWEPT,
        "study.tuned=model.layer: no run recorded it (did you mean 'model.layers'?)",
    ),
    "no run recorded the metric": (
        {"metric": "eval/los"}, runs(), SWEPT,
        "study.metric=eval/los: no run recorded it (did you mean 'eval/loss'?)",
    ),
    "another setting was swept over": (
        {}, runs(layers=(2, 3)), (*SWEPT, "model.layers"),
        "its runs differ in model.layers (2, 3). Allowed: the factor masking.rate and seeds",
    ),
    "another setting differs that no command swept over": (
        {}, runs(layers=(2, 3)), SWEPT,
        "its runs differ in model.layers (2, 3). Allowed: the factor masking.rate and seeds",
    ),
    "the text differs": (
        {}, runs(corpora=("a", "b")), SWEPT,
        "its runs differ in corpus.hash (a, b). Allowed: the factor masking.rate and seeds",
    ),
    "two finished runs have the same settings and seeds": (
        {}, runs(doubled=True), SWEPT, "have the same settings and seeds. Allowed: one finished run of each",
    ),
    "there is no such sweep": ({}, None, SWEPT, "(did you mean '"),
}  # fmt: skip
"""What is wrong -> what the study states otherwise, its runs (None: it is not recorded), what its command swept
over, what the error says"""


@pytest.fixture(scope="module")
def store(empty_database, rough_figures, tmp_path_factory):
    return copied_store(empty_database, tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_study_is_refused_in_these_eight_ways_and_the_error_says_which(store, wrong):
    stated, planted, swept, says = REFUSED[wrong]
    name = f"{list(REFUSED).index(wrong)} study"
    study = {"name": name, "factor": "masking.rate", "baseline": 0.15, "metric": "eval/loss", "label": "rate"}
    plant(store, study | stated, name, planted or runs(), swept)
    with pytest.raises(MinibertError) as refused:
        write_report(store, name if planted else name.replace("study", "stud"))
    assert says in str(refused.value)
    assert str(refused.value).startswith("study") and "Allowed: " in str(refused.value)


def test_the_study_that_the_refused_ones_deviate_from_is_answered(store):
    study = {"name": "sound", "factor": "masking.rate", "baseline": 0.15, "metric": "eval/loss", "label": "rate"}
    plant(store, study, "sound", runs(), SWEPT)
    assert "rate" in write_report(store, "sound").answer


def told(study) -> str:
    findings = find(study)
    examination = examine(findings) if study.factors else None
    return " ".join([answer(findings, examination), *details(findings, examination), *limits(findings)])


FOUR = {("a",): {0: 5.0, 1: 5.1}, ("b",): {0: 4.0, 1: 4.2}}
TWO = {(rate, name): {0: 5.0, 1: 5.1} for rate in "ab" for name in "xy"}
APART = [
    replace(run, tags={"kernel.name": kernel})
    for rate, by_seed in FOUR.items()
    for (seed, loss), kernel in zip(by_seed.items(), ("Haswell", "SkylakeX"), strict=True)
    for run in [tracked_run(rate, seed, loss)]
]
SEPARATE = {
    "another setting varies and the study names no factor": (
        study_of(TWO, ("rate", "optimizer")), "that the effect of one depends on the other",
    ),
    "fewer than two seeds are shared with the baseline": (
        study_of(FOUR | {("b",): {7: 4.0, 8: 4.2}}), "Compared unpaired (Welch's t interval)",
    ),
    "a run diverged": (
        study_of(FOUR | {("b",): {0: 4.0, 1: 4.1, 2: math.nan}}), "1 ended without a finite held-out loss (b: 1)",
    ),
    "a run failed": (study_of(FOUR, others=(tracked_run(("b",), 2, None, "FAILED"),)), "1 failed"),
    "a run has not finished": (
        study_of(FOUR, others=(tracked_run(("b",), 2, None, "RUNNING"),)), "1 not finished",
    ),
    "a planned run never began": (study_of(FOUR, planned={"x": "lost"}), "1 never started"),
    "the runs are of several kernels": (study_of({("a",): {}}, others=tuple(APART)), "not all of one kernel"),
}  # fmt: skip
"""What keeps runs apart -> a study, what its report says"""


@pytest.mark.parametrize("why", SEPARATE)
def test_runs_that_are_compared_in_another_way_or_not_at_all_are_told(why):
    study, says = SEPARATE[why]
    assert says in told(study)
    assert says not in told(study_of(FOUR))


def test_the_page_on_statistics_lists_all_of_these():
    page = PAGE.read_text()
    for row in [*REFUSED, *SEPARATE]:
        assert f"| {row} | " in page
