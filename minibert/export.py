"""``python -m minibert.export``, or ``minibert`` export."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.export")

from minibert.serving.export import main  # noqa: F401
