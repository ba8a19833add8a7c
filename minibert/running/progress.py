"""What the terminal shows while runs are trained."""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from minibert.command_line.terminal import open_console, print_table
from minibert.errors import MinibertError, sentence
from minibert.running.estimate import Estimate, ended_line, seconds_as_text
from minibert.tracking import pages
from minibert.tracking.lookup import short_id
from minibert.tracking.results import BIGRAM, beside, losses, read_result
from minibert.tracking.retries import at_once
from minibert.tracking.status import Status

POLL_SHARE = 0.03
"""Largest share of the time that is spent on reading the runs of a sweep from the store"""
POLL_SECONDS = 2.0
"""Least time between two readings"""
ESTIMATE_AFTER = 5
"""Steps of this process before the time left is estimated"""
PLAIN_SECONDS = 30.0
"""Time between two lines of progress if the output is not a terminal"""
MOST_ROWS = 60
"""Most runs in the table at the end of a sweep: those with the lowest losses"""
HINT = (
    "The loss is above that of the bigram model, which knows only the preceding word: the network has not learnt "
    "to use the context yet. Try more training.steps or another optimizer.learning_rate."
)


class Display:
    """Notes, progress and results: redrawn in a terminal, as lines in a pipe or a log."""

    def __init__(self, quiet: bool = False):
        self.console = open_console(quiet=quiet)
        self._errors = open_console(stderr=True)
        self._progress: Progress | None = None
        self._begun: tuple[int, float] | None = None

    @classmethod
    def silent(cls) -> "Display":
        """A display that prints errors only, for the runs of a sweep: that has a display of its own."""
        return cls(quiet=True)

    def start(self, title: str) -> None:
        self.console.print(title, style="bold")

    def note(self, message: str) -> None:
        self.console.print(message, style="dim")

    def error(self, message: str) -> None:
        self._errors.print(message, style="red")

    @contextmanager
    def training(self, steps: int, evaluation) -> Iterator[None]:
        """A bar while one run is trained: step, loss, time elapsed and, after some steps, time left."""
        self._evaluation, self._steps = evaluation, steps
        self._plain_at = time.monotonic()
        self._begun = None
        with self._bar("training step {task.completed:,.0f}/{task.total:,.0f}") as progress:
            self._progress = progress
            self._task = progress.add_task("", total=steps, now="")
            try:
                yield
            finally:
                self._progress = None

    def _bar(self, count: str) -> Progress:
        columns = (
            TextColumn(count, markup=False),
            BarColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("elapsed"),
        )
        return Progress(*columns, console=self.console, disable=not self.console.is_terminal)

    def now(self, what: str) -> None:
        """Name what is computed besides training steps, such as a diagnostic at the end."""
        if not self.console.is_terminal:
            self.note(what)
        elif self._progress is not None:
            self._progress.update(self._task, now=f"{what},")

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Within this context, name what is done after the last step."""
        if not self.console.is_terminal:
            self.note(what)
            yield
            return
        with self.console.status(Text(what)):
            yield

    def track(self, items, what: str):
        """Go through the items with a bar in a terminal, or with a line for each."""
        if not self.console.is_terminal:
            for number, item in enumerate(items, 1):
                self.console.print(f"{what} {item} ({number} of {len(items)})")
                yield item
            return
        with self._bar("{task.completed:.0f} of {task.total:.0f}") as progress:
            task = progress.add_task("", total=len(items), now="")
            for item in items:
                progress.update(task, now=f"{what} {item},")
                yield item
                progress.advance(task)

    def step(self, trainer, step) -> None:
        """An observer of the trainer that moves the bar of :meth:`training`."""
        if self._progress is None:
            return
        done, steps = trainer.progress.step, self._steps
        left = self._left(done, steps)
        left = f", about {left} to the last step" if left else ""
        if step is None:
            return
        held_out = self._evaluation.latest.get("eval/loss")
        text = f"loss {step.loss:.3f}" + (f", held out {held_out:.3f}" if held_out is not None else "")
        now = f"{text}, last diagnostics" if done == steps else text
        self._progress.update(self._task, completed=done, now=f"{now}{left},")
        if not self.console.is_terminal and time.monotonic() - self._plain_at >= PLAIN_SECONDS:
            self._plain_at = time.monotonic()
            self.console.print(f"training step {done:,} of {steps:,}, {text}{left}")

    def _left(self, done: int, steps: int) -> str:
        """The time that the remaining steps will take, evaluations included; empty if that is unknown.

        Only the steps of this process count, not those of an earlier one that it continues.
        """
        now = time.monotonic()
        if self._begun is None:
            self._begun = (done, now)
        first, began = self._begun
        if done - first < ESTIMATE_AFTER or done >= steps:
            return ""
        return seconds_as_text((now - began) / (done - first) * (steps - done))

    def end(self, outcome, predicts_words: bool = True) -> None:
        """How a single run ended, its result, and where to find it.

        Advice on a high held-out loss is given only to one that ``predicts_words``.
        """
        if outcome.status == Status.FOUND:
            self.note("This configuration was trained before; tracking.rerun=true trains it again.")
        elif outcome.status != Status.FINISHED:
            self.error(f"{outcome.status}: {outcome.reason}")
            if outcome.run_id and outcome.status == Status.KILLED:
                self.note("The same command continues from the last checkpoint.")
        if not outcome.run_id:
            return
        try:
            result = outcome.result or read_result(outcome.store, outcome.run_id)
            self.console.print(result.line())
            if predicts_words and result.stays_above_bigram:
                self.note(HINT)
        except MinibertError as error:  # the run has ended nevertheless
            self.console.print(f"run {short_id(outcome.run_id)} {outcome.status.lower()}")
            self.error(str(error))
        self.where_to_look(outcome.store, pages.page(outcome.store, outcome.run_id))

    @contextmanager
    def sweep(self, sweep, planned: Collection[str], live: bool):
        """Within this context, show the runs that are done and being trained, their losses and the time left.

        ``planned``: the hashes of the runs that this command asks for. The sweep may have others.
        """
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(sweep, planned, stop, live), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    def _watch(self, sweep, planned: Collection[str], stop: threading.Event, live: bool) -> None:
        started, known = time.time(), set()
        estimate = Estimate(len(planned), started)
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
                    children = [child for child in sweep.children() if child.config_hash in planned]
            except Exception as error:  # the display must not end the sweep
                if not away:
                    self.note(f"the store could not be read; trying again: {error}")
                children = None
            away = children is None
            if children is not None:
                estimate.note(children)
                for child in children:
                    if child.status != Status.RUNNING and child.id not in known and (child.ended or 0) >= started:
                        known.add(child.id)
                        screen.console.print(ended_line(child))
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

    def sweep_end(self, sweep, names: dict[str, str], status: Status, reason: str | None) -> None:
        """A table of the runs that finished, one of those that did not, and where to find the sweep."""
        children = sweep.newest()
        finished = {
            key: children[key] for key in names if key in children and children[key].status == Status.FINISHED
        }
        if finished:
            print_table(self.console, _results({names[key]: child for key, child in finished.items()}))
        failed = [key for key in names if key not in finished]
        if failed:
            table = Table(title="Runs that did not finish", title_justify="left")
            for column in ("run", "status", "why"):
                table.add_column(column)
            for key in failed:
                child = children.get(key)
                state = (child.status, child.reason or "") if child else ("not started", "")
                table.add_row(names[key], *state)
            print_table(self.console, table)
        if status == Status.KILLED:
            self.error(f"KILLED: {sentence(reason)} The same command continues the sweep.")
        self.console.print(f"{len(finished)} of {len(names)} runs finished, sweep {short_id(sweep.id)}")
        self.where_to_look(sweep.store, pages.page(sweep.store, sweep.id))

    def where_to_look(self, store, page: str) -> None:
        """The command that starts MLflow's pages on the store, and the address of the page."""
        command = pages.open_command(store)
        if command is None:
            self.console.print(f"Page in MLflow: {page}")
        else:
            self.console.print(f"To see it in MLflow: {command}")
            self.console.print(f"and then open {page}")


def _results(finished: dict) -> Table:
    """The results of the runs of a sweep, by name, and the losses of the baselines on the same text."""
    shown = dict(finished)
    table = Table(title="Runs", title_justify="left", caption_justify="left")
    if len(shown) > MOST_ROWS:
        best = sorted(shown, key=lambda name: losses(shown[name].metrics)["loss"] or float("inf"))[:MOST_ROWS]
        shown = {name: shown[name] for name in finished if name in set(best)}
        table.title = f"The {MOST_ROWS} runs of {len(finished)} with the lowest losses"
    for column in ("run", "id", "held-out loss", "masked accuracy", "time"):
        table.add_column(column, justify="left" if column in ("run", "id") else "right")
    for name, child in shown.items():
        loss, accuracy = losses(child.metrics)["loss"], child.metrics.get("eval/masked_accuracy")
        table.add_row(
            name,
            short_id(child.id),
            "" if loss is None else f"{loss:.3f}",
            "" if accuracy is None else f"{accuracy:.1%}",
            "" if child.seconds is None else seconds_as_text(child.seconds),
        )
    found = [losses(child.metrics) for child in shown.values()]
    baselines = {beside(each["unigram"], each["bigram"]) for each in found}
    if len(baselines) == 1 and any(BIGRAM in child.metrics for child in shown.values()):
        table.caption = f"Nats per masked token; on the same text{baselines.pop()}."
    return table
