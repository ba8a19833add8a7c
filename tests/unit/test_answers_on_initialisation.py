"""The study of initial weights: tracked runs whose courses are known, to what its report says of them."""

from functools import partial

import numpy as np
import pytest

from analysis.evidence import gather
from analysis.lab_book import plain, write_lab_book
from analysis.questions.initialisation_runs import share
from analysis.report import write_report
from minibert.running.plan import plan
from tests.support.reports import copied_store, plant

STUDY = {
    "name": "init_sweep", "question": "How?", "metric": "eval/loss", "baseline": "bert · 1.0",
    "label": "strategy · gain",
}  # fmt: skip
UNIGRAM, STEPS = 6.2, 200
LEAVES = {"bert": 60, "xavier": 40, "small": 60}
"""Strategy -> step at which its loss is 0.1 nats below the unigram entropy, at gain 1"""
ENDS = {"bert": 5.0, "xavier": 4.8, "small": 5.0}


def course(leaves, end, seed):
    """On the plateau, then down along a straight line that is 0.1 nats lower at the step ``leaves``."""
    shift = 2 * seed - 2
    steps = np.arange(0, STEPS + 1, 10)
    begins = leaves + shift - 10
    falling = UNIGRAM - 0.1 * (steps - begins) / 10
    return steps, np.where(steps <= begins, UNIGRAM, np.maximum(falling, end + 0.01 * seed))


def track(store, seeds, courses, noise=0.0):
    """``courses``: (strategy, gain) -> (step at which the plateau is left, final loss), or how the run fails."""

    def record(run, start, seed):
        asked, (later, higher) = courses[start], np.random.default_rng([seed, len(start[0])]).normal(size=2)
        leaves, end = asked if isinstance(asked, tuple) else (STEPS * 9, UNIGRAM)
        steps, values = course(leaves + 10 * noise * later, end + noise * higher, seed)
        if asked == "explodes":
            values = np.where(steps > 0, UNIGRAM + 2.0, values)
        if asked == "infinite":
            values[-1] = np.inf
        if asked == "ends early":
            steps, values = steps[:3], values[:3]
        for step, value in zip(steps, values, strict=True):
            run.log({"eval/loss": float(value), "baseline/unigram_entropy": UNIGRAM}, int(step))
        run.flush()
        return "Step 21: the loss is nan, which is not finite." if asked == "ends early" else None

    def given(strategy, gain, seed):
        return {"model": {"init": strategy, "init_gain": gain}, "seed": seed, "training": {"steps": STEPS}}

    runs = (
        (f"{start} {seed}", given(*start, seed), partial(record, start=start, seed=seed))
        for start in courses
        for seed in seeds
    )
    plant(store, STUDY, f"{seeds}", runs)


def grid(gains=(0.25, 1.0)):
    """At a quarter of the gain, everything happens forty steps later and ends 0.3 higher."""
    return {
        (name, gain): (LEAVES[name] + 40 * (gain != 1.0), ENDS[name] + 0.3 * (gain != 1.0))
        for name in LEAVES
        for gain in gains
    }


@pytest.fixture
def empty_store(empty_database, tmp_path):
    return copied_store(empty_database, tmp_path)


@pytest.fixture(scope="module")
def evidence(empty_database, tmp_path_factory):
    store = copied_store(empty_database, tmp_path_factory.mktemp("mlruns"))
    track(store, (0, 1, 2), grid())
    return gather(store, "init_sweep")


@pytest.fixture(scope="module")
def found(evidence):
    return evidence.examination


def examined(store):
    return gather(store, "init_sweep").examination


def told(examination):
    return " ".join((examination.answer, *examination.sentences))


def rows_of(examination):
    """Start -> its other cells"""
    (table,) = examination.tables
    return {row[0]: row[1:] for row in table.rows}


def test_the_sweep_has_every_strategy_at_every_gain_with_five_seeds():
    jobs = plan(["+experiment=init_sweep", "tracking.folder=."], multirun=True).jobs
    found = {(job.config.model.init, job.config.model.init_gain, job.config.seed) for job in jobs}
    assert len(found) == len(jobs) == 6 * 3 * 5
    assert jobs[0].config.study.baseline == "bert · 1.0"


def test_the_step_at_which_the_plateau_is_left_is_found_with_its_difference_to_the_baseline(found):
    rows = rows_of(found)
    assert rows["bert, gain 1"][:4] == ("3", "60 ± 5", "baseline", "")
    assert rows["xavier, gain 1"][1:3] == ("40 ± 5", "−20 [−20, −20]")
    assert rows["small, gain 0.25"][1] == "100 ± 5"
    assert rows["small, gain 1"][2:4] == ("+0 [+0, +0]", "1.000")
    for expected in (
        "soonest with xavier · 1.00, at step 40 ± 5 (−20 [−20, −20] to the baseline, p < 0.001), and latest with",
        "latest with bert · 0.25, at step 100 ± 5.",
        "of word frequencies at step 60 ± 5, sooner with 1 of 5 others, later with 3 (Holm); ",
        "none of 18 runs stay there, and none diverged.",
    ):
        assert expected in told(found)


def test_the_lowest_loss_is_named_beside_the_baseline_and_what_strategy_and_gain_bring(found):
    for expected in (
        "lowest with xavier · 1.00, 4.810 ± 0.025 nats (−0.200 [−0.200, −0.200] to the baseline, p < 0.001); "
        "lower",
        "lower than the baseline's with 1 of 5 others, higher with 3, not told apart with 1 (Holm).",
        "highest with bert · 0.25, 5.310 ± 0.025 (+0.300 [+0.300, +0.300] to the baseline, p < 0.001).",
        "Final means differ by 0.200 nats between the strategies at one gain, and by 0.300 between the gains of",
        "None of 18 runs diverged (share 0.00 [0.00, 0.18]); none of the others stayed at the level of word",
    ):
        assert expected in told(found)


def test_starts_that_are_separated_from_the_baseline_are_counted(found):
    assert (
        "lower with xavier · 1.00 and higher with bert · 0.25, small · 0.25, xavier · 0.25;" in found.sentences[-1]
    )
    assert "sooner with xavier · 1.00 and later with bert · 0.25, small" in found.sentences[-1]


def test_report_and_lab_book_have_the_answer_the_figures_and_the_limits(evidence, rough_figures, tmp_path):
    text = write_lab_book(evidence, tmp_path).read_text(encoding="utf-8")
    for name in ("starts", "curves_by_gain"):
        assert f"]({name}.png)" in text and (tmp_path / f"{name}.png").exists()
    assert f"**{plain(evidence.examination.answer)}**" in text
    assert "The gain multiplies the matrices of layers and head." in text


def test_without_an_effect_the_answer_says_that_nothing_is_separated(empty_store):
    same = {(name, gain): (60, 5.0) for name in ("bert", "orthogonal") for gain in (0.25, 1.0)}
    track(empty_store, (0, 1, 2), same, noise=0.3)
    answer = examined(empty_store).answer
    assert (
        "lower than the baseline's with none of 3 others, higher with none, not told apart with 3 (Holm)" in answer
    )
    assert "sooner with none of 3 others, later with none (Holm);" in answer


def test_a_part_of_the_sweep_with_one_gain_keeps_its_baseline(empty_store):
    track(empty_store, (0, 1, 2), grid(gains=(1.0,)))
    found = examined(empty_store)
    assert "soonest with xavier · 1, at step 40 ± 5 (−20 [−20, −20] to the baseline" in told(found)
    assert "between the gains" not in told(found)


@pytest.mark.parametrize("how", ["explodes", "infinite", "ends early"])
def test_diverged_runs_are_counted_and_never_left_out(empty_store, how):
    track(empty_store, (0, 1, 2), grid() | {("xavier", 1.0): how})
    found = examined(empty_store)
    row = rows_of(found)["xavier, gain 1"]
    assert row[1] == "200 (never left)" and row[-1] == "3: 1.00 [0.44, 1.00]"
    assert "3 of 18 runs diverged (share 0.17 [0.06, 0.39]; 3 with xavier · 1.00)" in told(found)
    assert found.answer.endswith("none of 18 runs stay there, and 3 diverged.")
    assert "latest with xavier · 1.00, at step 200 (never left)" in told(found)
    assert len(found.figures["starts.png"].figure.axes) == 3


def test_a_run_that_stays_counts_with_all_steps_and_is_told(empty_store):
    track(empty_store, (0, 1, 2), grid() | {("small", 0.25): (STEPS * 9, 5.0)})
    found = examined(empty_store)
    row = rows_of(found)["small, gain 0.25"]
    assert row[1] == "200 (never left)" and row[-2:] == ("3", "0: 0.00 [0.00, 0.56]")
    assert "3 of the others stayed at the level of word frequencies" in told(found)
    assert "3 of 18 runs stay there, and none diverged." in found.answer


def test_one_seed_gets_figures_and_no_claim(empty_store, rough_figures):
    track(empty_store, (1,), grid())
    report = write_report(empty_store, "init_sweep")
    assert report.answer.endswith("this report claims nothing.")
    assert (report.path.parent / "curves_by_gain.png").exists()


def test_without_the_baseline_nothing_is_compared_with_it(empty_store):
    courses = grid()
    del courses["bert", 1.0]
    track(empty_store, (0, 1), courses)
    found = examined(empty_store)
    assert "There is no baseline to compare it with." in found.answer and "Holm" not in told(found)


def test_a_share_of_none_and_of_all_has_an_interval_that_ends_there():
    assert share(0, 5)[:2] == (0.0, 0.0) and share(5, 5)[2] == 1.0
    assert share(0, 5)[2] == pytest.approx(0.4345, abs=1e-4)
