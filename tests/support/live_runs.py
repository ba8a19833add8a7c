"""Runs planted in a store as they stand while they train."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager

from mlflow.entities import Metric

from minibert.tracking import Store, claim, start_run
from minibert.tracking.processes import PROCESS, STARTED, process_tags

BEGAN = 1_700_000_000.0
"""When the first point of a planted run was recorded, in seconds since 1970"""


@contextmanager
def training(store: Store, name: str, steps: int = 100, settings: Mapping | None = None, gone: bool = False):
    """An open run of this process, or of one that is ``gone``. It is left as it is."""
    tags = process_tags()
    if gone:
        ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
        ended.wait()
        tags |= {PROCESS: f"{tags[PROCESS].rpartition(':')[0]}:{ended.pid}", STARTED: "0.0"}
    with claim(store, name.encode().hex().ljust(64, "0")[:64]) as held:
        yield start_run(held, name, {"training": {"steps": steps}} | dict(settings or {}), tags)


def add_points(run, metric: str, values: Sequence[float], every: int = 10, seconds: float = 1.0, first: int = 1):
    """Points of a metric at every so many steps, and so many seconds apart."""
    points = [
        Metric(metric, value, int(1000 * (BEGAN + place * seconds)), place * every)
        for place, value in enumerate(values, first)
    ]
    run.store.client.log_batch(run.id, metrics=points)


def add_progress(run, points: int, every: int = 10, seconds: float = 1.0, tokens: int = 1000) -> None:
    """What a training that goes on evenly records: its losses fall."""
    add_points(run, "tokens_seen", [tokens * place for place in range(1, points + 1)], every, seconds)
    add_points(run, "train/loss", [6.0 - 0.1 * place for place in range(points)], every, seconds)
