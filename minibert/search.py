"""The door ``minibert search``, or ``python -m minibert.search``: the best values of settings, found by trials."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.search")

import sys

from minibert import interruption
from minibert.command_line.arguments import command
from minibert.command_line.help import asks_for_help
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.running.progress import Display
from minibert.running.search.help import search_help
from minibert.running.search.reading import read_search
from minibert.running.search.running import run_search


@interruption.watching()
def main(arguments: list[str] | None = None) -> int:
    """Search for what the command line asks. Returns the exit code: 1 if no trial finished, 2 for an error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, lambda: search_help(command("search"))):
        return 0
    display = Display()
    try:
        return run_search(read_search(arguments), display)
    except MinibertError as error:
        display.error(str(error))
        return 2
    except Interrupted as error:
        display.error(f"ended by {error}")
        return interruption.exit_code()
