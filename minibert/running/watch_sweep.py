"""The runs of a sweep while they train: how far each is, its loss, and the time left."""

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

from rich.table import Table

from minibert.errors import MinibertError
from minibert.running.estimate import UNKNOWN, Estimate, seconds_as_text
from minibert.tracking.abandoned import ABANDONED, standing
from minibert.tracking.live import LiveRecord, find_to_read
from minibert.tracking.lookup import short_id
from minibert.tracking.results import losses
from minibert.tracking.retries import at_once
from minibert.tracking.status import Status
from minibert.tracking.store import Store
from minibert.tracking.sweeps import Child, children, planned_runs

MOST_ROWS = 40
"""Runs in the table: those that train first, then those that ended last"""


class Seen(NamedTuple):
    """The sweep at one look."""

    status: str
    """In the words of the store, or :data:`minibert.tracking.abandoned.ABANDONED`"""
    runs: list[Child]

    @property
    def has_ended(self) -> bool:
        return self.status != Status.RUNNING


@dataclass
class SweepView:
    """A sweep, to be looked at again and again."""

    record: LiveRecord
    store: Store
    """Of the experiment that the sweep is in"""
    sweep_hash: str
    estimate: Estimate

    def look(self) -> Seen:
        """Read its runs. Raises :class:`MinibertError` if the store cannot be read."""
        self.record.look()
        with at_once():
            runs = children(self.store, self.sweep_hash)
        status = standing(self.record.about.status, self.record.about.tags, runs)
        self.estimate.note(runs)
        return Seen(status, runs)

    def summary(self, seen: Seen) -> str:
        """One line: how many runs are done, and how far those are that train."""
        return self.estimate.summary(seen.runs)

    def table(self, seen: Seen) -> Table:
        """A row a run."""
        name = f"{self.record.about.name}, sweep {short_id(self.record.id)}: {seen.status.lower()}"
        more = f", {len(seen.runs) - MOST_ROWS} runs are not shown" if len(seen.runs) > MOST_ROWS else ""
        far = self.estimate.summary(seen.runs).partition(";")[0]
        if seen.has_ended:
            finished = sum(run.status == Status.FINISHED for run in seen.runs)
            far = f"{finished} of {self.estimate.planned or UNKNOWN} runs finished"
        table = Table(title=name, title_justify="left", caption=far + more, caption_justify="left")
        for column in ("run", "id", "state", "step", "training loss", "held-out loss", "to last step"):
            table.add_column(column, justify="left" if column in ("run", "id", "state") else "right")
        shown = sorted(seen.runs, key=lambda run: (run.status != Status.RUNNING, -(run.ended or run.started)))
        for run in shown[:MOST_ROWS]:
            table.add_row(*_cells(run))
        return table


def open_view(store: Store, word: str) -> SweepView:
    """The sweep that a word stands for. Raises :class:`MinibertError` if there is none."""
    record = LiveRecord(store, find_to_read(store, word, "sweep"))
    tags = record.about.tags
    if "minibert.sweep_hash" not in tags:
        is_run = tags.get("minibert.kind") == "run"
        what = f"a run: watch it by run={record.id}" if is_run else "no sweep of minibert"
        raise MinibertError(f"sweep={word}: is {what}.")
    planned = planned_runs(tags)
    own = replace(store, experiment_id=record.about.experiment_id)
    return SweepView(record, own, tags["minibert.sweep_hash"], Estimate(planned, record.about.started))


def exit_code(seen: Seen) -> int:
    """1 if the sweep ended otherwise than finished."""
    return 1 if seen.has_ended and seen.status != Status.FINISHED else 0


def _cells(run: Child) -> tuple[str, ...]:
    steps = run.parameters.get("training.steps", "?")
    training, held_out = run.metrics.get("train/loss"), losses(run.metrics)["loss"]
    status = standing(run.status, run.tags)
    done = run.status == Status.RUNNING and str(run.step) == steps
    return (
        run.name,
        short_id(run.id),
        "finishing" if done and status != ABANDONED else status.lower(),
        f"{max(run.step, 0)}/{steps}",
        "" if training is None else f"{training:.3f}",
        "" if held_out is None else f"{held_out:.3f}",
        "" if status == ABANDONED else _left(run),
    )


def _left(run: Child) -> str:
    """The time until the last step of a run that trains, if it goes on as it did since it began."""
    steps = run.parameters.get("training.steps", "")
    if run.status != Status.RUNNING or not steps.isdecimal() or not 0 < run.step < int(steps):
        return ""
    return seconds_as_text((time.time() - run.started) / run.step * (int(steps) - run.step))
