"""The study of attention: tracked runs whose times are known, to what its report says of them."""

import re
import shutil

import numpy as np
import pytest

from analysis.lab_book import write_lab_book
from analysis.questions.attention_evolution import _groups, _share
from analysis.questions.attention_figures import doubling_steps
from analysis.questions.attention_times import FALLS, LEAVES
from analysis.report import write_report
from analysis.statistics import Estimate
from minibert.tracking import claim, open_store, open_sweep, start_run
from minibert.training.checkpoints import log_spaced_steps
from tests.support.reports import cells, copied_store

UNIGRAM = 6.4
STUDY = {
    "name": "attention_evolution", "question": "How?", "factor": "model.position.name", "baseline": "absolute",
    "metric": "eval/loss", "label": "position scheme",
}  # fmt: skip


def ramp(steps, begin, size, doublings=1.0):
    """0 until step 2^begin, ``size`` from so many doublings later on, and straight over log steps in between."""
    times = np.log2(np.maximum(steps, 0.5))
    return size * np.clip((times - begin) / doublings, 0, 1)


def track(store, seeds, last=1024, attention=True):
    """Two position schemes. With absolute, the loss falls at step 512, layer 0 changes a doubling before that and
    layer 1 three; with rope all of it is two doublings sooner, and layer 1 does not change."""
    name = f"{STUDY['name']}{len(seeds)}{last}{attention}"
    sweep = open_sweep(store, STUDY["name"], name.encode().hex().ljust(64, "0")[:64], [], {}, {"study": STUDY})
    looks = np.array(log_spaced_steps(last, 64, 8))
    evaluations = np.arange(0, last + 1, max(last // 64, 1))
    for scheme, sooner in (("absolute", 0), ("rope", 2)):
        for seed in seeds:
            random, shift = np.random.default_rng([seed, sooner]), 0.1 * (seed - 1) - sooner
            with claim(store, f"{name}{scheme}{seed}".encode().hex()) as held:
                settings = {"model": {"position": {"name": scheme}, "layers": 2, "heads": 2}, "seed": seed}
                run = start_run(held, f"{scheme} · seed {seed}", settings, {}, sweep.id)
                run.log({"baseline/unigram_entropy": UNIGRAM}, 0)
                losses = UNIGRAM - ramp(evaluations, 9 + shift, 1.0) - ramp(evaluations, 3, 0.2, doublings=4)
                for step, loss in zip(evaluations, losses, strict=True):
                    run.log({"eval/loss": loss}, int(step))
                for step in looks if attention else ():
                    run.log(look(int(step), shift, sooner, random), int(step))
                if attention:
                    weights = np.full((2, 2, 4, 4), 0.25, np.float16)
                    for step in (0, last // 2, last):
                        run.log_arrays("attention_maps", step, {"weights": weights})
                run.finish("FINISHED")
    sweep.finish("FINISHED")


def look(step, shift, sooner, random):
    found = {"head_distance/clusters": 1.0 + 3 * (step >= 256)}
    for layer in range(2):
        begin, size = (8 + shift, 0.6) if layer == 0 else (6 + shift, 0.0 if sooner else 0.3)
        found[f"head_distance/layer_{layer}"] = ramp(step, begin, 0.2)
        for head in range(2):
            changed = ramp(step, begin, size) * (0.5 + head)
            place = f"layer_{layer}/head_{head}"
            found[f"attention_entropy_share/{place}"] = 1 - changed + random.normal(0, 0.002)
            for pattern in ("self", "previous", "next", "cls"):
                found[f"attention_to_{pattern}/{place}"] = 0.03 + changed * (pattern == "next")
        for pattern in ("self", "previous", "next", "cls"):
            found[f"attention_uniform/to_{pattern}/layer_{layer}"] = 0.03
    return {name: float(value) for name, value in found.items()}


@pytest.fixture(scope="module")
def store(empty_database, tmp_path_factory):
    store = copied_store(empty_database, tmp_path_factory.mktemp("mlruns"))
    track(store, (0, 1, 2))
    return store


@pytest.fixture(scope="module")
def report(store, rough_figures):
    return write_report(store, "attention_evolution")


def test_events_are_dated_where_they_were_put(report):
    times = cells(report, "When it happens")

    def step(event):
        return float(times[event][1].split()[0].replace(",", ""))

    assert step(f"absolute, {FALLS}") == pytest.approx(512, rel=0.05)
    assert step(f"rope, {FALLS}") == pytest.approx(128, rel=0.05)
    # 0.2 nats over the four doublings from step 8 on: 0.1 of them at step 32.
    assert step(f"absolute, {LEAVES}") == pytest.approx(32, abs=1)
    assert step("absolute, layer 0: entropy begins its fastest change") == pytest.approx(256, rel=0.05)
    assert step("absolute, layer 1: entropy begins its fastest change") == pytest.approx(64, rel=0.05)
    assert step("rope, layer 0: heads begin to come apart fastest") == pytest.approx(64, rel=0.05)
    assert times["absolute, layer 0: entropy begins its fastest change"][2] == "−0.60"
    assert times["rope, layer 1: entropy begins its fastest change"] == ("0 of 3", "–", "")


def test_the_order_of_attention_and_loss_is_told_by_the_interval_over_seeds(report):
    orders = cells(report, "Order of attention and loss")
    row = orders[f"absolute, layer 0, against: {FALLS}"]
    assert row[0] == "3" and row[-1] == "before"
    assert float(row[1].split()[0].replace("−", "-")) == pytest.approx(-1, abs=0.02)
    assert orders[f"absolute, layer 0, against: {LEAVES}"][-1] == "after"
    assert orders[f"rope, layer 1, against: {FALLS}"] == ("0", "–", "–", "cannot be told")


def test_answer_and_details_are_made_of_the_numbers(report):
    for expected in (
        "The sharpest head goes from at least 0.99",
        "of 8 comparisons, it comes before in 3",
    ):
        assert expected in report.answer, (expected, report.answer)
    details = " ".join(report.details)
    for expected in (
        "similar heads form 4.0 ± 0.0 groups with absolute and 4.0 ± 0.0 groups with rope.",
        "Over the 4 layers of all position schemes, attention begins its fastest change before the loss leaves "
        "the unigram level in none",
        "before the loss begins its fastest fall in 3, with it in none and after it in none (1 cannot be told)",
        "With absolute, the loss leaves the level of the unigram entropy (by 0.1 nats) at step 32",
        "before its fastest fall begins (−1.0",
        "No sharp change of attention can be told in layer 1.",
        "gives it 0.93 ± 0.00 of its attention (it is in layer 0 in every run)",
        "has the lowest mean held-out loss",
    ):
        assert expected in details, (expected, details)


def test_page_and_lab_book_show_the_figures_with_what_they_cannot_say(report, tmp_path):
    names = {"attention_entropy", "attention_patterns", "heads_apart", "change_points", "timing", "one_head"}
    page = report.path.read_text(encoding="utf-8")
    assert names <= {path.stem for path in report.path.parent.glob("*.png")}
    assert all(f"<code>{name}.png</code>" in page for name in names)
    assert "does not show that it is the cause" in page
    text = write_lab_book(report.evidence, tmp_path).read_text(encoding="utf-8")
    shown = {file for about, file in re.findall(r"!\[([^\]]+)\]\((\w+)\.png\)", text) if about != f"{file}.png"}
    assert names <= shown and all((tmp_path / f"{name}.png").exists() for name in names)
    assert f"**{report.answer}**" in text and "does not show that it is the cause" in text


def test_a_short_run_says_what_cannot_be_told(empty_database, rough_figures, tmp_path):
    shutil.copy(empty_database, tmp_path)
    store = open_store(None, tmp_path, "minibert")
    track(store, (0, 1), last=4)
    report = write_report(store, "attention_evolution")
    assert "No sharp change of attention can be told in layer 0." in " ".join(report.details)
    assert "before the loss leaves the unigram level in none" in " ".join(report.details)
    orders = cells(report, "Order of attention and loss")
    assert {row[-1] for row in orders.values()} == {"cannot be told"}


def test_one_seed_gets_figures_and_no_claim(empty_database, rough_figures, tmp_path):
    shutil.copy(empty_database, tmp_path)
    store = open_store(None, tmp_path, "minibert")
    track(store, (1,), last=64)
    report = write_report(store, "attention_evolution")
    assert report.answer.endswith("this report claims nothing.")
    orders = cells(report, "Order of attention and loss")
    assert {row[-1] for row in orders.values()} == {"cannot be told"}
    assert (report.path.parent / "timing.png").exists()


def test_runs_that_recorded_no_attention_get_the_report_of_any_study(empty_database, rough_figures, tmp_path):
    shutil.copy(empty_database, tmp_path)
    store = open_store(None, tmp_path, "minibert")
    track(store, (0, 1), last=4, attention=False)
    report = write_report(store, "attention_evolution")
    assert report.evidence.examination is None
    assert "mean held-out loss" in report.answer


def test_intervals_of_shares_and_groups_of_heads_end_where_these_can():
    assert _share(Estimate(3, 0.05, 0.2)) == "0.05 [0.00, 0.25]" and _share(Estimate(3, 0.5, 0.2)) == "0.50 ± 0.20"
    assert _groups(Estimate(3, 6.0, 2.5), 8) == "6.0 [3.5, 8.0]"


def test_maps_are_shown_at_the_start_and_at_halves_of_the_end():
    assert doubling_steps(range(0, 1001)) == [0, 62, 125, 250, 500, 1000]
    assert doubling_steps([0, 1, 2]) == [0, 1, 2]
    assert doubling_steps([7]) == [7]
