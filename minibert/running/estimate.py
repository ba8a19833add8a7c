"""How far a sweep is, and when it will end."""

import time
from datetime import timedelta

from rich.table import Table

from minibert.tracking.results import beside, losses
from minibert.tracking.status import Status

UNKNOWN = "?"
"""In place of a number that is not recorded, such as that of the runs of a sweep that was killed before it was"""
LEAST_GAIN = 0.02
"""Share of one run that must be done before the time left is estimated"""


def seconds_as_text(seconds: float) -> str:
    return str(timedelta(seconds=round(max(seconds, 0.0))))


class Estimate:
    """How far a sweep is, counted in runs, and when it will end."""

    def __init__(self, planned: int, started: float):
        self.planned = planned
        self.started = started
        self._first: tuple[float, float] | None = None

    def note(self, children) -> tuple[float, float]:
        """The time of the first call and the runs done until then: these say nothing about the present speed."""
        if self._first is None:
            self._first = (time.time(), self._share(children))
        return self._first

    def summary(self, children) -> str:
        running = "; ".join(
            _running(child) for child in children if child.status == Status.RUNNING and child.step >= 0
        )
        return self._state(children) + (f"; {running}" if running else "")

    def table(self, children) -> Table:
        table = Table(box=None, title=self._state(children))
        for column in ("run", "training step", "training loss", "held-out loss"):
            table.add_column(column)
        for child in children:
            if child.status == Status.RUNNING:
                loss, held_out = (child.metrics.get(name) for name in ("train/loss", "eval/loss"))
                step, steps = max(child.step, 0), child.parameters.get("training.steps", UNKNOWN)
                table.add_row(
                    child.name,
                    f"{step}/{steps}{', finishing' if str(step) == steps else ''}",
                    "" if loss is None else f"{loss:.3f}",
                    "" if held_out is None else f"{held_out:.3f}",
                )
        return table

    def _state(self, children) -> str:
        now, (began, at_first) = time.time(), self.note(children)
        done = sum(child.status == Status.FINISHED for child in children)
        share = self._share(children)
        text = f"{done} of {self.planned or UNKNOWN} runs done, {seconds_as_text(now - self.started)} elapsed"
        gained, left = share - at_first, self.planned - share
        if gained < LEAST_GAIN or left <= 0:  # the time left is unknown
            return text
        return f"{text}, about {seconds_as_text((now - began) / gained * left)} left"

    def _share(self, children) -> float:
        """How many runs are done. A run that is being trained counts by its share of steps."""
        running = sum(_share(child) for child in children if child.status == Status.RUNNING)
        return running + sum(child.status == Status.FINISHED for child in children)


def _share(child) -> float:
    return max(child.step, 0) / float(child.parameters.get("training.steps", "inf"))


def _running(child) -> str:
    loss, steps = child.metrics.get("train/loss"), child.parameters.get("training.steps", UNKNOWN)
    text = f"{child.name}: training step {child.step} of {steps}"
    return text + (f", training loss {loss:.3f}" if loss is not None else "")


def ended_line(child) -> str:
    """One line about a run of a sweep that has ended, with the first sentence of the reason if there is one."""
    found = losses(child.metrics)
    text = f"{child.name}: {child.status.lower()}"
    if found["loss"] is not None:
        text += f", held-out loss {found['loss']:.3f}{beside(found['unigram'], found['bigram'])}"
    return text + (f" ({child.reason.partition('. ')[0].rstrip('.')})" if child.reason else "")
