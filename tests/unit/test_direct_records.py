"""What a record reads from the tables of a local store is what MLflow answers."""

import math
import shutil
import sqlite3
import threading
from contextlib import closing

import pytest

from minibert.tracking import claim, open_store, start_run
from minibert.tracking.amendments import Amendment
from minibert.tracking.records import Record


@pytest.fixture
def run(empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path)
    store = open_store(None, tmp_path, "minibert")
    with claim(store, "c0ffee" * 10) as held:
        run = start_run(held, "a run", {}, {})
        for step, loss in ((0, 3.5), (1, math.inf), (2, -math.inf), (10, math.nan), (4, 2.0)):
            run.log_results({"eval/loss": loss, "eval/accuracy": 0.1 * step}, step)
        run.log_results({"eval/loss": 2.5}, 4)
        run.log_results({"a_b/c": 1.0, "aXb/c": 2.0}, 0)
        yield run
        run.finish("FINISHED")


def through_mlflow(run) -> Record:
    return Record(run.store, run.id, run._artifacts.address, continued=True)


def compared(history):
    """NaN is equal to no number, itself included."""
    steps, values = history
    return list(map(int, steps)), [repr(float(value)) for value in values]


@pytest.mark.parametrize("metric", ["eval/loss", "eval/accuracy", "a_b/c", "not recorded"])
def test_histories_are_those_of_mlflow(run, metric):
    assert compared(run.history(metric)) == compared(through_mlflow(run).history(metric))


@pytest.mark.parametrize("prefix", ["", "eval/", "a_b/", "none/"])
def test_names_are_those_of_mlflow(run, prefix):
    assert run.metric_names(prefix) == through_mlflow(run).metric_names(prefix)


def test_of_several_points_at_a_step_the_newest_counts_and_new_ones_are_seen_at_once(run):
    assert run.history("eval/loss")[1][run.history("eval/loss")[0].index(4)] == 2.5
    run.log({"train/loss": 1.25}, 7)
    run.flush()
    assert run.history("train/loss") == ([7], [1.25])
    assert "train/loss" in run.metric_names("train/")


def test_tables_of_another_revision_are_left_to_mlflow(run, monkeypatch):
    monkeypatch.setattr("minibert.tracking.tables.REVISIONS", ("another",))
    asked = []
    monkeypatch.setattr(Record, "history", lambda self, metric: asked.append(metric) or ([1], [2.0]))
    assert run.history("eval/loss") == ([1], [2.0]) and asked == ["eval/loss"]


def test_another_thread_gets_its_answer_from_mlflow(run):
    expected, found = run.history("eval/accuracy"), []
    thread = threading.Thread(target=lambda: found.append(run.history("eval/accuracy")))
    thread.start()
    thread.join()
    assert found == [expected]


def test_a_run_that_has_ended_is_read_alike_and_its_file_is_given_back(run):
    run.finish("FINISHED")
    ended = Amendment(run.store, run.id)
    assert compared(ended.history("eval/loss")) == compared(run.history("eval/loss"))
    connection = ended._connection
    del ended
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")
    with closing(sqlite3.connect(run.store.database)) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
