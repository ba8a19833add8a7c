"""A report of every partial sweep: no run, one value, runs that diverged, failed, or are missing."""

import csv
import math
from datetime import datetime

import numpy as np
import pytest

from analysis.answers import answer, details
from analysis.csv_files import write_csv
from analysis.evidence import Evidence
from analysis.figures import draw, efficiency, finals
from analysis.findings import find
from analysis.page.curves import chart
from analysis.page.render import render
from analysis.quantities import quantity
from analysis.study import Study
from analysis.tables import costs, results
from analysis.tracked_runs import BELOW_BIGRAM, Curve, TrackedRun

BIGRAM = 5.2


def run(value, seed, final, status="FINISHED", start=7.0):
    """``final``: of a loss that falls in a straight line; None where nothing was recorded"""
    steps = np.array([0, 5, 50, 100])
    losses = np.array([start, 6.5, 6.5 - 0.5 * (6.5 - (final or 0)), final or 0])
    curves, metrics = {}, {}
    if final is not None:
        beside = {"tokens_seen": steps * 1e3, "tokens_predicted": steps * 15e1, "seconds": steps / 10}
        curves = {name: Curve(steps, values) for name, values in {"eval/loss": losses, **beside}.items()}
        metrics = {"eval/loss": final, "baseline/unigram_entropy": 6.4, "baseline/bigram_cross_entropy": BIGRAM}
        metrics[BELOW_BIGRAM] = BIGRAM - final
    return TrackedRun(
        id=f"{value}{seed}",
        name=f"{value} · seed {seed}",
        status=status,
        reason=None,
        value=value,
        setting=None,
        seed=seed,
        replicate=(f"seed={seed}",),
        metrics=metrics,
        curves=curves,
        parameters={"factor": value, "seed": str(seed)},
        tags={},
    )


def study(*runs, metric="eval/loss", baseline="0.15"):
    return Study(
        name="partial",
        sweep_id="0",
        question=None,
        hypothesis=None,
        factor="factor",
        label="rate",
        tuned=None,
        baseline=baseline,
        metric=metric,
        target=None,
        command="",
        opened="2026-01-01T00:00:00",
        planned={"x": "lost"},
        runs=runs,
    )


SWEEPS = {
    "nothing": [],
    "all failed": [run("0.15", 0, None, "FAILED"), run("0.4", 0, None, "FAILED")],
    "one finished": [run("0.4", 0, 5.0), run("0.15", 0, 6.0, "KILLED")],
    "one value": [run("0.4", 0, 5.0), run("0.4", 1, 5.1)],
    "baseline alone": [run("0.15", 0, 5.0), run("0.15", 1, 5.1), run("0.4", 0, None, "RUNNING")],
    "one of two diverged": [run("0.15", 0, 5.0), run("0.4", 0, math.nan)],
    "one of two diverged, with seeds": [
        run("0.15", 0, 5.0), run("0.15", 1, 5.2), run("0.4", 0, math.nan), run("0.4", 1, math.nan)
    ],
    "all diverged": [run("0.15", 0, math.nan), run("0.4", 0, math.nan)],
    "diverged from the first evaluation": [run("0.15", seed, math.nan, start=math.nan) for seed in (0, 1)],
    "no seed in common": [run("0.15", 0, 5.0), run("0.4", 1, 5.1)],
    "all equal": [run(value, seed, 5.0) for value in ("0.15", "0.4") for seed in (0, 1)],
    "eight names": [run(f"scheme {letter}", 0, 5.0) for letter in "abcdefgh"],
}  # fmt: skip


@pytest.mark.parametrize("runs", SWEEPS.values(), ids=SWEEPS.keys())
def test_every_sweep_has_its_figures_page_tables_and_sentences(runs, tmp_path):
    findings = find(study(*runs))
    figures = draw(Evidence(findings))
    finished = [run for run in runs if run.status == "FINISHED"]
    assert ("curves.png" in figures) == bool(finished)
    for figure in figures.values():
        figure.set_layout_engine("none")
        figure.set_dpi(20)
        figure.canvas.draw()
    page = render(Evidence(findings), dict.fromkeys(figures, b""), datetime(2026, 1, 1))
    assert answer(findings) in page and "lost: never started" in page
    rows = {row[0]: row[1:3] for row in results(findings).rows}
    assert rows.keys() == {findings.study.shown(run.value) for run in runs if finished}
    with_result = {findings.study.shown(run.value) for run in finished if math.isfinite(run.final("eval/loss"))}
    assert all(row == ("0", "no result") for value, row in rows.items() if value not in with_result)
    assert "nan" not in " ".join([answer(findings), *details(findings)]).lower()
    write_csv(findings, tmp_path)


def test_each_group_has_a_colour_of_its_own():
    for count in (1, 2, 5):
        figures = draw(Evidence(find(study(*(run(f"0.{rate}", 0, 5.0) for rate in range(1, count + 1))))))
        lines = figures["curves.png"].axes[0].lines
        assert len({tuple(line.get_color()) for line in lines[:count]}) == count


def heights(figure):
    return figure.axes[0].get_ylim()


def test_curves_use_the_height_that_they_have():
    # From 300 at the first step to 6.5 at the second: neither that nor a bigram model far below presses them flat.
    runs = [run("0.15", 0, 6.3, start=300.0), run("0.4", 0, 6.2, start=300.0)]
    low, high = heights(draw(Evidence(find(study(*runs))))["curves.png"])
    assert 6.0 < low < 6.2 and 6.3 < high < 7.0


def test_a_curve_that_falls_steadily_is_shown_from_its_start():
    low, high = heights(draw(Evidence(find(study(run("0.15", 0, 5.5, start=6.6)))))["curves.png"])
    assert high > 6.6 and low < BIGRAM + 0.1


def test_the_bigram_model_is_in_words_and_in_a_column():
    runs = [
        run(value, seed, final + seed / 100)
        for value, final in (("0.15", 6.0), ("0.4", 5.0), ("0.6", 5.194))
        for seed in (0, 1)
    ]
    findings = find(study(*runs))
    sentence = (
        "A bigram model of the same text, which sees the word before alone, scores 5.200 nats per masked token: "
        "rate 0.40 is below it; rate 0.15 is above it; rate 0.60 cannot be told from it."
    )
    assert sentence in details(findings)
    table = results(findings)
    column = table.columns.index("difference to the bigram model (nats)")
    assert [row[column] for row in table.rows] == ["+0.805 ± 0.064", "−0.195 ± 0.064", "−0.001 ± 0.064"]
    above = details(find(study(*runs[:2], *(run("0.6", seed, 6.2 + seed / 100) for seed in (0, 1)))))
    assert any("every rate ends above it" in sentence for sentence in above)


def test_intervals_of_what_cannot_be_negative_end_at_nothing():
    # 4 and 6 have mean 5 and a half width of 12.7.
    findings = find(study(run("0.15", 0, 4.0), run("0.15", 1, 6.0), metric="eval/loss"))
    assert results(findings).rows[0][2] == "5.000 [0.000, 17.706]"
    figure = draw(Evidence(findings))["curves.png"]
    assert min(path.get_extents().y0 for path in figure.axes[0].collections[0].get_paths()) >= 0


@pytest.mark.parametrize("seeds", [(3, 4, 5), (2, 3, 4)], ids=["no seed shared", "one seed shared"])
def test_runs_that_share_no_two_seeds_are_compared_unpaired_and_it_is_said(seeds):
    found = find(
        study(
            *(run("0.15", seed, loss) for seed, loss in zip((0, 1, 2), (5.0, 5.1, 5.2), strict=True)),
            *(run("0.40", seed, loss) for seed, loss in zip(seeds, (4.0, 4.1, 4.2), strict=True)),
            *(run("0.60", seed, loss) for seed, loss in zip((0, 1), (4.9, 5.0), strict=True)),
        )
    )
    by_value = {group.value: group.difference for group in found.groups}
    assert by_value["0.40"].unpaired and by_value["0.40"].mean == pytest.approx(-1.0)
    assert not by_value["0.60"].unpaired and by_value["0.60"].n == 2
    assert "on average 1.000 [" in answer(found) and "below the baseline 0.15" in answer(found)
    said = " ".join(details(found))
    assert "Compared unpaired (Welch's t interval)" in said and "with the baseline: 0.40. Pairs" in said
    assert "paired t test, unpaired t test (Welch) where fewer than two seeds are shared" in results(found).note
    drawn = draw(Evidence(found))["differences.png"].get_suptitle()
    assert "seed by seed" not in drawn and "pairs of runs" in drawn


def test_one_run_beside_another_seed_is_still_no_comparison():
    found = find(study(run("0.15", 0, 5.0), run("0.40", 1, 4.0)))
    assert {group.difference for group in found.groups} == {None}


@pytest.mark.parametrize(
    ("once", "said"),
    [(4.0, "of the rates with several seeds, 0.40 has the lowest"), (5.5, "rate 0.40 has the lowest")],
)
def test_a_single_run_that_is_ahead_is_not_passed_over_in_silence(once, said):
    several = [run(value, seed, loss) for value, loss in (("0.15", 5.0), ("0.40", 4.5)) for seed in (0, 1, 2)]
    assert said in answer(find(study(*several, run("0.60", 0, once))))


def test_operations_have_a_panel_and_a_column_if_they_were_recorded():
    runs = [run(value, seed, loss) for value, loss in (("0.15", 5.0), ("0.4", 4.5)) for seed in (0, 1)]
    found = find(study(*runs))
    assert len(draw(Evidence(found))["curves.png"].axes) == 4
    assert costs(found, found.efficiencies[0]).columns[-1] == "training time (s)"
    for each in runs:
        each.curves["flops"] = Curve(each.curves["eval/loss"].steps, each.curves["eval/loss"].steps * 2.5e9)
    found = find(study(*runs))
    panel = draw(Evidence(found))["curves.png"].axes[4]
    assert panel.get_xlabel() == "floating-point operations"
    table, steps = costs(found, found.efficiencies[0]), found.efficiencies[0].costs["0.15"].axes["step"]
    assert table.columns[-1] == "floating-point operations"
    assert table.rows[0][-1].startswith(quantity("flops").show(steps.mean * 2.5e9))
    assert quantity("flops").show(-2.5e11, sign=True) == "−2.50e11"


def test_names_of_many_groups_have_room():
    found = find(study(*(run(f"scheme {number:02d}", 0, 5.0 + number / 100) for number in range(30))))
    figures = draw(Evidence(found))
    assert figures["finals.png"].get_size_inches()[0] > 12 and len(figures["efficiency.png"].axes) == 2
    below = [panel.get_position().y0 for panel in figures["efficiency.png"].axes]
    assert below[0] > below[1]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"0.4": (6.0, 6.11, 6.21)}, "baseline itself, but the data do not separate the other from it."),
        ({"0.4": (6.5, 6.61, 6.71)}, "nothing does better than the baseline itself."),
        (
            {"0.4": (6.0, 6.11, 6.21), "0.6": (7.0, 7.11, 7.21)},
            "baseline itself, but the data do not separate 0.40 from it.",
        ),
        ({"0.4": (6.5,)}, "there is no other rate with two results to compare it with."),
    ],
)
def test_a_best_baseline_is_told_with_what_the_data_separate_from_it(others, said):
    finals = {"0.15": (6.0, 6.1, 6.2)} | others
    runs = [run(value, seed, final) for value, those in finals.items() for seed, final in enumerate(those)]
    assert said in answer(find(study(*runs)))


def test_a_run_that_did_not_finish_has_no_final_values(tmp_path):
    write_csv(find(study(run("0.15", 0, 6.0), run("0.15", 1, 5.0, status="FAILED"))), tmp_path)
    rows = list(csv.DictReader((tmp_path / "finals.csv").open(newline="")))
    assert [row["eval/loss"] for row in rows] == ["6.0", ""]


def test_the_curves_to_explore_show_the_single_runs_too():
    """Means of 6.0 and 6.001 from runs that are 0.4 apart: around the means alone none would be seen."""
    runs = [run(value, seed, 6.0 + shift + 0.2 * sign, start=6.3) for value, shift in (("0.15", 0), ("0.4", 0.001))
            for seed, sign in enumerate((-1, 1))]  # fmt: skip
    data = chart(find(study(*runs)))
    low, high = data["limits"]
    lasts = [line["y"][-1] for group in data["groups"] for line in group["runs"]]
    assert low < min(lasts) and max(lasts) < high
    wild = chart(find(study(*runs, run("0.4", 2, 6.0), run("0.15", 2, 900.0))))
    assert wild["limits"][1] < 2000


def test_names_without_room_in_one_of_several_panels_are_turned():
    found = find(study(*(run(f"0.{rate} · adamw", 0, 5.0 + rate / 100) for rate in range(1, 7))))
    for panel in efficiency(found, found.efficiencies[0]).axes:
        assert {label.get_rotation() for label in panel.get_xticklabels()} == {40}
    assert {label.get_rotation() for label in finals(found).axes[0].get_xticklabels()} == {0}
