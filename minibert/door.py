"""The way in from a shell. Ctrl-C gives one line and exit code 130, also while the packages are being imported."""

import sys
from importlib import import_module

from minibert import interruption
from minibert.interruption import Interrupted


def main() -> None:
    """The command ``minibert``."""
    enter("minibert.run")


def enter(module: str) -> None:
    """Import a module, and end the process with what its ``main`` returns."""
    interruption.leave_on_signal()
    run = import_module(module).main
    interruption.watch()
    try:
        code = run()
    except Interrupted as error:
        print(f"ended by {error}", file=sys.stderr)
        code = interruption.exit_code()
    interruption.leave_on_signal()
    sys.exit(code)
