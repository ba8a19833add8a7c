"""The names of runs: their values of the swept keys, or what differs from the defaults.

Names are for people. A run is identified by the hash of its configuration.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any, cast

from omegaconf import OmegaConf

from minibert.command_line.settings import is_seed
from minibert.config import OVERLAYS, Config
from minibert.config.evaluation import ASKED_AFTERWARDS
from minibert.config.run import FOLLOWS
from minibert.randomness import derive_seeds
from minibert.running.composition import compose_options, default_options

SEPARATOR = " · "
EXPONENT = re.compile(r"e\+?(-?)0*")
"""Of a number as Python writes it, ``1e+06``, where a command has ``1e6``"""
LARGEST = 1e4
"""From which on a number has an exponent where that is shorter: 1e4, as in a report"""
LONGEST_NAME = 200
"""A database behind MLflow may keep no more than 250 characters."""
ALWAYS_SHOWN = ("data", "model", "optimizer")
NOT_SHOWN = ("tracking.", "study.", "data.cache", "model.auxiliary_heads", *ASKED_AFTERWARDS)
"""Settings that change no result, or that follow from the objective"""
CHANGE_NO_RESULT = ("evaluation", "tracking")
"""Groups whose options only say what is asked after training, and where the run is recorded"""


def run_name(config: Config, choices: Mapping[str, str], keys: list[str]) -> str:
    """``masking 0.40 · seed 1``: the value that the run has of every key of its sweep.

    A ``tracking.run_name`` is put before them. Without either, the name gives data, model and optimizer, and what
    differs from the defaults: ``sotu · base · adamw · position rope · steps 100 · seed 0``.
    """
    given = [config.tracking.run_name] if config.tracking.run_name else []
    given += [_label(key) + " " + _short(choices.get(key) or _value_at(config, key)) for key in keys]
    return _fitted(given or [*_description(config, choices), *_seeds(config)])


def seeds_name(config: Config, choices: Mapping[str, str]) -> str:
    """``sotu · base · muon · steps 100 · seeds``: the name of a sweep over nothing but seeds.

    ``config`` and ``choices`` are those of any of its runs.
    """
    return _fitted([*_description(config, choices), "seeds"])


def _description(config: Config, choices: Mapping[str, str]) -> list[str]:
    shown = [config.data.name, config.model.name, config.optimizer.name]
    default_choices, defaults = _defaults(tuple(sorted(choices.items())))
    for group, option in choices.items():
        if group not in (*ALWAYS_SHOWN, *CHANGE_NO_RESULT) and default_choices.get(group) != option:
            shown.append(f"{_label(group)} {option}")
    expected, values = dict(defaults), _flat(asdict(config))
    for key, source in FOLLOWS.items():
        if key in values and (expected.get(key) is None or source.startswith("optimizer.")):
            expected[key] = values.get(source)
    for key, value in values.items():
        shown_anyway = is_seed(key) or key.rpartition(".")[2] == "name"
        if not shown_anyway and not key.startswith(NOT_SHOWN) and expected.get(key) != value:
            shown.append(f"{_label(key)} {_short(value)}")
    return list(map(str, shown))


def _seeds(config: Config) -> list[str]:
    """``init 7``, of each stream whose seed is not the one that follows from the seed, and ``seed 0``."""
    derived = derive_seeds(config.seed)
    given = [f"{stream} {seed}" for stream, seed in asdict(config.seeds).items() if seed != derived[stream]]
    return [*given, f"seed {config.seed}"]


@lru_cache
def _defaults(choices: tuple[tuple[str, str], ...]) -> tuple[dict[str, str], dict[str, Any]]:
    """The default option of every group, and the value of every key with the options chosen."""
    words = [f"+{group}={option}" if group in OVERLAYS else f"{group}={option}" for group, option in choices]
    values = OmegaConf.to_container(compose_options(words).config, resolve=True, throw_on_missing=False)
    return default_options(), _flat(cast(dict, values))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _fitted(parts: list[str]) -> str:
    """The parts as one line. If it is too long, its end is replaced by a hash."""
    name = SEPARATOR.join(" ".join(part.split()) for part in parts)
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - len(digest) - 2]}… {digest}"


def _label(key: str) -> str:
    """``masking.rate`` is called masking; ``optimizer.learning_rate``, learning rate; ``evaluation.every``,
    evaluation every."""
    *parents, last = key.replace("/", ".").split(".")
    if parents == ["evaluation"]:
        return f"evaluation {last}".replace("_", " ")
    return (parents[-1] if parents and last in ("rate", "name") else last).replace("_", " ")


def _short(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    if not isinstance(value, float):
        return str(value)
    if round(value, 2) == value and 0.01 <= abs(value) < 1000:
        return f"{value:.2f}"
    # Six digits if they are exact; two values of a sweep may differ in the eighth.
    text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
    text = EXPONENT.sub(r"e\1", text)
    if not LARGEST <= abs(value) < math.inf:
        return text
    mantissa, exponent = f"{value:e}".split("e")
    short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return short if float(short) == value and len(short) < len(text) else text


def _value_at(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return config
