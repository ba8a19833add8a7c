"""Texts and tables for a terminal, a pipe or a log, with all their words."""

import re
import signal
from collections.abc import Iterator
from typing import TextIO, cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from minibert import interruption
from minibert.command_line.doors import READER_GONE, give_up

COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters, less the tab and the end of a line"""


class _Console(Console):
    """Without markup: square brackets and colons are printed as they are.

    What a terminal would take for a command, such as an escape sequence in a recorded text, is left out.
    """

    def __init__(self, **options):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else COMMANDS.sub("", text), style, control)

    def on_broken_pipe(self) -> None:
        """End the command as every other way of printing does, and not with 1, which may mean a failed run.

        What defers signals ends as by one: a run keeps the state to go on from.
        """
        self.quiet = True
        give_up(cast(TextIO, self.file))
        if not interruption.request(signal.SIGPIPE):
            raise SystemExit(READER_GONE)


def open_console(stderr: bool = False, quiet: bool = False) -> Console:
    """A console without markup: square brackets and colons are printed as they are.

    Lines are not broken, so that paths and commands can be copied.
    """
    return _Console(stderr=stderr, quiet=quiet, soft_wrap=True)


def print_table(console: Console, table: Table) -> None:
    """Print a table without cutting a word.

    In a terminal, cells are broken between words until the table fits. A table that still does not fit, and every
    table in a pipe or a log, is as wide as needed.
    """
    if console.quiet:
        return
    natural = Measurement.get(console, console.options.update_width(10_000), table).maximum
    room = console.width if console.is_terminal else natural
    width = natural if natural <= room else _narrow(console, table, natural, room)
    # A console prints nothing wider than itself.
    wide = _Console(
        file=console.file,
        width=width,
        force_terminal=console.is_terminal,
        color_system=console.color_system,  # pyright: ignore[reportArgumentType]
    )
    wide.print(table, crop=False)


def _narrow(console: Console, table: Table, natural: int, room: int) -> int:
    """Narrow the columns until the table fits into ``room``, or their words allow no more. Returns its width."""
    least = [_longest_word(console, column) for column in table.columns]
    widths = [max(_natural(console, column), low) for column, low in zip(table.columns, least, strict=True)]
    frame = natural - sum(widths)
    while sum(widths) + frame > room:
        slacks = [width - low for width, low in zip(widths, least, strict=True)]
        slack, index = max((slack, index) for index, slack in enumerate(slacks))
        if slack <= 0:
            break
        widths[index] -= 1
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    return sum(widths) + frame


def _texts(console: Console, column: Column) -> list[Text]:
    shown = (column.header, *column.cells)
    return [each if isinstance(each, Text) else console.render_str(str(each)) for each in shown]


def _natural(console: Console, column: Column) -> int:
    return max((cell_len(line) for text in _texts(console, column) for line in text.plain.split("\n")), default=0)


def _longest_word(console: Console, column: Column) -> int:
    """The least width of a column: of its longest word, or of its longest cell if it must not be broken."""
    longest = 1
    for text in _texts(console, column):
        parts = [text.plain] if text.no_wrap or column.no_wrap else text.plain.split()
        longest = max(longest, *map(cell_len, parts), 1)
    return longest
