"""``python -m minibert.run``, or ``minibert`` run."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.run")

from minibert.running.life import main  # noqa: F401
