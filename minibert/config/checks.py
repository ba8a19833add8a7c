"""Values against what their fields allow, and then what each schema refuses of the others (``problems``)."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from minibert.config.model import ModelConfig
from minibert.config.run import Config
from minibert.errors import MinibertError, nearest, shown

LARGEST = 1e12
"""Of numbers that have no upper bound of their own"""
SMALLEST = 1e-37
"""Of numbers above zero: float32 begins at 1.2e-38"""
KINDS: dict[Any, tuple[Any, str]] = {
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: ((bool, np.bool_), "True or False"),
    str: (str, "a text"),
}
"""Type of a field -> what its values are, and how a message says so"""
LISTS = {int: "a list of whole numbers", float: "a list of numbers", str: "a list of texts"}
"""Type of the entries of a list -> how a message calls the list"""

WORDS = {"model.position": "position", "optimizer.inner": "optimizer/inner"}
"""Place of a group in the configuration -> its word on the command line, where that is another"""


def validate(config: Config | ModelConfig, prefix: str = "") -> None:
    """Check every field against its bounds and choices, then the fields against each other."""
    problems = list(field_problems(config, prefix))
    if not problems:
        problems = list(config.problems())
    _refuse(problems)


def require_config(config: Any, schema: type, prefix: str) -> None:
    """Check what a function was given: its type, its fields and, of a group, if its class is that of its name.

    ``prefix``: of the keys, such as ``model.``.

    Raises :class:`MinibertError` for another type, and names every value that is not allowed.
    """
    _refuse(_problems_of(config, schema, prefix))


def require_option(config: Any, schema: type, prefix: str) -> None:
    """Check that what a function was given is an option of a group: its type, its name, the class of that name.

    Other values may be out of range: who composes a run has checked them. Raises :class:`MinibertError`.
    """
    beginnings = prefix[:-1] + ":", f"{prefix}name"
    _refuse([each for each in _problems_of(config, schema, prefix) if each.startswith(beginnings)])


def _problems_of(config: Any, schema: type, prefix: str) -> list[str]:
    if not isinstance(config, schema):
        return [f"{prefix[:-1]}: {shown(config)} was given. Allowed: {_article(schema)}."]
    return list(field_problems(config, prefix))


def _refuse(problems: list[str]) -> None:
    if problems:
        raise MinibertError("\n".join(problems))


def _article(schema: type) -> str:
    return f"{'an' if schema.__name__[0] in 'AEIOU' else 'a'} {schema.__name__}"


def field_problems(config, prefix: str) -> Iterator[str]:
    """What the fields of a schema do not allow, as sentences that begin with the key, ``prefix`` before it."""
    comparisons = {
        "at_least": (lambda value, bound: value >= bound, "at least"),
        "above": (lambda value, bound: value > bound, "above"),
        "at_most": (lambda value, bound: value <= bound, "at most"),
        "below": (lambda value, bound: value < bound, "below"),
    }
    types = get_type_hints(type(config))
    for item in fields(config):
        value, key = getattr(config, item.name), prefix + item.name
        choices = item.metadata.get("choices")
        limits = [name for name in comparisons if name in item.metadata]
        allowed = " and ".join(f"{comparisons[name][1]} {item.metadata[name]}" for name in limits)
        if kind := other_kind(value, types[item.name]):
            named = choices or filter(None, (kind, allowed))
            yield f"{key}: {shown(value)} was given. Allowed: {', '.join(named)}."
            continue
        if isinstance(value, list | tuple):
            yield from _entry_problems(key, value, types[item.name])
            continue
        if is_dataclass(value):
            yield from field_problems(value, key + ".")
            continue
        if value is None:
            continue
        if isinstance(value, float | int) and not isinstance(value, bool):
            yield from _number_problems(key, value, item.metadata)
        if choices and value not in choices:
            yield f"{key}={value}: not allowed{nearest(str(value), choices)}. Allowed: {', '.join(choices)}."
        elif isinstance(choices, Mapping):
            yield from _schema_problems(key, config, choices)
        # A comparison with NaN is false, so NaN is refused wherever there is a bound.
        if not all(comparisons[name][0](value, item.metadata[name]) for name in limits):
            yield f"{key}={value}: out of range. Allowed: {allowed}."


def _schema_problems(key: str, config: Any, options: Mapping[str, type]) -> Iterator[str]:
    """What is wrong where the class of an option is another than that of its name.

    Settings of that name would be missing, or those that are given would be passed over.
    """
    own = [name for name, schema in options.items() if schema is type(config)]
    if own and config.name not in own:
        place, needed = key.removesuffix(".name"), _article(options[config.name])
        word = f"{WORDS.get(place, place)}={config.name}"
        yield (
            f"{key}={config.name}: was given in {_article(type(config))}. Allowed in it: {', '.join(own)}; "
            f"{config.name} belongs in {needed}. On the command line: {word}."
        )


def other_kind(value: Any, kind: Any) -> str:
    """What a field of this type holds, where the value is something else; empty where it is not."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and type(None) in kinds:
        return ""
    kind = kinds[0]
    if isinstance(kind, type) and is_dataclass(kind):
        return "" if isinstance(value, kind) else _article(kind)
    if get_origin(kind) is list:
        return "" if isinstance(value, list | tuple) else LISTS.get(get_args(kind)[0], "a list")
    if kind not in KINDS:
        return ""
    accepted, words = KINDS[kind]
    is_other = not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool)
    return words if is_other else ""


def _entry_problems(key: str, values: list | tuple, kind: Any) -> Iterator[str]:
    """What the entries of a list may not be."""
    kinds = [each for each in (get_args(kind) if isinstance(kind, UnionType) else (kind,)) if get_args(each)]
    for index, value in enumerate(values):
        if words := other_kind(value, get_args(kinds[0])[0]) if kinds else "":
            yield f"{key}[{index}]: {shown(value)} was given. Allowed: {words}."


def _number_problems(key: str, value: float, bounds) -> Iterator[str]:
    """What no number may be, whatever its own bounds: infinite, or out of the reach of float32."""
    if not math.isfinite(value):
        yield f"{key}={value}: not a finite number. Allowed: a number, such as the default."
    elif abs(value) > LARGEST and not {"at_most", "below"} & set(bounds):
        yield f"{key}={value}: out of range. Allowed: at most {LARGEST:g}."
    elif 0 < abs(value) < SMALLEST:
        yield f"{key}={value}: too small for float32, which takes it for 0. Allowed: at least {SMALLEST:g}."
