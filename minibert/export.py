"""The door ``minibert export``, or ``python -m minibert.export``: a run as a folder for ``transformers``."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.export")

import sys

from minibert.command_line.arguments import command, door_help, read_arguments
from minibert.command_line.help import asks_for_help
from minibert.errors import MinibertError
from minibert.serving.export import Export, export

SUMMARY = "Write a run as a folder that `transformers` reads, as bert, esm or modernbert."
EXAMPLES = {
    "run=last folder=my_bert": "the last checkpoint of the newest run",
    "run=RUN_ID folder=my_bert step=512": "the checkpoint of step 512",
    "run=last folder=my_bert checkpoints=all": "every kept checkpoint in a folder of its own, named as a revision",
}
OLDER = {"uri": "tracking.uri"}
NOTE = "The word uri= without tracking. before it means the same. folder= is the folder to write to."


def main(arguments: list[str] | None = None) -> int:
    """Export the run that the command line names. Returns the exit code: 2 if that cannot be done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, lambda: door_help(command("export"), SUMMARY, Export, EXAMPLES, NOTE)):
        return 0
    try:
        print(export(read_arguments(Export, arguments, OLDER)))
    except MinibertError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
