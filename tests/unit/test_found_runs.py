"""A run that was trained before is found in the file of its store, as MLflow has it, and without MLflow."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from minibert.tracking import claim, open_store, start_run
from minibert.tracking.finished import look_up_finished
from minibert.tracking.results import read_result
from minibert.tracking.tables import REVISIONS

HASH = "c0ffee" * 10


@pytest.fixture
def store(empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path)
    return open_store(None, tmp_path, "minibert")


def record(store, name="a run", status="FINISHED", config_hash=HASH, loss=1.5, figures=False):
    with claim(store, config_hash) as held:
        run = start_run(held, name, {"seed": 0}, {})
        run.log({"eval/loss": 2 * loss, "baseline/unigram_entropy": 2.5}, 0)
        run.log({"eval/loss": loss}, 4)
        if figures:
            run.log_text("a page", "figures/index.html")
        run.flush()
        run.finish(status)
    return run.id


def look_up(store, config_hash=HASH, experiment="minibert"):
    return look_up_finished(None, store.folder, experiment, config_hash)


def change(store, statement, *values):
    with closing(sqlite3.connect(store.database, isolation_level=None)) as connection:
        connection.execute(statement, values)


@pytest.mark.parametrize("loss", [1.5, float("nan"), float("inf")])
@pytest.mark.parametrize("figures", [False, True])
def test_the_result_is_the_one_that_mlflow_has(store, loss, figures):
    run_id = record(store, loss=loss, figures=figures)
    found, result = look_up(store)
    assert repr(result) == repr(read_result(store, run_id))
    assert (found.uri, found.experiment_id, found.work) == (store.uri, store.experiment_id, store.work)
    assert found.client.get_run(run_id).info.run_name == "a run"


def test_nothing_is_found_of_another_configuration_or_experiment_or_end(store):
    record(store, status="KILLED")
    record(store, config_hash="decade" * 10)
    assert look_up(store) is None
    assert look_up(store, "decade" * 10) is not None
    assert look_up(store, "decade" * 10, experiment="another") is None


def test_a_deleted_run_is_not_found(store):
    store.client.delete_run(record(store))
    assert look_up(store) is None


def test_mlflow_is_asked_where_its_tables_are_of_another_revision(store):
    record(store)
    change(store, "UPDATE alembic_version SET version_num = 'beef'")
    assert look_up(store) is None


def test_mlflow_is_asked_about_an_experiment_that_needs_a_change(store):
    record(store)
    change(store, "DELETE FROM experiment_tags WHERE key = 'mlflow.note.content'")
    assert look_up(store) is None
    open_store(None, store.folder, "minibert")  # writes the note again
    assert look_up(store) is not None
    store.client.delete_experiment(store.experiment_id)
    assert look_up(store) is None


def test_a_store_that_is_missing_damaged_or_a_server_is_left_to_mlflow(store, tmp_path):
    record(store)
    assert look_up_finished(None, tmp_path / "nowhere", "minibert", HASH) is None
    assert not (tmp_path / "nowhere").exists()
    assert look_up_finished("http://127.0.0.1:9", tmp_path, "minibert", HASH) is None
    store.database.write_bytes(b"no database at all" * 100)
    assert look_up(store) is None


def test_the_revision_that_is_read_is_that_of_the_mlflow_installed(empty_database):
    """With a new MLflow: check the four tables in its migrations, then add its revision to ``REVISIONS``."""
    with closing(sqlite3.connect(empty_database)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone()[0] in REVISIONS


def test_finding_a_run_imports_no_library_that_only_training_needs(door, small_settings, empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path)
    words = [*small_settings, f"tracking.folder={tmp_path}", "diagnostics=off", "training.steps=2"]
    script = (
        "import sys; from minibert.run import main; code = main(sys.argv[1:]); "
        "heavy = ('mlflow', 'pandas', 'scipy', 'sqlalchemy', 'matplotlib', 'sklearn', 'joblib'); "
        "print(code, 'heavy:', *sorted(name for name in heavy if name in sys.modules))"
    )
    first = door(*words)
    second = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
    assert first.returncode == second.returncode == 0, first.stdout + first.stderr + second.stderr
    assert "trained before" not in first.stdout
    assert "trained before" in second.stdout
    assert second.stdout.splitlines()[-1].split() == ["0", "heavy:"]
