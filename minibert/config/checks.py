"""Values against what their fields allow, and then what each schema refuses of the others (``problems``)."""

import math
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Any, get_args, get_type_hints

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


def validate(config: Config | ModelConfig, prefix: str = "") -> None:
    """Check every field against its bounds and choices, then the fields against each other."""
    problems = list(field_problems(config, prefix))
    if not problems:
        problems = list(config.problems())
    if problems:
        raise MinibertError("\n".join(problems))


def field_problems(config, prefix: str):
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
        if kind := _other_kind(value, types[item.name]):
            named = choices or filter(None, (kind, allowed))
            yield f"{key}: {shown(value)} was given. Allowed: {', '.join(named)}."
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
        # A comparison with NaN is false, so NaN is refused wherever there is a bound.
        if not all(comparisons[name][0](value, item.metadata[name]) for name in limits):
            yield f"{key}={value}: out of range. Allowed: {allowed}."


def _other_kind(value: Any, kind: Any) -> str:
    """What a field of this type holds, where the value is something else; empty where it is not, and for lists."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and type(None) in kinds:
        return ""
    kind = kinds[0]
    if isinstance(kind, type) and is_dataclass(kind):
        return "" if isinstance(value, kind) else f"a {kind.__name__}"
    if kind not in KINDS:
        return ""
    accepted, words = KINDS[kind]
    is_other = not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool)
    return words if is_other else ""


def _number_problems(key: str, value: float, bounds):
    """What no number may be, whatever its own bounds: infinite, or out of the reach of float32."""
    if not math.isfinite(value):
        yield f"{key}={value}: not a finite number. Allowed: a number, such as the default."
    elif abs(value) > LARGEST and not {"at_most", "below"} & set(bounds):
        yield f"{key}={value}: out of range. Allowed: at most {LARGEST:g}."
    elif 0 < abs(value) < SMALLEST:
        yield f"{key}={value}: too small for float32, which takes it for 0. Allowed: at least {SMALLEST:g}."
