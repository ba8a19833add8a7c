"""The door ``minibert sweeps``, or ``python -m minibert.sweeps``: the recorded sweeps, listed and looked after."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.sweeps")

import sys

from minibert.command_line.arguments import command, read_arguments, require_text
from minibert.command_line.help import asks_for_help
from minibert.errors import MinibertError, unknown_name
from minibert.running import sweep_commands as rooms
from minibert.running.sweeps_help import help_text

SCHEMAS = {
    "list": rooms.ListWords, "show": rooms.SweepWords, "resume": rooms.SweepWords, "sync": rooms.ListWords,
    "reap": rooms.ListWords, "relocate": rooms.RelocateWords, "prune": rooms.PruneWords,
}  # fmt: skip
"""Command -> its words"""


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for. Returns the exit code: 2 if that cannot be done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        require_text(arguments)
        if asks_for_help(arguments, lambda: help_text(command("sweeps"), SCHEMAS, arguments)):
            return 0
        name, *words = arguments or ["list"]
        if name not in SCHEMAS:
            raise unknown_name("sweeps", name, SCHEMAS)
        words = ["yes=true" if word == "--yes" else word for word in words]
        bare = "sweep" if name in ("show", "resume", "prune") else None
        return _do(name, read_arguments(SCHEMAS[name], words, {"--keep": "keep"}, bare))
    except MinibertError as error:
        print(error, file=sys.stderr)
        return 2


def _do(name: str, asked) -> int:
    if name == "resume":
        from minibert import run, search

        return rooms.resume_sweep(asked, run.main, search.main)
    if name == "prune":
        from minibert.running.needed import needed_steps

        return rooms.prune_sweep(asked, needed_steps)
    done = {"list": rooms.list_sweeps, "show": rooms.show_sweep, "sync": rooms.sync_journals}
    return (done | {"reap": rooms.reap_runs, "relocate": rooms.relocate_artifacts})[name](asked)
