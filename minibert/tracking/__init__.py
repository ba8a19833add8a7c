"""Runs and sweeps in an MLflow store. Nothing here needs a model. MLflow is imported only to open a store."""

from minibert.tracking.claims import Claim, claim, find_finished
from minibert.tracking.provenance import environment
from minibert.tracking.runs import Run, start_run
from minibert.tracking.store import Store, open_store
from minibert.tracking.sweeps import Child, Sweep, join_sweep, open_sweep

__all__ = [
    "Child",
    "Claim",
    "Run",
    "Store",
    "Sweep",
    "claim",
    "environment",
    "find_finished",
    "join_sweep",
    "open_store",
    "open_sweep",
    "start_run",
]
