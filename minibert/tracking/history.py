"""The plan of a sweep and the commands that asked for its runs, as artifacts of its record.

A sweep grows: its plan is the union of what all of its commands asked for. Commands may be given at once, so what
is there is read under a lock before it is written. A lock does not reach other machines. So what a command asked
for is written again at its end if it is gone.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from minibert.errors import MinibertError
from minibert.tracking.addresses import without_passwords
from minibert.tracking.records import Record

PLANNED = "planned.json"
HISTORY = "history.json"
HASH_DIGITS = 12
"""Digits by which a run is named in the history"""


@dataclass(frozen=True)
class Command:
    """One command of a sweep."""

    words: tuple[str, ...]
    """Of ``minibert run``"""
    runs: tuple[str, ...]
    """The first :data:`HASH_DIGITS` digits of the hashes of the runs that it asked for"""
    time: str
    """When it was given, in UTC"""
    folder: str
    """The working folder, which relative paths among the words are of"""
    user: str
    host: str
    version: str
    """Of minibert"""
    commit: str


def new_command(words: Iterable[str], hashes: Iterable[str], tags: Mapping[str, str]) -> Command:
    """The command that this process was given. ``tags``: those of :func:`minibert.tracking.environment`."""
    return Command(
        words=tuple(map(without_passwords, words)),
        runs=tuple(config_hash[:HASH_DIGITS] for config_hash in hashes),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        folder=os.getcwd(),
        user=tags.get("mlflow.user", "unknown"),
        host=os.uname().nodename,
        version=tags.get("version.minibert", "unknown"),
        commit=tags.get("git.commit", "unknown") + (" (changed)" if tags.get("git.dirty") == "true" else ""),
    )


def read_plan(record: Record) -> dict[str, str]:
    """Hash of the configuration -> name, of all runs that a sweep asked for; empty if it recorded no plan."""
    with _damage_named(record, PLANNED):
        entries = _read(record, PLANNED)
        return {entry["config_hash"]: entry["name"] for entry in entries if isinstance(entry, dict)}


def read_commands(record: Record) -> list[Command]:
    """The commands of a sweep in their order; none of a sweep of a version that recorded only the last one."""
    with _damage_named(record, HISTORY):
        entries = [
            entry | {"words": tuple(entry["words"]), "runs": tuple(entry["runs"])}
            for entry in _read(record, HISTORY)
        ]
        return [Command(**entry) for entry in entries]


def add_to_plan(record: Record, planned: Mapping[str, str], command: Command | None) -> dict[str, str]:
    """Add runs and their command to what a sweep has recorded. Returns the whole plan."""
    before, commands = read_plan(record), read_commands(record)
    whole = before | dict(planned)
    if whole != before:
        runs = [{"config_hash": config_hash, "name": name} for config_hash, name in whole.items()]
        record.log_dict(runs, PLANNED)
    if command is not None and command not in commands:
        record.log_dict([asdict(each) for each in [*commands, command]], HISTORY)
    return whole


def _read(record: Record, name: str) -> list[Any]:
    """The entries of a list that a sweep keeps; none if it keeps none. ValueError: the file holds no list."""
    if name not in record.artifacts(""):
        return []
    entries = json.loads(record.read(name))
    if not isinstance(entries, list):
        raise ValueError(f"it holds a {type(entries).__name__}, not a list")
    return entries


@contextmanager
def _damage_named(record: Record, name: str) -> Iterator[None]:
    """Within this context, a list whose entries are not as they are written is named."""
    try:
        yield
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = f"no {error}" if type(error) is KeyError else error
        raise MinibertError(
            f"{name} among the artifacts of sweep {record.id}: is damaged ({reason}). Remove it; the next command "
            "of the sweep writes it anew."
        ) from error
