"""The list of candidates: each can be composed, all are tuned alike, and the tables are what the store says."""

import pytest

from minibert.config import config_hash, register
from minibert.running.plan import plan
from minibert.tracking.status import Status
from minibert.tracking.tables import RunRow
from tests.benchmarks.candidate_list import CANDIDATES, DEFAULT, INGREDIENTS, OPTIMIZERS
from tests.benchmarks.candidate_tables import run_name, tables
from tests.benchmarks.candidates import BEGIN, END, main, settings

TAGS = {"version.numpy": "2.4.6", "kernel.name": "Haswell"}
SHORT, ADAMW, VECTORS = "short rows of 16 for half of the steps", "AdamW (6e-3)", "relative vectors"
EVERY = [(title, factor) for title, candidate in CANDIDATES.items() for factor in candidate.factors]


def composed(title, factor):
    words = [*CANDIDATES[title].at(factor), *settings(10), "training.steps=10"]
    (job,) = plan([*words, f"tracking.run_name='{run_name(title, 10, factor)}'"], multirun=False).jobs
    assert job.config.tracking.run_name == run_name(title, 10, factor)
    return job.config


def test_no_two_trainings_are_the_same():
    register()
    hashes = [config_hash(composed(title, factor), "") for title, factor in EVERY]
    assert len(set(hashes)) == len(hashes)


def test_names_of_runs_are_all_different():
    names = [run_name(title, budget, factor) for title, factor in EVERY for budget in (1, 10)]
    assert len(set(names)) == len(names)


def test_every_optimizer_has_as_many_rates_and_so_has_every_other_candidate():
    register()
    default = composed(DEFAULT, 1).optimizer.name
    for title, candidate in CANDIDATES.items():
        another = title == DEFAULT or composed(title, 1).optimizer.name != default
        assert candidate.factors == (OPTIMIZERS if another else (1,) if "seed" in title else INGREDIENTS)


def row(title, budget, loss, factor=1, status=Status.FINISHED, started=1.0):
    return RunRow(
        f"{title} {factor} {started}",
        run_name(title, budget, factor),
        status,
        started,
        None,
        {"training.steps": "1200"},
        TAGS,
        {"eval/loss": loss, "eval/bits_per_byte": loss / 4},
    )


def test_each_processor_time_in_which_the_default_has_finished_has_a_table_for_each_number_of_rates():
    runs = [
        row(DEFAULT, 100, 4.0), row(DEFAULT, 100, 4.2, 0.5), row(DEFAULT, 100, 3.8, 0.25),
        row(SHORT, 100, 5.0), row(SHORT, 100, 3.9, started=2.0), row(SHORT, 100, 3.6, 0.5),
        row(ADAMW, 100, 4.4), row(ADAMW, 100, 4.1, 0.25), row(ADAMW, 100, 9.0, 4, Status.FAILED),
        row("ALiBi", 100, 3.0, status=Status.RUNNING),
        row("spans masked", 100, 3.0, status=Status.KILLED), row(VECTORS, 100, float("nan"), 0.5, Status.FAILED),
        row(DEFAULT, 20, 6.0, started=3.0), row(SHORT, 7, 1.0),
    ]  # fmt: skip
    losses = {run.id: 2 * run.metrics["eval/loss"] for run in runs}
    costs = {DEFAULT: 1.0, SHORT: 0.85, ADAMW: 0.5, VECTORS: 1.2}
    alone, optimizers, ingredients = tables(runs, costs, losses.__getitem__)
    assert "20 steps" in alone.title and "100 steps" in optimizers.title and "100 steps" in ingredients.title
    assert alone.rows == ((DEFAULT, "1.00", "1,200", "6.000", "1.500", "", "12.000"),)
    assert optimizers.columns[3:6] == ("nats, rate × 0.25", "nats, rate × 1", "nats, rate × 4")
    assert optimizers.rows == (
        (DEFAULT, "1.00", "1,200", "3.800", "4.000", "", "0.950", "", "7.600"),
        (ADAMW, "0.50", "1,200", "4.100", "4.400", "did not end", "1.025", "+0.075", "8.200"),
    )
    assert ingredients.rows == (
        (DEFAULT, "1.00", "1,200", "4.200", "4.000", "1.000", "", "8.000"),
        (VECTORS, "1.20", "1,200", "did not end", "", "", "", ""),
        (SHORT, "0.85", "1,200", "3.600", "3.900", "0.900", "−0.100", "7.200"),
    )
    assert ingredients.note.endswith(" NumPy 2.4.6 on Haswell kernels.")


def test_a_later_run_that_has_not_finished_does_not_hide_the_one_that_has():
    runs = [row(DEFAULT, 100, 4.0), row(DEFAULT, 100, 9.0, status=Status.RUNNING, started=2.0)]
    (table,) = tables(runs, {DEFAULT: 1.0}, lambda _: 8.0)
    assert table.rows[0][3] == "4.000"


def test_what_the_default_was_not_trained_at_and_costs_that_are_gone_leave_cells_empty():
    runs = [row(DEFAULT, 100, 4.0), row(SHORT, 100, 3.6, 2)]
    (table,) = tables(runs, {}, lambda _: 8.0)
    assert table.rows == ((SHORT, "", "1,200", "3.600", "0.900", "", "8.000"),)


def test_a_store_without_the_default_leaves_the_page_as_it_is(tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_text(f"{BEGIN}\nmeasured\n{END}\n")
    (tmp_path / "store").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["--only", "--folder", str(tmp_path / "store"), "--lab-book", str(tmp_path)])
    assert ended.value.code == 2 and "measured" in page.read_text()
    assert capsys.readouterr().err.count("\n") == 1
