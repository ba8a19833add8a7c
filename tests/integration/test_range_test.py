"""Range tests of the learning rate as a user runs them, and the report on them."""

import csv
import math
import shutil

import pytest

from analysis.report import write_report
from minibert.run import main
from minibert.tracking import claim, open_store, open_sweep, start_run

T_1 = 12.706205  # 97.5 % quantile of Student's t, 1 degree of freedom


@pytest.fixture(scope="module")
def store(empty_database, rough_figures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlruns")
    shutil.copy(empty_database, folder)
    return open_store(None, folder, "minibert")


def test_a_range_test_whose_loss_explodes_is_finished_with_its_rates_and_its_figure(small_settings, store):
    settings = [
        *small_settings, "diagnostics=off", "evaluation.every=100", "training.steps=80", "training.one_batch=true",
        "training.log_every=1", "schedule=range_test", "schedule.start=1e-7", "optimizer.learning_rate=1e3",
    ]  # fmt: skip
    assert main([*settings, f"tracking.folder={store.folder}"]) == 0
    (run,) = store.client.search_runs([store.experiment_id], "tags.`minibert.kind` = 'run'")
    metrics = run.data.metrics
    losses = store.client.get_metric_history(run.info.run_id, "train/loss")
    assert run.info.status == "FINISHED"
    assert len(losses) < 80 and losses[-1].value > 2 * losses[0].value
    rates = [metrics[f"lr_range/{name}_rate"] for name in ("steepest", "lowest_loss", "divergence")]
    assert rates == sorted(rates) and rates[-1] <= metrics["train/learning_rate"]
    assert metrics["lr_range/suggested_rate"] == metrics["lr_range/lowest_loss_rate"] / 2
    artifacts = store.folder / "artifacts" / run.info.run_id / "artifacts"
    assert (artifacts / "figures" / "training" / "lr_range.png").stat().st_size > 0
    assert (artifacts / "checkpoints" / f"step_{len(losses):07d}.safetensors").exists()


@pytest.fixture(scope="module")
def report(store):
    """AdamW suggests 1e-3 and 1e-2, Lion 2e-4 and 2e-3: geometric means 3.16e-3 and 6.32e-4, a fifth each time."""
    stated = {"name": "ranges", "factor": "optimizer.name", "baseline": "adamw", "label": "optimizer"}
    stated["metric"] = "lr_range/suggested_rate"
    sweep = open_sweep(store, "ranges", "a" * 64, [], {}, {"study": stated})
    for optimizer, suggested in {"adamw": (1e-3, 1e-2), "lion": (2e-4, 2e-3)}.items():
        for seed, rate in enumerate(suggested):
            with claim(store, f"{optimizer}{seed}".encode().hex()) as held:
                settings = {"optimizer": {"name": optimizer}, "seed": seed}
                run = start_run(held, f"{optimizer} {seed}", settings, {}, sweep.id)
                for step, loss in enumerate((6.0, 5.0, 7.0), start=1):
                    at_step = {"train/learning_rate": rate * 10 ** (step - 2), "train/loss": loss}
                    run.log({**at_step, "lr_range/smoothed_loss": loss, "eval/loss": loss}, step)
                run.log({"lr_range/suggested_rate": rate, "lr_range/steepest_rate": rate / 2}, 3)
                run.finish("FINISHED")
    sweep.finish("FINISHED")
    return write_report(store, "ranges")


def test_rates_are_compared_on_a_log_scale(report):
    adamw, lion = report.evidence.findings.groups
    assert adamw.final.mean == pytest.approx(-2.5)
    assert adamw.final.half_width == pytest.approx(T_1 * math.sqrt(0.5) / math.sqrt(2), rel=1e-6)
    assert lion.difference.mean == pytest.approx(math.log10(0.2))
    assert lion.mean("lr_range/steepest_rate").mean == pytest.approx(math.log10(1e-4 * math.sqrt(10)))
    page = report.path.read_text(encoding="utf-8")
    for expected in ("3.16e-3 [", "6.32e-4 [", "×0.20", "Means are geometric", "rate of steepest descent"):
        assert expected in page, expected


def test_a_rate_is_no_score_so_that_none_is_called_better(report):
    start = "After 3 steps, the suggested learning rate (geometric mean, 95 % interval) is 3.16e-3 ["
    assert report.answer.startswith(start)
    assert report.details == ("Different from the baseline adamw: lion (×0.20 [×0.20, ×0.20]).",)
    page = report.path.read_text(encoding="utf-8")
    assert "better" not in page and "To first reach" not in page


def test_the_report_shows_the_losses_against_the_rates(report):
    folder = report.path.parent
    assert {path.name for path in folder.glob("*.png")} == {"lr_range.png", "finals.png", "differences.png"}
    assert "(<code>lr_range.png</code>)" in report.path.read_text(encoding="utf-8")
    with (folder / "curves.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 3
    assert float(rows[0]["train/learning_rate"]) == pytest.approx(1e-4)
    assert [float(row["lr_range/smoothed_loss"]) for row in rows[:3]] == [6.0, 5.0, 7.0]
