"""The door ``minibert gallery``, or ``python -m minibert.gallery``: classic mistakes, and how each is caught."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: a mistake is put into modules by their names.
    from minibert.command_line.doors import enter

    enter("minibert.gallery")

import sys

from minibert import interruption
from minibert.command_line.arguments import command, door_help, read_arguments
from minibert.command_line.help import asks_for_help
from minibert.command_line.terminal import open_console
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.mistakes.gallery import Gallery, gather, visit

SUMMARY = "Put a classic mistake into a layer or an optimizer, and see how the check catches it."
EXAMPLES = {
    "": "the list of all mistakes",
    "layer_norm.gain_outside": "one of them: the line, the numbers, the figure, the test",
    "rope softmax --html page.html": "all of two parts, also as a page that needs no network",
}
OLDER = {"--html": "html"}
NOTE = "The code on disk is never changed: a mistake lives in this process alone."


def main(arguments: list[str] | None = None) -> int:
    """Show what the command line names. Returns the exit code: 1 if one is not caught, 2 for a wrong word."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, lambda: door_help(command("gallery"), SUMMARY, Gallery, EXAMPLES, NOTE)):
        return 0
    try:
        return 0 if visit(read_arguments(Gallery, gather(arguments), OLDER), open_console()) else 1
    except MinibertError as error:
        open_console(stderr=True).print(str(error), style="red")
        return 2
    except (Interrupted, KeyboardInterrupt):
        open_console(stderr=True).print("ended", style="red")
        return interruption.exit_code()
