"""Files are whole or as they were before, and what a killed process leaves behind is cleared away."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from minibert.files import UNFINISHED, clear_unfinished, replacing
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
