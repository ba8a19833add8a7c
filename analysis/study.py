"""A tracked sweep with its question: its runs, which of them are compared, and which are missing."""

import json
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from minibert.errors import MinibertError, unknown_name
from minibert.tracking import Store
from minibert.tracking.artifacts import artifacts_of
from minibert.tracking.history import PLANNED
from minibert.tracking.lookup import FEWEST, LAST, find_run_id
from minibert.tracking.store import store_errors
from minibert.tracking.sweeps import Child, children, search

from .assumptions import check, check_replicates, following, recorded_settings
from .quantities import quantity
from .questions_asked import asked_differently
from .tracked_runs import RANGE_TEST, SEPARATOR, TrackedRun, load, one_per_configuration
from .values import in_order, is_number, joined, same_value, shown
from .varying import explanation, varying

BETWEEN = " × "
"""Between factors"""
ALL_ALIKE = "configuration"
"""What stands for the factor if nothing but seeds varies"""
FIRST = "sweep.first."
"""What the parameters of a sweep with its first values begin with"""


@dataclass(frozen=True)
class Study:
    """A sweep with the question that its experiment file states."""

    name: str
    sweep_id: str
    question: str | None
    hypothesis: str | None
    factor: str
    label: str
    tuned: str | None
    """The key that was tuned for every value of the factor, with as many settings for each."""
    baseline: str | None
    metric: str
    target: float | None
    """A value of the metric that every run should reach."""
    command: str
    opened: str
    planned: dict[str, str]
    """Hash of the configuration -> name, of every run that the sweep asked for"""
    runs: tuple[TrackedRun, ...]
    factors: tuple[str, ...] = ()
    """If the sweep names no factor: the settings that were found to vary. ``factor`` then stands for all"""
    first: dict[str, str] = field(default_factory=dict)
    """Factor -> the value that its others are compared with"""
    asked_differently: str = ""
    """If the metric is of an instrument: what the runs were asked differently, in a sentence"""
    worked_out: str = ""
    """How ``factors`` were found, in sentences"""

    @property
    def may_share_its_name(self) -> bool:
        """Whether no experiment file stands behind it, so that other sweeps may have the same name."""
        return self.question is None and bool(self.worked_out)

    @property
    def is_range_test(self) -> bool:
        return self.metric.startswith(RANGE_TEST)

    @property
    def title(self) -> str:
        """The question that was stated or, without one, what the sweep asks by what varies in it."""
        if self.question:
            return self.question
        what = f"the {quantity(self.metric).title}"
        if not self.worked_out:
            return self.name
        if self.factor == ALL_ALIKE:
            return f"How much does {what} differ between seeds?"
        do = "do" if len(self.factors) > 1 else "does"
        return f"How {do} {joined(self.factors or (self.factor,))} affect {what}?"

    @property
    def kind(self) -> str:
        """What a group of runs is called in sentences: a value of the label, or of several settings."""
        return self.label if len(self.factors) < 2 else "combination"

    @cached_property
    def values(self) -> tuple[str, ...]:
        """The values of the factor, or the combinations of several, in the order of :attr:`values_of`."""
        found = {run.value: run.parts or (run.value,) for run in self.runs}
        places = [{part: place for place, part in enumerate(parts)} for parts in self.values_of.values()]

        def place(value: str) -> list[int]:
            return [of[part] for of, part in zip(places, found[value], strict=True)]

        return tuple(sorted(found, key=place))

    @cached_property
    def values_of(self) -> dict[str, tuple[str, ...]]:
        """Factor -> its values among the runs: numbers by their size, names in the order of the command."""
        parts = zip(*(run.parts or (run.value,) for run in self.runs), strict=True)
        return dict(zip(self.factors or (self.factor,), map(in_order, parts), strict=False))

    @cached_property
    def groups(self) -> dict[str, tuple[TrackedRun, ...]]:
        """The finished runs of every value, by seed; in a tuned study, those at its best setting.

        Empty if none has finished.
        """
        return {
            value: next((found[setting] for setting in [self.best[value]] if setting in found), ())
            for value, found in self.settings.items()
        }

    @cached_property
    def settings(self) -> dict[str, dict[str | None, tuple[TrackedRun, ...]]]:
        """Value -> setting of the tuned key -> its finished runs, by seed. Without tuning, the setting is None."""
        found: dict = {value: {} for value in self.values}
        for run in sorted(self.runs, key=lambda run: numerically(run.setting or "")):
            if run.finished:
                found[run.value][run.setting] = (*found[run.value].get(run.setting, ()), run)
        return found

    @cached_property
    def best(self) -> dict[str, str | None]:
        """Value -> the setting whose mean of the metric is best, among those where no run diverged."""
        sign = -1 if quantity(self.metric).higher_is_better else 1

        def badness(runs: tuple[TrackedRun, ...]) -> float:
            mean = sum(run.scaled(self.metric) for run in runs) / len(runs)
            return sign * mean if math.isfinite(mean) else math.inf

        return {
            value: min(found, key=lambda setting: badness(found[setting]), default=None)
            for value, found in self.settings.items()
        }

    def as_good(self, value: str) -> list[str | None]:
        """The settings of a value of the factor whose mean of the metric is that of the best one."""
        means = {
            setting: sum(run.scaled(self.metric) for run in runs) / len(runs)
            for setting, runs in self.settings[value].items()
        }
        return [setting for setting, mean in means.items() if mean == means[self.best[value]]]

    @cached_property
    def following(self) -> list[str]:
        """The settings that differ between runs because the factors, or the tuned key, do."""
        return following((*(self.factors or (self.factor,)), self.tuned), self.runs)

    @cached_property
    def missing(self) -> dict[str, str]:
        """Name -> reason, of the runs without a result."""
        states = {run.config_hash: _state(run) for run in self.runs}
        names = self.planned | {run.config_hash: run.name for run in self.runs}
        return {name: states.get(key, "never started") for key, name in names.items() if states.get(key) != ""}

    def shown(self, value: str) -> str:
        """A value, or a combination of several, as it is printed: ``0.40``, ``adamw · 0.40``."""
        return self._shown[value]

    def shown_part(self, factor: str, value: str) -> str:
        """A value of one factor as it is printed: ``0.40``."""
        return self._shown_parts[factor][value]

    @cached_property
    def _shown_parts(self) -> dict[str, dict[str, str]]:
        return {factor: shown(values) for factor, values in self.values_of.items()}

    @cached_property
    def _shown(self) -> dict[str, str]:
        parts = {run.value: run.parts or (run.value,) for run in self.runs}
        return {
            value: SEPARATOR.join(each[part] for each, part in zip(self._shown_parts.values(), found, strict=True))
            for value, found in parts.items()
        }


def load_study(store: Store, name: str, sweep_id: str | None = None) -> Study:
    """The sweep ``sweep_id``, or the last opened one of the study ``name`` that has runs.

    ``name`` may also be the id of a sweep, the first characters of it, or ``last``. Raises :class:`MinibertError`
    when there is none, and when its runs do not allow the comparison (:func:`analysis.assumptions.check`).
    """
    sweep, members = find_sweep(store, name, sweep_id)
    with store_errors(store.uri, f"read study '{name}'"):
        return _study(store, sweep, members)


def find_sweep(store: Store, name: str, sweep_id: str | None = None) -> tuple[Any, list[Child]]:
    """The sweep that :func:`load_study` takes, as MLflow has it, and its runs.

    Raises :class:`MinibertError` when there is none.
    """
    if sweep_id is not None:
        sweep_id = find_run_id(store.client, sweep_id, "--sweep", "sweep", [store.experiment_id])
    with store_errors(store.uri, f"read study '{name}'"):
        sweeps = search(store, "tags.`minibert.kind` = 'sweep'")
        if sweep_id is None and name not in map(_name, sweeps) and (meant := _meant(sweeps, name)):
            sweep_id, name = meant.info.run_id, _name(meant)
        names = {_name(sweep) for sweep in sweeps if sweep.info.run_id == sweep_id} if name == LAST else {name}
        found = [sweep for sweep in sweeps if sweep_id in (None, sweep.info.run_id) and _name(sweep) in names]
        if not found and name not in map(_name, sweeps):
            raise _unknown_study(store, name, sorted(set(map(_name, sweeps))))
        for sweep in sorted(found, key=lambda sweep: sweep.data.tags["minibert.opened"], reverse=True):
            if members := children(store, sweep.data.tags["minibert.sweep_hash"]):
                return sweep, members
    which = f"sweep {sweep_id} of it has no" if sweep_id else "no sweep of it has any"
    raise MinibertError(f"study '{name}': {which} runs in {store.uri}.")


def _meant(sweeps: list, word: str):
    """The sweep that an id, the first characters of one, or ``last`` stands for; None if there is none."""
    if word == LAST:
        return max(sweeps, key=lambda sweep: sweep.data.tags["minibert.opened"], default=None)
    found = [sweep for sweep in sweeps if len(word) >= FEWEST and sweep.info.run_id.startswith(word.lower())]
    return found[0] if len(found) == 1 else None


def _study(store: Store, sweep, members: list[Child]) -> Study:
    parameters, tags, name = sweep.data.params, sweep.data.tags, _name(sweep)

    def stated(key: str) -> str | None:
        # MLflow never changes a parameter: tags hold what the last command stated differently.
        value = tags.get(f"study.{key}", parameters.get(f"study.{key}"))
        return None if value == "null" else value

    metric, tuned = stated("metric") or "eval/loss", stated("tuned")
    swept = json.loads(parameters.get("sweep.keys", "[]"))
    planned = _planned(store, sweep.info.run_id, members)
    asked = {config_hash: place for place, config_hash in enumerate(planned)}
    chosen = sorted(one_per_configuration(members), key=lambda child: asked.get(child.config_hash, len(asked)))
    recorded = [recorded_settings(child.parameters, child.tags) for child in chosen]
    stated_factor = stated("factor")
    if stated_factor is None:
        factors, tuned = tuple(varying(recorded, swept)), None
    else:
        factors = (stated_factor,)
    runs = load(store, chosen, factors, tuned, metric)
    worked_out = ""
    if stated_factor is None:
        check_replicates(name, factors, metric, runs)
        all_begun = planned.keys() <= {child.config_hash for child in members}
        worked_out = explanation(recorded, factors, _most_replicates(runs), all_begun)
    else:
        check(name, stated_factor, tuned, metric, swept, runs)
    first = {key: parameters[FIRST + key] for key in factors if FIRST + key in parameters}
    baseline = stated("baseline") or (first.get(factors[0]) if worked_out and len(factors) == 1 else None)
    if baseline is not None:
        baseline = next((run.value for run in runs if same_value(run.value, baseline)), baseline)
    factor = BETWEEN.join(factors) or ALL_ALIKE
    return Study(
        name=name,
        sweep_id=sweep.info.run_id,
        question=stated("question"),
        hypothesis=stated("hypothesis"),
        factor=factor,
        label=stated("label") or factor,
        tuned=tuned,
        baseline=baseline,
        metric=metric,
        asked_differently=asked_differently(store, runs, metric),
        target=None if (target := stated("target")) is None else float(target),
        command=tags.get("minibert.command", f"python -m minibert.run {shlex.quote(f'+experiment={name}')}"),
        opened=tags["minibert.opened"],
        planned=planned,
        runs=_by_value(runs),
        factors=factors if worked_out else (),
        first=first,
        worked_out=worked_out,
    )


def _most_replicates(runs: Iterable[TrackedRun]) -> int:
    return max(Counter(run.value for run in runs).values(), default=0)


def _by_value(runs: Sequence[TrackedRun]) -> tuple[TrackedRun, ...]:
    """The runs, which are in the order of the command, by their values and seeds."""
    parts = zip(*(run.parts for run in runs), strict=True)
    places = [{value: place for place, value in enumerate(in_order(values))} for values in parts]

    def place(run: TrackedRun) -> tuple:
        return [of[part] for of, part in zip(places, run.parts, strict=True)], run.seed or 0, run.name

    return tuple(sorted(runs, key=place))


def _planned(store: Store, sweep_id: str, members: list[Child]) -> dict[str, str]:
    try:
        planned = json.loads(artifacts_of(store, sweep_id).read(PLANNED))
    except Exception:
        # The sweep was killed before it recorded its plan, or its artifacts are lost. Report on its runs.
        return {}
    if planned and isinstance(planned[0], str):  # names alone, from an earlier version
        hashes = {child.name: child.config_hash for child in members}
        return {str(hashes.get(name, name)): name for name in planned}
    return {run["config_hash"]: run["name"] for run in planned}


def _name(sweep) -> str:
    return sweep.info.run_name


def _unknown_study(store: Store, name: str, known: list[str]) -> MinibertError:
    if known:
        return unknown_name("study", name, known)
    return MinibertError(f"study '{name}': {store.uri} holds no sweep yet. Run one: `make sweep`.")


def _state(run: TrackedRun) -> str:
    if run.finished:
        return ""
    if run.status == "RUNNING":
        return "not finished: still running, or killed without a record of it"
    return f"{run.status.lower()}: {run.reason or 'no reason recorded'}"


def numerically(text: str) -> tuple:
    """A key that sorts numbers by size, and before names."""
    return (0, float(text), text) if is_number(text) else (1, 0.0, text)
