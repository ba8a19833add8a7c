"""A run or a sweep watched while it trains: in the terminal, as lines in a pipe, or as a page on this machine.

It reads the store, and nothing of the process that trains. The time between two looks grows with the time that a
look takes, so that watching takes a small share of one core.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rich.console import RenderableType
from rich.live import Live

from minibert.command_line.arguments import StoreWords, argument, as_switch
from minibert.command_line.terminal import print_table
from minibert.errors import MinibertError, Refused
from minibert.running.local_pages import as_port, serve
from minibert.running.progress import PLAIN_SECONDS, Display
from minibert.running.watch_sweep import Seen as SweepSeen
from minibert.running.watch_sweep import SweepView, exit_code, open_view
from minibert.running.watch_view import ending, finding_line, summary, view
from minibert.tracking.live import LiveRecord, find_to_read, newest_run, open_to_read
from minibert.tracking.lookup import short_id
from minibert.tracking.status import Status
from minibert.tracking.store import Store, find_place
from minibert.watching.server import create_app
from minibert.watching.state import State, look, pause_after

NEXT = "next"
"""The word for the first run that begins from now on"""
PORT = 8766
"""Of the page"""
LEAST_SECONDS, MOST_SECONDS = 0.1, 3600.0


def as_seconds(given: str, key: str, value: str) -> float:
    """The time between two looks."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise MinibertError(
            f"{given}: not a time between looks. Allowed: {LEAST_SECONDS} to {MOST_SECONDS:.0f} s."
        )
    return seconds


@dataclass(frozen=True)
class Watching:
    """The words of ``minibert watch``."""

    run: str | None = argument(
        "id of a run, its first characters, its name, last, or next for the first that begins from now on",
        "RUN_ID",
        None,
    )
    sweep: str | None = argument(
        "instead of a run: id of a sweep, its first characters, its name, or last", "ID", None
    )
    page: bool = argument("show the run on a page of this machine", "false", False, as_switch)
    once: bool = argument("look once, print, and end; the flag --once means the same", "false", False, as_switch)
    every: float = argument("seconds between two looks; more where a look takes long", "2", 2.0, as_seconds)
    port: int | None = argument(
        "for page=true: port on this machine; 0 takes any that is free", f"{PORT}", None, as_port
    )
    browser: bool | None = argument(
        "for page=true: open it in a browser, where there is a screen", "true", None, as_switch
    )
    tracking: StoreWords = StoreWords(experiment=None)


def watch(asked: Watching, display: Display) -> int:
    """Watch until the run or sweep ends. Returns the exit code: 1 if it failed, was killed or was abandoned.

    A page stays open until Ctrl-C. Raises :class:`MinibertError` for an unknown run, and for a store that cannot
    be read at the beginning.
    """
    if (asked.run is None) == (asked.sweep is None):
        given = f"run={asked.run} and sweep={asked.sweep}" if asked.run else "nothing"
        raise MinibertError(f"{given}: what is to be watched? Give one of run=RUN_ID, sweep=ID.")
    if asked.page and (asked.sweep or asked.once):
        if asked.sweep:
            raise MinibertError(
                f"page=true and sweep={asked.sweep}: a page shows one run. Allowed: page=true with run=RUN_ID, or "
                f"sweep={asked.sweep} alone: a table of its runs in this terminal."
            )
        raise MinibertError("page=true and once=true: do not go together. Allowed: one of them.")
    for key, value in (("port", asked.port), ("browser", asked.browser)):
        if not asked.page and value is not None:
            raise MinibertError(
                f"{key}={f'{value}'.lower()}: has no effect without a page. Allowed: with page=true."
            )
    began = time.time()
    if asked.run == NEXT and not asked.once:
        display.note("waiting for a run to begin")
        _await_store(asked)
    store = open_to_read(asked.tracking)
    if asked.sweep is not None:
        return _watch_sweep(open_view(store, asked.sweep), asked, display)
    record = LiveRecord(store, _find(store, asked, began))
    if asked.page:
        name = f"run {short_id(record.id)}"
        port = PORT if asked.port is None else asked.port
        serve(create_app(record, asked.every), name, port, asked.browser is not False, display)
        return 0
    return _watch_run(record, asked, display)


def _await_store(asked: Watching) -> None:
    """Return when there is a database: the first run of a checkout makes it."""
    database = find_place(asked.tracking.uri, asked.tracking.folder).database
    while database is not None and not database.exists():
        time.sleep(asked.every)


def _find(store: Store, asked: Watching, began: float) -> str:
    """The id of the run. ``next`` waits for one that began after ``began``."""
    if asked.run != NEXT:
        return find_to_read(store, str(asked.run))
    while (found := newest_run(store)) is None or found[1] < began:
        if asked.once:
            raise MinibertError(
                "run=next and once=true: no run has begun yet. Give run=last, or leave out once=true."
            )
        time.sleep(asked.every)
    return found[0]


class Ending(Protocol):
    """What a look finds."""

    @property
    def has_ended(self) -> bool: ...


Seen = TypeVar("Seen", bound=Ending)


def _watch_run(record: LiveRecord, asked: Watching, display: Display) -> int:
    with _screen(asked, display) as show:
        lines = Lines(asked.once, display)
        tell = lines.tell if show is None else lambda state: show(view(state))
        last = _follow(lambda: look(record), tell, asked, display)
    if last.has_ended:
        display.console.print(ending(last))
    return 1 if last.has_ended and last.status != Status.FINISHED else 0


class Lines:
    """A run as lines: a finding when it comes, the losses after an evaluation, and at times how far it is."""

    def __init__(self, once: bool, display: Display):
        self._once, self._display = once, display
        self._said: set[tuple[str, str]] = set()
        self._evaluated: int | None = None
        self._told_at = -math.inf

    def tell(self, state: State) -> None:
        for each in state.findings:
            if (each.issue, each.severity) not in self._said:
                self._said.add((each.issue, each.severity))
                self._display.console.print(finding_line(each))
        evaluated = state.held_out[0][-1] if state.held_out[0] else None
        overdue = time.monotonic() - self._told_at >= PLAIN_SECONDS
        if not state.has_ended and (self._once or overdue or evaluated != self._evaluated):
            self._told_at, self._evaluated = time.monotonic(), evaluated
            self._display.console.print(summary(state) if state.training[0] else state.phase)


def _watch_sweep(sweep: SweepView, asked: Watching, display: Display) -> int:
    with _screen(asked, display) as show:
        if show is None:
            told_at = [-math.inf]

            def tell(found: SweepSeen) -> None:
                if not (found.has_ended or asked.once) and time.monotonic() - told_at[0] >= PLAIN_SECONDS:
                    told_at[0] = time.monotonic()
                    display.console.print(sweep.summary(found))

            last = _follow(sweep.look, tell, asked, display)
        else:
            last = _follow(sweep.look, lambda found: show(sweep.table(found)), asked, display)
    if show is None:
        print_table(display.console, sweep.table(last))
    return exit_code(last)


def _follow(read: Callable[[], Seen], tell: Callable[[Seen], None], asked: Watching, display: Display) -> Seen:
    """Look until the end, or once, and tell what each look finds. Returns the last.

    A store that is away for a while is asked again; at the first look, that is an error. So is a run that is gone.
    """
    seen, away = None, False
    while True:
        began = time.thread_time()
        try:
            seen = read()
        except MinibertError as error:
            if seen is None or asked.once or isinstance(error, Refused):
                raise
            if not away:
                display.note(f"the store could not be read; trying again: {error}")
            away = True
        else:
            away = False
            tell(seen)
            if asked.once or seen.has_ended:
                return seen
        time.sleep(pause_after(time.thread_time() - began, asked.every))


@contextmanager
def _screen(asked: Watching, display: Display) -> Iterator[Callable[[RenderableType], None] | None]:
    """A function that shows a view in place of the one before; None if the output is no terminal."""
    if not display.console.is_terminal:
        yield None
    elif asked.once:
        yield display.console.print
    else:
        with Live(console=display.console, auto_refresh=False, vertical_overflow="crop") as live:
            yield lambda shown: live.update(shown, refresh=True)
