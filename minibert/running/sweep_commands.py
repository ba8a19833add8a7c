"""What ``minibert sweeps`` does: the words of its commands, and what they print."""

import os
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from minibert.command_line.arguments import StoreWords, argument, names_store
from minibert.command_line.terminal import open_console, print_table
from minibert.errors import MinibertError
from minibert.running.estimate import UNKNOWN, seconds_as_text
from minibert.tracking.abandoned import ABANDONED, reap, standing
from minibert.tracking.addresses import given_folder
from minibert.tracking.history import HASH_DIGITS, read_commands, read_plan
from minibert.tracking.journal import begun_for
from minibert.tracking.lookup import find_run_id, short_id
from minibert.tracking.overview import Standing, open_sweep_record, sweeps_of
from minibert.tracking.relocation import plan_relocation
from minibert.tracking.results import losses
from minibert.tracking.settling import send_all
from minibert.tracking.status import Status
from minibert.tracking.store import Store, find_place, open_store
from minibert.tracking.sweeps import Child, children, member_tag
from minibert.tracking.tables import look_at_store
from minibert.tracking.thinning import Thinning, plan_thinning, read_keep

NAMED = "id of the sweep, its first characters, its name, or last; sweep= may be left out"
TOOK = "last command took"
LONGEST = 100
"""Characters of a command in the list; ``sweeps show`` has all of it"""
NUMBERS = ("loss", "seconds", "failed", "killed", "running", TOOK, "sent", "waiting")
SEARCH = "python -m minibert.search "
"""What the recorded command of a search begins with"""
Door = Callable[[list[str]], int]
"""A command: its words -> its exit code"""
UNITS = ("bytes", "KB", "MB", "GB", "TB")


@dataclass(frozen=True)
class ListWords:
    """The words of ``sweeps list``, ``sweeps reap`` and ``sweeps sync``."""

    tracking: StoreWords = StoreWords()


@dataclass(frozen=True)
class SweepWords:
    """The words of ``sweeps show`` and ``sweeps resume``."""

    sweep: str = argument(NAMED, "SWEEP")
    tracking: StoreWords = StoreWords()


@dataclass(frozen=True)
class RelocateWords:
    """The words of ``sweeps relocate``."""

    artifacts: str | None = argument(
        "a further folder to look for artifacts in, at any of three depths", "FOLDER", None
    )
    yes: str | None = argument("write without asking; the flag --yes means the same", "true", None)
    tracking: StoreWords = StoreWords()


@dataclass(frozen=True)
class PruneWords:
    """The words of ``sweeps prune``."""

    sweep: str = argument(NAMED, "SWEEP")
    keep: str = argument("checkpoints of a run that stay: first, last, both, or how many", "WHICH", "first,last")
    yes: str | None = argument("remove without asking; the flag --yes means the same", "true", None)
    tracking: StoreWords = StoreWords()


def list_sweeps(asked: ListWords) -> int:
    """Print all sweeps of the store, the newest first. Returns the exit code."""
    console = open_console()
    store = _look(asked.tracking)
    found = sweeps_of(store)
    if not found:
        console.print("No sweep yet.")
        return 0
    counted = (Status.FAILED, Status.KILLED, Status.RUNNING)
    counts = [status.lower() for status in counted]
    table = _table(None, "sweep", "id", "status", "finished", *counts, "started", TOOK, "last command")
    for sweep in found:
        lost = _lost_runs(store, sweep)
        shown = {status: sweep.count(status) for status in counted}
        shown |= {Status.KILLED: shown[Status.KILLED] + lost, Status.RUNNING: shown[Status.RUNNING] - lost}
        table.add_row(
            *(sweep.name, short_id(sweep.id), _standing(store, sweep).lower()),
            f"{sweep.count(Status.FINISHED)} of {sweep.planned or UNKNOWN}",
            *map(str, shown.values()),
            datetime.fromtimestamp(sweep.started).strftime("%Y-%m-%d %H:%M"),
            _took(sweep),
            Text(_shortened(sweep.command.removeprefix("python -m minibert."))),
        )
    print_table(console, table)
    return 0


def show_sweep(asked: SweepWords) -> int:
    """Print the runs of a sweep with their results and the reasons of failures. Returns the exit code."""
    console, store = open_console(), _look(asked.tracking)
    sweep, members = _find(store, asked.sweep)
    record = open_sweep_record(store, sweep.id)
    planned, commands = read_plan(record), read_commands(record)
    newest = {child.config_hash: child for child in sorted(members, key=lambda child: child.started)}
    title = f"{sweep.name}, sweep {short_id(sweep.id)}: {standing(sweep.status, sweep.tags, members).lower()}"
    table = _table(title, "run", "id", "status", "loss", "seconds", "why")
    names = {key: child.name for key, child in newest.items()} | planned
    for key, name in sorted(names.items(), key=_by_name):
        table.add_row(name, *_cells(newest.get(key)))
    print_table(console, table)
    if reason := sweep.tags.get("minibert.reason"):
        console.print(f"Reason: {reason}")
    if not commands and sweep.command:
        console.print(f"Its last command: {sweep.command}")
    for command in commands:
        console.print(
            f"{command.time} {command.user}@{command.host}, minibert {command.version}, {command.commit[:8]}:"
        )
        console.print(f"  python -m minibert.run {shlex.join(command.words)}")
    return 0


def resume_sweep(asked: SweepWords, run: Door, search: Door) -> int:
    """Give the commands of a sweep again of which runs are not finished. Returns the exit code of the last.

    ``run`` and ``search`` are the doors ``minibert run`` and ``minibert search``. A search goes on until it has
    the trials that its last command asked for. Words that name the store are replaced by those given here, since
    it may have been moved. Raises :class:`MinibertError` if no command is recorded.
    """
    console, store = open_console(), _look(asked.tracking)
    sweep, members = _find(store, asked.sweep)
    if sweep.command.startswith(SEARCH):
        words = _moved(shlex.split(sweep.command.removeprefix(SEARCH)), asked.tracking)
        console.print(SEARCH + shlex.join(words), style="bold")
        return search(words)
    commands = read_commands(open_sweep_record(store, sweep.id))
    if not commands:
        raise MinibertError(
            f"sweep={asked.sweep}: the list of its commands is not recorded. Give its last one: {sweep.command}"
        )
    done = {child.config_hash[:HASH_DIGITS] for child in members if child.status == Status.FINISHED}
    code, given = 0, set()
    for command in commands:
        words = _moved(command.words, asked.tracking)
        if set(command.runs) <= done or tuple(words) in given:
            continue
        given.add(tuple(words))
        console.print(f"python -m minibert.run {shlex.join(words)}", style="bold")
        if Path(command.folder).is_dir():
            os.chdir(command.folder)
        code = run(words) or code
        if code > 128:  # a signal ended it, and the others are not to begin
            return code
    if not given:
        console.print(f"All {len(done)} runs of sweep {short_id(sweep.id)} have finished: nothing is left to do.")
    return code


def reap_runs(asked: ListWords) -> int:
    """Close the runs and sweeps whose process is gone. Returns the exit code."""
    console, found = open_console(), reap(_look(asked.tracking))
    for running in found:
        done = "closed as KILLED" if running.is_gone else "left as it is"
        console.print(f"{running.kind} {short_id(running.id)} ({running.name}): {done}: {running.why}")
    closed = sum(running.is_gone for running in found)
    told = f"{closed} of {len(found)} runs and sweeps that are RUNNING closed."
    console.print(told if found else "No run or sweep is RUNNING: nothing is to be closed.")
    return 0


def sync_journals(asked: ListWords) -> int:
    """Send what was recorded while a server was away. Returns the exit code: 1 if something is left."""
    console, words = open_console(), asked.tracking
    place, found = find_place(words.uri, words.folder), []
    for uri, experiment in begun_for(place.folder / "work"):
        if words.uri is None and ":***@" in uri:
            raise MinibertError(f"tracking.uri={uri}: its password is not recorded. Give the whole address.")
        store = open_store(words.uri or uri, place.folder, experiment)
        if words.uri and store.journaled is not None:
            store.journaled.takes_all = True
        found += send_all(store)
    if not found:
        console.print("Nothing waits to be sent.")
        return 0
    table = _table(None, "run", "id", "sent", "waiting", "why")
    for each in found:
        table.add_row(each.name, short_id(each.id), str(each.sent), str(each.left), each.why)
    print_table(console, table)
    return int(any(each.left for each in found))


def relocate_artifacts(asked: RelocateWords) -> int:
    """Mend the addresses of artifacts that lead nowhere, or from a copied store to its original. Returns the exit
    code: 1 if some are not found."""
    console, words = open_console(), asked.tracking
    place = find_place(words.uri, words.folder)
    folders = [given_folder("artifacts", asked.artifacts)] if asked.artifacts else []
    plan = plan_relocation(place, folders)
    for line in plan.told():
        console.print(line)
    if not plan.moved:
        console.print(
            "Every other address leads to a folder." if plan.lost else "Every address leads to a folder."
        )
    elif _agreed(asked.yes, f"Write {len(plan.moved)} addresses?"):
        plan.carry_out()
        console.print(f"{len(plan.moved)} addresses written.")
    elif plan.copied:
        console.print("Nothing was written: they still lead to the former folder.")
    return int(bool(plan.lost))


def prune_sweep(asked: PruneWords, needed: Callable[[Store, Child], list[int] | None]) -> int:
    """Thin the kept checkpoints of a sweep. Returns the exit code. ``needed``: steps that instruments ask for."""
    console, store, keep = open_console(), _look(asked.tracking), read_keep(asked.keep)
    sweep, members = _find(store, asked.sweep)
    tag = member_tag(sweep.tags["minibert.sweep_hash"])
    plans = [plan_thinning(store, child, keep, needed(store, child), tag) for child in members]
    for plan in plans:
        console.print(_thinned(plan))
    files, size = sum(len(plan.removed) for plan in plans), size_as_text(sum(plan.bytes for plan in plans))
    if not files:
        console.print("Nothing is to be removed.")
    elif _agreed(asked.yes, f"Remove {files} checkpoints, {size}?"):
        for plan in plans:
            plan.carry_out()
        console.print(f"{files} checkpoints removed, {size}.")
    else:
        console.print("Nothing was removed.")
    return 0


def size_as_text(size: float) -> str:
    """``1.5 GB``"""
    power = 0
    while size >= 1000 and power < len(UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.0f} {UNITS[power]}" if power == 0 else f"{size:.1f} {UNITS[power]}"


def _look(words: StoreWords) -> Store:
    return look_at_store(words.uri, words.folder, words.experiment)


def _find(store: Store, word: str) -> tuple[Standing, list[Child]]:
    sweep_id = find_run_id(store.client, word, "sweep", "sweep", [store.experiment_id])
    for sweep in sweeps_of(store):
        if sweep.id == sweep_id:
            return sweep, children(store, sweep.tags["minibert.sweep_hash"])
    raise MinibertError(f"sweep={word}: no such sweep in experiment {store.experiment_id} of {store.uri}.")


def _lost_runs(store: Store, sweep: Standing) -> int:
    """How many of its runs the store calls RUNNING though their process is gone. Read only if some are."""
    running = sweep.count(Status.RUNNING)
    if not running:
        return 0
    runs = children(store, sweep.tags.get("minibert.sweep_hash", ""))
    alive = sum(run.status == Status.RUNNING and standing(run.status, run.tags) != ABANDONED for run in runs)
    return max(running - alive, 0)


def _standing(store: Store, sweep: Standing) -> str:
    """The runs of a sweep are read only where its own process is gone."""
    is_open = standing(sweep.status, sweep.tags) == sweep.status
    return (
        sweep.status
        if is_open
        else standing(sweep.status, sweep.tags, children(store, sweep.tags.get("minibert.sweep_hash", "")))
    )


def _moved(given: Iterable[str], words: StoreWords) -> list[str]:
    """The words of a command, for the store as it is named now."""
    kept = [word for word in given if not names_store(word)]
    place = find_place(words.uri, words.folder)
    named = [f"tracking.uri={words.uri}"] if words.uri else []
    return [*kept, f"tracking.folder={place.folder}", *named, f"tracking.experiment={words.experiment}"]


def _cells(child: Child | None) -> tuple[str, ...]:
    if child is None:
        return "", "never started", "", "", ""
    loss = losses(child.metrics)["loss"]
    seconds = "" if child.seconds is None else f"{child.seconds:.0f}"
    return (
        short_id(child.id),
        standing(child.status, child.tags).lower(),
        "" if loss is None else f"{loss:.3f}",
        seconds,
        child.reason or "",
    )


def _by_name(item: tuple[str, str]) -> str:
    return item[1]


def _shortened(command: str) -> str:
    return command if len(command) <= LONGEST else command[: LONGEST - 1] + "…"


def _took(sweep: Standing) -> str:
    """The time since the last command began, until its end."""
    opened = sweep.tags.get("minibert.opened")
    began = datetime.fromisoformat(opened).timestamp() if opened else sweep.started
    return seconds_as_text((sweep.ended or time.time()) - began)


def _thinned(plan: Thinning) -> str:
    shown = f"{plan.run.name} ({short_id(plan.run.id)})"
    if plan.left:
        return f"{shown}: left as it is: {plan.left}"
    steps = ", ".join(map(str, plan.kept)) or "none"
    return f"{shown}: {len(plan.removed)} removed, {size_as_text(plan.bytes)}; kept: {steps}"


def _agreed(yes: str | None, question: str) -> bool:
    """Whether the user agrees. Without an answer, nothing is done."""
    if yes is not None:
        return yes.lower() in ("true", "yes", "1")
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print("\nNo answer: nothing was done. --yes does it without asking.")
        return False


def _table(title: str | None, *columns: str) -> Table:
    table = Table(title=title and Text(title), title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in NUMBERS else "left")
    return table
