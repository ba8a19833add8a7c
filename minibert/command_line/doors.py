"""The way in from a shell. Ctrl-C gives one line and exit code 130, also while the packages are being imported."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any, TextIO, cast

from minibert.collection import importing
from minibert.errors import nearest

DOORS = {
    "run": "train one run, or a sweep of runs",
    "search": "search for the best values of settings",
    "evaluate": "ask a trained model what it knows",
    "explore": "follow one sentence through a network, on a page of this machine",
    "gallery": "put a classic mistake into the code, and see how it is caught",
    "watch": "watch a run or a sweep while it trains",
    "inspect": "compute diagnostics on the checkpoints of a run",
    "reproduce": "train a recorded run again, and say whether it is equal to the bit",
    "export": "write a run as a folder that `transformers` reads",
    "report": "write the report of a sweep",
    "sweeps": "list, show, resume, reap, relocate or prune recorded sweeps",
}
"""Name of a door, which is also that of its module in ``minibert`` -> what it does"""

UNWRITTEN = 2
"""Exit code of a command that did all else, but whose output could not be written"""
READER_GONE = 128 + signal.SIGPIPE
"""Exit code of every command whose reader, such as `head`, went away: as a shell gives it"""


def main() -> None:
    """The command ``minibert``: a door and its words, or the words of ``minibert run``."""
    words = sys.argv[1:]
    first = words[0] if words else "run"
    if first in DOORS:
        enter(f"minibert.{first}", words[1:])
    elif words in (["--help"], ["-h"]):
        if code := _told(lambda: print(overview())):
            sys.exit(code)
    elif first.isidentifier():
        print(f"{first}: unknown command{nearest(first, DOORS)}. Allowed: {', '.join(DOORS)}.", file=sys.stderr)
        sys.exit(2)
    else:
        enter("minibert.run", words)


def overview() -> str:
    """What ``minibert --help`` prints."""
    width = max(map(len, DOORS)) + 2
    lines = [
        "minibert: controlled experiments on small BERTs in plain NumPy.",
        "",
        "  minibert COMMAND [KEY=VALUE ...]",
        "",
    ]
    lines += [f"  {door:<{width}}{what}" for door, what in DOORS.items()]
    lines += [
        "",
        "minibert COMMAND --help shows the words of a command, and examples.",
        "Without a command, the words are those of `minibert run`. --version shows the version.",
    ]
    return "\n".join(lines)


def enter(module: str, *words: list[str]) -> None:
    """Import a module, and end the process with what its ``main`` returns; that reads sys.argv without words."""
    _leave_on_signal()  # before anything that takes time is imported
    with importing():
        from minibert import interruption

        run = import_module(module).main
    interruption.watch()
    try:
        code = _told(run, *words)
    except interruption.Interrupted as error:
        print(f"ended by {error}", file=sys.stderr)
        code = interruption.exit_code()
    _leave_on_signal()
    sys.exit(code)


def _told(act: Callable[..., int | None], *words: list[str]) -> int:
    """What ``act`` returns as exit code; where that is 0, but not all that it printed was written, another one."""
    if sys.stdout is None:
        print("standard output: is closed. Allowed: a terminal, a file, a pipe, or >/dev/null.", file=sys.stderr)
        return UNWRITTEN
    streams = _Stream(sys.stdout, "standard output"), _Stream(sys.stderr, "standard error")
    with redirect_stdout(cast(Any, streams[0])), redirect_stderr(cast(Any, streams[1])):
        try:
            code = act(*words)
            sys.stdout.flush()
        except BrokenPipeError:  # a reader such as `head` has read enough
            code = READER_GONE
    return code or streams[0].exit_code or streams[1].exit_code


class _Stream:
    """The standard output or error of a command whose work matters more than what it prints.

    A full disk takes no more text: that is told once, further text is left out, and the command goes on.
    """

    def __init__(self, stream: TextIO | None, name: str):
        self._stream, self._name = stream, name
        self.exit_code = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if self._stream is not None:
            self._try(self._stream, lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            self._try(self._stream, lambda stream: stream.flush())

    def _try(self, stream: TextIO, act: Callable[[TextIO], object]) -> None:
        try:
            act(stream)
        except BrokenPipeError:
            give_up(stream)
            self.exit_code = READER_GONE
            raise
        except OSError as error:
            give_up(stream)
            self.exit_code = UNWRITTEN
            if sys.stderr is not self:
                why = error.strerror or error
                print(
                    f"{self._name}: cannot be written: {why}. The command goes on without it. Give it another "
                    "file, or a pipe.",
                    file=sys.stderr,
                )


def give_up(stream: TextIO) -> None:
    """Let a stream lead nowhere: Python writes what is left of it once more when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _leave_on_signal() -> None:
    """Let a signal end the process with one line. Before and after ``main`` there is nothing to save."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(number: int, _frame) -> None:
    os.write(2, f"\nended by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)
