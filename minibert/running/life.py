"""``python -m minibert.run``: composes a run, or a sweep of runs, out of the rooms of the house.

A run is recognised by the hash of its configuration: one that has finished is not trained again, one that was
interrupted goes on from its checkpoint, in the same MLflow run, to the same bits.
"""

import hashlib
import os
import shlex
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import psutil
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from minibert import interruption
from minibert.command_line.help import answer
from minibert.config import Config, config_hash, register, resolve
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.prepared import PreparedData, prepare_data
from minibert.data.training_batches import build_batches, probe_batch
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.engine.page import draw
from minibert.diagnostics.engine.registry import check_names, choose
from minibert.diagnostics.range_test.measures import conclude_range_test
from minibert.errors import MinibertError
from minibert.evaluation.intrinsic import IntrinsicEvaluation
from minibert.interruption import Interrupted
from minibert.model.bert import MiniBERT
from minibert.report import load_analysis
from minibert.running.failure import report_failure
from minibert.running.launching import call_hydra, watched_workers
from minibert.running.naming import run_name
from minibert.running.plan import Job, Plan, plan
from minibert.running.progress import Display
from minibert.serving.mlflow_model import log_served_model
from minibert.tracking.claims import Claim, claim, find_finished
from minibert.tracking.leases import OvertakenError
from minibert.tracking.pages import describe_run, describe_sweep
from minibert.tracking.provenance import environment
from minibert.tracking.results import read_result
from minibert.tracking.retries import at_once
from minibert.tracking.runs import Run, start_run
from minibert.tracking.store import Store, open_store
from minibert.tracking.sweeps import Sweep, join_sweep, open_sweep
from minibert.training.checkpoints import log_spaced_steps
from minibert.training.observers import Checkpoints, Ended, TrainingLog
from minibert.training.trainer import NotFinite, Trainer

register()


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run_id: str | None
    status: str
    """FINISHED, FAILED, KILLED, or FOUND when the run had finished earlier"""
    reason: str | None = None
    store: Store | None = None


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for. Returns the exit code: 0 when everything asked for is finished."""
    arguments = sys.argv[1:] if arguments is None else arguments
    flags = [word for word in arguments if word.startswith("-")]
    overrides = [word for word in arguments if not word.startswith("-")]
    interruption.watch()
    display = Display()
    try:
        if (answered := answer(arguments, lambda: call_hydra(job, arguments))) is not None:
            return answered
        planned = plan(overrides, multirun=bool(flags))
        for planned_job in planned.jobs:
            check_names(planned_job.config.diagnostics)
        return _sweep(planned, display) if planned.sweep or flags else _single(planned.jobs[0], display)
    except MinibertError as error:
        display.error(str(error))
        return 2
    except Interrupted as error:
        display.error(f"ended by {error}")
        return interruption.exit_code()


def job(composed) -> None:
    """Hydra's task function for one run of a sweep; how it went stands in the store."""
    interruption.watch(follow_parent=True)
    if interruption.reason() is None:
        outcome = train(resolve(composed), dict(HydraConfig.get().runtime.choices), Display.silent())
        if outcome.run_id is None and outcome.status == "FAILED":
            Display().error(f"a run could not start: {outcome.reason}")
    interruption.leave_if_orphaned()


def train(config: Config, choices: dict[str, str], display: Display) -> Outcome:
    """The life of one run, from its claim to its end in the store. What goes wrong becomes its outcome."""
    try:
        data = _prepare(config, display)
        tracking = config.tracking
        in_sweep = tracking.parent_run is not None  # the sweep has opened the store before
        store = open_store(tracking.uri, tracking.folder, tracking.experiment, patient=in_sweep)
        name = run_name(config, choices, tracking.sweep_keys)
        with claim(store, config_hash(config, data.corpus_hash), on_wait=display.note) as claimed:
            found = claimed.finished_run()
            if not found or config.tracking.rerun:
                return _record(claimed, name, config, choices, data, display)
            if config.tracking.parent_run:
                join_sweep(store, config.tracking.parent_run, found, name)
            return Outcome(found, "FOUND", store=store)
    except Interrupted as error:
        return Outcome(None, "KILLED", str(error))
    except OvertakenError as error:  # now it is the other process that this one waits for
        display.note(str(error))
        return train(config, choices, display)
    except MinibertError as error:
        return Outcome(None, "FAILED", str(error))


def _prepare(config: Config, display: Display) -> PreparedData:
    return prepare_data(config.data, config.model.vocab_size, config.training.sequence_length, display.note)


def _record(
    claimed: Claim, name: str, config: Config, choices: dict[str, str], data: PreparedData, display: Display
) -> Outcome:
    """Start or continue the run in the store, train it, and close it with what became of it."""
    tags = environment() | {"corpus.hash": data.corpus_hash, "tokenizer.hash": data.tokenizer_hash}
    tags["minibert.process"] = f"{socket.gethostname()}:{os.getpid()}"
    tags |= {f"choice.{group}": option for group, option in choices.items() if "/" not in group}
    parameters = asdict(config)
    del parameters["tracking"], parameters["study"]
    run = start_run(claimed, name, parameters, tags, config.tracking.parent_run)
    status, reason = "FINISHED", None
    try:
        run.log_text(OmegaConf.to_yaml(OmegaConf.structured(config)), "config.yaml")
        run.log_artifact(data.folder / "tokenizer.json")
        run.log_dataset(data.corpus_name, data.corpus_hash, data.corpus_source, data.statistics)
        _train(run, config, data, display)
    except (Ended, Interrupted) as error:
        status, reason = "KILLED", str(error)
    except MinibertError as error:
        status, reason = "FAILED", str(error)
    except Exception as error:  # a bug: the store keeps where it is, and the other runs of a sweep go on
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
        display.error(traceback.format_exc())
        with suppress(MinibertError):  # a store that is away must not keep the rest from being saved
            run.log_text(traceback.format_exc(), "traceback.txt")
    run.flush()
    _describe(display, lambda: describe_run(run, replace(read_result(claimed.store, run.id), status=status)))
    run.finish(status, reason)
    return Outcome(run.id, status, reason, claimed.store)


def _describe(display: Display, describe: Callable[[], None]) -> None:
    """What MLflow's pages say beside the record itself: a run neither fails nor waits because of it."""
    try:
        with at_once():
            describe()
    except MinibertError as error:
        display.error(str(error))


def _train(run: Run, config: Config, data: PreparedData, display: Display) -> None:
    """Train from the start, or from where the run was left, with everything that watches."""
    model = MiniBERT(config.model, config.seeds.init, log_unigram_frequencies(data.unigram_counts))
    batches = build_batches(config, data)
    diagnostics = _diagnostics(config, run)
    diagnostics.announce = lambda name: display.now(f"last diagnostics: {name}")
    trainer = Trainer(model, batches, config, batches.adapting, diagnostics, data, probe_batch(config, data))
    with trainer, interruption.deferred():
        resume_path = run.folder / "resume.safetensors"
        if resume_path.exists():
            trainer.resume(resume_path)
            display.note(f"continuing from step {trainer.progress.step}")
        baselines = ("unigram_entropy", "unigram_cross_entropy", "bigram_cross_entropy")
        run.log({f"baseline/{name}": data.statistics[name] for name in baselines}, 0)
        evaluation = IntrinsicEvaluation(config.evaluation, data, data.tokenizer.get_vocab_size(), run.log)
        checkpoints = Checkpoints(config.training, resume_path, run.keep, run.secure, interruption.reason)
        with display.training(config.training.steps, evaluation):
            try:
                trainer.train([TrainingLog(run.log), evaluation, checkpoints, display.step])
            except NotFinite as error:
                failure = report_failure(run, trainer, error)
                run.flush()
                diagnostics.conclude()
                raise failure from error
        run.flush()
        with display.stage("storing the model"), trainer.evaluation_parameters():
            log_served_model(run, model, data.tokenizer)
    with display.stage("diagnostics of the whole run"):
        conclude_range_test(run, config)
        diagnostics.conclude()
        run.flush()
    with display.stage("drawing figures"):
        draw(run, config.diagnostics.figures)


def _diagnostics(config: Config, run: Run) -> Diagnostics:
    settings, steps = config.diagnostics, config.training.steps
    chosen = choose(settings.quantities, settings.modules)
    return Diagnostics(chosen, log_spaced_steps(steps, settings.every, settings.per_doubling), steps, run)


def _single(job: Job, display: Display) -> int:
    display.start(run_name(job.config, job.choices, []))
    outcome = train(job.config, job.choices, display if job.config.tracking.progress else Display.silent())
    display.end(outcome)
    if outcome.status == "KILLED":
        return interruption.exit_code()
    return 0 if outcome.status in ("FINISHED", "FOUND") else 1


def _sweep(planned: Plan, display: Display) -> int:
    """Run all jobs of a plan under one parent run, then report what they say."""
    first = planned.jobs[0].config
    tracking, study = first.tracking, first.study
    display.start(f"{study.name or 'multirun'}: {len(planned.jobs)} runs")
    hashes = [config_hash(job.config, _prepare(job.config, display).corpus_hash) for job in planned.jobs]
    store = open_store(tracking.uri, tracking.folder, tracking.experiment)
    # Two words for one configuration, such as seed=0,0, are one run.
    names = {
        key: run_name(job.config, job.choices, planned.keys) for key, job in zip(hashes, planned.jobs, strict=True)
    }
    sweep_hash = hashlib.sha256(f"{study.name}{sorted(names)}".encode()).hexdigest()
    command = "python -m minibert.run " + shlex.join(planned.command)
    sweep = open_sweep(
        store,
        study.name or "multirun",
        sweep_hash,
        names,
        tags=environment() | {"minibert.command": command},
        parameters={"study": asdict(study), "sweep": {"keys": planned.keys, "runs": len(names)}},
    )
    status, reason = "FAILED", "the sweep's own process failed"
    try:
        if tracking.rerun or _join_finished(sweep, names):
            _launch(planned, sweep, len(names), display)
        status, reason = _verdict(sweep, names)
    except Interrupted:
        pass  # a second wish: the runs are left where they are
    finally:
        if interruption.reason():
            status, reason = "KILLED", interruption.reason()
        _describe(display, lambda: describe_sweep(sweep, asdict(study), names))
        sweep.finish(status, reason)
    display.sweep_end(sweep, names, status, reason)
    if status == "KILLED":
        return interruption.exit_code()
    reported = _report(sweep, study.name, display) if study.factor else True
    return int(status == "FAILED" or not reported)


def _launch(planned: Plan, sweep: Sweep, runs: int, display: Display) -> None:
    """Have Hydra's launcher train what is left. How that went stands in the store, also where a process dies."""
    words = [*planned.fixed, *planned.sweep, "hydra.sweeper.params=null"]
    words += [f"tracking.parent_run={sweep.id}", f"tracking.sweep_keys=[{','.join(planned.keys)}]"]
    failure = None
    with watched_workers() as died:
        try:
            live = planned.jobs[0].config.tracking.progress
            with interruption.deferred(), display.sweep(sweep, runs, live), interruption.held_back_from_children():
                call_hydra(job, ["--multirun", *words])
        except MinibertError as error:
            failure = error
        finally:
            _close_abandoned(sweep, died)
    if failure and not interruption.reason():
        why = str(failure).rstrip(".")
        display.error(f"{why}. What has finished stands; the same command goes on with the rest.")


def _close_abandoned(sweep: Sweep, died: dict[int, str]) -> None:
    """Close the runs whose process on this machine is gone, with what it ``died`` of (process -> words)."""
    for child in sweep.newest().values():
        host, _, process = child.tags.get("minibert.process", "").rpartition(":")
        if child.status != "RUNNING" or host != socket.gethostname() or psutil.pid_exists(int(process)):
            continue
        if int(process) in died:
            sweep.close(child, "FAILED", died[int(process)])
        else:
            sweep.close(child, "KILLED", "the launcher ended its process when another died")


def _report(sweep: Sweep, study: str, display: Display) -> bool:
    """Print and keep the report on a sweep. It comes last, and what goes wrong in it is one line."""
    try:
        report = load_analysis("report")  # it reads the store only, and stands above this room
        report.print_result(report.write_report(sweep.store, study, sweep_id=sweep.id))
    except Exception as error:
        why = str(error) if isinstance(error, MinibertError) else f"{type(error).__name__}: {error}"
        display.error(f"The report failed: {why}")
        again = shlex.join(["python", "-m", "minibert.report", study])
        display.note(f"The runs are recorded, and `{again}` tries again.")
        return False
    return True


def _join_finished(sweep: Sweep, names: dict[str, str]) -> int:
    """Take the runs that have finished before, for any sweep, into this one. Returns how many are left."""
    members = {child.config_hash for child in sweep.children() if child.status == "FINISHED"}
    left = 0
    for run_hash, name in names.items():
        found = run_hash in members or find_finished(sweep.store, run_hash)
        if not found:
            left += 1
        elif run_hash not in members:
            join_sweep(sweep.store, sweep.id, found, name)
    return left


def _verdict(sweep: Sweep, names: dict[str, str]) -> tuple[str, str | None]:
    newest = sweep.newest()
    missing = [name for key, name in names.items() if key not in newest or newest[key].status != "FINISHED"]
    if not missing:
        return "FINISHED", None
    return "FAILED", f"{len(missing)} of {len(names)} runs did not finish: {'; '.join(missing)}"
