"""How a run that trains is shown in a terminal, and as lines in a pipe or a log."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from minibert.running.estimate import seconds_as_text
from minibert.tracking.lookup import short_id
from minibert.tracking.results import beside
from minibert.tracking.status import Status
from minibert.watching.state import State

BLOCKS = "▁▂▃▄▅▆▇█"
MOST_CURVE = 72
"""Characters of a curve"""
SMALL_CURVE = 24
EVALUATIONS = 5
"""Held-out losses that are listed: the last ones"""
SILENT_SECONDS = 60.0
"""Without a new point for so long, the view says so"""
COLOURS = {"problem": "bold red", "warning": "yellow", "note": "dim"}


def sparkline(values: Sequence[float], width: int = MOST_CURVE) -> str:
    """The values from left to right as blocks from the least to the largest; a point where there is no number.

    >>> sparkline([4.0, 3.0, 2.0, 2.0, 1.0])
    '█▆▃▃▁'
    """
    shares = np.array_split(np.asarray(values, np.float64), min(width, len(values))) if len(values) else []
    means = [float(np.mean(share)) for share in shares]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((mean - low) * scale)] if math.isfinite(mean) else "·" for mean in means)


def summary(state: State) -> str:
    """One line: how far the run is, its losses, its speed, and the time left."""
    parts = [f"step {max(state.step, 0):,}/{state.steps:,}"]
    if state.training[1]:
        parts.append(f"loss {state.training[1][-1]:.3f}")
    if state.held_out[1]:
        parts.append(f"held out {state.held_out[1][-1]:.3f}{_levels(state)}")
    return ", ".join([*parts, *_pace(state)])


def ending(state: State) -> str:
    """The line of a run that has ended, and, of one that did not finish, why."""
    line = f"run {short_id(state.id)} {state.status.lower()} at step {max(state.step, 0):,} of {state.steps:,}"
    if state.held_out[1]:
        line += f": held-out loss {state.held_out[1][-1]:.3f}{_levels(state)}"
    return f"{line} ({state.why})" if state.why else line


def view(state: State) -> RenderableType:
    """The whole view."""
    title = Text(state.name, style="bold", overflow="ellipsis", no_wrap=True)
    head = Text(f"run {short_id(state.id)}: {state.phase}", style="" if _is_well(state) else "red")
    parts: list[RenderableType] = [title, head]
    if state.why:
        parts.append(Text(state.why, style="red"))
    bar = Table.grid(padding=(0, 1))
    far = Text(", ".join([f"step {max(state.step, 0):,} of {state.steps:,}", *_pace(state)]))
    bar.add_row(ProgressBar(max(state.steps, 1), max(state.step, 0), width=SMALL_CURVE), far)
    parts.append(bar)
    parts += [*_losses(state), *_updates(state), *_findings(state)]
    return Group(*parts)


def finding_line(finding) -> Text:
    """A finding as one paragraph."""
    return Text.assemble((f"{finding.severity}: ", COLOURS[finding.severity]), str(finding).partition(": ")[2])


def _pace(state: State) -> list[str]:
    parts = [f"{state.speed.tokens:,.0f} tokens/s"] if state.speed and not state.has_ended else []
    parts.append(f"{seconds_as_text(state.elapsed)} elapsed")
    if state.seconds_left is not None:
        parts.append(f"about {seconds_as_text(state.seconds_left)} to the last step")
    if state.silent is not None and state.silent > SILENT_SECONDS:
        parts.append(f"nothing new for {seconds_as_text(state.silent)}")
    return parts


def _is_well(state: State) -> bool:
    return not state.has_ended or state.status == Status.FINISHED


def _losses(state: State) -> Iterable[RenderableType]:
    curves = _table("loss (nats)", "first", "last", "least", "")
    for name, (_, values) in (("training", state.training), ("held out", state.held_out)):
        if values:
            curves.add_row(
                name,
                *(f"{value:.3f}" for value in (values[0], values[-1], np.nanmin([*values, math.inf]))),
                sparkline(values, MOST_CURVE - 34),
            )
    if not curves.row_count:
        return
    yield from (Text(), curves)
    for name, value in state.levels.items():
        yield Text(f"{name} {value:.3f} nats, of the same held-out text", style="dim")
    accuracies = dict(zip(*state.accuracies, strict=True))
    evaluations = list(zip(*state.held_out, strict=True))[-EVALUATIONS:]
    if evaluations:
        shown = _table("step", "held-out loss", "masked accuracy")
        for step, loss in evaluations:
            shown.add_row(f"{step:,}", f"{loss:.3f}", f"{accuracies[step]:.1%}" if step in accuracies else "")
        yield from (Text(), shown)


def _updates(state: State) -> Iterable[RenderableType]:
    if not state.updates:
        return
    last = max(steps[-1] for steps, _ in state.updates.values())
    shown = _table(f"update / weights, step {last:,}", "ratio", "over the measured steps")
    for part, (_, values) in state.updates.items():
        shown.add_row(_words(part), f"{values[-1]:.1e}", sparkline(_logarithms(values), SMALL_CURVE))
    yield from (Text(), shown)


def _findings(state: State) -> Iterable[RenderableType]:
    yield Text()
    if not state.findings:
        yield Text("Nothing is wrong in what is recorded." if state.training[0] else "", style="dim")
    for each in state.findings:
        yield finding_line(each)


def _levels(state: State) -> str:
    return beside(state.levels.get("unigram entropy"), state.levels.get("bigram model"))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < number < len(columns) - 1 else "left", no_wrap=True)
    return table


def _words(part: str) -> str:
    return "whole network" if part == "global" else part.replace("_", " ")


def _logarithms(history: Sequence[float]) -> list[float]:
    return [math.log(value) if value > 0 else math.nan for value in history]
