"""What many runs have alike is stored once, and stays whole for each of them."""

import os
import shutil

import pytest

from minibert.tracking.shared_files import copy_code, link_folder, share_code


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "minibert"
    (folder / "room" / "__pycache__").mkdir(parents=True)
    (folder / "room" / "a.py").write_text("one = 1\n")
    (folder / "__init__.py").write_text("")
    (folder / "room" / "__pycache__" / "a.pyc").write_text("compiled")
    return folder


MODULES = {"__init__.py": b"", "room/a.py": b"one = 1\n"}


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_runs_share_the_files_of_their_code(code, tmp_path):
    for name in ("first", "second"):
        share_code(code, tmp_path / name, tmp_path / "pool")
        assert tree(tmp_path / name) == MODULES
    first, second = tmp_path / "first", tmp_path / "second"
    assert os.path.samefile(first / "room" / "a.py", second / "room" / "a.py")
    shutil.rmtree(first)
    shutil.rmtree(tmp_path / "pool")
    assert tree(second) == MODULES


def test_new_code_over_old_changes_no_other_run(code, tmp_path):
    for name in ("first", "second"):
        share_code(code, tmp_path / name / "code", tmp_path / "pool")
    (code / "room" / "a.py").write_text("one = 2\n")
    shutil.rmtree(tmp_path / "first")
    share_code(code, tmp_path / "first" / "code", tmp_path / "pool")
    assert tree(tmp_path / "first" / "code") == MODULES | {"room/a.py": b"one = 2\n"}
    assert tree(tmp_path / "second" / "code") == MODULES


def test_a_damaged_shared_file_is_not_given_to_the_next_run(code, tmp_path):
    share_code(code, tmp_path / "first", tmp_path / "pool")
    for kept in (tmp_path / "pool").iterdir():
        kept.chmod(0o644)
        kept.write_text("damage")
    share_code(code, tmp_path / "second", tmp_path / "pool")
    assert tree(tmp_path / "second") == MODULES


def test_copied_code_is_no_link_to_the_modules_that_run(code, tmp_path):
    copy_code(code, tmp_path / "copy")
    assert tree(tmp_path / "copy") == MODULES
    assert not os.path.samefile(code / "room" / "a.py", tmp_path / "copy" / "room" / "a.py")


def test_without_hard_links_files_are_copied(code, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    share_code(code, tmp_path / "first", tmp_path / "pool")
    link_folder(tmp_path / "first", tmp_path / "second")
    assert tree(tmp_path / "second") == MODULES


def test_a_second_place_has_the_same_files_and_replaces_what_was_there(code, tmp_path):
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "old").write_text("old")
    link_folder(code, tmp_path / "second")
    assert tree(tmp_path / "second") == tree(code)
    assert os.path.samefile(code / "room" / "a.py", tmp_path / "second" / "room" / "a.py")
