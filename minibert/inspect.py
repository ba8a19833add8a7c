"""The door ``minibert inspect``, or ``python -m minibert.inspect``: diagnostics on the checkpoints of a run."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.inspect")

import sys

from minibert import interruption
from minibert.command_line.arguments import command, door_help, read_arguments
from minibert.command_line.help import asks_for_help
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.running.inspection import Inspection, inspect_run
from minibert.running.progress import Display

SUMMARY = "Compute diagnostics on the checkpoints that a run kept. What is found is added to the run."
EXAMPLES = {
    "run=last": "all diagnostics, on every kept checkpoint of the newest run",
    "run=RUN_ID steps=[0,64,512] quantities=[head_distances]": "one diagnostic at three steps",
    "run=RUN_ID quantities=[]": "only draw what is recorded",
}
OLDER = {"folder": "tracking.folder", "uri": "tracking.uri", "experiment": "tracking.experiment"}
NOTE = "The words folder=, uri= and experiment= without tracking. before them mean the same."


def main(arguments: list[str] | None = None) -> int:
    """Inspect the run that the command line names. Returns the exit code: 2 if that cannot be done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, lambda: door_help(command("inspect"), SUMMARY, Inspection, EXAMPLES, NOTE)):
        return 0
    display = Display()
    try:
        inspect_run(read_arguments(Inspection, arguments, OLDER), display)
        return 0
    except MinibertError as error:
        display.error(str(error))
        return 2
    except (Interrupted, KeyboardInterrupt):
        display.error("ended; what was computed is recorded")
        return interruption.exit_code()
