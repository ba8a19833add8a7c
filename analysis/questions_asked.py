"""Whether the runs of a study were asked alike, where its metric is what an instrument found.

What is asked of a trained model is no part of a run's identity. So runs of one sweep may have answers to different
questions: about other sentences, or fewer of them. Their means say nothing.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from minibert.config.evaluation import INSTRUMENTS
from minibert.errors import MinibertError, listed
from minibert.tracking import Store

from .tracked_runs import TrackedRun, open_record

MOST_NAMED = 4


def asked_differently(store: Store, runs: Iterable[TrackedRun], metric: str) -> str:
    """A sentence that names what differs, and runs of each kind; empty if all were asked alike.

    A run whose results cannot be read is passed over.
    """
    instrument = metric.partition("/")[0]
    if instrument not in INSTRUMENTS:
        return ""
    asked = {run.name: found for run in runs if run.finished and (found := _asked(store, run, instrument))}
    keys = dict.fromkeys(key for found in asked.values() for key in found)
    said = []
    for key in keys:
        by_value: dict[str, list[str]] = {}
        for name, found in asked.items():
            by_value.setdefault(json.dumps(found.get(key)), []).append(name)
        if len(by_value) > 1:
            values = (f"{value} in {', '.join(listed(names, MOST_NAMED))}" for value, names in by_value.items())
            said.append(f"{key} is {'; '.join(values)}")
    if not said:
        return ""
    return (
        f"The runs were not asked alike, so that their values are not comparable: {'. '.join(said)}. "
        f"`python -m minibert.evaluate sweep=ID evaluation={instrument}` asks all of them the same."
    )


def _asked(store: Store, run: TrackedRun, instrument: str) -> Mapping[str, Any]:
    """The settings of the last answer of an instrument, and the digest of the user's own files."""
    try:
        record = open_record(store, run)
        paths = [path for path in record.artifacts(f"evaluation/{instrument}") if path.endswith(".json")]
        found = json.loads(record.read(max(paths))) if paths else {}
        return {**found.get("asked", {}), "content of the data": found.get("data", "")[:8]} if found else {}
    except (MinibertError, ValueError, AttributeError, RecursionError):
        return {}
