"""Instruments asked about recorded runs, and about models of others, whose folder is given."""

import hashlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

from minibert.command_line.arguments import StoreWords, argument, as_switch
from minibert.config import Config, EvaluationConfig
from minibert.config.evaluation import INSTRUMENTS
from minibert.data.annotated.lines import as_path
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.packing import documents_part
from minibert.data.prepared import PreparedData
from minibert.errors import MinibertError
from minibert.evaluation.asking import Outcome, ask
from minibert.evaluation.catalogue import enabled
from minibert.evaluation.given_data import refuse_absent
from minibert.evaluation.instruments import Subject
from minibert.evaluation.intrinsic.held_out import bits_of_a_nat
from minibert.evaluation.page import PAGE
from minibert.files import expanded, short_name
from minibert.locks import wait_for
from minibert.model.bert import MiniBERT
from minibert.running.folders import FolderPlace, load_folder
from minibert.running.plan import plan
from minibert.running.progress import Display
from minibert.running.recorded import as_steps, kept_steps, recorded_data
from minibert.running.sweep_evaluation import show_runs
from minibert.serving.loading import SavedRun, saved_run
from minibert.tracking.amendments import Amendment
from minibert.tracking.lookup import find_run_id, open_named_store, short_id
from minibert.tracking.records import Record
from minibert.tracking.status import Status
from minibert.tracking.store import Store, find_place
from minibert.tracking.sweeps import children

DEFAULT = "evaluation=full"
OF_TRAINING = ("every", "sequences", "batch_size", "documents", "rate", "rates", "mask_seed")
"""Settings of the group ``evaluation`` that only training reads"""
TARGETS = ("run", "sweep", "checkpoint")


def as_lanes(given: str, key: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= 1024):
        raise MinibertError(f"{given}: not a number of threads. Allowed: 1 to 1024.")
    return int(value)


@dataclass(frozen=True)
class Evaluation:
    """The words of ``minibert evaluate``, besides those of the group ``evaluation``."""

    run: str | None = argument(
        "id of a run that has ended, its first characters, its name, or last", "RUN_ID", None
    )
    sweep: str | None = argument(
        "id of a sweep, its name, or last: every run of it that finished", "SWEEP_ID", None
    )
    checkpoint: str | None = argument(
        "folder of a model that transformers reads, instead of a run", "FOLDER", None
    )
    steps: str | list[int] = argument(
        "which kept checkpoints of a run: all, last, or a list such as [0,64,512]", "STEPS", "last", as_steps
    )
    quick: bool = argument("less data: seconds instead of minutes, wider intervals", "true", False, as_switch)
    lanes: int = argument("threads that compute", "2", 2, as_lanes)
    tracking: StoreWords = StoreWords()


def settings_of(words: Sequence[str]) -> EvaluationConfig:
    """The group ``evaluation`` that the words choose.

    Raises :class:`MinibertError` for a word that the group does not have.
    """
    words = list(words) if any(word.startswith("evaluation=") for word in words) else [DEFAULT, *words]
    found = plan(words, multirun=False).jobs[0].config.evaluation
    if not enabled(found):
        raise MinibertError(f"{' '.join(words)}: asks no instrument. Allowed: such as evaluation=full.")
    _refuse_idle(words, found)
    return found


def asked_by_name(words: Sequence[str]) -> set[str]:
    """The instruments that the words name: as an option, as one of a list, or by a setting.

    >>> sorted(asked_by_name(["evaluation=[facts,zero_shot]", "evaluation.probing.max_sentences=9"]))
    ['facts', 'probing']
    """
    named: set[str] = set()
    for word in words:
        key, _, value = word.partition("=")
        named |= {*value.strip("[]").split(",")} if key == "evaluation" else {key.split(".")[1]}
    return {name.strip() for name in named} & {*INSTRUMENTS}


def _refuse_idle(words: Sequence[str], settings: EvaluationConfig) -> None:
    """Refuse a word that changes nothing here."""
    for word in words:
        part = word.partition("=")[0].removeprefix("evaluation").lstrip(".").partition(".")[0]
        if part in OF_TRAINING:
            raise MinibertError(f"{word}: is of training, and a run keeps what it was trained with. Leave it out.")
        if part in INSTRUMENTS and not getattr(settings, part).enabled:
            raise MinibertError(
                f"{word}: has no effect, because {part} is not asked. Allowed: with an option that asks it, "
                "such as evaluation=full."
            )


def evaluate(asked: Evaluation, words: Sequence[str], display: Display) -> bool:
    """Ask what the words say. Returns whether every instrument answered that has data or is asked by name.

    Raises :class:`MinibertError` if there is no such run, sweep or folder, or no instrument has data.
    """
    given = {key: getattr(asked, key) for key in TARGETS if getattr(asked, key)}
    if len(given) != 1:
        both = " and ".join(f"{key}={value}" for key, value in given.items()) or "nothing"
        raise MinibertError(
            f"{both}: what is to be evaluated? Give one of run=RUN_ID, sweep=SWEEP_ID, checkpoint=FOLDER."
        )
    settings, by_name = settings_of(words), asked_by_name(words)
    refuse_absent(settings)
    if asked.checkpoint:
        return every_one_answered(_evaluate_folder(asked, settings, display), by_name)
    store = open_named_store(asked.tracking)
    ids = _runs(store, asked)
    outcomes = []
    for run_id in ids:
        try:
            outcomes.append(every_one_answered(_evaluate_run(store, run_id, asked, settings, display), by_name))
        except MinibertError as error:
            if len(ids) == 1:
                raise
            display.error(f"run {short_id(run_id)}: {error}")
            outcomes.append(False)
    if asked.sweep:
        show_runs(store, _sweep_id(store, asked), ids, display)
    return all(outcomes)


def every_one_answered(outcome: Outcome, by_name: Container[str]) -> bool:
    return not outcome.failed and not any(name in by_name for name in outcome.skipped)


def _sweep_id(store: Store, asked: Evaluation) -> str:
    experiments = [cast(str, store.experiment_id)]
    return find_run_id(store.client, cast(str, asked.sweep), "sweep", "sweep", experiments)


def _runs(store: Store, asked: Evaluation) -> list[str]:
    if asked.run:
        return [find_run_id(store.client, asked.run, experiments=[cast(str, store.experiment_id)])]
    sweep = _sweep_id(store, asked)
    members = children(store, store.client.get_run(sweep).data.tags["minibert.sweep_hash"])
    finished = {each.config_hash: each.id for each in members if each.status == "FINISHED"}
    if not finished:
        raise MinibertError(f"sweep={asked.sweep}: no run of it has finished, so there is nothing to evaluate.")
    return list(finished.values())


def _evaluate_run(
    store: Store, run_id: str, asked: Evaluation, settings: EvaluationConfig, display: Display
) -> Outcome:
    record = Amendment(store, run_id)
    saved = saved_run(store, run_id)
    of_training = {key: getattr(saved.config.evaluation, key) for key in OF_TRAINING}
    settings = replace(settings, **of_training, quick=asked.quick or settings.quick)
    steps = kept_steps(settings.asked_steps() if asked.steps == "last" else asked.steps, saved)
    data = recorded_data(saved, record.corpus_hash, display.note)
    outcome = evaluate_recorded(record, saved, settings, steps, data, display, asked.lanes)
    place = f"{PAGE}, among its artifacts" if record.artifact_folder("") is None else saved.folder / PAGE
    tell(outcome, display, f"Added to run {short_id(run_id)}: {place}")
    return outcome


def evaluate_trained(run: Record, config: Config, data: PreparedData, display: Display) -> None:
    """Ask the instruments of a run about the checkpoints that it has just kept. What fails fails no run."""
    if not enabled(config.evaluation):
        return
    saved, asked = saved_run(run.store, run.id, config), config.evaluation.asked_steps()
    if isinstance(asked, list) and (lacking := [step for step in asked if step not in saved.checkpoints]):
        display.error(
            f"evaluation.steps={asked}: no checkpoint was kept of {', '.join(map(str, lacking))}. Kept: "
            f"{', '.join(map(str, saved.checkpoints))}."
        )
        asked = [step for step in asked if step in saved.checkpoints] or "last"
    steps = kept_steps(asked, saved)
    outcome = evaluate_recorded(run, saved, config.evaluation, steps, data, display, config.training.lanes)
    _tell_troubles(outcome, display)
    display.note(f"What it knows: {PAGE} among its artifacts")
    reasons = {f"evaluation.failed.{name}": reason for name, reason in outcome.failed.items()}
    run.set_tags(reasons | {f"evaluation.left_out.{name}": reason for name, reason in outcome.skipped.items()})


def _tell_troubles(outcome: Outcome, display: Display) -> None:
    for name, reason in outcome.failed.items():
        display.error(f"{name} failed: {reason}")
    for name, reason in outcome.skipped.items():
        display.error(f"{name} is left out: {reason}")
    for name, reasons in outcome.partial.items():
        display.error(f"{name} answered without some of its data: {' '.join(reasons)}")
    if outcome.shortfall:
        display.error(outcome.shortfall)


def complete(store: Store, run_id: str, rooms: Container[str], config: Config, display: Display) -> None:
    """Ask the instruments of which a finished run has no metrics yet. ``rooms``: those that it has metrics of."""
    lacking = [name for name in enabled(config.evaluation) if name not in rooms]
    if not lacking:
        return
    display.note(f"run {short_id(run_id)} was trained before, without {', '.join(lacking)}")
    try:
        record = Amendment(store, run_id)
        data = recorded_data(saved_run(store, run_id), record.corpus_hash, display.note)
        evaluate_trained(record, config, data, display)
    except MinibertError as error:  # the run is finished nevertheless
        display.error(str(error))


def evaluate_recorded(
    record: Record,
    saved: SavedRun,
    settings: EvaluationConfig,
    steps: Sequence[int],
    data: PreparedData,
    display: Display,
    lanes: int,
) -> Outcome:
    """Ask the instruments that are switched on about a run's checkpoints, and add what they find to its record."""
    entity = record.entity()
    name = entity.info.run_name or record.id
    about = {"name": name, "what": f"Run {record.id}, after up to {max(saved.checkpoints):,} steps of training."}
    if entity.info.status in (Status.KILLED, Status.FAILED):
        display.note(f"Run {record.id[:8]} was not trained to its end: it is {entity.info.status}.")
    subjects = RunSubjects(saved, settings, data, lanes, display.note)
    alone = wait_for(record.store.lock(f"evaluation-{record.id}"))  # what two find may not be mixed
    with display.stage("asking what the model knows"), alone:
        return ask(enabled(settings), steps, subjects, record, about, display.note)


class RunSubjects:
    """The model of a run at a step. That of the last step asked for is kept."""

    def __init__(
        self,
        saved: SavedRun,
        settings: EvaluationConfig,
        data: PreparedData,
        lanes: int,
        note: Callable[[str], None],
    ):
        self._saved, self._settings, self._data, self._lanes, self._note = saved, settings, data, lanes, note
        self._latest: Subject | None = None
        self._untrained = cache(self._make_untrained)  # for all steps and instruments

    def __call__(self, step: int) -> Subject:
        if self._latest is None or self._latest.step != step:
            self._latest = self._subject(step)
        return self._latest

    def _make_untrained(self) -> MiniBERT:
        config, counts = self._saved.config, self._data.unigram_counts
        return MiniBERT(config.model, cast(int, config.seeds.init), log_unigram_frequencies(counts))

    def _subject(self, step: int) -> Subject:
        config, data = self._saved.config, self._data
        model = MiniBERT(config.model)
        self._saved.load_parameters(model, step)
        return Subject(
            model=model,
            tokenizer=data.tokenizer,
            untrained=self._untrained,
            key=model_key(model, data.tokenizer_hash),
            cache=expanded(config.data.cache, "data.cache"),
            seed=config.seed,
            step=step,
            lanes=self._lanes,
            quick=self._settings.quick,
            held_out=documents_part(data.evaluation, self._settings.documents),
            unigram_counts=data.unigram_counts,
            bits_of_a_nat=bits_of_a_nat(data),
            note=self._note,
        )


def model_key(model: MiniBERT, tokenizer_hash: str) -> str:
    """SHA-256 of the configuration, the parameters and the tokenizer of a model."""
    found = hashlib.sha256(f"{model.config!r}{tokenizer_hash}".encode())
    found.update(model.params.vector.tobytes())
    return found.hexdigest()


def _evaluate_folder(asked: Evaluation, settings: EvaluationConfig, display: Display) -> Outcome:
    """The model of a folder. What is found goes to ``evaluations/`` in the folder of the store."""
    if asked.steps != "last" or settings.steps != "last":
        raise MinibertError("steps: a folder holds one checkpoint. Leave steps= out.")
    source = as_path(cast(str, asked.checkpoint))
    model, tokenizer = load_folder(source, display.note)
    store = find_place(None, asked.tracking.folder).folder
    key = model_key(model, hashlib.sha256(tokenizer.to_str().encode()).hexdigest())
    place = FolderPlace(store / "evaluations" / f"{short_name(source.resolve().name)}-{key[:8]}")
    subject = Subject(
        model=model,
        tokenizer=tokenizer,
        untrained=lambda: MiniBERT(model.config, 0),
        key=key,
        cache=store / "cache",
        lanes=asked.lanes,
        quick=asked.quick or settings.quick,
        note=display.note,
    )
    about = {
        "name": source.resolve().name,
        "what": f"The model in {source}. Its own training text is not known here.",
        "steps": "",
    }
    with display.stage("asking what the model knows"):
        outcome = ask(enabled(settings), [0], lambda step: subject, place, about, display.note)
    tell(outcome, display, f"Written to {place.folder / PAGE}")
    return outcome


def tell(outcome: Outcome, display: Display, written: str) -> None:
    """The time of each instrument and what it found, why others were left out, and at the end where it is written.

    Raises :class:`MinibertError` if none of those asked for has data.
    """
    for name, seconds in outcome.seconds.items():
        display.console.print(f"{name} ({seconds:.1f} s): {outcome.summaries[name]}", markup=False)
    for name in outcome.kept:
        display.console.print(f"{name} (found as it was): {outcome.summaries[name]}", markup=False)
    _tell_troubles(outcome, display)
    if outcome.skipped and not (outcome.answered or outcome.failed):
        raise MinibertError("none of the instruments asked for has its data; see above.")
    display.console.print(written, markup=False)
