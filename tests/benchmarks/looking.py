"""A short training that is looked at: seconds of every look, of the steps between, and of the end."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from minibert.config import Config
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.prepared import PreparedData
from minibert.data.training_batches import build_batches, probe_batch
from minibert.diagnostics.engine.dispatch import PASS_AFTER, PROBE_PASS, Diagnostics
from minibert.diagnostics.engine.registry import AFTER_UPDATE, AT_END, NEEDS_HISTORY, Diagnostic
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.training.observers import TrainingLog
from minibert.training.trainer import Trainer

HOLDING = "holding still"
"""What a step that is looked at takes beyond diagnostics and passes: copies of parameters and gradients"""
LAST_PASS = "pass at the end"
SHARED = {PROBE_PASS: "probe", PASS_AFTER: "after"}
"""Passes that several diagnostics share -> what is asked for to have them"""
LOG, REGULAR, END = "log-spaced", "regular", "end"
"""When a look is taken: at the log-spaced steps, every so many steps, at the end of training"""

WARM_UP, BETWEEN = 3, 5
"""Steps before the first look, and from one look to the next"""


class MemoryRecord:
    """A record of a run that nothing but memory holds: metrics and arrays as they are read again."""

    def __init__(self):
        self._metrics: dict[str, dict[int, float]] = {}
        self._arrays: dict[str, dict[int, dict[str, np.ndarray]]] = {}

    def log(self, metrics, step):
        for name, value in metrics.items():
            self._metrics.setdefault(name, {})[step] = float(value)

    def log_arrays(self, name, step, arrays):
        self._arrays.setdefault(name, {})[step] = arrays

    def log_figure(self, figure, path):
        pass

    def log_dict(self, content, path):
        pass

    def set_tags(self, tags):
        pass

    def history(self, metric):
        points = sorted(self._metrics.get(metric, {}).items())
        return [step for step, _ in points], [value for _, value in points]

    def metric_names(self, prefix=""):
        return sorted(name for name in self._metrics if name.startswith(prefix))

    def arrays(self, name):
        return dict(sorted(self._arrays.get(name, {}).items()))


@dataclass
class Looked:
    """Seconds, each taken several times but for what is done once, at the end."""

    steps: list[float] = field(default_factory=list)
    """Of the training steps that nobody looks at"""
    looks: dict[str, list[float]] = field(default_factory=dict)
    """Of every diagnostic, every shared pass and :data:`HOLDING`, look by look"""
    end: dict[str, float] = field(default_factory=dict)
    """Of every diagnostic and pass at the end of training"""
    failed: dict[str, str] = field(default_factory=dict)
    """Diagnostic -> why it has no time"""

    @property
    def step(self) -> float:
        return float(np.median(self.steps))

    def seconds(self, name: str, when: str) -> float | None:
        """Of one look; None where it was not taken, or failed."""
        if name in self.failed or name not in (self.end if when == END else self.looks):
            return None
        return self.end[name] if when == END else float(np.median(self.looks[name]))


def look(config: Config, data: PreparedData, chosen: list[Diagnostic], looks: int) -> Looked:
    """Train as a run does, and let all diagnostics look every few steps, whatever their own schedule; then end.

    The first look, which imports and warms up, is not counted. Raises :class:`MinibertError` where the configured
    training is too short for so many looks.
    """
    at = [WARM_UP + BETWEEN * number for number in range(looks + 1)]
    last, record, found = at[-1] + BETWEEN, MemoryRecord(), Looked()
    if last > config.training.steps:
        raise MinibertError(
            f"training.steps={config.training.steps}: {looks} looks take {last} steps. Allowed: as many and more."
        )
    often = [each if each.every == "end" else replace(each, every="log") for each in chosen]
    diagnostics = Diagnostics(often, [*at, last], last, record)
    model = MiniBERT(config.model, config.seeds.init, log_unigram_frequencies(data.unigram_counts))
    batches, log = build_batches(config, data), TrainingLog(record.log)
    held = []
    probe = probe_batch(config, data)
    with Trainer(model, batches, config, batches.adapting, diagnostics, data, probe) as trainer:
        for step in range(last):
            seconds, spent, result = _timed(trainer.step, diagnostics)
            log(trainer, result)
            if step in at[1:]:
                held.append(seconds - sum(spent.values()))
                for name, taken in spent.items():
                    found.looks.setdefault(name, []).append(taken)
            elif step == last - 1:
                after_last_update = spent
            elif step >= WARM_UP and step not in at and step + 1 not in at:  # before a look, its gradient is kept
                found.steps.append(seconds)
        seconds, found.end, _ = _timed(trainer.examine, diagnostics)
        found.end[LAST_PASS] = seconds - sum(found.end.values())
        found.end |= after_last_update | _timed(diagnostics.conclude, diagnostics)[1]
    found.looks[HOLDING] = [seconds - found.step for seconds in held]
    found.failed = diagnostics.failed
    return found


def _timed(function, diagnostics: Diagnostics) -> tuple[float, dict[str, float], object]:
    """Seconds of a call, those of them spent on each diagnostic and pass, and what it returned."""
    before, started = dict(diagnostics.seconds), time.perf_counter()
    result = function()
    seconds = time.perf_counter() - started
    spent = {name: after - before[name] for name, after in diagnostics.seconds.items() if after > before[name]}
    return seconds, spent, result


def count_looks(chosen: Iterable[Diagnostic], steps: Iterable[int], last: int) -> Counter[tuple[str, str]]:
    """(diagnostic or what is shared, when) -> looks in a run of ``last`` steps with these log-spaced ``steps``.

    What several ask for at one step is counted once: as log-spaced where a log-spaced one asks, else as regular,
    else as of the end. Left out, as in a run, is what needs an update after the last step or a gradient before the
    first.
    """
    chosen, steps = list(chosen), frozenset(steps)
    looks: Counter[tuple[str, str]] = Counter()
    for step in range(last + 1):
        due = {LOG: [], REGULAR: [], END: []}
        for each in chosen:
            lacks = (step == last and each.asks & AFTER_UPDATE) or (step == 0 and each.asks & NEEDS_HISTORY)
            if each.due(step, steps, last) and not lacks:
                due[when(each)].append(each)
        shared = {}
        for schedule, looking in reversed(due.items()):
            looks.update((each.name, schedule) for each in looking)
            asks = frozenset().union(*(each.asks for each in looking))
            shared |= {name: schedule for name, ingredient in SHARED.items() if ingredient in asks}
            if looking:
                shared |= {HOLDING: schedule} if step < last else {LAST_PASS: END}
        looks.update(shared.items())
    looks.update((each.name, END) for each in chosen if each.asks & AT_END)
    return looks


def when(each: Diagnostic) -> str:
    return {"log": LOG, "end": END}.get(each.every, REGULAR)
