"""The report of a small tracked sweep against numbers worked out by hand.

Losses fall on straight lines from 7.0 at step 0 to the finals below at step 100:

    rate 0.15, seeds 0 1 2:   6.00  6.10  6.20     mean 6.10, s 0.10
    rate 0.40, seeds 0 1 2:   5.70  5.81  5.89     less 0.15: −0.30 −0.29 −0.31, mean −0.30, s 0.01
    rate 0.60, seed 0:        5.50
    rate 0.80:                seed 0 failed, seed 1 was never started
"""

import csv
import itertools
import json
import math
import re
import shutil
from html import unescape
from urllib.parse import unquote

import numpy as np
import pytest

from analysis.answers import answer
from analysis.evidence import Evidence
from analysis.findings import find
from analysis.lab_book import BEGIN, END, write_lab_book
from analysis.page.curves import script
from analysis.report import main, print_result, write_report
from analysis.study import load_study
from minibert.errors import MinibertError
from minibert.tracking import claim, open_store, open_sweep, start_run

T_2 = 4.302653  # 97.5 % quantile of Student's t, 2 degrees of freedom
FINALS = {
    ("0.15", 0): 6.00, ("0.15", 1): 6.10, ("0.15", 2): 6.20,
    ("0.40", 0): 5.70, ("0.40", 1): 5.81, ("0.40", 2): 5.89,
    ("0.60", 0): 5.50,
}  # fmt: skip
STUDY = {
    "question": "How does the masking ratio affect learning efficiency?",
    "hypothesis": "More is better <up to a point>.",
    "factor": "masking.rate",
    "baseline": 0.15,
    "metric": "eval/loss",
    "label": "masking rate",
}


def track(store, study, finals, failed=(), never=(), stated=None):
    """A sweep as run.py would leave it behind."""

    def config_hash(rate, seed):
        return f"{study}{rate}{seed}".encode().hex()

    names = {config_hash(*run): "masking {} · seed {}".format(*run) for run in [*finals, *failed, *never]}
    tags = {"git.commit": "0123abc", "git.dirty": "false", "version.numpy": "2.0", "version.python": "3.11.7"}
    stated = stated or {"study": {"name": study, **STUDY}}
    sweep = open_sweep(store, study, (study.encode().hex() * 9)[:64], names, tags, stated)
    for rate, seed in [*finals, *failed]:
        final = finals.get((rate, seed))
        with claim(store, config_hash(rate, seed)) as held:
            seeds = {"seed": seed, "seeds": {"init": 7 * seed}}
            parameters = {"masking": {"rate": float(rate)}, "model": {"layers": 2}, **seeds}
            run = start_run(held, f"masking {rate} · seed {seed}", parameters, tags, sweep.id)
            run.log({"baseline/unigram_entropy": 6.6, "baseline/bigram_cross_entropy": 5.2}, 0)
            if final is None:
                run.log({"eval/loss": 7.0, "tokens_seen": 0.0}, 0)
                run.finish("FAILED", "poisoned batch")
                continue
            for step in (0, 50, 100):
                loss = 7.0 - (7.0 - final) * step / 100
                tokens = 1000 * step
                beside = {"tokens_seen": tokens, "tokens_predicted": tokens * float(rate), "seconds": step / 10}
                run.log({"eval/loss": loss, "eval/nats_below_unigram": 6.6 - loss, **beside}, step)
            run.log({"eval/loss_at_rate/0.15": final, "eval/loss_at_rate/0.40": final + 0.1}, 100)
            run.finish("FINISHED")
    sweep.finish("FINISHED")
    return sweep


@pytest.fixture(scope="module")
def store(empty_database, rough_figures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlruns")
    shutil.copy(empty_database, folder)
    return open_store(None, folder, "minibert")


@pytest.fixture(scope="module")
def sweep(store):
    return track(store, "masking_sweep", FINALS, failed=[("0.80", 0)], never=[("0.80", 1)])


@pytest.fixture(scope="module")
def report(store, sweep):
    return write_report(store, "masking_sweep")


@pytest.fixture(scope="module")
def single(store):
    finals = {key: final for key, final in FINALS.items() if key[1] == 0}
    track(store, "one_seed", finals)
    return write_report(store, "one_seed")


def rows(report, name):
    with (report.path.parent / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_group_means_and_paired_differences_are_those_worked_out_by_hand(report):
    low, middle, high = report.evidence.findings.groups
    assert [group.shown for group in report.evidence.findings.groups] == ["0.15", "0.40", "0.60"]
    assert low.final.mean == pytest.approx(6.10)
    assert low.final.half_width == pytest.approx(T_2 * 0.10 / math.sqrt(3), rel=1e-6)
    assert middle.difference.mean == pytest.approx(-0.30)
    assert middle.difference.half_width == pytest.approx(T_2 * 0.01 / math.sqrt(3), rel=1e-6)
    t = 0.30 * math.sqrt(3) / 0.01
    assert middle.adjusted_p == pytest.approx(1 - t / math.sqrt(t * t + 2), rel=1e-6)
    assert (high.final.n, high.difference.n) == (1, 1)
    assert not high.separated


def test_the_answer_names_the_best_value_its_interval_and_its_lead(report):
    assert report.answer == (
        "After 100 steps, of the masking rates with several seeds, 0.40 has the lowest mean held-out loss, "
        "5.800 ± 0.237 nats per masked token (95 % interval, 3 seeds): seed by seed 0.300 [0.275, 0.325] below "
        "the baseline 0.15. 2 of 9 runs have no result and no part in this: 1 failed; 1 never started."
    )
    assert "One seed, hence no claim: 0.60." in report.details


def test_efficiency_is_interpolated_between_evaluations(report):
    # 7 − (7 − final) · step / 100 = 6.2, the worst final, at step 80 / (7 − final).
    (efficiency,) = report.evidence.findings.efficiencies
    assert efficiency.level == pytest.approx(6.2)
    baseline, middle = efficiency.costs["0.15"], efficiency.costs["0.4"]
    assert (baseline.reached, baseline.runs) == (3, 3)
    assert baseline.axes["step"].mean == pytest.approx((80 / 1.0 + 80 / 0.9 + 80 / 0.8) / 3)
    steps = (80 / 1.3 + 80 / 1.19 + 80 / 1.11) / 3
    assert middle.axes["step"].mean == pytest.approx(steps)
    assert middle.axes["tokens_predicted"].mean == pytest.approx(400 * steps)
    assert middle.axes["seconds"].mean == pytest.approx(steps / 10)


def test_runs_without_a_result_are_named_with_the_reason(report):
    assert report.missing == {
        "masking 0.80 · seed 0": "failed: poisoned batch",
        "masking 0.80 · seed 1": "never started",
    }
    page = report.path.read_text(encoding="utf-8")
    assert "2 of 9 runs are missing" in page
    assert "masking 0.80 · seed 0: failed: poisoned batch" in page


def test_the_page_is_one_self_contained_file(report):
    page = report.path.read_text(encoding="utf-8")
    own = page.replace(script(), "")  # of a library; that a browser asks no network is tested with the page in one
    links = set(re.findall(r'<a href="([^"]*)"', own))
    assert links and all(link.startswith("http://127.0.0.1:5000/#/") for link in links)
    assert not re.search(r"(src|href)\s*=\s*\"(?!data:)", re.sub(r'<a href="[^"]*"', "", own))
    assert not re.search(r"https?://(?!127\.0\.0\.1:5000/#/)|@import|url\(", own)
    assert page.count('src="data:image/png;base64,') == 4
    assert "<up to a point>" not in page and "&lt;up to a point&gt;" in page
    numbers = ("6.100 ± 0.248", "−0.300 [−0.325, −0.275]")
    for expected in (STUDY["question"], report.answer, *numbers, "model.layers", "0123abc"):
        assert expected in page, expected


def test_every_evaluation_of_every_run_is_in_the_tidy_curves(report):
    curves = rows(report, "curves.csv")
    assert len(curves) == 3 * 7 + 1
    (point,) = [row for row in curves if row["name"] == "masking 0.40 · seed 1" and row["step"] == "50"]
    assert point["masking.rate"] == "0.4" and point["seed"] == "1" and point["status"] == "FINISHED"
    assert float(point["eval/loss"]) == pytest.approx((7.0 + 5.81) / 2)
    assert float(point["tokens_predicted"]) == pytest.approx(20_000)
    assert float(point["seconds"]) == pytest.approx(5.0)


def test_the_page_links_into_mlflow_to_exactly_the_runs_of_the_sweep(report):
    page = unescape(report.path.read_text(encoding="utf-8"))
    (compared,) = re.findall(r'href="[^"]*compare-runs\?runs=([^"&]*)', page)
    runs = [run.id for run in report.evidence.findings.study.runs]  # those that failed as well
    assert sorted(json.loads(unquote(compared))) == sorted(runs)
    assert all(f"/runs/{run}" in page for run in runs)


def test_finals_and_comparisons_are_in_csv_files(report):
    finals = {row["name"]: row for row in rows(report, "finals.csv")}
    assert len(finals) == 8
    assert float(finals["masking 0.40 · seed 2"]["eval/loss"]) == pytest.approx(5.89)
    assert finals["masking 0.80 · seed 0"]["status"] == "FAILED"
    comparisons = {row["masking.rate"]: row for row in rows(report, "comparisons.csv")}
    assert float(comparisons["0.4"]["difference"]) == pytest.approx(-0.30)
    assert comparisons["0.15"]["difference"] == "" and comparisons["0.6"]["half_width"] == ""


def test_the_report_is_an_artifact_of_the_sweep(store, sweep, report):
    stored = {file.path for file in store.client.list_artifacts(sweep.id, "report")}
    assert {"report/index.html", "report/curves.png", "report/finals.csv"} <= stored


def test_a_sweep_without_a_study_is_reported_by_name_or_id_with_its_first_value_as_the_baseline(store, sweep):
    stated = {
        "study": {"name": None},
        "sweep": {"keys": ["masking.rate", "seed"], "first": {"masking.rate": "0.4"}},
    }
    own = track(store, "worked out", FINALS, stated=stated)
    found = [load_study(store, word) for word in ("worked out", own.id, own.id[:8], "last")]
    assert {each.sweep_id for each in found} == {own.id}
    assert (found[0].factor, found[0].baseline, found[0].factors) == ("masking.rate", "0.4", ("masking.rate",))
    assert "masking.rate (0.15, 0.40, 0.60) varies" in found[0].worked_out
    report = write_report(store, own.id[:8])
    assert [group.shown for group in report.evidence.findings.groups] == ["0.15", "0.40", "0.60"]
    assert report.evidence.findings.groups[0].difference.mean == pytest.approx(0.30)
    assert "Worked out from the recorded" in report.path.read_text(encoding="utf-8")


def test_a_sweep_over_seeds_alone_is_described(store):
    stated = {"study": {"name": None}, "sweep": {"keys": ["seed"], "first": {}}}
    own = track(store, "multirun", {("0.15", seed): 6.0 + seed / 10 for seed in (0, 1, 2)}, stated=stated)
    report = write_report(store, own.id)
    assert report.answer.startswith("After 100 steps, the held-out loss (mean, 95 % interval) is 6.100 ± 0.248")
    assert "nothing but seeds varies" in report.evidence.findings.study.worked_out


def test_a_sweep_over_seeds_of_which_one_has_run_says_that_more_are_planned(store):
    stated = {"study": {"name": None}, "sweep": {"keys": ["seed"], "first": {}}}
    own = track(store, "growing", {("0.15", 0): 6.0}, never=[("0.15", 1), ("0.15", 2)], stated=stated)
    sweep = store.client.get_run(own.id)
    found = load_study(store, sweep.info.run_id)
    assert "So far there is one seed." in found.worked_out
    assert answer(find(found)).startswith("So far there is one seed at every ")


def test_a_sweep_that_found_all_its_runs_leaves_its_report_as_it_is_until_something_changes(store, rough_figures):
    sweep = track(store, "found", FINALS)
    page = write_report(store, "found", again=False).path

    def is_written_again() -> bool:
        before = page.stat().st_mtime_ns
        write_report(store, "found", again=False)
        return page.stat().st_mtime_ns != before

    assert not is_written_again()
    open_sweep(store, "found", sweep.sweep_hash, {}, {}, {}).finish("FINISHED")  # every run was found
    assert not is_written_again()
    for damage in (
        lambda: (page.parent / "curves.svg").unlink(),
        lambda: (page.parent / "finals.csv").write_text(""),
    ):
        damage()
        assert is_written_again() and not is_written_again()
    run = load_study(store, "found").runs[0]
    store.client.log_metric(run.id, "eval/accuracy", 0.5, step=100)
    assert is_written_again() and not is_written_again()
    before = page.stat().st_mtime_ns
    write_report(store, "found")
    assert page.stat().st_mtime_ns != before


def test_one_seed_gets_curves_and_claims_nothing(single):
    assert single.answer.endswith("this report claims nothing.")
    assert single.details == ()
    assert (single.path.parent / "curves.png").stat().st_size > 0
    page = single.path.read_text(encoding="utf-8")
    assert "±" not in page and "p (Holm)" not in page


def test_the_data_may_fail_to_answer(store):
    finals = {("0.15", 0): 6.00, ("0.15", 1): 6.10, ("0.40", 0): 5.90, ("0.40", 1): 6.15}  # −0.10 and +0.05
    track(store, "undecided", finals)
    report = write_report(store, "undecided")
    answer = "the data do not separate it from the baseline 0.15: the paired difference is −0.025 ["
    assert answer in report.answer
    # t₀.₉₅ with one degree of freedom is 6.314, so 0.025 + 6.314 · 0.075 is ruled out
    assert (
        "Ruled out by two one-sided tests at 5 %, each by itself: a true difference larger than 0.499 (0.40)."
        in report.details
    )
    assert "Seeds that find a difference of the size seen in four cases of five: 144 (0.40)." in report.details


def test_a_run_that_never_started_is_missing_though_another_prints_alike(store):
    sweep = track(store, "alike", {("0.15", 0): 6.0})
    planned = [{"config_hash": "0", "name": "masking 0.15 · seed 0"}]
    sweep.log_dict(planned, "planned.json")
    assert load_study(store, "alike").missing == {"masking 0.15 · seed 0": "never started"}


def test_what_an_earlier_version_planned_by_name_alone_is_still_understood(store):
    sweep = track(store, "by_name", {("0.15", 0): 6.0})
    sweep.log_dict(["masking 0.15 · seed 0", "masking 0.15 · seed 1"], "planned.json")
    assert load_study(store, "by_name").missing == {"masking 0.15 · seed 1": "never started"}


def test_a_sweep_without_a_finished_run_still_has_a_report(store):
    track(store, "all_failed", {}, failed=[("0.15", 0), ("0.40", 0)])
    report = write_report(store, "all_failed")
    assert report.answer.startswith(
        "No run has finished, so there is nothing to compare. 2 of 2 runs have no result"
    )
    assert report.table.rows == ()
    assert len(report.missing) == 2


def test_a_diverged_run_is_left_out_and_counted(store):
    track(store, "diverging", FINALS | {("0.15", 3): math.inf, ("0.40", 3): math.nan})
    report = write_report(store, "diverging")
    assert report.evidence.findings.groups[0].final.mean == pytest.approx(6.10)
    assert "2 finished runs have no finite eval/loss" in report.path.read_text(encoding="utf-8")
    assert report.answer.endswith(
        "no result and no part in this: 2 ended without a finite held-out loss (0.15: 1, 0.40: 1)."
    )


def test_the_table_and_the_answer_reach_the_terminal(report, capsys):
    print_result(report)
    printed = capsys.readouterr().out
    missing = "missing: masking 0.80 · seed 1"
    for expected in ("−0.300 [−0.325, −0.275]", "± and [low, high]", missing, str(report.path)):
        assert expected in printed, expected
    assert "missing: masking 0.80 · seed 0 (failed: poisoned batch)" in printed
    print_result(report, reasons=False)
    printed = capsys.readouterr().out
    assert "missing: masking 0.80 · seed 0 (failed)" in printed and "poisoned" not in printed


def test_the_command_line_writes_where_it_is_told(store, sweep, tmp_path, capsys):
    assert main(["masking_sweep", "--folder", str(store.folder), "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "index.html").exists()
    assert "After 100 steps" in capsys.readouterr().out


def test_a_folder_of_others_is_refused_and_nothing_in_it_is_lost(store, sweep, tmp_path, capsys):
    (tmp_path / "photo.png").write_bytes(b"mine")
    assert main(["masking_sweep", "--folder", str(store.folder), "--output", str(tmp_path)]) == 2
    assert f"{tmp_path}: holds files that are of no report (photo.png)" in capsys.readouterr().err
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_a_study_called_like_a_path_is_reported_within_the_folder_of_reports(store):
    track(store, "../..", {("0.15", 0): 6.0})
    reports = store.folder / "reports"
    assert write_report(store, "../..").path.parent.parent == reports


def test_a_misspelt_study_is_one_error_with_the_nearest_name(store, sweep, capsys):
    assert main(["masking_swep", "--folder", str(store.folder)]) == 2
    assert "unknown name 'masking_swep' (did you mean 'masking_sweep'?)" in capsys.readouterr().err


def test_a_folder_without_a_store_is_one_error_and_stays_as_it_is(tmp_path, capsys):
    assert main(["masking_sweep", "--folder", str(tmp_path)]) == 2
    assert "there is no mlflow.db in it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_tuned_study_compares_each_value_at_its_best_setting(store, capsys):
    """Means over two seeds: A at rate 1 6.0, at rate 3 5.5 (best); B at rate 1 5.8 (best), at rate 3 NaN."""
    finals = {
        ("A", 1): (5.9, 6.1), ("A", 3): (5.4, 5.6), ("B", 1): (5.7, 5.9), ("B", 3): (5.0, math.nan),
    }  # fmt: skip
    stated = {"name": "tuned", "factor": "optimizer.name", "tuned": "optimizer.rate_factor", "baseline": "A"}
    sweep = open_sweep(store, "tuned", "f" * 64, [], {}, {"study": {**stated, "metric": "eval/loss"}})
    for (optimizer, factor), losses in finals.items():
        for seed, loss in enumerate(losses):
            name = f"{optimizer} {factor} {seed}"
            with claim(store, name.encode().hex()) as held:
                settings = {"optimizer": {"name": optimizer, "rate_factor": factor}, "seed": seed}
                run = start_run(held, name, settings, {}, sweep.id)
                run.log({"eval/loss": loss}, 10)
                run.finish("FINISHED")
    sweep.finish("FINISHED")
    report = write_report(store, "tuned")
    assert report.evidence.findings.study.best == {"A": "3", "B": "1"}
    means = {group.value: group.final.mean for group in report.evidence.findings.groups}
    assert means == {"A": pytest.approx(5.5), "B": pytest.approx(5.8)}
    print_result(report)
    assert "optimizer.rate_factor tuned" in capsys.readouterr().out
    assert "(best)" in report.path.read_text()


def test_the_insides_of_groups_are_set_side_by_side(store):
    """Ranks of layer 0 are 8 ± 1 over matrices and 10 · rate more with the rate; entropies 2 + seed."""
    sweep = open_sweep(store, "inside", "d" * 64, {}, {}, {"study": {"name": "inside", **STUDY}})
    distances = np.array([-1.0, 0.0, 1.0])
    for rate, seed in itertools.product((0.1, 0.4), (0, 1)):
        with claim(store, f"inside {rate} {seed}".encode().hex()) as held:
            run = start_run(held, f"inside {rate} {seed}", {"masking": {"rate": rate}, "seed": seed}, {}, sweep.id)
            run.log({"eval/loss": 6.0 - rate, "landscape/random/width": 0.1 + seed / 10}, 10)
            for layer in range(2):
                place = f"effective_rank/layers.{layer}.attention"
                run.log({f"{place}.key.weight": 7 + 10 * rate, f"{place}.query.weight": 9 + 10 * rate + seed}, 10)
                run.log({f"attention_entropy/layer_{layer}/head_{head}": 2.0 + seed + layer for head in "01"}, 10)
            run.log_arrays("random_slice", 10, {"distances": distances, "losses": 6 - rate + seed + distances**2})
            run.finish("FINISHED")
    sweep.finish("FINISHED")
    report = write_report(store, "inside")
    inside = report.evidence.inside
    ranks = inside.layers["inside/attention_rank"]
    assert [ranks[group][1].mean for group in ("0.1", "0.4")] == pytest.approx([9.25, 12.25])
    entropy = inside.means["inside/attention_entropy"]["0.1"]
    assert (entropy.n, entropy.mean) == (2, 3.0) and entropy.half_width == pytest.approx(12.706 / 2, rel=1e-4)
    assert [each.mean for each in inside.slices["random_slice"]["0.4"].losses] == pytest.approx([7.1, 6.1, 7.1])
    page = report.path.read_text(encoding="utf-8")
    for expected in ("<h2>Inside the networks</h2>", "3.000 [0.000, 9.353]", "0.150 [0.000, 0.785]", "inside.png"):
        assert expected in page, expected
    assert (report.path.parent / "slices.png").stat().st_size > 0


def test_names_keep_the_order_in_which_the_command_gives_them(store):
    """The last one is trained first."""
    stated = {"study": {"name": None}, "sweep": {"keys": ["optimizer", "seed"], "first": {"optimizer": "lion"}}}
    cells = list(itertools.product(("lion", "adamw", "muon"), (0, 1)))
    planned = {f"ordered {name} {seed}".encode().hex(): f"{name} {seed}" for name, seed in cells}
    sweep = open_sweep(store, "ordered", "c" * 64, planned, {}, stated)
    for name, seed in reversed(cells):
        with claim(store, f"ordered {name} {seed}".encode().hex()) as held:
            settings = {"optimizer": {"name": name}, "seed": seed}
            run = start_run(held, f"{name} {seed}", settings, {"choice.optimizer": name}, sweep.id)
            run.log({"eval/loss": 6.0 + 0.1 * seed}, 10)
            run.finish("FINISHED")
    sweep.finish("FINISHED")
    found = load_study(store, sweep.id)
    assert found.values == ("lion", "adamw", "muon") and found.baseline == "lion"
    assert "optimizer (lion, adamw, muon) varies" in found.worked_out
    assert [run.name for run in found.runs][:3] == ["lion 0", "lion 1", "adamw 0"]


@pytest.fixture(scope="module")
def crossed(store):
    """Rates crossed with optimizers, of which the study says nothing."""
    stated = {"study": {"name": "rates", **STUDY}, "sweep": {"keys": ["masking.rate", "optimizer", "seed"]}}
    sweep = open_sweep(store, "rates", "e" * 64, [], {}, stated)
    for rate, optimizer, seed in itertools.product((0.15, 0.4), ("adamw", "sgd"), (0, 1)):
        name = f"crossed {rate} {optimizer} {seed}"
        with claim(store, name.encode().hex()) as held:
            settings = {"masking": {"rate": rate}, "optimizer": {"name": optimizer}, "seed": seed}
            run = start_run(held, name, settings, {"choice.optimizer": optimizer}, sweep.id)
            run.log({"eval/loss": 6.0 + 0.1 * seed - rate}, 10)
            run.finish("FINISHED")
    sweep.finish("FINISHED")
    return stated


def test_runs_that_differ_in_a_second_swept_key_are_never_pooled(store, crossed, capsys):
    assert main(["rates", "--folder", str(store.folder)]) == 2
    error = capsys.readouterr().err
    assert "study 'rates': its runs differ in optimizer (adamw, sgd). Allowed: the factor masking.rate" in error


def test_what_the_last_command_states_of_a_study_counts(store, crossed):
    factor, metric = crossed["study"]["factor"], crossed["study"]["metric"]
    for changed, message in (
        ({"factor": "masking.rat"}, "study.factor=masking.rat: no run recorded it (did you mean 'masking.rate'?)"),
        ({"metric": "eval/los"}, "study.metric=eval/los: no run recorded it (did you mean 'eval/loss'?)"),
        ({"factor": "optimizer.name", "tuned": "masking.rate", "baseline": "adamw"}, None),
    ):
        stated = crossed | {"study": crossed["study"] | {"factor": factor, "metric": metric} | changed}
        open_sweep(store, "rates", "e" * 64, [], {}, stated).finish("FINISHED")
        if message is None:
            assert load_study(store, "rates").values == ("adamw", "sgd")
        else:
            with pytest.raises(MinibertError) as refused:
                load_study(store, "rates")
            assert message in str(refused.value)


def test_only_what_was_checked_is_said_to_be_the_same(report):
    page = report.path.read_text(encoding="utf-8")
    assert "Settings other than masking.rate, seeds apart, are the same in all runs, as recorded" in page


def test_the_lab_book_takes_the_results_between_its_markers_and_keeps_the_rest(store, sweep, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# By hand\n\n{BEGIN}\nold numbers\n{END}\n\n## Limits, by hand\n", encoding="utf-8")
    evidence = Evidence(find(load_study(store, "masking_sweep")))
    for _ in range(2):
        assert write_lab_book(evidence, tmp_path) == readme
        text = readme.read_text(encoding="utf-8")
    assert text.startswith("# By hand\n") and text.endswith("\n\n## Limits, by hand\n")
    assert "old numbers" not in text
    assert text.count("of the masking rates with several seeds, 0.40 has the lowest") == 1
    assert "| 0.40 | 3 | 5.800 ± 0.237 | −0.300 [−0.325, −0.275] |" in text
    assert "commit `0123abc`" in text
    assert "![Learning curves](curves.png)" in text and (tmp_path / "curves.png").exists()


def test_names_from_data_stay_text_in_the_entry_for_a_lab_book(store, tmp_path):
    study = {"name": "marked", **STUDY, "question": "Is <b>it</b> *so*?\n# Or not", "label": "[a](b) | $x$"}
    sweep = track(store, "marked", FINALS, failed=[("0.80", 0)], stated={"study": study})
    command = "python -m minibert.run 'study.question=a `b` c'"
    sweep.set_tags({"minibert.command": command})
    text = (write_report(store, "marked").path.parent / "entry.md").read_text(encoding="utf-8")
    assert text.startswith(
        "# Is &lt;b>it&lt;/b> \\*so\\*? # Or not\n\n**Hypothesis.** More is better &lt;up to a point>.\n"
    )
    assert "<" not in text and "[a\\](b) | &#36;x&#36;s with several seeds" in text
    assert f"with `` {command} ``, commit" in text
    lines = text.splitlines()
    heading = next(number for number, line in enumerate(lines) if line.startswith("| [a"))
    assert len({line.replace("\\|", "").count("|") for line in lines[heading : heading + 4]}) == 1


def test_a_lab_book_does_not_replace_a_figure_that_it_does_not_show(store, sweep, tmp_path):
    (tmp_path / "curves.png").write_bytes(b"mine")
    with pytest.raises(MinibertError, match=r"curves\.png: would be replaced"):
        write_lab_book(Evidence(find(load_study(store, "masking_sweep"))), tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_a_lab_book_with_half_of_its_markers_is_not_touched(store, sweep, tmp_path):
    (tmp_path / "README.md").write_text(f"# By hand\n{BEGIN}\n", encoding="utf-8")
    with pytest.raises(MinibertError, match="one of the two markers is gone"):
        write_lab_book(Evidence(find(load_study(store, "masking_sweep"))), tmp_path)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == f"# By hand\n{BEGIN}\n"
