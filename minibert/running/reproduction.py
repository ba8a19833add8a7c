"""A recorded run, trained again from its record alone and compared with it to the bit.

Its configuration is the recorded one, its text must be the recorded one, and nothing is written to its record, but
for checkpoints that are asked for, where all is equal (:mod:`minibert.running.missing_checkpoints`).
Parameters are compared at the checkpoints that the run kept, and every metric that measures no time at every step
at which it was recorded. So a difference is noticed at the first step at which anything recorded shows it, and its
parameter is named at the next kept step, where training ends.

Diagnostics of the run's own modules are not computed: the run of a stranger must not run a stranger's code.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from threadpoolctl import threadpool_limits

from minibert.command_line.arguments import StoreWords, argument
from minibert.data.prepared import PreparedData
from minibert.diagnostics.catalogue import choose, names_of_level
from minibert.diagnostics.range_test.recorded import conclude_range_test
from minibert.errors import MinibertError, listed
from minibert.model.saved import load_checkpoint
from minibert.running.assembly import build_diagnostics, build_evaluation, build_trainer
from minibert.running.causes import Cause, explanation, find_causes, of_other_data
from minibert.running.comparison import (
    Difference,
    MetricDifference,
    Metrics,
    Rehearsal,
    compare_parameters,
    recorded_metrics,
    told_lacks,
)
from minibert.running.missing_checkpoints import MissingCheckpoints
from minibert.running.progress import Display
from minibert.running.recorded import as_count, as_counts
from minibert.serving.loading import SavedRun, saved_run
from minibert.tracking.artifacts import artifacts_of
from minibert.tracking.direct_records import DirectRecord
from minibert.tracking.lookup import find_run_id, open_named_store, short_id
from minibert.tracking.provenance import LANES, environment
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors
from minibert.training.checkpoints import log_spaced_steps
from minibert.training.lanes import without_warnings
from minibert.training.observers import Ended, TrainingLog
from minibert.training.trainer import NotFinite, Trainer

FAILED_STEP = re.compile(r"Step (\d+): the loss is ")
"""How the reason of a run begins that failed because of a number that was not finite"""
MOST_NAMED = 5


@dataclass(frozen=True)
class Reproduction:
    """The words of ``minibert reproduce``."""

    run: str = argument("id of a run, its first characters, its name, or last", "RUN_ID")
    steps: int | None = argument("compare up to this step only, and train no further", "N", None, as_count)
    keep: list[int] = argument(
        "steps whose checkpoints the run lacks: they are added to it, if all is equal", "[N,N]", [], as_counts
    )
    tracking: StoreWords = StoreWords()


@dataclass(frozen=True)
class Recorded:
    """A run as the store has it."""

    name: str
    status: Status
    reason: str
    tags: dict[str, str]
    saved: SavedRun
    record: DirectRecord
    last: int
    """The step that it got to; of a run that failed for a number that was not finite, the step that failed"""

    @property
    def failing(self) -> int | None:
        """The step that failed for a number that was not finite, counted from 1."""
        found = FAILED_STEP.match(self.reason) if self.status == Status.FAILED else None
        return int(found[1]) if found else None


@dataclass
class Comparison:
    """An observer of the second training: compares the parameters at the recorded checkpoints, and ends training
    as soon as no more is to be found out."""

    recorded: Recorded
    again: Rehearsal
    last: int
    equal: list[int] = field(default_factory=list)
    """Steps whose parameters are equal"""
    difference: Difference | None = None
    failure: str | None = None
    """Why the second training failed, if it did"""
    reached: int = 0
    """The last step that was trained again"""

    def __call__(self, trainer: Trainer, _step) -> None:
        step, failing = trainer.progress.step, self.recorded.failing
        self.reached = step
        if failing is None or step < failing - 1:  # what a failed run kept at its end are the trained parameters
            self.compare(step, trainer.model.params)
        done = step >= self.last or self._nothing_to_name(step)
        if self.difference or (done and not trainer.finished):
            raise Ended("compared")

    def compare(self, step: int, params) -> None:
        path = self.recorded.saved.checkpoints.get(step)
        if path is None or step > self.last:
            return
        tensors, _ = load_checkpoint(path)
        self.difference = compare_parameters(step, tensors, dict(params.items()))
        if self.difference is None:
            self.equal.append(step)

    def _nothing_to_name(self, step: int) -> bool:
        """Whether a metric differs already, and no kept step is left at which a parameter could be named."""
        kept_later = any(step < kept <= self.last for kept in self.recorded.saved.checkpoints)
        return not kept_later and any(each.step > self.last_equal for each in self.again.differing.values())

    @property
    def last_equal(self) -> int:
        """The last step whose parameters are equal; -1 if there is none"""
        return self.equal[-1] if self.equal else -1


def reproduce_run(asked: Reproduction, display: Display) -> bool:
    """Train a recorded run again and say whether it is equal to the bit. True if it is.

    Raises :class:`MinibertError` for an unknown run or step, and for a record that is broken.
    """
    store = open_named_store(asked.tracking)
    recorded = read_recorded(store, find_run_id(store.client, asked.run, experiments=[store.experiment_id]))
    last = _last(asked, recorded)
    unharmed = last if recorded.failing is None else min(last, recorded.failing - 2)
    artifacts = artifacts_of(store, recorded.saved.id)
    with MissingCheckpoints(recorded.saved, artifacts, asked.keep, unharmed) as missing:
        if missing.kept:
            display.note(f"kept already: checkpoints of the steps {', '.join(map(str, missing.kept))}")
        equal = _again(recorded, last, missing, display)
        if equal and missing.made:
            missing.add()
            display.note(f"added to the run: checkpoints of the steps {', '.join(map(str, missing.made))}")
        elif missing.steps:
            display.note("no checkpoint was added to the run")
    return equal


def _again(recorded: Recorded, last: int, missing: MissingCheckpoints, display: Display) -> bool:
    """Train again, and print what came of it. True if all is equal."""
    display.start(f"run {short_id(recorded.saved.id)} ({recorded.name}), again up to step {last:,}")
    if recorded.status != Status.FINISHED:
        reason = f" ({recorded.reason})" if recorded.reason else ""
        display.note(f"on record it is {recorded.status}{reason}, and got to step {recorded.last:,}")
    for path in recorded.saved.checkpoints.values():
        load_checkpoint(path)  # what is broken is told before anything is trained
    data = recorded.saved.prepared_data(display.note)
    causes = causes_of(recorded, data)
    for cause in causes:
        display.note(f"not one and the same: {cause.change}")
    if any(cause.kind == "data" for cause in causes):
        display.start("differs: the data are not those of the run, so it was not trained again.")
        display.note(of_other_data(causes))
        return False
    comparison = train_again(recorded, last, data, display, missing)
    return _tell(comparison, causes, display)


def read_recorded(store: Store, run_id: str) -> Recorded:
    """What the store has of a run. Raises :class:`MinibertError` where it has too little to train it again."""
    saved = saved_run(store, run_id, needs_checkpoint=False)
    with store_errors(store.uri, f"read run {run_id}"):
        entity = store.client.get_run(run_id)
    record = DirectRecord(store, run_id, entity.info.artifact_uri or "", continued=True)
    tags, status = dict(entity.data.tags), Status(entity.info.status)
    steps = saved.config.training.steps
    reason = tags.get("minibert.reason", "")
    recorded = Recorded(entity.info.run_name, status, reason, tags, saved, record, steps)
    if status == Status.FINISHED:
        return recorded
    metrics = {metric.key: metric.step for metric in entity.data.to_proto().metrics}
    reached = recorded.failing or max([metrics.get("train/loss", 0), *saved.checkpoints])
    return Recorded(entity.info.run_name, status, reason, tags, saved, record, min(reached, steps))


def causes_of(recorded: Recorded, data: PreparedData) -> list[Cause]:
    """How kernel, versions, lanes, code and data differ from the record."""
    now = environment() | {"corpus.hash": data.corpus_hash, "tokenizer.hash": data.tokenizer_hash}
    now[LANES] = str(recorded.saved.config.training.lanes)
    return find_causes(recorded.tags, now)


@without_warnings()
def train_again(
    recorded: Recorded, last: int, data: PreparedData, display: Display, missing: MissingCheckpoints
) -> Comparison:
    """Train up to the step ``last``, or to the first difference that can be named, and compare with the record."""
    config = recorded.saved.config
    with display.stage("reading the metrics on record"):
        again = Rehearsal(recorded_metrics(recorded.record))
    own = names_of_level("full")
    chosen = choose([name for name in config.diagnostics.quantities if name in own])
    diagnostics = build_diagnostics(config, chosen, again)
    diagnostics.announce = lambda name: display.now(f"last diagnostics: {name}")
    trainer = build_trainer(config, data, diagnostics)
    comparison = Comparison(recorded, again, last)
    with trainer:
        evaluation = build_evaluation(config, data, again)
        with display.training(last, evaluation):
            try:
                trainer.train([TrainingLog(again.log), evaluation, missing, comparison, display.step])
                ended = trainer.finished
            except Ended:
                ended = False
            except NotFinite as error:
                comparison.failure, ended = str(error), True
                comparison.compare(error.step, trainer.params)
    if ended:
        with display.stage("diagnostics of the whole run"), threadpool_limits(1, user_api="blas"):
            if comparison.failure is None:
                conclude_range_test(again, config)
            diagnostics.conclude()
    return comparison


def _last(asked: Reproduction, recorded: Recorded) -> int:
    if asked.steps is None:
        return recorded.last
    if asked.steps > recorded.last:
        raise MinibertError(
            f"steps={asked.steps}: run {short_id(recorded.saved.id)} got to step {recorded.last}. "
            f"Allowed: 0 to {recorded.last}."
        )
    return asked.steps


def _tell(comparison: Comparison, causes: Sequence[Cause], display: Display) -> bool:
    """Print the verdict. True if all is equal that could be compared.

    Raises :class:`MinibertError` if nothing could.
    """
    metrics = comparison.again.compared()
    differing = [*_parameters(comparison), *_failure(comparison), *_metrics(comparison, metrics)]
    lacks = _lacks(comparison, metrics)
    lacking = [f"not compared, as the record lacks it: {lack}" for lack in lacks]
    if differing:
        display.start(f"differs: {differing[0]}")
        explained = explanation(causes, of_parameters=comparison.difference is not None)
        for each in [*differing[1:], *explained, *lacking]:
            display.note(each)
        return False
    if not (comparison.equal or metrics.points or comparison.failure):
        raise MinibertError(
            f"run {short_id(comparison.recorded.saved.id)}: nothing can be compared up to step "
            f"{comparison.reached}, as the record lacks {' and '.join(lacks)}."
        )
    steps = ", ".join(map(str, comparison.equal))
    display.start(
        f"equal to the bit{', as far as the record goes' if lacks else ''}: "
        + (f"parameters at {len(comparison.equal)} checkpoints (steps {steps}) and " if steps else "")
        + f"{metrics.points:,} values of {metrics.names} metrics"
        + (f"; it fails again: {comparison.failure}" if comparison.failure else "")
    )
    if metrics.uncompared:
        display.note(
            f"not compared: {len(metrics.uncompared)} metrics that were not computed again, such as "
            f"{metrics.uncompared[0]}"
        )
    for each in lacking:
        display.note(each)
    if causes:
        display.note("what is not the same made no difference")
    return True


def _lacks(comparison: Comparison, metrics: Metrics) -> list[str]:
    """What was computed again and could not be compared, because it is not on record, in phrases."""
    recorded, training = comparison.recorded, comparison.recorded.saved.config.training
    last = comparison.reached if recorded.failing is None else min(comparison.reached, recorded.failing - 2)
    steps = log_spaced_steps(training.steps, training.checkpoint_every, training.checkpoints_per_doubling)
    gone = [str(step) for step in steps if step <= last and step not in recorded.saved.checkpoints]
    told = [f"parameters of these steps: {', '.join(listed(gone))}"] if gone else []
    if metrics.lacking:
        values = sum(len(each.steps) for each in metrics.lacking)
        told.append(f"{values:,} values: {told_lacks(metrics.lacking)}")
    return told


def _parameters(comparison: Comparison) -> list[str]:
    if comparison.difference is None:
        return []
    before = f"equal until step {comparison.equal[-1]}" if comparison.equal else "no checkpoint before it"
    return [f"parameter {comparison.difference} ({before} of those kept)"]


def _failure(comparison: Comparison) -> list[str]:
    """How the end differs, if one training failed and the other did not, or not in the same way."""
    recorded, failure = comparison.recorded, comparison.failure
    failing = recorded.failing
    expected = failing is not None and comparison.last >= failing
    if failure is not None and not (expected and recorded.reason.startswith(failure)):
        return [f"it fails now, other than on record: {failure}"]
    if failure is None and failing is not None and comparison.reached >= failing:
        return [f"it does not fail now, but on record: {recorded.reason}"]
    return []


def _metrics(comparison: Comparison, metrics: Metrics) -> list[str]:
    """The recorded values that differ, and between which steps the training became another."""
    difference, equal = comparison.difference, comparison.last_equal
    measured = [each for each in metrics.differing if each.step <= equal]
    found = [each for each in metrics.differing if each.step > equal]
    told = [_first(found, metrics.names)] if found else []
    if difference is not None:
        by = min([difference.step, *(each.step for each in found)])
        unless = (
            ", unless that value, too, is only measured otherwise" if measured and by < difference.step else ""
        )
        told.append(f"so the training became another between step {equal} and step {by}{unless}" * (equal >= 0))
        told += [] if found else [f"no recorded value from there up to step {difference.step} differs"]
    elif found:
        ended = f"training ended at step {comparison.reached}"
        told.append(f"no parameters were kept from there on, so none can be named: {ended}")
    if measured:
        more = f" and of {len(measured) - 1} more metrics" if measured[1:] else ""
        told.append(f"with equal parameters, other values are measured: of {measured[0]}{more}")
    return [each for each in told if each]


def _first(found: Sequence[MetricDifference], names: int) -> str:
    """The first recorded value that differs, and what differs at the same step."""
    first, *others = [each for each in found if each.step == found[0].step]
    shown = ", ".join(each.metric for each in others[:MOST_NAMED])
    more = f" and {len(others) - MOST_NAMED} more" if others[MOST_NAMED:] else ""
    beside = f"; at that step also {shown}{more}" if others else ""
    return f"the first recorded value that differs is {first}{beside} ({names} metrics are compared)"
