"""The trials of a search: each is a run like any other, known by the hash of its configuration.

A trial whose run has finished before is not trained: the study is told its result. One that was interrupted
continues from its checkpoint. The run of a trial that is pruned ends as KILLED, so it is never found as finished.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from minibert import interruption
from minibert.config import Config, config_hash
from minibert.data.corpora import Corpus, load_corpus
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.running.life import Outcome, train
from minibert.running.naming import run_name
from minibert.running.progress import Display
from minibert.running.search.checking import job_of
from minibert.running.search.reading import Asked
from minibert.running.search.space import words_of
from minibert.running.search.study import Place, Taken, optuna, release, storage_errors, take
from minibert.tracking.claims import find_finished, find_unfinished
from minibert.tracking.lookup import short_id
from minibert.tracking.records import Record
from minibert.tracking.retries import at_once
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

_logger = logging.getLogger(__name__)

RUN, HASH, NAME, REASON, FOUND = "run_id", "config_hash", "name", "reason", "found"
"""Attributes of a trial in its study: its run, the hash and name of that, why it failed, whether it was found"""


@dataclass(frozen=True)
class Work:
    """What the trials of one process share."""

    asked: Asked
    study: "Study"
    place: Place
    store: Store
    parent: str
    """Id of the run in the store that the runs of the trials are children of"""
    display: Display


def work(shared: Work) -> None:
    """Train trials until there is none left to take, or this process is asked to end.

    Raises :class:`MinibertError` when the store or the study cannot be used. The trial is taken up by the next
    command.
    """
    while interruption.reason() is None:
        try:
            taken = take(shared.study, shared.asked.search, shared.place)
        except Interrupted:
            return
        if taken is None:
            return
        try:
            _train(shared, taken)
        except (MinibertError, Interrupted):
            with storage_errors(shared.asked.search, shared.place):
                release(taken.trial)
            raise


def _train(shared: Work, taken: Taken) -> None:
    """Train one trial, and tell the study how it ended."""
    trial, tracking = taken.trial, {"parent_run": shared.parent, "sweep_keys": list(taken.values)}
    try:
        job = job_of(shared.asked, taken.values)
        corpus = load_corpus(job.config.data)
    except MinibertError as error:
        return _fail(shared, trial, words_of(taken.values), str(error))
    config = replace(job.config, tracking=replace(job.config.tracking, **tracking))
    name = run_name(config, job.choices, config.tracking.sweep_keys)
    judge = Pruning(shared, trial, config.training.steps)
    run_hash = config_hash(config, corpus.content_hash)
    with storage_errors(shared.asked.search, shared.place):
        trial.set_user_attr(HASH, run_hash)
        trial.set_user_attr(NAME, name)
    verdict = None if config.tracking.rerun else judge.recall(run_hash)
    outcome = _killed(verdict) if verdict else _trained(config, job.choices, corpus, judge)
    if outcome.status == Status.KILLED and outcome.reason == judge.verdict:
        return _prune(shared, trial, name, outcome)
    if outcome.status == Status.KILLED:
        with storage_errors(shared.asked.search, shared.place):
            return release(trial)
    if outcome.status == Status.FAILED:
        if outcome.run_id is None:
            _require_store(shared.store, outcome)
        return _fail(shared, trial, [name], outcome.reason or "failed", outcome.run_id)
    return _complete(shared, trial, name, outcome)


def _trained(config: Config, choices: dict[str, str], corpus: Corpus, judge: "Pruning") -> Outcome:
    return train(config, choices, Display.silent(), corpus, judge if judge.active else None)


def _killed(verdict: str) -> Outcome:
    return Outcome(None, Status.KILLED, verdict)


class Pruning:
    """Reports every evaluation of a trial to its study, and asks it whether the trial is worth going on."""

    def __init__(self, shared: Work, trial: "Trial", steps: int):
        search = shared.asked.search
        self._shared, self._trial = shared, trial
        self._first, self._last = search.prune_after * steps, steps
        self._metric = search.metrics[0]
        self.active = search.prunes
        self.verdict: str | None = None
        self._reported = set(shared.study._storage.get_trial(trial._trial_id).intermediate_values)

    def __call__(self, step: int, scores: Mapping[str, float]) -> str | None:
        """The reason to prune the trial at an evaluation, or None."""
        value = scores.get(self._metric)
        if step == 0 or value is None or not math.isfinite(value):
            return None
        try:
            with storage_errors(self._shared.asked.search, self._shared.place):
                if step not in self._reported:
                    self._trial.report(float(value), step)
                    self._reported.add(step)
                pruned = self._first <= step < self._last and self._trial.should_prune()
        except MinibertError as error:  # training goes on, and is not pruned here
            _logger.warning("%s", error)
            return None
        if pruned:
            self.verdict = f"pruned at step {step}: {self._metric} {value:.4g} is worse than the median there"
        return self.verdict

    def recall(self, run_hash: str) -> str | None:
        """Report what a run of this configuration has recorded already; the reason to prune it, or None.

        A run that has finished is never pruned: its result costs nothing.
        """
        if not self.active:
            return None
        store = self._shared.store
        finished = find_finished(store, run_hash)
        unfinished = None if finished else find_unfinished(store, run_hash)
        run_id = finished or (unfinished.info.run_id if unfinished else None)
        if run_id is None:
            return None
        steps, values = Record(store, run_id, "", continued=True).history(self._metric)
        for step, value in zip(steps, values, strict=True):
            if (verdict := self(step, {self._metric: value})) and not finished:
                return verdict
        self.verdict = None
        return None


def _complete(shared: Work, trial: "Trial", name: str, outcome: Outcome) -> None:
    with store_errors(shared.store.uri, f"read run {outcome.run_id}"):
        metrics = shared.store.client.get_run(cast(str, outcome.run_id)).data.metrics
    search = shared.asked.search
    values = [metrics.get(metric, math.nan) for metric in search.metrics]
    bad = [metric for metric, value in zip(search.metrics, values, strict=True) if not math.isfinite(value)]
    if bad:
        given = ", ".join(f"{metric} is {metrics.get(metric, 'not recorded')}" for metric in bad)
        return _fail(shared, trial, [name], f"{given}.", outcome.run_id)
    found = outcome.status == Status.FOUND
    with storage_errors(search, shared.place):
        trial.set_user_attr(RUN, outcome.run_id)
        trial.set_user_attr(FOUND, found)
        shared.study.tell(trial, values)
    results = ", ".join(f"{metric} {value:.4g}" for metric, value in zip(search.metrics, values, strict=True))
    was = ", found" if found else ""
    shared.display.note(f"trial {trial.number}: {results} ({name}; run {short_id(outcome.run_id or '')}{was})")


def _prune(shared: Work, trial: "Trial", name: str, outcome: Outcome) -> None:
    with storage_errors(shared.asked.search, shared.place):
        if outcome.run_id:
            trial.set_user_attr(RUN, outcome.run_id)
        trial.set_user_attr(REASON, outcome.reason)
        shared.study.tell(trial, state=optuna().trial.TrialState.PRUNED)
    shared.display.note(f"trial {trial.number}: {outcome.reason} ({name})")


def _fail(shared: Work, trial: "Trial", name: Sequence[str], reason: str, run_id: str | None = None) -> None:
    with storage_errors(shared.asked.search, shared.place):
        if run_id:
            trial.set_user_attr(RUN, run_id)
        trial.set_user_attr(NAME, " ".join(name))
        trial.set_user_attr(REASON, reason)
        shared.study.tell(trial, state=optuna().trial.TrialState.FAIL)
    shared.display.error(f"trial {trial.number} failed: {reason} ({' '.join(name)})")


def _require_store(store: Store, outcome: Outcome) -> None:
    """Raise :class:`MinibertError` if a run could not be recorded because the store is away: no fault of it."""
    try:
        with at_once():
            store.client.get_experiment(store.experiment_id)
    except Exception as error:
        raise MinibertError(f"{outcome.reason} The same command goes on with the search.") from error
