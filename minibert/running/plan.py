"""From the command line to typed configurations: what Hydra composes, and errors that say what is allowed."""

import math
import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import product

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minibert.command_line.settings import groups, options_with, settings_with, unknown_key
from minibert.command_line.words import Word, read, read_value
from minibert.config import CONF, VARIANTS, Config, register, resolve
from minibert.diagnostics.catalogue import register_levels
from minibert.errors import MinibertError, nearest
from minibert.model.memory import refuse_what_does_not_fit
from minibert.running.composition import compose_all, compose_quickly, without_hydra
from minibert.running.sweep_checks import check_compared_runs, check_study, refuse_idle_settings

EXPERIMENT = re.compile(r"\+{0,2}experiment=")
MOST_RUNS = 10_000
"""Runs of one sweep."""

register()
register_levels()


@dataclass(frozen=True)
class Job:
    """One run of a plan: its configuration and the words that composed it."""

    config: Config
    overrides: tuple[str, ...]
    choices: dict[str, str]
    """Group -> the option chosen in it"""


@dataclass(frozen=True)
class Plan:
    """The runs that a command line asks for."""

    jobs: tuple[Job, ...]
    sweep: tuple[str, ...]
    """The swept overrides, such as ``masking.rate=0.15,0.40``; empty for a single run"""
    fixed: tuple[str, ...]
    """The overrides that all jobs share"""
    command: tuple[str, ...]
    """The words of the command line"""

    @property
    def keys(self) -> list[str]:
        """The keys and groups that are swept over."""
        return [word.split("=", 1)[0].lstrip("+") for word in self.sweep]


def plan(overrides: list[str], multirun: bool) -> Plan:
    """Compose every run that the overrides ask for, before any of them starts.

    An experiment with ``hydra.sweeper.params`` is swept over them, with or without ``multirun``. A key on the
    command line replaces that of the experiment. Raises :class:`MinibertError`.
    """
    words, stated, own = _read(overrides, multirun)
    swept = [*stated, *(word for word in words if word.swept)]
    sweeping = multirun or (bool(own) and bool(swept))
    if sweeping:  # one value of a key of the experiment's sweep is a part of that sweep
        words = [replace(word, swept=word.swept or word.key in own) for word in words]
        swept = [*stated, *(word for word in words if word.swept)]
    fixed = [word for word in words if not word.swept]
    if swept and not sweeping:
        raise MinibertError(
            f"{swept[0].given}: several values need --multirun (-m): "
            "python -m minibert.run --multirun " + shlex.join(overrides)
        )
    if not sweeping:
        _refuse_words_of_sweeps(fixed)
    names = [str(word) for word in fixed]
    if math.prod(len(word.values) for word in swept) > MOST_RUNS:
        given = " ".join(word.given for word in swept)
        raise MinibertError(f"{given}: more than {MOST_RUNS} runs. Allowed: at most {MOST_RUNS}.")
    composed = _jobs(fixed, swept, words + stated)
    first = next(composed)
    check_study(first.config, swept)  # before the others are composed, since that takes long
    jobs = (first, *composed)
    configs = [job.config for job in jobs]
    refuse_idle_settings(words, configs)
    check_compared_runs(configs, swept)
    command = (*(["--multirun"] if multirun else []), *overrides)
    return Plan(jobs, tuple(str(word) for word in swept), tuple(names), command)


def _jobs(fixed: list[Word], swept: list[Word], words: list[Word]) -> Iterator[Job]:
    """The runs in the order of Hydra's sweeper. Runs with the same options are composed once, for speed."""
    layers, single = {}, [(word, ",".join(word.values)) for word in fixed]
    for values in product(*(word.values for word in swept)):
        at = list(zip(swept, values, strict=True))
        composed = compose_quickly(layers, [*single, *at])
        if composed is None:
            composed = without_hydra(_compose([word.at(value) for word, value in [*single, *at]], words))
        overrides = tuple(word.at(value) for word, value in at) or tuple(str(word) for word in fixed)
        yield Job(typed(composed.config), overrides, composed.choices)


def compose(overrides: list[str], multirun: bool = False):
    """What Hydra composes for words without a sweep, including its own settings.

    Raises :class:`MinibertError`.
    """
    words, stated, _ = _read(overrides, multirun)
    swept = [word for word in words if word.swept]
    if swept:
        raise MinibertError(f"{swept[0].given}: is several configurations. Allowed here: one value.")
    return _compose([str(word) for word in words], words + stated)


def _read(overrides: list[str], multirun: bool) -> tuple[list[Word], list[Word], Collection[str]]:
    """The words given, the words of the experiment's own sweep that they leave, and all keys of that sweep."""
    experiments = [word for text in overrides if EXPERIMENT.match(text) and (word := read(text, multirun))]
    names = [name for word in experiments for name in word.values]
    if len(names) > 1:
        others = [text for text in overrides if not EXPERIMENT.match(text)]
        commands = [shlex.join(["python", "-m", "minibert.run", f"+experiment={name}", *others]) for name in names]
        raise MinibertError(
            f"{' '.join(word.given for word in experiments)}: each experiment has a sweep of its own. "
            "Run them one after the other:\n" + "\n".join(f"  {command}" for command in commands)
        )
    kept = not any(text.startswith("hydra.sweeper.params=") for text in overrides)
    params = _params(names[0]) if names and kept else {}
    words = [read(text, multirun or bool(params)) for text in overrides]
    _refuse_twice(words)
    given = {word.key for word in words}
    stated = [_stated(names[0], key, value) for key, value in params.items()]
    return words, [word for word in stated if word.key not in given], params.keys()


def _params(experiment: str) -> dict[str, str]:
    """What an experiment sweeps over: key -> values."""
    found = OmegaConf.select(OmegaConf.load(CONF / "experiment" / f"{experiment}.yaml"), "hydra.sweeper.params")
    return {} if found is None else {str(key): str(value) for key, value in found.items()}


def _stated(experiment: str, key: str, value: str) -> Word:
    """A word of an experiment's sweep. It is swept even if it has a single value."""
    try:
        return replace(read(f"{key}={value}", sweeping=True), swept=True)
    except MinibertError as error:
        raise MinibertError(f"experiment={experiment}, hydra.sweeper.params: {error}") from error


def _refuse_twice(words: list[Word]) -> None:
    """Refuse two options for a group, and two sweeps over a key: Hydra would read them as something else."""
    seen: dict[str, Word] = {}
    for word in words:
        first = seen.setdefault(word.key, word)
        if first is not word and (word.is_group or word.swept or first.swept):
            raise MinibertError(f"{first.given} and {word.given}: {word.key} is given twice. Allowed: once.")


def _refuse_words_of_sweeps(words: list[Word]) -> None:
    for word in words:
        launcher = word.key.startswith("hydra") and word.key != "hydra.sweeper.params"
        if launcher or word.key == "tracking.report":
            raise MinibertError(f"{word.given}: has no effect on a single run. Allowed: with --multirun.")


def typed(composed) -> Config:
    """The configuration that :func:`compose` gave, with its types, checked.

    Raises :class:`MinibertError` for a value that is not allowed, and if the memory of this machine is too small.
    """
    try:
        config = resolve(composed)
    except OmegaConfBaseException as error:  # an interpolation without a target
        why = str(error).strip().partition("\n")[0].rstrip(".")
        raise MinibertError(
            f"{error.full_key}: {why}. Allowed: ${{key}} of an existing setting. "
            "In a text, these signs are written \\${key}."
        ) from error
    refuse_what_does_not_fit(config)
    return config


def _compose(overrides: list[str], words: list[Word]):
    """Hydra's composition of the overrides. ``words``, from which they come, tell which of them was wrong."""
    try:
        return _open(compose_all(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        chosen = _choices(overrides)
        for word in words:
            for problem in _problems(word, chosen):
                raise problem from error
        raise MinibertError(_reason(error)) from error


def _open(composed):
    OmegaConf.set_struct(composed, False)
    return composed


def _choices(overrides: list[str]) -> dict[str, str]:
    """Group -> the option chosen by the defaults, the experiment or the overrides."""
    choosing = [text for text in overrides if text.split("=")[0].lstrip("+") in (*groups(), "hydra/launcher")]
    try:
        return dict(compose_all(choosing).hydra.runtime.choices)
    except (HydraException, OmegaConfBaseException):
        return dict(text.lstrip("+").split("=", 1) for text in choosing)


def _problems(word: Word, chosen: dict[str, str]) -> Iterator[MinibertError]:
    """What is wrong with a word: a key that the chosen option does not have, or a value of another type."""
    if word.is_group:
        group, _, part = word.key.rpartition("/")
        holders = options_with(group, part)
        if group and chosen.get(group) not in holders:
            yield MinibertError(f"{word.given}: goes with {group}={' or '.join(holders)} only.")
        return
    if word.is_hydra:
        yield from _launcher_problems(word, chosen)
        return
    present = settings_with(chosen)
    if word.key not in present:
        yield unknown_key(word.given, word.key, present, _belongs(word.key, chosen))
        return
    setting = present[word.key]
    for value in word.values:
        parsed = read_value(value)
        try:
            OmegaConf.update(OmegaConf.structured(setting.owner), setting.field.name, parsed)
        except OmegaConfBaseException:
            default = getattr(setting.owner(), setting.field.name)
            yield MinibertError(
                f"{word.key}={parsed}: wrong type. Allowed: {setting.describe()}; the default is {default}."
            )


def _belongs(key: str, chosen: dict[str, str]) -> str:
    """The options of a group that have the setting that the chosen one lacks, as a sentence."""
    for group in VARIANTS:
        holders = [option for option in VARIANTS[group] if key in settings_with({**chosen, group: option})]
        if holders:
            return f"It goes with {group}={' or '.join(holders)}, not with {group}={chosen.get(group)}."
    return ""


def _launcher_problems(word: Word, chosen: dict[str, str]) -> Iterator[MinibertError]:
    launcher = chosen.get("hydra/launcher", "basic")
    fields = compose_all([f"hydra/launcher={launcher}"]).hydra.launcher
    known = [f"hydra.launcher.{name}" for name in fields if name != "_target_"]
    if word.key.startswith("hydra.launcher.") and word.key not in known:
        yield MinibertError(
            f"{word.given}: unknown key '{word.key}' of hydra/launcher={launcher}{nearest(word.key, known)}. "
            f"Allowed: {', '.join(known) or 'hydra/launcher=cores, which has some'}."
        )


def _reason(error: Exception) -> str:
    """What Hydra or OmegaConf says, as one line, without the list of folders that it looked into."""
    paragraphs = [" ".join(part.split()) for part in str(error).strip().split("\n\n")]
    first, *others = [part for part in paragraphs if part and not part.startswith("Config search path")] or [""]
    if first.endswith(":") and others:
        first = f"{first} {others[0]}"
    return first.rstrip(".: ") or type(error).__name__
