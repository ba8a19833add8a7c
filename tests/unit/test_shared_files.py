"""What many runs have alike is stored once, and stays whole for each of them."""

import os
import shutil

import pytest

from minibert.tracking.shared_files import copy_folder, link_folder


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "code" / "minibert").mkdir(parents=True)
    (folder / "code" / "minibert" / "a.py").write_text("one = 1\n")
    (folder / "data").mkdir()
    (folder / "data" / "parameters").write_text("numbers")
    return folder


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_runs_share_the_files_of_their_code_and_no_other(model, tmp_path):
    for name in ("first", "second"):
        copy_folder(model, tmp_path / name, tmp_path / "pool", "code")
        assert tree(tmp_path / name) == tree(model)
    first, second = tmp_path / "first", tmp_path / "second"
    assert os.path.samefile(first / "code" / "minibert" / "a.py", second / "code" / "minibert" / "a.py")
    assert not os.path.samefile(first / "data" / "parameters", second / "data" / "parameters")
    shutil.rmtree(first)
    shutil.rmtree(tmp_path / "pool")
    assert tree(second) == tree(model)


def test_new_code_over_old_changes_no_other_run(model, tmp_path):
    for name in ("first", "second"):
        copy_folder(model, tmp_path / name, tmp_path / "pool", "code")
    before = tree(model)
    (model / "code" / "minibert" / "a.py").write_text("one = 2\n")
    copy_folder(model, tmp_path / "first", tmp_path / "pool", "code")
    assert tree(tmp_path / "first") == tree(model)
    assert tree(tmp_path / "second") == before


def test_a_damaged_shared_file_is_not_given_to_the_next_run(model, tmp_path):
    copy_folder(model, tmp_path / "first", tmp_path / "pool", "code")
    (kept,) = (tmp_path / "pool").iterdir()
    kept.chmod(0o644)
    kept.write_text("damage")
    copy_folder(model, tmp_path / "second", tmp_path / "pool", "code")
    assert tree(tmp_path / "second") == tree(model)


def test_without_hard_links_files_are_copied(model, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    copy_folder(model, tmp_path / "first", tmp_path / "pool", "code")
    link_folder(tmp_path / "first", tmp_path / "second")
    assert tree(tmp_path / "second") == tree(model)


def test_a_second_place_has_the_same_files_and_replaces_what_was_there(model, tmp_path):
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "old").write_text("old")
    link_folder(model, tmp_path / "second")
    assert tree(tmp_path / "second") == tree(model)
    assert os.path.samefile(model / "data" / "parameters", tmp_path / "second" / "data" / "parameters")
