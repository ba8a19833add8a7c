"""The list of candidates: each can be composed, and the tables are what the store says."""

from minibert.config import config_hash, register
from minibert.running.plan import plan
from minibert.tracking.status import Status
from minibert.tracking.tables import RunRow
from tests.benchmarks.candidates import CANDIDATES, DEFAULT, run_name, settings, tables

TAGS = {"version.numpy": "2.4.6", "kernel.name": "Haswell"}
SHORT, ADAMW = "short rows of 16 for half of the steps", "AdamW 6e-3"


def composed(title):
    words = [*CANDIDATES[title], *settings(10), "training.steps=10"]
    (job,) = plan([*words, f"tracking.run_name='{run_name(title, 10)}'"], multirun=False).jobs
    assert job.config.tracking.run_name == run_name(title, 10)
    return config_hash(job.config, "")


def test_no_two_candidates_train_the_same():
    register()
    hashes = [composed(title) for title in CANDIDATES]
    assert len(set(hashes)) == len(hashes)


def test_names_of_runs_are_all_different():
    names = [run_name(title, budget) for title in CANDIDATES for budget in (1, 10)]
    assert len(set(names)) == len(names)


def row(title, budget, loss, status=Status.FINISHED, started=1.0):
    metrics = {"eval/loss": loss, "eval/bits_per_byte": loss / 4}
    return RunRow(
        f"{title} {started}",
        run_name(title, budget),
        status,
        started,
        None,
        {"training.steps": "1200"},
        TAGS,
        metrics,
    )


def test_each_processor_time_in_which_the_default_has_finished_has_a_table_of_what_has_ended():
    runs = [
        row(DEFAULT, 100, 4.0), row(SHORT, 100, 5.0), row(SHORT, 100, 3.9, started=2.0),
        row(ADAMW, 100, float("nan"), Status.FAILED), row("ALiBi", 100, 3.0, Status.RUNNING),
        row(DEFAULT, 20, 6.0, started=3.0), row(SHORT, 7, 1.0),
    ]  # fmt: skip
    scored = {run.id: 2 * run.metrics["eval/loss"] for run in runs}
    small, large = tables(runs, {DEFAULT: 1.0, SHORT: 0.85, ADAMW: 0.5}, scored)
    assert "20 steps" in small.title and "100 steps" in large.title
    assert large.note.endswith(" NumPy 2.4.6 on Haswell kernels.")
    assert small.rows == ((DEFAULT, "1.00", "1,200", "6.000", "1.500", "", "12.000"),)
    assert large.rows == (
        (DEFAULT, "1.00", "1,200", "4.000", "1.000", "", "8.000"),
        (SHORT, "0.85", "1,200", "3.900", "0.975", "−0.025", "7.800"),
        (ADAMW, "0.50", "1,200", "did not end", "", "", ""),
    )
