"""Copied stores whose original is still there: what leads where, what is written, and what is left as it is."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from minibert import sweeps
from minibert.tracking import claim, start_run
from minibert.tracking.addresses import local_path
from minibert.tracking.relocation import plan_relocation
from minibert.tracking.store import find_place, open_store
from tests.support.reports import copied_store


@pytest.fixture
def copy(empty_database, tmp_path):
    """The folder of a copy of a store with two runs, not opened yet by any command; the original is there."""
    (tmp_path / "original").mkdir()
    store = copied_store(empty_database, tmp_path / "original")
    for digit in "ab":
        with claim(store, digit * 64) as held:
            run = start_run(held, f"run {digit}", {}, {})
            run.log_text(digit, "note.txt")
            run.finish("FINISHED")
    with closing(sqlite3.connect(store.database)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return shutil.copytree(tmp_path / "original", tmp_path / "copy")


def relocate(capsys, folder: Path, *words: str) -> tuple[int, str]:
    code = sweeps.main(["relocate", f"tracking.folder={folder}", *words])
    return code, " ".join(capsys.readouterr().out.split())


def addresses(folder: Path) -> set[Path]:
    """Where the artifacts of the runs are, by the database: the folders above those of the runs."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        found = [uri for (uri,) in database.execute("SELECT artifact_uri FROM runs")]
    assert len(found) == 2
    return {path.parent.parent for uri in found if (path := local_path(uri))}


def test_a_copied_store_that_leads_to_its_original_says_so_and_is_turned_to_the_copy(copy, capsys):
    original = copy.parent / "original" / "artifacts"
    code, told = relocate(capsys, copy, "yes=false")
    assert code == 0 and "Every address leads" not in told
    assert f"2 addresses lead to {original}, outside of this store, though a copy is beside the database." in told
    assert "Nothing was written" in told and addresses(copy) == {original}
    code, told = relocate(capsys, copy, "--yes")
    assert code == 0 and "2 addresses written." in told and addresses(copy) == {copy / "artifacts"}
    assert relocate(capsys, copy)[1] == "Every address leads to a folder."
    assert addresses(copy.parent / "original") == {original}


def test_later_runs_of_a_copied_store_have_their_artifacts_in_the_copy(copy, capsys):
    assert f", future runs: {(copy / 'artifacts').as_uri()}" in relocate(capsys, copy, "--yes")[1]
    store = open_store(None, copy, "minibert")
    with claim(store, "c" * 64) as held:
        run = start_run(held, "run c", {}, {})
        run.log_text("c", "note.txt")
    assert (copy / "artifacts" / run.id / "artifacts" / "note.txt").is_file()


def test_a_database_that_was_copied_alone_leads_outside_and_says_what_to_copy(copy, capsys):
    original = copy.parent / "original" / "artifacts"
    shutil.rmtree(copy / "artifacts")
    code, told = relocate(capsys, copy, "--yes")
    assert code == 0 and addresses(copy) == {original}
    assert f"2 addresses lead to {original}, outside of this store, and no copy is beside the database" in told
    assert f"copy that folder to {copy / 'artifacts'} and give this command again" in told
    shutil.copytree(original, copy / "artifacts")
    relocate(capsys, copy, "--yes")
    assert addresses(copy) == {copy / "artifacts"}


def test_of_a_copy_that_lacks_a_run_that_run_stays_where_it_is(copy, capsys):
    original = copy.parent / "original" / "artifacts"
    shutil.rmtree(next((copy / "artifacts").iterdir()))
    told = relocate(capsys, copy, "--yes")[1]
    assert "1 address leads to" in told and "though a copy is" in told and "and no copy is" in told
    assert addresses(copy) == {original, copy / "artifacts"}


def test_artifacts_that_are_where_they_belong_are_not_turned_to_a_backup(copy, capsys):
    original = copy.parent / "original"
    code, told = relocate(capsys, original, "--yes", f"artifacts={copy / 'artifacts'}")
    assert (code, told) == (0, "Every address leads to a folder.")
    assert addresses(original) == {original / "artifacts"}


def test_a_link_to_the_folder_of_the_artifacts_leads_into_the_store(copy):
    original = copy.parent / "original"
    shutil.move(original / "artifacts", copy.parent / "disk")
    (original / "artifacts").symlink_to(copy.parent / "disk")
    plan = plan_relocation(find_place(None, original))
    assert not plan.moved and not plan.lost and not plan.outside and not plan.copied


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_database_that_cannot_be_read_is_one_line(copy, capsys, damage):
    database = copy / "mlflow.db"
    content = {"cut": database.read_bytes()[:5000], "text": b"no database, but text " * 99, "empty": b""}[damage]
    database.write_bytes(content)
    assert sweeps.main(["relocate", f"tracking.folder={copy}", "--yes"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"{database}: " in told and "Nothing was changed." in told
    assert database.read_bytes() == content


def test_artifacts_without_a_database_are_told_to_need_one(copy, capsys):
    (copy / "mlflow.db").unlink()
    assert sweeps.main(["relocate", f"tracking.folder={copy}"]) == 2
    assert f"tracking.folder={copy}: there is no mlflow.db in it" in " ".join(capsys.readouterr().err.split())
