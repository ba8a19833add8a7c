"""A search from its check to its page: trials in this process or in several, under one parent run in the store."""

import multiprocessing
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

from minibert import interruption
from minibert.command_line.terminal import print_table
from minibert.config import CONF, config_hash
from minibert.data.corpora import load_corpus
from minibert.errors import MinibertError
from minibert.files import replacing
from minibert.interruption import Interrupted
from minibert.running.life import describe
from minibert.running.plan import Job
from minibert.running.progress import Display
from minibert.running.search.checking import check
from minibert.running.search.page import search_page
from minibert.running.search.reading import Asked
from minibert.running.search.results import as_experiment, best_words, command_of, counted, front, table_of
from minibert.running.search.study import Place, open_study, optuna, study_hash
from minibert.running.search.trials import HASH, NAME, Work, work
from minibert.running.workers import describe_end
from minibert.tracking.addresses import without_passwords
from minibert.tracking.lookup import short_id
from minibert.tracking.pages import describe_sweep, page
from minibert.tracking.provenance import environment
from minibert.tracking.status import Status
from minibert.tracking.store import Store, open_store
from minibert.tracking.sweeps import PLANNED_RUNS, Sweep, open_sweep

if TYPE_CHECKING:
    from optuna import Study


def run_search(asked: Asked, display: Display) -> int:
    """Train trials until the study has as many as asked for. Returns the exit code.

    0: at least one trial finished. 1: none did. 128 and the number of a signal: it was asked to end.

    Raises :class:`MinibertError` for words that no run takes, and when the store or the study cannot be used. What
    was found until then is kept, and told.
    """
    optuna()
    search = asked.search
    display.start(f"search {search.name}: {search.trials} trials")
    first = check(asked)
    identity = study_hash(search, config_hash(first.config, load_corpus(first.config.data).content_hash))
    store = _open_store(first)
    place = Place(store.folder / "search", search.name)
    study = open_study(search, place, identity)
    if before := len(study.get_trials(deepcopy=False)):
        display.note(f"The study has {before} trials already.")
    sweep, failure = None, None
    try:
        with interruption.shielded():  # so that a parent that is begun is known here, and closed
            sweep = _open_parent(asked, store, study, identity)
        with interruption.deferred():
            if search.workers > 1:
                _work_in_processes(asked, first, identity, sweep.id, display)
            work(Work(asked, study, place, store, sweep.id, display))
    except MinibertError as error:
        if sweep is None:
            raise
        failure = error
    except Interrupted:
        if sweep is None:
            raise
        # Otherwise a second signal: the runs are left as they are.
    assert sweep is not None  # otherwise something was raised
    code = _end(asked, study, place, sweep, display, failure)
    if failure is not None:
        raise failure
    return code


def _open_store(first: Job, patient: bool = False) -> Store:
    tracking = first.config.tracking
    return open_store(tracking.uri, tracking.folder, tracking.experiment, patient, tracking.offline)


def _open_parent(asked: Asked, store: Store, study: "Study", identity: str) -> Sweep:
    """The run that the runs of the trials are children of."""
    search = asked.search
    command = without_passwords("python -m minibert.search " + shlex.join(asked.command))
    stated = {key: value for key, value in asdict(search).items() if key in ("parameters", "objectives", "seed")}
    return open_sweep(
        store,
        search.name,
        identity,
        _names(study),
        tags=environment() | {"minibert.command": command},
        parameters={
            "study": {"name": search.name, "question": search.question},
            "sweep": {"keys": list(search.parameters)},
            "search": stated | {"sampler": search.sampler, "pruner": search.pruner, "startup": search.startup},
        },
    )


def _names(study: "Study") -> dict[str, str]:
    """Hash of the configuration -> name, of the runs of all trials."""
    trials = [trial.user_attrs for trial in study.get_trials(deepcopy=False)]
    return {each[HASH]: each[NAME] for each in trials if HASH in each and NAME in each}


def _work_in_processes(asked: Asked, first: Job, identity: str, parent: str, display: Display) -> None:
    """Train trials in several processes. One that dies costs its trial only, which is taken up again."""
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_worker, args=(asked, first, identity, parent)) for _ in range(asked.search.workers)
    ]
    with interruption.held_back_from_children():
        for process in processes:
            process.start()
    for process in processes:
        process.join()
        if process.exitcode and not interruption.reason():
            display.error(f"A worker process: {describe_end(process.exitcode)}. Its trial is taken up again.")


def _worker(asked: Asked, first: Job, identity: str, parent: str) -> None:
    interruption.watch(follow_parent=True)
    display = Display()
    try:
        store = _open_store(first, patient=True)
        place = Place(store.folder / "search", asked.search.name)
        work(Work(asked, open_study(asked.search, place, identity), place, store, parent, display))
    except MinibertError as error:
        display.error(str(error))
    except Interrupted:
        pass
    interruption.leave_if_orphaned()


def _end(
    asked: Asked, study: "Study", place: Place, sweep: Sweep, display: Display, failure: MinibertError | None
) -> int:
    """Close the parent run, write the page and the best experiment, and print what was found."""
    counts, names = counted(study), _names(study)
    if interruption.reason():
        status, reason = Status.KILLED, interruption.reason()
    elif failure is not None or not counts["finished"]:
        status, reason = Status.FAILED, str(failure or "no trial finished")
    else:
        status, reason = Status.FINISHED, None
    try:
        try:
            _write(asked, study, place, sweep, display)
            sweep.plan(names)
            sweep.set_tags({PLANNED_RUNS: len(sweep.planned)})
            describe(display.error, lambda: describe_sweep(sweep, {"question": asked.search.question}, names))
        finally:  # also if nobody reads any more what could not be written
            if status == Status.KILLED or failure is not None or not counts["open"]:
                sweep.finish(status, reason)
    except MinibertError as error:  # what was found is told nevertheless
        if failure is None:
            display.error(str(error))
    _tell(asked, study, place, sweep, display)
    if status == Status.KILLED:
        display.error(f"KILLED: {reason}. The same command continues the search.")
        return interruption.exit_code()
    return int(status == Status.FAILED)


def _write(asked: Asked, study: "Study", place: Place, sweep: Sweep, display: Display) -> None:
    """The page and the best trial as an experiment, in the folder of the store and with the parent run."""
    best = front(study, asked.search)
    try:
        written = {place.page: search_page(asked, study)}
        if best:
            written[place.best] = as_experiment(asked, best[0])
        for path, text in written.items():
            with replacing(path, durable=False) as temporary:
                temporary.write_text(text, encoding="utf-8")
            sweep.log_text(text, f"search/{path.name}")
    except (MinibertError, OSError) as error:
        display.error(f"The page of the search could not be written: {error}")


def _tell(asked: Asked, study: "Study", place: Place, sweep: Sweep, display: Display) -> None:
    best = front(study, asked.search)
    if best:
        print_table(display.console, table_of(study, asked.search))
    counts = ", ".join(f"{count} {word}" for word, count in counted(study).items() if count)
    display.console.print(f"{counts or 'no trial'}, search {short_id(sweep.id)}, page {place.page}")
    if best:
        name = place.best.stem
        experiments = CONF / "experiment"
        display.console.print(f"The best again: {command_of(best_words(asked, best[0]))}")
        copy = shlex.join(["cp", str(place.best), f"{experiments}/"])
        display.console.print(f"As an experiment: {copy} && python -m minibert.run +experiment={name}")
    display.where_to_look(sweep.store, page(sweep.store, sweep.id))
