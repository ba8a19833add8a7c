"""A sweep: many runs under one parent run in the store, started by Hydra's launcher, then reported on."""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict

from minibert import interruption
from minibert.command_line.arguments import names_store
from minibert.command_line.words import quoted
from minibert.config import config_hash
from minibert.errors import MinibertError
from minibert.evaluation.catalogue import enabled
from minibert.interruption import Interrupted
from minibert.running.capacity import fit
from minibert.running.evaluation import complete
from minibert.running.identity import first_values, sweep_hash, sweep_name
from minibert.running.launcher_checks import check_launcher
from minibert.running.launchers import Launch, launching
from minibert.running.launching import call_hydra
from minibert.running.life import describe, job, prepare
from minibert.running.naming import run_name
from minibert.running.plan import Job, Plan
from minibert.running.progress import Display
from minibert.running.sweeper import PLANNED
from minibert.running.workers import Death
from minibert.tracking.addresses import without_passwords
from minibert.tracking.claims import find_all_finished
from minibert.tracking.history import new_command
from minibert.tracking.lookup import short_id
from minibert.tracking.pages import describe_sweep
from minibert.tracking.processes import is_alive
from minibert.tracking.provenance import environment
from minibert.tracking.records import how_it_ended
from minibert.tracking.results import rooms_of
from minibert.tracking.settling import SYNC, send_all
from minibert.tracking.status import Status
from minibert.tracking.store import Store, open_store
from minibert.tracking.sweeps import Sweep, open_sweep

Reporter = Callable[[Store, str, str], object]
"""Writes and prints the report of (a store, a study, the id of its sweep)"""


def run_sweep(planned: Plan, display: Display, report: Reporter) -> int:
    """Train all runs of a plan under one parent run, then report on them. Returns the exit code."""
    first = planned.jobs[0].config
    tracking = first.tracking
    called = sweep_name(planned)
    check_launcher(planned)
    display.start(f"{called}: {len(planned.jobs)} runs")
    hashes, corpora = _hashes(planned, display)
    store = open_store(tracking.uri, tracking.folder, tracking.experiment, offline=tracking.offline)
    send_all(store)
    # Two overrides with the same configuration, such as seed=0,0, are one run.
    names = {
        key: run_name(each.config, each.choices, planned.keys)
        for key, each in zip(hashes, planned.jobs, strict=True)
    }
    sweep, status, reason = None, Status.FAILED, None
    try:
        with interruption.shielded():  # so that a parent that is begun is known here, and closed
            sweep = _open(planned, called, names, corpora, store)
        if others := len(sweep.planned) - len(names):
            display.note(f"These runs join sweep {short_id(sweep.id)}, which has {others} others.")
        remaining = {*names} if tracking.rerun else _join_finished(sweep, names)
        if remaining:
            remaining |= _to_be_asked(sweep, dict(zip(hashes, planned.jobs, strict=True)))
            _launch(planned, sweep, hashes, remaining, display)
        send_all(store)
        sweep.plan(names)  # commands on other machines may have written theirs meanwhile
        status, reason = _verdict(sweep, sweep.planned)
        _complete(sweep, dict(zip(hashes, planned.jobs, strict=True)), display)
    except Interrupted:
        if sweep is None:
            raise
        # Otherwise a second signal: the runs are left as they are.
    except BaseException as error:
        if status == Status.FAILED:
            status, reason = how_it_ended(error)
        raise
    finally:
        if interruption.reason():
            status, reason = Status.KILLED, interruption.reason()
        if sweep is not None:
            _close(sweep, planned, names, status, reason, display)
    assert sweep is not None  # otherwise something was raised
    display.sweep_end(sweep, names, status, reason)
    if status == Status.KILLED:
        if tracking.report:
            display.note(_no_report(sweep, called, planned.command))
        return interruption.exit_code()
    asked = _verdict(sweep, names)[0]
    if asked != status:
        display.note(f"Of the whole sweep, {reason}")
    return _conclude(sweep, called, report, display, planned, asked)


def _open(planned: Plan, called: str, names: Mapping[str, str], corpora: Collection[str], store: Store) -> Sweep:
    """The parent run of the runs of this command."""
    tags, study = environment(), planned.jobs[0].config.study
    command = without_passwords("python -m minibert.run " + shlex.join(planned.command))
    return open_sweep(
        store,
        called,
        sweep_hash(planned, called, corpora),
        names,
        tags=tags | {"minibert.command": command},
        parameters={"study": asdict(study), "sweep": {"keys": planned.keys, "first": first_values(planned)}},
        command=new_command(planned.command, names, tags),
    )


def _close(
    sweep: Sweep, planned: Plan, names: Mapping[str, str], status: Status, reason: str | None, display: Display
) -> None:
    """Describe a sweep and close it in the store, also if nobody reads any more why it cannot be described."""
    study = asdict(planned.jobs[0].config.study)
    try:
        describe(
            display.error, lambda: describe_sweep(sweep, study, sweep.planned, sweep.commands(), planned.keys)
        )
    finally:
        if status == Status.KILLED or not _is_continued_elsewhere(sweep, names):
            sweep.finish(status, reason)


def _conclude(sweep: Sweep, called: str, report: Reporter, display: Display, planned: Plan, asked: Status) -> int:
    """Report on a sweep that has ended, if all of it is there and a report is wanted. Returns the exit code."""
    store, wanted = sweep.store, planned.jobs[0].config.tracking.report
    if any(each.left for each in send_all(store)):
        display.note(f"The report can be made when the server has all runs: {SYNC} tracking.folder={store.folder}")
        return int(asked == Status.FAILED)
    if not wanted:
        display.note(f"No report, as asked; `{_report_command(sweep, called, planned.command)}` makes it.")
        return int(asked == Status.FAILED)
    try:
        reported = _report(sweep, called, report, display, planned.command)
    except Interrupted as error:
        display.error(f"ended by {error}")
        again = _report_command(sweep, called, planned.command)
        display.note(f"The report was not finished: `{again}` writes it.")
        return interruption.exit_code()
    return int(asked == Status.FAILED or not reported)


def _hashes(planned: Plan, display: Display) -> tuple[list[str], Collection[str]]:
    """The hash of each run, and those of their texts. The data of all runs are prepared, the same data once."""
    corpora: dict[str, str] = {}
    hashes = []
    for each in planned.jobs:
        config = each.config
        wanted = repr((config.data, config.model.vocab_size, config.training.sequence_length))
        if wanted not in corpora:
            corpora[wanted] = prepare(config, display).corpus_hash
        hashes.append(config_hash(config, corpora[wanted]))
    return hashes, corpora.values()


def _launch(
    planned: Plan, sweep: Sweep, hashes: Sequence[str], remaining: Collection[str], display: Display
) -> None:
    """Let Hydra's launcher train the remaining runs. The store records how they end, also if a process dies."""
    places = [place for place, key in enumerate(hashes) if key in remaining]
    words = [*planned.fixed, *planned.sweep, "hydra.sweeper.params=null", PLANNED]
    words += [f"tracking.parent_run={sweep.id}", f"tracking.sweep_keys=[{','.join(planned.keys)}]"]
    words += [f"hydra.sweep.dir={quoted(str(sweep.store.folder / 'hydra'))}"]  # Hydra reads no ~
    told, _, text = fit(planned)
    keys = tuple(word.partition("=")[0] + "=" for word in told)
    words = [*(word for word in words if not word.startswith(keys)), *told]
    if text:
        display.note(text)
    failure, given_up = None, {}

    def tell(run: str, death: Death) -> None:
        if death.final:
            given_up[hashes[places[death.job]]] = death.how
        what = "is given up" if death.final else "is started again"
        display.error(f"A worker process was {death.how}. Its run, {run}, {what}.")

    try:
        live = planned.jobs[0].config.tracking.progress
        asked = Launch(planned.keys, places, tell)
        with interruption.deferred(), display.sweep(sweep, {*hashes}, live), launching(asked):
            call_hydra(job, ["--multirun", *words])
    except MinibertError as error:
        failure = error
    finally:
        _close_abandoned(sweep, given_up)
    if failure and not interruption.reason():
        why = str(failure).rstrip(".")
        display.error(f"{why}. The runs that finished are kept; the same command trains the rest.")


def _close_abandoned(sweep: Sweep, given_up: Mapping[str, str]) -> None:
    """Close the runs whose process is gone. ``given_up``: hash of a run -> how it was lost."""
    for key, child in sweep.newest().items():
        alive = is_alive(child.tags)
        if child.status != Status.RUNNING or alive or (alive is None and key not in given_up):
            continue
        if key in given_up:
            sweep.close(child, Status.FAILED, given_up[key])
        else:
            sweep.close(child, Status.KILLED, interruption.reason() or "its process ended before the run did")


def _report(sweep: Sweep, study: str, report: Reporter, display: Display, words: Sequence[str]) -> bool:
    """Let ``report`` write and print the report on a sweep. An error in it is one line."""
    try:
        report(sweep.store, study, sweep.id)
    except Exception as error:
        why = str(error) if isinstance(error, MinibertError) else f"{type(error).__name__}: {error}"
        display.error(f"The report failed: {why}")
        display.note(f"The runs are recorded. `{_report_command(sweep, study, words)}` tries again.")
        return False
    return True


def _no_report(sweep: Sweep, study: str, words: Sequence[str]) -> str:
    """What a sweep that was ended early says of its report."""
    if not any(child.status == Status.FINISHED for child in sweep.newest().values()):
        return "No report was written: no run has finished. The same command writes it once all runs have."
    return (
        "No report was written. The same command writes it once all runs have finished; "
        f"`{_report_command(sweep, study, words)}` writes one of those that have."
    )


def _report_command(sweep: Sweep, study: str, words: Sequence[str]) -> str:
    named = study if " " not in study else short_id(sweep.id)
    store = [word for word in words if names_store(word)]
    return without_passwords(shlex.join(["python", "-m", "minibert.report", named, *store]))


def _join_finished(sweep: Sweep, names: dict[str, str]) -> set[str]:
    """Add the runs that finished before, in any sweep, to this one. Returns the hashes of those that remain."""
    members = {child.config_hash: child for child in sweep.children() if child.status == Status.FINISHED}
    # A grown sweep may name its runs by more keys than before.
    renamed = {child.id: names[key] for key, child in members.items() if names.get(key, child.name) != child.name}
    sweep.join(renamed)
    wanted = {run_hash: name for run_hash, name in names.items() if run_hash not in members}
    found = find_all_finished(sweep.store, wanted)
    sweep.join({found[run_hash]: name for run_hash, name in wanted.items() if run_hash in found})
    return wanted.keys() - found.keys()


def _to_be_asked(sweep: Sweep, jobs: Mapping[str, Job]) -> set[str]:
    """The runs that finished and lack an answer: where others are trained, workers ask them at the same time."""
    return {
        key
        for key, child in sweep.newest().items()
        if key in jobs and child.status == Status.FINISHED
        if not rooms_of(child.metrics).issuperset(enabled(jobs[key].config.evaluation))
    }


def _complete(sweep: Sweep, jobs: Mapping[str, Job], display: Display) -> None:
    """Ask runs that were found what they were not asked before. ``jobs``: by hash of the configuration."""
    for key, child in sweep.newest().items():
        if key in jobs and child.status == Status.FINISHED:
            complete(sweep.store, child.id, rooms_of(child.metrics), jobs[key].config, display)


def _is_continued_elsewhere(sweep: Sweep, names: Mapping[str, str]) -> bool:
    """Whether another command of this sweep, which will close it, trains a run that this one did not ask for."""
    others = [child for key, child in sweep.newest().items() if key not in names]
    return any(child.status == Status.RUNNING and is_alive(child.tags) for child in others)


def _verdict(sweep: Sweep, names: dict[str, str]) -> tuple[Status, str | None]:
    newest = sweep.newest()
    missing = [name for key, name in names.items() if key not in newest or newest[key].status != Status.FINISHED]
    if not missing:
        return Status.FINISHED, None
    return Status.FAILED, f"{len(missing)} of {len(names)} runs did not finish: {'; '.join(missing)}"
