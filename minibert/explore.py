"""The door ``minibert explore``, or ``python -m minibert.explore``: one sentence followed through a network."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.explore")

import sys

from minibert import interruption
from minibert.command_line.arguments import command, door_help, read_arguments
from minibert.command_line.help import asks_for_help
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.running.exploration import Exploration, explore
from minibert.running.progress import Display

SUMMARY = "Open a page on this machine that follows one sentence through a network."
EXAMPLES = {
    "run=last": "the newest run, at any of its kept checkpoints",
    "checkpoint=my_bert": "a folder that `transformers` reads",
    "run=last --html page.html": "a file that needs neither server nor network",
}
OLDER = {"--html": "html", "uri": "tracking.uri", "folder": "tracking.folder"}
NOTE = (
    "Only this machine can open the page. The words folder= and uri= without tracking. before them mean the same."
)


def main(arguments: list[str] | None = None) -> int:
    """Explore what the command line names. Returns the exit code: 2 if that cannot be done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, lambda: door_help(command("explore"), SUMMARY, Exploration, EXAMPLES, NOTE)):
        return 0
    display = Display()
    try:
        explore(read_arguments(Exploration, arguments, OLDER), display)
        return 0
    except MinibertError as error:
        display.error(str(error))
        return 2
    except (Interrupted, KeyboardInterrupt):
        display.error("ended")
        return interruption.exit_code()
