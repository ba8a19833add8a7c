"""The way in from a shell: what Ctrl-C makes of the first seconds."""

import os
import signal
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

from minibert import interruption
from minibert.command_line import doors as door


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

    monkeypatch.setattr(door, "import_module", imported)
    with pytest.raises(SystemExit):
        door.enter("minibert.run")
    assert left == [code]
    assert capfd.readouterr().err.split() == ["ended", "by", signal.Signals(number).name]


def test_a_command_that_is_ended_later_says_so_too(handlers, monkeypatch, capsys):
    def run():
        raise interruption.Interrupted("SIGINT")

    monkeypatch.setattr(door, "import_module", lambda name: SimpleNamespace(main=run))
    with pytest.raises(SystemExit) as ended:
        door.enter("minibert.inspect")
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


@pytest.mark.parametrize("words", [["run", "--help"], ["gallery"], ["--help"]])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_full_standard_output_is_one_line(words):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "minibert", *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300
        )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("standard output: cannot be written")


def test_a_closed_standard_output_is_one_line_of_every_command(handlers, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    for module in ("minibert.gallery", "minibert.watch", "minibert.sweeps"):
        with pytest.raises(SystemExit) as ended:
            door.enter(module)
        error = capsys.readouterr().err
        assert ended.value.code == 2 and len(error.splitlines()) == 1 and "standard output: is closed" in error


def test_an_error_of_another_file_stays_what_it_is(handlers, monkeypatch):
    def run():
        raise OSError(28, "No space left on device", "checkpoint")

    monkeypatch.setattr(door, "import_module", lambda name: SimpleNamespace(main=run))
    with pytest.raises(OSError, match="checkpoint"):
        door.enter("minibert.run")


@pytest.mark.parametrize("called", door.DOORS)
def test_bytes_that_are_no_text_are_one_message_of_every_command(called, capsys):
    main = import_module(f"minibert.{called}").main
    for word in ("run=caf\udce9", "evaluation.facts.data=[\udcff]", "--\udcff"):
        assert main([word]) == 2
        message = capsys.readouterr().err
        assert (
            len(message.splitlines()) == 1 and "holds bytes that are no UTF-8. Allowed: text in UTF-8." in message
        )
        assert f"{word!a}" in message
