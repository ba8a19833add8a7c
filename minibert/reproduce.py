"""The door ``minibert reproduce``, or ``python -m minibert.reproduce``: a recorded run again, to the same bits?"""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__.
    from minibert.command_line.doors import enter

    enter("minibert.reproduce")

import sys

from minibert import interruption
from minibert.command_line.arguments import command, door_help, read_arguments
from minibert.command_line.help import asks_for_help
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.running.progress import Display
from minibert.running.reproduction import Reproduction, reproduce_run

SUMMARY = "Train a recorded run again from its record alone, and say whether it is equal to the bit."
EXAMPLES = {
    "run=last": "the newest run, up to the step that it got to",
    "run=RUN_ID steps=64": "only its first 64 steps",
    "run=RUN_ID keep=[64,128]": "and add the checkpoints of two steps that it did not keep",
}
NOTE = (
    "Nothing is written to the record but the checkpoints that keep= names, and these only if all is equal.\n"
    "The exit code is 0 if all is equal, 1 if something differs, and 2 if it cannot be told. Of what is not the\n"
    "same as on record (kernel, versions, lanes, code, data), it is said what explains the difference."
)


def main(arguments: list[str] | None = None) -> int:
    """Train the run again that the command line names. Returns the exit code: 1 if it differs, 2 for an error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, lambda: door_help(command("reproduce"), SUMMARY, Reproduction, EXAMPLES, NOTE)):
        return 0
    display = Display()
    try:
        return 0 if reproduce_run(read_arguments(Reproduction, arguments), display) else 1
    except MinibertError as error:
        display.error(str(error))
        return 2
    except (Interrupted, KeyboardInterrupt):
        display.error("ended before all was compared")
        return interruption.exit_code()
