"""The door ``minibert watch``, or ``python -m minibert.watch``: a run or a sweep watched while it trains."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.watch")

import sys

from minibert import interruption
from minibert.command_line.arguments import command, door_help, read_arguments
from minibert.command_line.help import asks_for_help
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.running.progress import Display
from minibert.running.watching import Watching, watch

SUMMARY = "Watch a run or a sweep while it trains: losses, updates, findings, time left. It only reads the store."
EXAMPLES = {
    "run=last": "the newest run, in this terminal until it ends",
    "run=last page=true": "the same as a page",
    "run=next": "the first run that begins from now on",
    "sweep=last": "the runs of the newest sweep",
    "run=RUN_ID --once": "how it stands now, or how it ended",
}
FLAGS = {"--once": "once=true"}
NOTE = (
    "Ctrl-C ends the watching, and not the run. Exit code: 0 if the run finished, 1 if it failed, was killed or\n"
    "its process is gone, 2 for an error."
)


def main(arguments: list[str] | None = None) -> int:
    """Watch what the command line names. Returns the exit code: 2 if that cannot be done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, lambda: door_help(command("watch"), SUMMARY, Watching, EXAMPLES, NOTE)):
        return 0
    display = Display()
    try:
        return watch(read_arguments(Watching, [FLAGS.get(word, word) for word in arguments]), display)
    except MinibertError as error:
        display.error(str(error))
        return 2
    except (Interrupted, KeyboardInterrupt):
        display.error("ended; the run is left as it is")
        return interruption.exit_code()
