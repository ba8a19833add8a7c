"""What a search has found: its trials in order, and the best one as an experiment that ``minibert run`` takes."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from rich.table import Table

from minibert.command_line.words import names, read, read_value
from minibert.config import OVERLAYS
from minibert.config.search import SearchConfig
from minibert.config.shipped import COMBINED
from minibert.running.search.reading import Asked
from minibert.running.search.space import trained, words_of
from minibert.running.search.trials import FOUND, REASON, RUN
from minibert.tracking.lookup import short_id

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

SHOWN_AT_THE_END = 10
"""Trials in the table that a command ends with"""


def ranked(study: "Study", search: SearchConfig) -> "list[FrozenTrial]":
    """The trials that trained to the end, the best first: by the first objective, then by their number."""
    sign = 1 if next(iter(search.objectives.values())) == "minimize" else -1
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    return sorted(done, key=lambda trial: (sign * trial.values[0], trial.number))


def front(study: "Study", search: SearchConfig) -> "list[FrozenTrial]":
    """The trials that no other one beats in every objective, the best of the first objective first."""
    done = ranked(study, search)
    if len(search.objectives) == 1:
        return done[:1]
    numbers = {trial.number for trial in study.best_trials}
    return [trial for trial in done if trial.number in numbers]


def counted(study: "Study") -> dict[str, int]:
    """How many trials finished, were pruned, failed, and are open."""
    words = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "open", "WAITING": "open"}
    counts = dict.fromkeys(words.values(), 0)
    for trial in study.get_trials(deepcopy=False):
        counts[words[trial.state.name]] += 1
    return counts


def columns(search: SearchConfig) -> list[str]:
    """The columns of the table of trials."""
    return ["trial", *search.metrics, *search.parameters, "run", "end"]


def row(trial: "FrozenTrial", search: SearchConfig) -> list[str]:
    """A trial in the table. A parameter that was not drawn is empty."""
    values = trial.values if trial.state.name == "COMPLETE" else None
    shown = [f"{value:.4g}" for value in values] if values else [""] * len(search.objectives)
    drawn = [_short(trial.params[key]) if key in trial.params else "" for key in search.parameters]
    run = short_id(trial.user_attrs.get(RUN) or "")
    return [str(trial.number), *shown, *drawn, run, end_of(trial)]


def end_of(trial: "FrozenTrial") -> str:
    """How a trial ended."""
    if trial.state.name == "COMPLETE":
        return "found" if trial.user_attrs.get(FOUND) else "finished"
    return trial.user_attrs.get(REASON) or {"RUNNING": "open", "WAITING": "open"}.get(trial.state.name, "failed")


def table_of(study: "Study", search: SearchConfig) -> Table:
    """The best trials, for the terminal."""
    several = len(search.objectives) > 1
    shown = front(study, search) if several else ranked(study, search)
    table = Table(title="Pareto front" if several else "Best trials", title_justify="left")
    for column in columns(search):
        table.add_column(column, justify="right" if column in ("trial", *search.metrics) else "left")
    for trial in shown[:SHOWN_AT_THE_END]:
        table.add_row(*row(trial, search))
    return table


def best_words(asked: Asked, trial: "FrozenTrial") -> list[str]:
    """The words that train the run of a trial again, without those that say where it is recorded."""
    parameters = asked.search.parameters
    values = {key: trained(trial.params[key], parameters[key]) for key in parameters if key in trial.params}
    return [word for word in [*asked.words, *words_of(values)] if not word.lstrip("+").startswith("tracking")]


def command_of(words: Sequence[str]) -> str:
    """The command that trains a run of these words."""
    return "python -m minibert.run " + shlex.join(_run_words(words))


def as_experiment(asked: Asked, trial: "FrozenTrial") -> str:
    """The run of a trial as an experiment file: options as its defaults list, all else as nested values."""
    search, name = asked.search, f"{asked.search.name}_best"
    defaults: list[Any] = []
    values: dict[str, Any] = {"study": {"name": name}}
    if search.question:
        values["study"]["question"] = search.question
    for text in best_words(asked, trial):
        word = read(text, sweeping=False)
        (value,) = word.values
        if word.key == "experiment":
            defaults.append(value)
            values["hydra"] = {"sweeper": {"params": None}}
        elif word.key in OVERLAYS:
            defaults.append({f"/{word.key}": value})
        elif word.is_group:
            several = word.key in COMBINED and value.startswith("[")
            options = names(text, word.key, value) if several else value
            defaults.append({f"override /{word.key}": options})
        elif not word.is_hydra:
            _put(values, word.key, read_value(value))
    results = ", ".join(f"{key} {value:.6g}" for key, value in zip(search.metrics, trial.values, strict=True))
    lines = [
        "# @package _global_",
        "#",
        f"# Trial {trial.number} of the search {search.name}: {results}.",
        f"# In conf/experiment as {name}.yaml: python -m minibert.run +experiment={name}",
    ]
    body = OmegaConf.to_yaml(OmegaConf.create({"defaults": _last_overrides(defaults), **values}))
    return "\n".join([*lines, body])


def _last_overrides(defaults: list) -> list:
    """Hydra wants the overrides of a defaults list behind what they override."""
    return sorted(defaults, key=lambda entry: isinstance(entry, Mapping) and "override" in next(iter(entry)))


def _run_words(words: Sequence[str]) -> list[str]:
    return [f"+{word}" if word.partition("=")[0] in OVERLAYS else word for word in words]


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[last] = value


def _short(value: Any) -> str:
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
