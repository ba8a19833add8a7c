"""The way in from a shell. Ctrl-C gives one line and exit code 130, also while the packages are being imported."""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module

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
    """What ``act`` returns as exit code, if the standard output takes all that it prints; 2 if it does not."""
    if sys.stdout is None:
        print("standard output: is closed. Allowed: a terminal, a file, a pipe, or >/dev/null.", file=sys.stderr)
        return 2
    try:
        code = act(*words)
        sys.stdout.flush()
    except BrokenPipeError:  # a reader such as `head` has read enough
        give_up_output()
        return READER_GONE
    except OSError as error:
        if not _is_stuck():
            raise
        give_up_output()
        why = str(error.strerror or error)
        print(f"standard output: cannot be written: {why}. Give it another file, or a pipe.", file=sys.stderr)
        return 2
    return code or 0


def give_up_output() -> None:
    """Let the standard output lead nowhere: Python writes what is left of it once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_stuck() -> bool:
    """Whether the standard output takes nothing more, and no other file caused an error: it is tried."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def _leave_on_signal() -> None:
    """Let a signal end the process with one line. Before and after ``main`` there is nothing to save."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(number: int, _frame) -> None:
    os.write(2, f"\nended by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)
