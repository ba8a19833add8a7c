"""The way in from a shell. Ctrl-C gives one line and exit code 130, also while the packages are being imported."""

import os
import signal
import sys
from importlib import import_module


def main() -> None:
    """The command ``minibert``."""
    enter("minibert.run")


def enter(module: str) -> None:
    """Import a module, and end the process with what its ``main`` returns."""
    _leave_on_signal()  # before anything that takes time is imported
    from minibert import interruption

    run = import_module(module).main
    interruption.watch()
    try:
        code = run()
    except interruption.Interrupted as error:
        print(f"ended by {error}", file=sys.stderr)
        code = interruption.exit_code()
    _leave_on_signal()
    sys.exit(code)


def _leave_on_signal() -> None:
    """Let a signal end the process with one line: there is nothing to save yet, or nothing any more."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(number: int, _frame) -> None:
    os.write(2, f"\nended by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)
