"""What a search may try: the values of a trial, the words that set them, and the ends of their ranges."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from minibert.config.search import ParameterConfig

DIGITS = 6
Values = dict[str, Any]
"""Setting or group -> value"""


class Draws(Protocol):
    """What draws a value of each kind, as a trial of Optuna does."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: list) -> Any: ...


def draw(
    trial: Draws, parameters: Mapping[str, ParameterConfig], before: Callable[[str], None] = lambda key: None
) -> Values:
    """The values of a trial, ``before`` called for each. A parameter whose condition does not hold has none."""
    values: Values = {}
    for key, each in parameters.items():
        if holds(each, values):
            before(key)
            values[key] = trained(_drawn(trial, key, each), each)
    return values


def trained(value: Any, parameter: ParameterConfig) -> Any:
    """The value that a run is trained with: of a float, its first six digits, within its range.

    So runs have names that can be read, and 0.15000000000000002 is the 0.15 of an earlier run.
    """
    if not isinstance(value, float) or parameter.kind != "float":
        return value
    low, high = ends(parameter)
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def holds(parameter: ParameterConfig, values: Mapping[str, Any]) -> bool:
    """Whether the parameter is drawn beside these values."""
    return all(
        other in values and as_text(values[other]) in map(as_text, allowed)
        for other, allowed in parameter.when.items()
    )


def words_of(values: Mapping[str, Any]) -> list[str]:
    """The words of ``minibert run`` that set the values."""
    return [f"{key}={as_text(value)}" for key, value in values.items()]


def as_text(value: Any) -> str:
    """A value of YAML as the command line has it: ``null``, ``true``, ``[a,b]``, a number to its last digit."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_text, value))}]"
    return repr(value) if isinstance(value, float) else str(value)


def extremes(parameters: Mapping[str, ParameterConfig]) -> Iterator[Values]:
    """Values at the ends of every range, and every choice, each at least once; conditions hold.

    All other parameters are at their first end. Last, all are at their last one.
    """
    seen = []
    for key, each in parameters.items():
        for end in ends(each):
            values = _at(parameters, {**_needed(parameters, key), key: end})
            if values not in seen:
                seen.append(values)
                yield values
    values: Values = {}
    for key, each in parameters.items():
        if holds(each, values):
            values[key] = ends(each)[-1]
    if values not in seen:
        yield values


def ends(parameter: ParameterConfig) -> list:
    """The smallest and the largest value of a range; all choices."""
    if parameter.kind == "categorical":
        return [_scalar(choice) for choice in parameter.choices]
    low, high = float(parameter.low or 0), float(parameter.high or 0)
    step = 1.0 if parameter.kind == "int" and parameter.step is None else parameter.step
    if step is not None and not parameter.log:
        high = float(f"{low + step * int((high - low) / step + 1e-9):.15g}")
    return [int(low), int(high)] if parameter.kind == "int" else [low, high]


def _at(parameters: Mapping[str, ParameterConfig], fixed: Mapping[str, Any]) -> Values:
    values: Values = {}
    for key, each in parameters.items():
        if holds(each, values):
            values[key] = fixed.get(key, ends(each)[0])
    return values


def _needed(parameters: Mapping[str, ParameterConfig], key: str) -> Values:
    """The values of other parameters with which this one is drawn."""
    needed: Values = {}
    for other, allowed in parameters[key].when.items():
        needed |= _needed(parameters, other) | {other: _scalar(allowed[0])}
    return needed


def _drawn(trial: Draws, key: str, parameter: ParameterConfig) -> Any:
    if parameter.kind == "categorical":
        return trial.suggest_categorical(key, ends(parameter))
    low, high = float(parameter.low or 0), float(parameter.high or 0)
    if parameter.kind == "int":
        return trial.suggest_int(key, int(low), int(high), step=int(parameter.step or 1), log=parameter.log)
    return trial.suggest_float(key, low, high, step=parameter.step, log=parameter.log)


def _scalar(choice: Any) -> Any:
    """A choice as Optuna takes it: lists as their text."""
    return as_text(choice) if isinstance(choice, list | tuple) else choice
