"""``python -m minibert.inspect``, or ``minibert`` inspect."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.inspect")

from minibert.running.inspection import main  # noqa: F401
