"""Contenders that take turns, round after round, each in a process of its own (A B C A B C ...).

So a change in the machine's speed meets all of them. Times are taken after a warm-up of five steps and after the
first step of every turn. A turn during which other processes were busy is taken again, a few times at most:
threads that wait for each other suffer from them out of proportion.
"""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from minibert.command_line.terminal import open_console
from tests.benchmarks.contenders import Entry
from tests.benchmarks.report import Measurement, most_disturbed
from tests.benchmarks.worker import QUIET, Worker, WorkerError
from tests.benchmarks.workload import Shape, Workload, draw_batches, initial_parameters, physical_cores

WARM_UP = 5
TURN_SECONDS = 2.0
LEAST_STEPS, MOST_STEPS = 5, 100

console = open_console()


def available(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Those that can take part here; the others are named aloud, with the reason."""
    skipped: dict[str, list[str]] = {}
    for name, entry in entries.items():
        if reason := entry.obstacle():
            skipped.setdefault(reason, []).append(name)
    for reason, names in skipped.items():
        console.print(f"skipped {'; '.join(names)}: {reason}", style="yellow")
    left_out = {name for names in skipped.values() for name in names}
    return {name: entry for name, entry in entries.items() if name not in left_out}


def take_turns(
    title: str,
    entries: dict[str, Entry],
    shape: Shape,
    dropout: float,
    steps: int | None,
    rounds: int,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Measurement]:
    """Let the contenders take turns of ``steps``; one that fails is named aloud and left out.

    Without ``steps``, as many as the first contender takes in two seconds, but 5 at least. Their processes have
    the ``environment`` given, or this one's.
    """
    shared = Workload(shape, dropout, physical_cores(), draw_batches(shape), parameters=None)
    start = initial_parameters(shape) if any(entry.takes_parameters for entry in entries.values()) else None
    measured: dict[str, Measurement] = {}
    workers: dict[str, Worker] = {}
    with ExitStack() as stack:
        for name, entry in entries.items():
            workload = replace(shared, parameters=start) if entry.takes_parameters else shared
            try:
                with console.status(f"{title}: warming {name} up"):
                    worker = Worker(entry, workload, environment)
                    stack.callback(worker.close)
                    turn = worker.steps(WARM_UP - 1)
            except WorkerError as error:
                console.print(f"{name} failed: {error}", style="red")
                continue
            workers[name] = worker
            measured[name] = Measurement(name, worker.about, losses=turn.losses)
            if steps is None:
                steps = min(max(math.ceil(TURN_SECONDS / np.median(turn.seconds)), LEAST_STEPS), MOST_STEPS)
        for number in range(rounds):
            for name, worker in workers.items():
                with console.status(f"{title}: round {number + 1} of {rounds}, {name}"):
                    turn, attempts = worker.undisturbed_steps(steps)
                measured[name].retaken += attempts - 1
                measured[name].rounds.append(turn.seconds)
                measured[name].losses += turn.losses
                measured[name].others.append(turn.others)
        for name, worker in workers.items():
            measured[name].peak_memory = worker.peak_memory()
    return measured


def tell_of_disturbance(measured: dict[str, Measurement]) -> bool:
    """Say how far other processes were in the way. Returns whether the machine was quiet."""
    retaken = sum(measurement.retaken for measurement in measured.values())
    if retaken:
        console.print(f"{retaken} turns were taken again because other processes were busy")
    disturbed = most_disturbed(measured)
    if disturbed > QUIET:
        console.print(f"not a quiet machine: up to {disturbed:.0%} of a turn went to others", style="yellow")
    return disturbed <= QUIET


def title_of(name: str, shape: Shape, dropout: float) -> str:
    return (
        f"{name}, dropout {dropout:g}: D {shape.hidden_size}, L {shape.layers}, H {shape.heads}, "
        f"F {shape.feed_forward_size}, V {shape.vocab_size}, B {shape.sequences}, T {shape.tokens}, "
        f"{shape.predictions} predictions a sequence"
    )
