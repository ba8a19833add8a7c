"""What ``minibert sweeps --help`` prints."""

from collections.abc import Mapping, Sequence

from minibert.command_line.arguments import door_help
from minibert.errors import unknown_name

COMMANDS = {
    "list": "all sweeps of the store: how far they are, and their commands",
    "show": "the runs of a sweep: results, and the reasons of failures",
    "resume": "continue a sweep with its recorded commands",
    "sync": "send what was recorded while an MLflow server was away",
    "reap": "close RUNNING runs and sweeps whose process is gone as KILLED",
    "relocate": "mend the addresses of artifacts that were moved, or that an MLflow server made",
    "prune": "thin the kept checkpoints of a sweep",
}
EXAMPLES = {
    "list": {"": "the sweeps of this checkout", "tracking.folder=FOLDER": "those of another store"},
    "show": {"last": "the newest sweep", "masking_sweep": "by its name"},
    "resume": {"last": "what is left of the newest sweep"},
    "sync": {"": "all that waits", "tracking.folder=FOLDER": "in another folder"},
    "reap": {"": "after a crash or a power cut"},
    "relocate": {"": "look beside the database", "artifacts=/backup/mlartifacts": "and in another folder"},
    "prune": {"last": "keep the first and the last of each run", "last keep=5 --yes": "five of each, unasked"},
}
NOTES = {
    "list": (
        "FINISHED: all that the commands of a sweep asked for is. How long each run took is told by `show`.\n"
        "Among the killed are runs whose process is gone, which `reap` closes."
    ),
    "show": "Below the table are all commands that were given for the sweep.",
    "resume": "Commands whose runs have all finished are left out. The store is that named here.",
    "sync": (
        "The server is that which the runs were recorded for; tracking.uri=http://... is another address of it.\n"
        "Nothing is sent twice. Exit code 1: something is left, and the table says why."
    ),
    "reap": "A live process is never disturbed. What cannot be told from this machine is left, and said.",
    "relocate": (
        "A store that is moved as a whole needs nothing. Of a copied one, addresses that still lead to the\n"
        "original are turned to the copy. Exit code 1: some artifacts are not found."
    ),
    "prune": (
        "Which files and how many bytes is shown, and asked before. Always kept: the last checkpoint, the served\n"
        "model, those of evaluation.steps, the states to resume from, and all of runs that have not finished\n"
        "or that count in another sweep."
    ),
}


def help_text(called: str, schemas: Mapping[str, type], words: Sequence[str]) -> str:
    """The help of the command that the words name, or of all. ``called``: how the door is called. ``schemas``:
    command -> its words.

    Raises :class:`MinibertError` for an unknown command.
    """
    name = next((word for word in words if not word.startswith("-") and "=" not in word), None)
    if name is not None:
        if name not in COMMANDS:
            raise unknown_name("sweeps", name, COMMANDS)
        summary = COMMANDS[name][:1].upper() + COMMANDS[name][1:] + "."
        return door_help(f"{called} {name}", summary, schemas[name], EXAMPLES[name], NOTES[name])
    lines = ["The recorded sweeps, listed and looked after.", "", f"  {called} COMMAND [KEY=VALUE ...]", ""]
    lines += [f"  {name:<10}{what}" for name, what in COMMANDS.items()]
    return "\n".join([*lines, "", f"{called} COMMAND --help shows the words of a command, and examples."])
