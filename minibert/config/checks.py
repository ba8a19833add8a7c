"""Values against what their fields allow, and then what each schema refuses of the others (``problems``)."""

import math
from dataclasses import fields, is_dataclass

from minibert.config.model import ModelConfig
from minibert.config.run import Config
from minibert.errors import MinibertError, nearest

LARGEST = 1e12
"""Of numbers that have no upper bound of their own"""
SMALLEST = 1e-37
"""Of numbers above zero: float32 begins at 1.2e-38"""


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
    for item in fields(config):
        value, key = getattr(config, item.name), prefix + item.name
        if is_dataclass(value):
            yield from field_problems(value, key + ".")
            continue
        if value is None:
            continue
        if isinstance(value, float | int) and not isinstance(value, bool):
            yield from _number_problems(key, value, item.metadata)
        choices = item.metadata.get("choices")
        if choices and value not in choices:
            yield f"{key}={value}: not allowed{nearest(str(value), choices)}. Allowed: {', '.join(choices)}."
        limits = [name for name in comparisons if name in item.metadata]
        # A comparison with NaN is false, so NaN is refused wherever there is a bound.
        if not all(comparisons[name][0](value, item.metadata[name]) for name in limits):
            allowed = " and ".join(f"{comparisons[name][1]} {item.metadata[name]}" for name in limits)
            yield f"{key}={value}: out of range. Allowed: {allowed}."


def _number_problems(key: str, value: float, bounds):
    """What no number may be, whatever its own bounds: infinite, or out of the reach of float32."""
    if not math.isfinite(value):
        yield f"{key}={value}: not a finite number. Allowed: a number, such as the default."
    elif abs(value) > LARGEST and not {"at_most", "below"} & set(bounds):
        yield f"{key}={value}: out of range. Allowed: at most {LARGEST:g}."
    elif 0 < abs(value) < SMALLEST:
        yield f"{key}={value}: too small for float32, which takes it for 0. Allowed: at least {SMALLEST:g}."
