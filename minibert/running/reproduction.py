"""A recorded run, trained again from its record alone and compared with it to the bit.

Its configuration is the recorded one, its text must be the recorded one, and nothing is written to its record.
Parameters are compared at the checkpoints that the run kept, up to the first that differs, and every metric that
measures no time at every step until there.

Diagnostics of the run's own modules are not computed: the run of a stranger must not run a stranger's code.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from minibert.command_line.arguments import StoreWords, argument
from minibert.data.prepared import PreparedData, prepare_data
from minibert.diagnostics.catalogue import choose, names_of_level
from minibert.diagnostics.range_test.recorded import conclude_range_test
from minibert.errors import MinibertError
from minibert.model.saved import load_checkpoint
from minibert.running.assembly import build_diagnostics, build_evaluation, build_trainer
from minibert.running.comparison import Difference, Metrics, Rehearsal, compare_metrics, compare_parameters
from minibert.running.progress import Display
from minibert.serving.loading import SavedRun, saved_run
from minibert.tracking.lookup import find_run_id, open_named_store, short_id
from minibert.tracking.provenance import LANES, changed, continuations, environment, explained
from minibert.tracking.records import Record
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors
from minibert.training.lanes import without_warnings
from minibert.training.observers import Ended, TrainingLog
from minibert.training.trainer import NotFinite, Trainer

FAILED_STEP = re.compile(r"Step (\d+): the loss is ")
"""How the reason of a run begins that failed because of a number that was not finite"""
MOST_NAMED = 5


def as_count(given: str, key: str, value: str) -> int:
    """A number of steps."""
    if not (value.isascii() and value.isdecimal()):
        raise MinibertError(f"{given}: not a number of steps. Allowed: a whole number, such as {key}=64.")
    return int(value)


@dataclass(frozen=True)
class Reproduction:
    """The words of ``minibert reproduce``."""

    run: str = argument("id of a run, its first characters, its name, or last", "RUN_ID")
    steps: int | None = argument("compare up to this step only, and train no further", "N", None, as_count)
    tracking: StoreWords = StoreWords()


@dataclass(frozen=True)
class Recorded:
    """A run as the store has it."""

    name: str
    status: Status
    reason: str
    tags: dict[str, str]
    saved: SavedRun
    record: Record
    last: int
    """The step that it got to; of a run that failed for a number that was not finite, the step that failed"""

    @property
    def failing(self) -> int | None:
        """The step that failed for a number that was not finite, counted from 1."""
        found = FAILED_STEP.match(self.reason) if self.status == Status.FAILED else None
        return int(found[1]) if found else None


@dataclass
class Comparison:
    """An observer of the second training: compares the parameters at the recorded checkpoints, and ends at the
    first that differ."""

    recorded: Recorded
    last: int
    equal: list[int]
    """Steps whose parameters are equal"""
    difference: Difference | None = None
    failure: str | None = None
    """Why the second training failed, if it did"""

    def __call__(self, trainer: Trainer, _step) -> None:
        step, failing = trainer.progress.step, self.recorded.failing
        if failing is None or step < failing - 1:  # what a failed run kept at its end are the trained parameters
            self.compare(step, trainer.model.params)
        if self.difference or (step >= self.last and not trainer.finished):
            raise Ended("compared")

    def compare(self, step: int, params) -> None:
        path = self.recorded.saved.checkpoints.get(step)
        if path is None or step > self.last:
            return
        tensors, _ = load_checkpoint(path)
        self.difference = compare_parameters(step, tensors, dict(params.items()))
        if self.difference is None:
            self.equal.append(step)


def reproduce_run(asked: Reproduction, display: Display) -> bool:
    """Train a recorded run again and say whether it is equal to the bit. True if it is.

    Raises :class:`MinibertError` for an unknown run or step, and for a record that is broken.
    """
    store = open_named_store(asked.tracking)
    recorded = read_recorded(store, find_run_id(store.client, asked.run, experiments=[store.experiment_id]))
    last = _last(asked, recorded)
    config = recorded.saved.config
    display.start(f"run {short_id(recorded.saved.id)} ({recorded.name}), again up to step {last:,}")
    if recorded.status != Status.FINISHED:
        reason = f" ({recorded.reason})" if recorded.reason else ""
        display.note(f"on record it is {recorded.status}{reason}, and got to step {recorded.last:,}")
    for path in recorded.saved.checkpoints.values():
        load_checkpoint(path)  # what is broken is told before anything is trained
    data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length, display.note)
    causes = differences(recorded, data)
    for cause in causes:
        display.note(f"not one and the same: {cause}")
    if any(cause.startswith("data") for cause in causes):
        display.start("differs: the data are not those of the run, so it was not trained again.")
        _explain(causes, display)
        return False
    comparison, metrics = train_again(recorded, last, data, display)
    return _tell(comparison, metrics, causes, display)


def read_recorded(store: Store, run_id: str) -> Recorded:
    """What the store has of a run. Raises :class:`MinibertError` where it has too little to train it again."""
    saved = saved_run(store, run_id)
    with store_errors(store.uri, f"read run {run_id}"):
        entity = store.client.get_run(run_id)
    record = Record(store, run_id, entity.info.artifact_uri or "", continued=True)
    tags, status = dict(entity.data.tags), Status(entity.info.status)
    steps = saved.config.training.steps
    reason = tags.get("minibert.reason", "")
    recorded = Recorded(entity.info.run_name, status, reason, tags, saved, record, steps)
    if status == Status.FINISHED:
        return recorded
    metrics = {metric.key: metric.step for metric in entity.data.to_proto().metrics}
    reached = recorded.failing or max(metrics.get("train/loss", 0), *saved.checkpoints)
    return Recorded(entity.info.run_name, status, reason, tags, saved, record, min(reached, steps))


def differences(recorded: Recorded, data: PreparedData) -> list[str]:
    """How kernel, versions, lanes, code and data differ from the record, as phrases: causes of other bits."""
    now = environment() | {"corpus.hash": data.corpus_hash, "tokenizer.hash": data.tokenizer_hash}
    now[LANES] = str(recorded.saved.config.training.lanes)
    mixed = explained(continuations(recorded.tags), ("at first", "after an interruption"))
    told = [f"the run itself changed its {each}" for each in mixed]
    return explained(changed(recorded.tags, now), ("on record", "now")) + told


@without_warnings()
def train_again(recorded: Recorded, last: int, data: PreparedData, display: Display) -> tuple[Comparison, Metrics]:
    """Train up to the step ``last``, or to the first checkpoint that differs, and compare with the record."""
    config, again = recorded.saved.config, Rehearsal()
    own = names_of_level("full")
    chosen = choose([name for name in config.diagnostics.quantities if name in own])
    diagnostics = build_diagnostics(config, chosen, again)
    diagnostics.announce = lambda name: display.now(f"last diagnostics: {name}")
    trainer = build_trainer(config, data, diagnostics)
    comparison = Comparison(recorded, last, [])
    with trainer:
        evaluation = build_evaluation(config, data, again)
        with display.training(last, evaluation):
            try:
                trainer.train([TrainingLog(again.log), evaluation, comparison, display.step])
                ended = trainer.finished
            except Ended:
                ended = False
            except NotFinite as error:
                comparison.failure, ended = str(error), True
                comparison.compare(error.step, trainer.params)
    if ended:
        with display.stage("diagnostics of the whole run"):
            if comparison.failure is None:
                conclude_range_test(again, config)
            diagnostics.conclude()
    with display.stage("comparing the metrics"):
        return comparison, compare_metrics(recorded.record, again)


def _last(asked: Reproduction, recorded: Recorded) -> int:
    if asked.steps is None:
        return recorded.last
    if asked.steps > recorded.last:
        raise MinibertError(
            f"steps={asked.steps}: run {short_id(recorded.saved.id)} got to step {recorded.last}. "
            f"Allowed: 0 to {recorded.last}."
        )
    return asked.steps


def _tell(comparison: Comparison, metrics: Metrics, causes: Sequence[str], display: Display) -> bool:
    """Print the verdict. True if all is equal."""
    differing = [*_parameters(comparison), *_failure(comparison)]
    if metrics.first is not None:
        more = f" and {len(metrics.differing) - MOST_NAMED} more" if metrics.differing[MOST_NAMED:] else ""
        named = ", ".join(metrics.differing[:MOST_NAMED]) + more
        differing.append(
            f"the first metric that differs is {metrics.first}. Of {metrics.names} metrics, "
            f"{len(metrics.differing)} differ: {named}"
        )
    steps = ", ".join(map(str, comparison.equal)) or "none"
    checked = f"parameters at {len(comparison.equal)} checkpoints (steps {steps})"
    if not differing:
        display.start(
            f"equal to the bit: {checked} and {metrics.points:,} values of {metrics.names} metrics"
            + (f"; it fails again: {comparison.failure}" if comparison.failure else "")
        )
        if metrics.uncompared:
            display.note(
                f"not compared: {len(metrics.uncompared)} metrics that were not computed again, such as "
                f"{metrics.uncompared[0]}"
            )
        if causes:
            display.note("what is not the same made no difference")
        return True
    display.start(f"differs: {differing[0]}")
    for each in differing[1:]:
        display.note(each)
    _explain(causes, display)
    return False


def _parameters(comparison: Comparison) -> list[str]:
    if comparison.difference is None:
        return []
    before = f"equal until step {comparison.equal[-1]}" if comparison.equal else "no checkpoint before it"
    return [f"parameter {comparison.difference} ({before} of those kept)"]


def _failure(comparison: Comparison) -> list[str]:
    """How the end differs, if one training failed and the other did not, or not in the same way."""
    recorded, failure = comparison.recorded, comparison.failure
    expected = recorded.failing is not None and comparison.last >= recorded.failing
    if failure is not None and not (expected and recorded.reason.startswith(failure)):
        return [f"it fails now, other than on record: {failure}"]
    if failure is None and expected and comparison.difference is None:
        return [f"it does not fail now, but on record: {recorded.reason}"]
    return []


def _explain(causes: Sequence[str], display: Display) -> None:
    if causes:
        display.note(f"this may explain it: {'; '.join(causes)}")
    else:
        display.note("kernel, versions, lanes, code and data are as recorded: none of them explains it")
