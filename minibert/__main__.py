"""``python -m minibert``: the command ``minibert``, with its doors as subcommands."""

from minibert.command_line.doors import main

if __name__ == "__main__":
    main()
