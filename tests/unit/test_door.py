"""The way in from a shell: what Ctrl-C makes of the first seconds."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from importlib import import_module
from types import SimpleNamespace

import pytest

from minibert import interruption
from minibert.command_line import doors
from minibert.command_line.terminal import open_console


@pytest.fixture
def handlers():
    """The handlers of this process, put back afterwards."""
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_imports_is_one_line_and_its_exit_code(handlers, monkeypatch, capfd, number, code):
    left = []
    monkeypatch.setattr(os, "_exit", left.append)

    def imported(name):
        signal.raise_signal(number)
        return SimpleNamespace(main=lambda: 0)

    monkeypatch.setattr(doors, "import_module", imported)
    with pytest.raises(SystemExit):
        doors.enter("minibert.run")
    assert left == [code]
    assert capfd.readouterr().err.split() == ["ended", "by", signal.Signals(number).name]


def test_a_command_that_is_ended_later_says_so_too(handlers, monkeypatch, capsys):
    def run():
        raise interruption.Interrupted("SIGINT")

    monkeypatch.setattr(doors, "import_module", lambda name: SimpleNamespace(main=run))
    with pytest.raises(SystemExit) as ended:
        doors.enter("minibert.inspect")
    assert (ended.value.code, capsys.readouterr().err) == (130, "ended by SIGINT\n")


def test_nothing_that_takes_time_is_imported_before_the_door_watches():
    heavy = "{'numpy', 'hydra', 'mlflow', 'psutil'}"
    code = f"import sys, minibert.command_line.doors; print(sorted({heavy} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.stdout == "[]\n"


READ_BY_NOBODY = [["run", "--help"], ["inspect", "--help"], ["gallery"], ["--help"]]


@pytest.mark.parametrize("words", READ_BY_NOBODY)
def test_a_reader_that_stops_reading_ends_the_command_without_a_traceback(words):
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [sys.executable, "-m", "minibert", *words], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=300
    )
    os.close(writing)
    assert result.stderr == ""
    assert result.returncode == 128 + signal.SIGPIPE


needs_full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")


def into(target, *words) -> subprocess.CompletedProcess:
    """A command in a process of its own, whose output goes to the file; it can also be closed already."""
    return subprocess.run(
        [sys.executable, "-m", "minibert", *words], stdout=target, stderr=subprocess.PIPE, text=True, timeout=300
    )


def is_told_once(error: str) -> bool:
    return len(error.splitlines()) == 1 and error.startswith("standard output: cannot be written: No space left")


@needs_full_device
@pytest.mark.parametrize("called", doors.DOORS)
def test_a_full_standard_output_is_one_line_of_every_command(handlers, monkeypatch, capsys, called):
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            doors.enter(f"minibert.{called}", ["--help"])
    assert ended.value.code == 2 and is_told_once(capsys.readouterr().err)


@needs_full_device
def test_a_table_for_a_full_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        result = into(full, "gallery")
    assert result.returncode == 2 and is_told_once(result.stderr)


@pytest.fixture
def short_run(small_settings, empty_database, tmp_path) -> list[str]:
    """The words of a run of a second, in a store of its own."""
    shutil.copy(empty_database, tmp_path)
    return [*small_settings, f"tracking.folder={tmp_path}", "training.steps=3", "diagnostics=off"]


def recorded(door, tmp_path) -> str:
    """What is said of the last run of a store."""
    return door("run=last", "--once", f"tracking.folder={tmp_path}", module="minibert.watch").stdout


@needs_full_device
def test_a_run_whose_output_finds_no_room_is_finished_and_recorded(short_run, door, tmp_path):
    with open("/dev/full", "w") as full:
        result = into(full, *short_run)
    assert result.returncode == 2 and is_told_once(result.stderr)
    assert "finished at step 3 of 3" in recorded(door, tmp_path)


@needs_full_device
def test_a_command_goes_on_where_neither_output_nor_errors_find_room(handlers, monkeypatch):
    done = []

    def run():
        print("a result", flush=True)
        print("a warning", file=sys.stderr, flush=True)
        done.append("the rest")

    monkeypatch.setattr(doors, "import_module", lambda name: SimpleNamespace(main=run))
    with open("/dev/full", "w") as full, open("/dev/full", "w") as also_full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        patch.setattr(sys, "stderr", also_full)
        with pytest.raises(SystemExit) as ended:
            doors.enter("minibert.run")
    assert (ended.value.code, done) == (2, ["the rest"])


def test_a_step_whose_output_nobody_reads_any_more_is_done_before_the_command_ends(monkeypatch, capfd):
    """As with a signal: a training step is not interrupted, and the run keeps the state to go on from."""
    monkeypatch.setattr(interruption._State, "reason", None)
    monkeypatch.setattr(interruption._State, "exit_code", 0)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        with interruption.not_passed_on(), interruption.deferred(), redirect_stdout(closed):
            open_console().print("step 1 of 2")
        assert (interruption.reason(), interruption.exit_code()) == ("SIGPIPE", 141)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed, redirect_stdout(closed), pytest.raises(SystemExit) as ended:
        open_console().print("a table")
    assert ended.value.code == 141


def test_a_closed_standard_output_is_one_line_of_every_command(handlers, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    for module in ("minibert.gallery", "minibert.watch", "minibert.sweeps"):
        with pytest.raises(SystemExit) as ended:
            doors.enter(module)
        error = capsys.readouterr().err
        assert ended.value.code == 2 and len(error.splitlines()) == 1 and "standard output: is closed" in error


def test_an_error_of_another_file_stays_what_it_is(handlers, monkeypatch):
    def run():
        raise OSError(28, "No space left on device", "checkpoint")

    monkeypatch.setattr(doors, "import_module", lambda name: SimpleNamespace(main=run))
    with pytest.raises(OSError, match="checkpoint"):
        doors.enter("minibert.run")


@pytest.mark.parametrize("called", doors.DOORS)
def test_bytes_that_are_no_text_are_one_message_of_every_command(called, capsys):
    main = import_module(f"minibert.{called}").main
    for word in ("run=caf\udce9", "evaluation.facts.data=[\udcff]", "--\udcff"):
        assert main([word]) == 2
        message = capsys.readouterr().err
        assert (
            len(message.splitlines()) == 1 and "holds bytes that are no UTF-8. Allowed: text in UTF-8." in message
        )
        assert f"{word!a}" in message
