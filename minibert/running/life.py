"""The life of one run, from its claim in the store to its end there.

A run is known by the hash of its configuration. One that has finished is not trained again. One that was
interrupted continues from its checkpoint, in the same MLflow run, to the same bits: under the same kernel,
versions, code and lanes. Under others it goes on as well, and says so.
"""

import logging
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from threadpoolctl import threadpool_limits

from minibert import interruption
from minibert.config import Config, config_hash, resolve
from minibert.data.corpora import Corpus, load_corpus
from minibert.data.prepared import PreparedData, prepare_data
from minibert.diagnostics.catalogue import choose, drawings
from minibert.diagnostics.engine.page import draw
from minibert.diagnostics.range_test.recorded import conclude_range_test
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.running.assembly import build_diagnostics, build_evaluation, build_trainer
from minibert.running.evaluation import complete, evaluate_trained
from minibert.running.failure import report_failure
from minibert.running.naming import run_name
from minibert.running.plan import Job
from minibert.running.progress import Display
from minibert.serving.mlflow_model import log_served_model
from minibert.tracking.addresses import without_passwords
from minibert.tracking.claims import Claim, claim
from minibert.tracking.consumption import begun, consumption
from minibert.tracking.finished import look_up_finished
from minibert.tracking.lookup import short_id
from minibert.tracking.pages import describe_run
from minibert.tracking.processes import process_tags
from minibert.tracking.provenance import LANES, environment, explained
from minibert.tracking.replay import SupersededError
from minibert.tracking.results import Result, read_result
from minibert.tracking.retries import at_once
from minibert.tracking.runs import STATE, Run, start_run
from minibert.tracking.settling import send_all
from minibert.tracking.status import Status
from minibert.tracking.store import Store, open_store
from minibert.tracking.sweeps import join_sweep
from minibert.tracking.system_metrics import system_metrics
from minibert.training.lanes import without_warnings
from minibert.training.observers import Checkpoints, Ended, Milestones, TrainingLog
from minibert.training.trainer import NotFinite

_logger = logging.getLogger(__name__)

Judge = Callable[[int, Mapping[str, float]], str | None]
"""(step, scores of an evaluation) -> why training is not worth going on, or None"""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. ``run_id`` is None if it did not begin."""

    run_id: str | None
    status: Status
    reason: str | None = None
    store: Store | None = None
    result: Result | None = None
    """Of a run that was found, if it is known already"""
    recorded: bool = True
    """Whether the store has the status and the reason, of a run that began"""


def job(composed) -> str | None:
    """Hydra's task function: one run of a sweep. Its outcome is recorded in the store.

    Returns why the run failed, where the store does not know.
    """
    interruption.watch(follow_parent=True)
    reason = None
    if interruption.reason() is None:
        chosen = HydraConfig.get().runtime.choices.items()
        choices = {group: str(option) for group, option in chosen if not group.startswith("hydra/")}
        outcome = train(resolve(composed), choices, Display.silent())
        if outcome.status == Status.FAILED and not (outcome.run_id and outcome.recorded):
            reason = f"a run {'failed' if outcome.run_id else 'could not start'}: {outcome.reason}"
            Display().error(reason)
    interruption.leave_if_orphaned()
    return reason


def train(
    config: Config,
    choices: dict[str, str],
    display: Display,
    corpus: Corpus | None = None,
    judge: Judge | None = None,
) -> Outcome:
    """Train one run, from its claim to its end in the store. Errors become its outcome.

    ``judge`` is asked at every evaluation. If it gives a reason, the run ends there as KILLED, and keeps the state
    to continue from.
    """
    try:
        tracking, corpus = config.tracking, corpus or load_corpus(config.data)
        if not (tracking.parent_run or tracking.rerun):
            run_hash = config_hash(config, corpus.content_hash)
            if known := look_up_finished(tracking.uri, tracking.folder, tracking.experiment, run_hash):
                store, result = known
                complete(store, result.run_id, result.rooms, config, display)
                return Outcome(result.run_id, Status.FOUND, store=store, result=result)
        in_sweep = tracking.parent_run is not None  # the sweep has already opened the store
        store = open_store(tracking.uri, tracking.folder, tracking.experiment, in_sweep, tracking.offline)
        data = prepare(config, display, corpus)
        if not in_sweep:
            send_all(store)
        name = run_name(config, choices, tracking.sweep_keys)
        with claim(store, config_hash(config, data.corpus_hash), on_wait=display.note) as claimed:
            found = claimed.finished_run()
            if not found or config.tracking.rerun:
                return _record(claimed, name, config, choices, data, display, judge)
            if config.tracking.parent_run:
                join_sweep(store, config.tracking.parent_run, found, name)
            complete(store, found, read_result(store, found).rooms, config, display)
            return Outcome(found, Status.FOUND, store=store)
    except Interrupted as error:
        return Outcome(None, Status.KILLED, str(error))
    except SupersededError as error:  # another process trains this run now: wait for that one
        display.note(str(error))
        return train(config, choices, display, corpus, judge)
    except MinibertError as error:
        return Outcome(None, Status.FAILED, str(error))


def prepare(config: Config, display: Display, corpus: Corpus | None = None) -> PreparedData:
    sizes = config.model.vocab_size, config.training.sequence_length
    return prepare_data(config.data, *sizes, display.note, corpus)


def _record(
    claimed: Claim,
    name: str,
    config: Config,
    choices: dict[str, str],
    data: PreparedData,
    display: Display,
    judge: Judge | None,
) -> Outcome:
    """Start or continue the run in the store, train it, and close it with its status."""
    tags = environment() | {"corpus.hash": data.corpus_hash, "tokenizer.hash": data.tokenizer_hash}
    tags |= process_tags() | begun()
    tags |= {f"choice.{group}": option for group, option in choices.items() if "/" not in group}
    tags[LANES] = str(config.training.lanes)
    parameters = asdict(config)
    del parameters["tracking"], parameters["study"]
    with interruption.deferred():  # so that a run that is begun is known here, and closed
        run = start_run(claimed, name, parameters, tags, config.tracking.parent_run)
    with consumption(run.before) as used:
        status, reason = _attempt(run, config, data, display, judge)
    try:
        describe(display.error, lambda: run.set_tags(used))
    finally:  # also if nobody reads any more what could not be recorded
        untold = _close(run, status, reason, display)
    if untold is None:
        return Outcome(run.id, status, reason, claimed.store)
    said = f"{str(reason).rstrip('.')}. The store does not know of it: {untold}"
    return Outcome(run.id, status, said, claimed.store, recorded=False)


def _attempt(
    run: Run, config: Config, data: PreparedData, display: Display, judge: Judge | None
) -> tuple[Status, str | None]:
    """Record the settings of an open run and train it. Returns its status and, if it did not finish, why."""
    try:
        if asked := interruption.reason():
            raise Interrupted(asked)
        _tell_changes(run)
        run.log_text(without_passwords(OmegaConf.to_yaml(OmegaConf.structured(config))), "config.yaml")
        run.log_artifact(data.folder / "tokenizer.json")
        run.log_dataset(data.corpus_name, data.corpus_hash, data.corpus_source, data.statistics)
        with system_metrics(run) if config.tracking.system_metrics else nullcontext():
            _train(run, config, data, display, judge)
        return Status.FINISHED, None
    except (Ended, Interrupted) as error:
        return Status.KILLED, str(error)
    except SystemExit:  # nobody reads what it prints any more
        return Status.KILLED, interruption.reason()
    except MinibertError as error:
        return Status.FAILED, str(error)
    except Exception as error:  # a bug: the store keeps the traceback, and the other runs of a sweep continue
        with suppress(MinibertError):  # without the store, the rest is saved nevertheless
            run.log_text(traceback.format_exc(), "traceback.txt")
        with suppress(SystemExit):  # nobody reads it
            display.error(traceback.format_exc())
        return Status.FAILED, f"{type(error).__name__}: {error}"


def _close(run: Run, status: Status, reason: str | None, display: Display) -> str | None:
    """Describe a run and close it in the store. Returns what kept the store from taking the reason, if any did.

    What ended the run, such as a full disk, may keep the store from it too; the reason is to be told nevertheless.
    """
    run.flush()
    undescribed: list[str] = []
    describe(undescribed.append, lambda: describe_run(run, replace(read_result(run.store, run.id), status=status)))
    try:
        run.finish(status, reason)
    except SupersededError:
        raise
    except MinibertError as error:
        if status != Status.FAILED:
            raise
        return str(error)
    for trouble in undescribed:
        display.error(trouble)
    return None


def _tell_changes(run: Run) -> None:
    """Warn if a continued run goes on under another kernel, version, number of lanes or code than before."""
    if told := explained(run.changes):
        _logger.warning(
            "run %s goes on under something else than before (%s): it may end with the bits of neither",
            short_id(run.id),
            "; ".join(told),
        )


def describe(tell: Callable[[str], object], describe: Callable[[], None]) -> None:
    """Write the note for MLflow's pages. If the store does not take it, ``tell`` gets the reason. Nobody waits."""
    try:
        with at_once():
            describe()
    except MinibertError as error:
        tell(str(error))


@without_warnings()
def _train(run: Run, config: Config, data: PreparedData, display: Display, judge: Judge | None) -> None:
    """Train from the start, or from the last checkpoint, with evaluation, diagnostics and display."""
    chosen = choose(config.diagnostics.quantities, config.diagnostics.modules)
    diagnostics = build_diagnostics(config, chosen, run)
    diagnostics.announce = lambda name: display.now(f"last diagnostics: {name}")
    trainer = build_trainer(config, data, diagnostics)
    with trainer, interruption.deferred():
        resume_path = run.folder / STATE
        if resume_path.exists():
            trainer.resume(resume_path)
            display.note(f"continuing from training step {trainer.progress.step:,}")
        evaluation = build_evaluation(config, data, run)
        judged = Judged(evaluation, judge)
        checkpoints = Checkpoints(
            config.training,
            resume_path,
            run.keep,
            run.secure,
            judged.wish_to_end,
            run.share_state,
            data.tokenizer_hash,
        )
        with display.training(config.training.steps, evaluation):
            try:
                observers = [TrainingLog(run.log), evaluation, Milestones(display.note), judged, checkpoints]
                trainer.train([*observers, display.step])
            except NotFinite as error:
                failure = report_failure(run, trainer, error, data.tokenizer_hash)
                run.flush()
                diagnostics.conclude()
                raise failure from error
        run.flush()
        with display.stage("storing the model"), trainer.evaluation_parameters():
            log_served_model(run, trainer.model, data.tokenizer, trainer.progress.step)
    with threadpool_limits(1, user_api="blas"):  # as in training: more threads add in another order
        with display.stage("diagnostics of the whole run"):
            conclude_range_test(run, config)
            diagnostics.conclude()
            run.flush()
        evaluate_trained(run, config, data, display)
    with display.stage("drawing figures"):
        rooms = config.diagnostics.figures
        draw(run, drawings(rooms), complete="all" in rooms)


class Judged:
    """Observer: shows every new evaluation to the judge of the run, if there is one."""

    def __init__(self, evaluation, judge: Judge | None):
        self._evaluation, self._judge = evaluation, judge
        self._seen = evaluation.latest
        self._verdict: str | None = None

    def __call__(self, trainer, _step) -> None:
        scores = self._evaluation.latest
        if self._judge is not None and scores is not self._seen:
            self._seen = scores
            verdict = self._judge(trainer.progress.step, scores)
            self._verdict = None if trainer.finished else verdict

    def wish_to_end(self) -> str | None:
        return interruption.reason() or self._verdict


def run_single(job: Job, display: Display) -> int:
    corpus = load_corpus(job.config.data)  # text that is not there is an error of the words, as others are
    display.start(run_name(job.config, job.choices, []))
    shown = display if job.config.tracking.progress else Display.silent()
    outcome = train(job.config, job.choices, shown, corpus)
    display.end(outcome, predicts_words=job.config.objective.mlm)
    if outcome.status == Status.KILLED:
        return interruption.exit_code()
    return 0 if outcome.status in (Status.FINISHED, Status.FOUND) else 1
