"""Runs found by what a user types: an id, its first characters, a name, or ``last``."""

import re
from collections.abc import Sequence
from datetime import datetime

from minibert.command_line.arguments import StoreWords
from minibert.errors import MinibertError
from minibert.tracking.retries import patiently
from minibert.tracking.store import Store, open_existing_store, store_errors

LAST = "last"
"""The word for the run that was started last"""
SHORT = 8
"""Characters of an id that are printed"""
FEWEST = 4
"""Fewest characters of an id that find a run"""
MOST_LISTED = 10


def short_id(run_id: str) -> str:
    """The first characters of an id, which every command accepts for it."""
    return run_id[:SHORT]


def open_named_store(words: StoreWords) -> Store:
    """The store that a command line names, opened to read: nothing is made.

    Raises :class:`MinibertError` if there is no such store or experiment.
    """
    return open_existing_store(words.uri, words.folder, words.experiment)


def find_run_id(
    client, word: str, key: str = "run", kind: str = "run", experiments: Sequence[str] | None = None
) -> str:
    """The id of the run, or with ``kind="sweep"`` of the sweep, that ``word`` stands for.

    A name is tried before the beginning of an id. ``experiments`` are the ids of the experiments to search, by
    default all; a whole id is found in any. ``key`` is the setting that the word was given for.

    Raises :class:`MinibertError` if there is no such run, or more than one: the message lists them.
    """
    uri = client.tracking_uri
    with store_errors(uri, f"look up {key}={word}"):
        return patiently(_find, client, word.strip(), key, kind, experiments)


def _find(client, word: str, key: str, kind: str, experiments: Sequence[str] | None) -> str:
    if re.fullmatch("[0-9a-f]{32}", word.lower()):
        return word.lower()
    experiments = experiments or [each.experiment_id for each in client.search_experiments()]
    of_kind = f"tags.`minibert.kind` = '{kind}'"
    if not word:
        raise _nothing(client, word, key, kind, experiments, of_kind)
    if word == LAST:
        found = _search(client, experiments, of_kind, 1)
    else:
        # MLflow's filters know no escape for a quote, so it is looked for as any character.
        pattern = re.sub(r"['\"\\]", "_", word)
        found = _search(client, experiments, f"{of_kind} and attributes.run_name LIKE '{pattern}'")
        found = [run for run in found if run.info.run_name == word]
        if not found and re.fullmatch(f"[0-9a-f]{{{FEWEST},31}}", word.lower()):
            found = _search(client, experiments, f"{of_kind} and attributes.run_id LIKE '{word.lower()}%'")
    if not found:
        raise _nothing(client, word, key, kind, experiments, of_kind)
    if len(found) > 1:
        many = f"{len(found)} {kind}s are called so"
        raise MinibertError(f"{key}={word}: {many}. Give the id of one: {_listed(found)}.")
    return found[0].info.run_id


def _search(client, experiments: Sequence[str], condition: str, most: int = 1000) -> list:
    return client.search_runs(experiments, condition, max_results=most, order_by=["attributes.start_time DESC"])


def _nothing(client, word: str, key: str, kind: str, experiments: Sequence[str], of_kind: str) -> MinibertError:
    newest = _search(client, experiments, of_kind, 5)
    there = f"The newest are {_listed(newest)}." if newest else f"It holds no {kind} yet."
    return MinibertError(
        f"{key}={word}: no such {kind} in {client.tracking_uri}. Allowed: an id, its first {SHORT} characters, "
        f"a name, or {LAST} for the newest. {there}"
    )


def _listed(runs: list) -> str:
    shown = []
    for run in runs[:MOST_LISTED]:
        started = datetime.fromtimestamp(run.info.start_time / 1000).strftime("%Y-%m-%d %H:%M:%S")
        shown.append(f"{short_id(run.info.run_id)} ({run.info.run_name}, {started}, {run.info.status.lower()})")
    if len(runs) > MOST_LISTED:
        shown.append(f"{len(runs) - MOST_LISTED} more")
    return ", ".join(shown)
