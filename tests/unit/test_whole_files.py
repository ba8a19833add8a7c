"""Files are whole or as they were before, and what a killed process leaves behind is cleared away."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load, save

from minibert.config import ROOT
from minibert.files import UNFINISHED, clear_unfinished, in_row_order, replacing
from minibert.training.checkpoints import save_checkpoint


@pytest.fixture
def dead():
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_file_is_replaced_as_a_whole_or_stays(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    for content in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(content)
    with pytest.raises(ValueError, match="in the middle"), replacing(path) as temporary:
        temporary.write_text("half")
        raise ValueError("in the middle")
    assert path.read_text() == "new" and list(path.parent.iterdir()) == [path]


def test_nothing_appears_beside_a_file_that_is_being_written(tmp_path):
    """Not even what a library that writes it puts there."""
    path = tmp_path / "step.safetensors"
    save_checkpoint(path, {"a": np.ones(3)}, {})
    with replacing(path) as temporary:
        temporary.write_text("half")
        (temporary.parent / ".tmpAbCdEf").write_text("of a library")
        visible = {each for each in tmp_path.iterdir() if each.suffix != UNFINISHED}
        assert visible == {path}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["step_0001.safetensors", "config", ".hidden", "a.b.c.d"])
def test_what_a_killed_process_was_writing_is_cleared(tmp_path, name):
    path = tmp_path / "deep" / name
    process = os.fork()
    if process == 0:
        with replacing(path) as temporary:
            (temporary.parent / ".tmpAbCdEf").write_text("of a library")
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    assert len(list(tmp_path.rglob(f".*{UNFINISHED}"))) == 1
    clear_unfinished(tmp_path)
    assert list((tmp_path / "deep").iterdir()) == []


def test_what_is_being_written_and_what_is_no_such_folder_stay(tmp_path, dead):
    names = {UNFINISHED, f".own{UNFINISHED}", f".a.x1{UNFINISHED}", f"thesis.{dead}{UNFINISHED}", "a.unfinished"}
    for name in names:
        (tmp_path / name).mkdir()
    with replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text("new")
        clear_unfinished(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == names | {"file.txt"}
    clear_unfinished(tmp_path / "missing")


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3).T, np.arange(9)[::-2], np.arange(8.0).reshape(2, 4)[:, 1:3]]
)
def test_an_array_is_written_as_it_reads_and_not_as_it_lies_in_memory(array):
    assert np.array_equal(load(save(in_row_order({"a": array})))["a"], array)


def test_every_file_of_safetensors_is_written_in_row_order():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "minibert").rglob("*.py")]
    writers = [text for text in texts if re.search(r"safetensors\.numpy(?: import .*|\.)\bsave", text)]
    assert writers and all("in_row_order(" in text for text in writers)
