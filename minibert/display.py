"""What a person sees in the terminal while runs go on."""

import shlex
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import track as rich_track
from rich.table import Table

from minibert.errors import sentence
from minibert.tracking.retries import at_once
from minibert.tracking.store import store_address

POLL_SHARE = 0.03
"""Of the time, at most, that watching a sweep may take from its runs: each look reads all of them from the store"""
POLL_SECONDS = 2.0
"""At least, between two looks"""
ESTIMATE_AFTER = 5
"""Steps after which the cost of a run is estimated."""
PLAIN_SECONDS = 30.0
"""How often a line is printed where there is no terminal to redraw."""


class Display:
    """Notes, progress and results; redrawn in a terminal, as plain lines elsewhere."""

    def __init__(self, quiet: bool = False):
        self.console = Console(quiet=quiet, highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None

    @classmethod
    def silent(cls) -> "Display":
        """For the runs of a sweep: the sweep's own display shows them."""
        return cls(quiet=True)

    def start(self, title: str) -> None:
        self.console.print(f"[bold]{title}[/bold]")

    def note(self, message: str) -> None:
        self.console.print(f"[dim]{message}[/dim]")

    def error(self, message: str) -> None:
        self._errors.print(message, style="red", markup=False)

    @contextmanager
    def training(self, steps: int, evaluation):
        """A bar with step, loss and time left while one run trains."""
        columns = (
            TextColumn("step"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        self._evaluation = evaluation
        self._plain_at = time.monotonic()
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as progress:
            self._progress = progress
            self._task = progress.add_task("", total=steps, loss="")
            yield
        self._progress = None

    def track(self, items, what: str):
        """The items, with a bar in a terminal and a line for each elsewhere."""
        if self.console.is_terminal:
            yield from rich_track(items, description=what, console=self.console)
            return
        for number, item in enumerate(items, 1):
            self.console.print(f"{what} {item} ({number} of {len(items)})")
            yield item

    def step(self, trainer, step) -> None:
        """Observer: moves the bar of :meth:`training`."""
        if step is None or self._progress is None:
            return
        done, steps = trainer.progress.step, trainer.config.training.steps
        if done == ESTIMATE_AFTER < steps:
            minutes = (steps - done) * trainer.progress.seconds / done / 60
            tokens = trainer.progress.tokens_seen / done * steps
            self.note(f"{steps:,} steps, about {tokens:,.0f} tokens and {minutes:.1f} minutes (evaluation aside)")
        held_out = self._evaluation.latest.get("eval/loss")
        text = f"loss {step.loss:.3f}" + (f", held out {held_out:.3f}" if held_out is not None else "")
        self._progress.update(self._task, completed=done, loss=text)
        if not self.console.is_terminal and time.monotonic() - self._plain_at >= PLAIN_SECONDS:
            self._plain_at = time.monotonic()
            self.console.print(f"step {done}/{steps}, {text}")

    def end(self, outcome, config) -> None:
        """How a single run ended, and where to look."""
        if outcome.status == "FOUND":
            self.note("This configuration has finished before; tracking.rerun=true trains it again.")
        elif outcome.status != "FINISHED":
            self.error(f"{outcome.status}: {outcome.reason}")
            if outcome.run_id and outcome.status == "KILLED":
                self.note("The same command goes on from its last checkpoint.")
        if outcome.run_id:
            self.console.print(f"run {outcome.run_id}: {outcome.status.lower()}")
            self.where_to_look(config.tracking)

    @contextmanager
    def sweep(self, sweep, planned: int, live: bool):
        """Runs done and left, the running ones with their losses, and the time left; read from the store."""
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(sweep, planned, stop, live), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    def _watch(self, sweep, planned: int, stop: threading.Event, live: bool) -> None:
        started, known = time.time(), set()
        estimate = _Estimate(planned, started)
        redraw = live and self.console.is_terminal
        screen = Live(console=self.console, auto_refresh=False, transient=True)
        plain_at = time.monotonic()
        if redraw:
            screen.start()
        pause, away = POLL_SECONDS, False
        while True:
            last = stop.wait(pause)
            looked_at = time.thread_time()
            try:
                with at_once():
                    children = sweep.children()
            except Exception as error:  # the display must not end the sweep
                if not away:
                    self.note(f"the store could not be read; looking again: {error}")
                children = None
            away = children is None
            if children is not None:
                for child in children:
                    if child.status != "RUNNING" and child.id not in known and (child.ended or 0) >= started:
                        known.add(child.id)
                        screen.console.print(_line(child))
                if redraw:
                    screen.update(estimate.table(children), refresh=True)
                elif live and time.monotonic() - plain_at >= PLAIN_SECONDS:
                    plain_at = time.monotonic()
                    self.console.print(estimate.summary(children))
            if last:
                break
            pause = max((time.thread_time() - looked_at) / POLL_SHARE, POLL_SECONDS)
        if redraw:
            screen.stop()

    def sweep_end(self, sweep, names: dict[str, str], status: str, reason: str | None, tracking) -> None:
        children = sweep.newest()
        failed = [key for key in names if key not in children or children[key].status != "FINISHED"]
        if failed:
            table = Table(title="Runs that did not finish")
            table.add_column("run")
            table.add_column("status")
            table.add_column("why", overflow="fold")
            for key in failed:
                child = children.get(key)
                table.add_row(names[key], child.status if child else "not started", (child.reason or "") if child else "")
            self.console.print(table)
        if status == "KILLED":
            self.error(f"KILLED: {sentence(reason)} The same command goes on where this one ended.")
        self.console.print(f"{len(names) - len(failed)} of {len(names)} runs finished")
        self.where_to_look(tracking, sweep.store.experiment_id)

    def where_to_look(self, tracking, experiment_id: str | None = None) -> None:
        """The command that opens MLflow's UI on the store, and the page to open in it."""
        uri = store_address(tracking.uri, tracking.folder)
        page = f"/#/experiments/{experiment_id}/runs" if experiment_id else ""
        if uri.startswith("http"):
            self.console.print(f"Look at it in MLflow: {uri}{page}")
        else:
            self.console.print(f"Look at it in MLflow: mlflow ui --backend-store-uri {shlex.quote(uri)}")
            self.console.print(f"and then open http://127.0.0.1:5000{page}")


class _Estimate:
    """How far a sweep is, counted in runs, and when it will be done."""

    def __init__(self, planned: int, started: float):
        self.planned = planned
        self.started = started
        self._at_start: float | None = None

    def _left(self, children) -> tuple[int, str]:
        done = sum(child.status == "FINISHED" for child in children)
        share = done + sum(_share(child) for child in children if child.status == "RUNNING")
        if self._at_start is None:
            self._at_start = share
        gained = share - self._at_start
        if gained < 0.02:
            return done, "estimating"
        seconds = (time.time() - self.started) / gained * max(self.planned - share, 0)
        return done, str(timedelta(seconds=round(seconds)))

    def summary(self, children) -> str:
        done, left = self._left(children)
        running = ", ".join(_running(child) for child in children if child.status == "RUNNING" and child.step >= 0)
        return f"{done} of {self.planned} runs done, {left} left; {running}"

    def table(self, children) -> Table:
        done, left = self._left(children)
        table = Table(box=None, title=f"{done} of {self.planned} runs done, {self.planned - done} to go, {left} left")
        for column in ("run", "step", "training loss", "held-out loss"):
            table.add_column(column)
        for child in children:
            if child.status == "RUNNING":
                loss, held_out = (child.metrics.get(name) for name in ("train/loss", "eval/loss"))
                table.add_row(
                    child.name,
                    f"{max(child.step, 0)}/{child.parameters.get('training.steps', '?')}",
                    "" if loss is None else f"{loss:.3f}",
                    "" if held_out is None else f"{held_out:.3f}",
                )
        return table


def _share(child) -> float:
    return max(child.step, 0) / float(child.parameters.get("training.steps", "inf"))


def _running(child) -> str:
    loss = child.metrics.get("train/loss")
    return f"{child.name} at step {child.step}" + (f" (loss {loss:.3f})" if loss is not None else "")


def _line(child) -> str:
    loss = child.metrics.get("eval/loss")
    text = f"{child.name}: {child.status.lower()}"
    if loss is not None:
        text += f", held-out loss {loss:.3f}"
    return text + (f" ({child.reason})" if child.reason else "")
