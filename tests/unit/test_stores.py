"""Stores that are moved, copied, damaged, made by others, or called by unusual names."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from minibert import MiniBERT, create_tokenizer, interruption, load_model
from minibert.errors import MinibertError, Refused
from minibert.interruption import Interrupted
from minibert.locks import acquire, file_lock
from minibert.running.plan import plan
from minibert.serving.loading import find_run
from minibert.tracking import claim, open_store, start_run
from minibert.tracking.addresses import sqlite_address, sqlite_path
from minibert.tracking.artifacts import artifacts_of
from minibert.tracking.explanations import explain
from minibert.tracking.store import open_existing_store, store_address

HASH = "c0ffee" * 10
NAMES = ["plain", "two words", "q?x", "a%20b", "100%", "#1", "ä ö ü", "x=[y]&z", "a:b@c", "~"]


@pytest.fixture
def folder(empty_database, tmp_path) -> Path:
    """A folder with an empty store that was made in it."""
    return put(empty_database, tmp_path / "mlruns")


def put(database: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copy(database, folder / "mlflow.db")
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM experiment_tags")
        connection.execute("DELETE FROM experiments WHERE experiment_id != 0")
    return folder


def ask(folder: Path, query: str, *values) -> list:
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as connection:
        return connection.execute(query, values).fetchall()


def begin(folder: Path, uri: str | None = None):
    """An unfinished run with one artifact and a state to go on from, which its process has left."""
    store = open_store(uri, folder, "minibert")
    with claim(store, HASH) as held:
        run = start_run(held, "a run", {}, {})
        run.log_text("seed: 1", "config.yaml")
        (run.artifact_folder("checkpoints") / "step_0000001.safetensors").write_text("parameters")
        (run.folder / "state").write_text("step 1")
        run.finish("KILLED", "Ctrl-C")
    return run


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_the_address_of_a_file_names_that_file_whatever_its_characters(tmp_path, name):
    path = tmp_path / name / "mlflow.db"
    path.parent.mkdir()
    engine = create_engine(sqlite_address(path))
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    engine.dispose()
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]
    assert sqlite_path(sqlite_address(path)) == path


@pytest.mark.parametrize("name", ["q?x", "a%20b", "ä #1"])
def test_a_store_lies_in_the_folder_that_was_named_and_in_no_neighbour(empty_database, tmp_path, name):
    put(empty_database, tmp_path / name)
    run = begin(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "artifacts" / run.id / "artifacts" / "config.yaml").exists()
    assert open_existing_store(None, tmp_path / name, "minibert").client.get_run(run.id)


def test_a_moved_store_is_read_and_continued_where_it_is_now(folder, tmp_path):
    run = begin(folder)
    moved = tmp_path / "elsewhere" / "runs"
    moved.parent.mkdir()
    folder.rename(moved)
    store = open_existing_store(None, moved)
    assert run.id in store.client.get_run(run.id).info.artifact_uri
    assert artifacts_of(store, run.id).fetch("config.yaml").is_relative_to(moved)
    again = begin(moved)
    assert (again.id, again.continued) == (run.id, True)
    assert not folder.exists()


@pytest.mark.parametrize("by_uri", [False, True])
def test_a_copy_that_is_continued_writes_nothing_into_the_original(folder, tmp_path, by_uri):
    run = begin(folder)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    before = files(folder)
    again = begin(tmp_path / "other" if by_uri else copy, sqlite_address(copy / "mlflow.db") if by_uri else None)
    assert again.id == run.id
    assert again.folder.is_relative_to(copy)
    assert again.artifact_folder("").is_relative_to(copy)
    with claim(open_store(None, copy, "minibert"), "decade" * 10) as held:
        assert start_run(held, "a new run", {}, {}).artifact_folder("").is_relative_to(copy)
    assert files(folder) == before


def test_a_store_that_was_moved_before_it_knew_its_folder_is_found_too(folder, tmp_path):
    run = begin(folder)
    ask(folder, "DELETE FROM experiment_tags")
    folder.rename(tmp_path / "moved")
    assert begin(tmp_path / "moved").id == run.id
    assert not folder.exists()


def test_artifacts_that_were_never_beside_the_database_stay_where_they_are(folder, tmp_path):
    run = begin(tmp_path / "artifacts here", sqlite_address(folder / "mlflow.db"))
    (folder / "artifacts").mkdir()
    folder.rename(tmp_path / "moved")
    place = open_existing_store(None, tmp_path / "moved").client.get_run(run.id).info.artifact_uri
    assert place == (tmp_path / "artifacts here" / "artifacts" / run.id / "artifacts").as_uri()


def test_a_moved_run_is_loaded_by_its_folder_and_by_its_address(folder, tmp_path):
    run = begin(folder)
    folder.rename(tmp_path / "moved")
    for words in ({"folder": tmp_path / "moved"}, {"uri": sqlite_address(tmp_path / "moved" / "mlflow.db")}):
        with pytest.raises(MinibertError, match=f"{tmp_path}/moved/.*config.yaml"):
            find_run(run.id, **words)  # the text is no whole configuration, but it was found


@pytest.mark.parametrize("location", ["mlflow-artifacts:/7", "{cwd}/mlruns/7", "file://{cwd}/mlruns/7"])
def test_an_experiment_that_was_made_with_mlflow_takes_runs(folder, tmp_path, location):
    location = location.format(cwd=tmp_path / "gone")
    ask(
        folder,
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
        "VALUES (7, 'minibert', ?, 'active')",
        location,
    )
    run = begin(folder)
    assert run.artifact_folder("").is_dir()
    assert artifacts_of(run.store, run.id).read("config.yaml") == b"seed: 1"
    assert begin(folder).id == run.id


def test_an_experiment_whose_artifacts_a_server_keeps_is_refused(folder):
    run = begin(folder)
    ask(folder, "UPDATE experiments SET artifact_location = 'mlflow-artifacts:/1' WHERE name = 'minibert'")
    ask(folder, "UPDATE runs SET artifact_uri = ?", f"mlflow-artifacts:/1/{run.id}/artifacts")
    with pytest.raises(MinibertError, match=r"experiment=minibert: an MLflow server keeps .* tracking.uri=http"):
        begin(folder)


def test_an_empty_database_is_not_begun_anew(folder):
    (folder / "mlflow.db").write_bytes(b"")
    for opening in (lambda: open_store(None, folder, "minibert"), lambda: open_existing_store(None, folder)):
        with pytest.raises(MinibertError, match=r"mlflow.db: this database is empty \(0 bytes\)"):
            opening()
    assert (folder / "mlflow.db").read_bytes() == b""


def test_a_database_of_another_program_gets_no_tables(tmp_path):
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("CREATE TABLE bookmarks (address)")
    with pytest.raises(MinibertError, match=r"no MLflow store .its tables: bookmarks"):
        open_store(None, tmp_path, "minibert")
    assert ask(tmp_path, "SELECT name FROM sqlite_master") == [("bookmarks",)]


def test_a_database_that_was_cut_is_one_clear_error(folder):
    whole = (folder / "mlflow.db").read_bytes()
    (folder / "mlflow.db").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(MinibertError, match=r"could not open it\. database disk image is malformed"):
        open_store(None, folder, "minibert")


def test_a_database_that_mlflow_made_is_read_while_it_is_written(folder):
    ask(folder, "PRAGMA journal_mode = DELETE")
    open_store(None, folder, "minibert")
    assert ask(folder, "PRAGMA journal_mode") == [("wal",)]


def test_the_advice_about_another_version_of_mlflow_says_which_is_newer(folder):
    ask(folder, "UPDATE alembic_version SET version_num = 'abcdef012345'")
    with pytest.raises(MinibertError, match=r"written by a newer version of MLflow.*pip install --upgrade mlflow"):
        open_store(None, folder, "minibert")
    older = Exception("Detected out-of-date database schema (found version 90e64c465722, but expected abc).")
    assert "run `mlflow db upgrade 'sqlite:////a b'`" in explain("sqlite:////a b", older)
    newer = Exception("Can't locate revision identified by 'abcdef012345'")
    assert "Update MLflow" in explain("sqlite:////a", newer)


@pytest.mark.parametrize("name", ["", "  "])
def test_a_folder_without_a_name_is_refused_before_anything_runs(name):
    with pytest.raises(MinibertError, match="folder=: an empty name"):
        open_store(None, name, "minibert")
    for key in ("tracking.folder", "data.cache"):
        with pytest.raises(MinibertError, match=f"{key}=: an empty name"):
            plan([f"{key}='{name}'"], multirun=False)


def test_a_tilde_is_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert open_store(None, "~/mlruns", "minibert").folder == folder
    assert store_address(None, "~/mlruns") == f"sqlite:///{folder}/mlflow.db"
    assert open_store("~/mlruns", "elsewhere", "minibert").folder == folder
    assert open_store("sqlite:///~/mlruns/mlflow.db", folder, "minibert").database == folder / "mlflow.db"


@pytest.mark.parametrize("door", [MiniBERT.from_pretrained, partial(create_tokenizer, 64), load_model])
def test_a_tilde_is_the_home_folder_at_every_door(tmp_path, monkeypatch, door):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MinibertError, match=str(tmp_path / "missing")):
        door("~/missing")


def test_looking_at_a_store_makes_nothing_and_sends_nothing(folder, monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    with pytest.raises(MinibertError, match=r"experiment: unknown name 'minbert'.*Allowed: Default"):
        open_existing_store(None, folder, "minbert")
    with pytest.raises(MinibertError, match=r"there is no mlflow.db in it"):
        find_run("an id", folder=folder / "not there")
    assert not (folder / "not there").exists()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_two_folders_with_one_database_share_its_locks(folder, tmp_path):
    address = sqlite_address(folder / "mlflow.db")
    first, second = (open_store(address, tmp_path / name, "minibert") for name in ("one", "two"))
    waiting, order = threading.Event(), []

    def claim_too():
        with claim(second, HASH, lambda sentence: waiting.set()):
            order.append("second")

    with claim(first, HASH):
        thread = threading.Thread(target=claim_too)
        thread.start()
        assert waiting.wait(timeout=20)
        order.append("first")
    thread.join(timeout=20)
    assert order == ["first", "second"]


def test_a_run_that_is_continued_from_another_folder_finds_its_state(folder, tmp_path):
    address = sqlite_address(folder / "mlflow.db")
    run = begin(tmp_path / "one", address)
    assert (begin(tmp_path / "two", address).folder / "state").samefile(run.folder / "state")


def test_waiting_for_a_lock_ends_with_the_wish_to_end_even_where_signals_are_deferred(tmp_path, monkeypatch):
    path = tmp_path / "a.lock"
    with path.open("w") as held, interruption.deferred(), pytest.raises(Interrupted, match="SIGTERM"):
        fcntl.flock(held, fcntl.LOCK_EX)
        acquire(file_lock(path), lambda: monkeypatch.setattr(interruption._State, "reason", "SIGTERM"))


def test_artifacts_of_a_remote_store_lie_at_the_paths_of_those_of_a_local_one(folder):
    run = begin(folder)
    remote = artifacts_of(run.store, run.id)
    remote.folder = None  # as where the address is a server's
    for path in ("a.txt", "b/c/d.txt"):
        remote.write(path, b"text")
    (folder / "f.txt").write_text("text")
    remote.add(folder / "f.txt")
    remote.add(folder / "f.txt", "b")
    for which in (remote, artifacts_of(run.store, run.id)):
        assert which.list("") == ["a.txt", "b", "checkpoints", "config.yaml", "f.txt"]
        assert which.list("b") == ["b/c", "b/f.txt"] and which.list("none") == []
        assert which.fetch("b/c/d.txt").read_bytes() == b"text"
        assert (which.fetch() / "a.txt").read_bytes() == b"text"
        with pytest.raises(Refused, match="outside"):
            artifacts_of(run.store, run.id).write("../x", b"")


RECORDED = """
import sys
from minibert.tracking import claim, open_store, start_run
store = open_store(None, sys.argv[1], "minibert")
with claim(store, "c0ffee" * 10) as held:
    run = start_run(held, "a run", {}, {})
    run.log({"eval/loss": 1.5}, 4)
    run.flush()
    assert run.history("eval/loss") == ([4], [1.5])
    run.finish("FINISHED")
"""


def test_the_file_of_a_store_is_whole_by_itself_when_the_process_has_ended(folder, tmp_path):
    subprocess.run([sys.executable, "-c", RECORDED, str(folder)], check=True)
    assert not (folder / "mlflow.db-wal").exists()
    shutil.copy(folder / "mlflow.db", tmp_path / "mlflow.db")
    assert ask(tmp_path, "SELECT step, value FROM metrics") == [(4, 1.5)]
