"""A search: which settings its trials differ in, what they are judged by, and how the next trial is chosen.

It is no group of a run. A file of conf/search, or a user's own, states it; ``search.KEY=VALUE`` changes it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from minibert.config.fields import choice, number
from minibert.config.run import LARGEST_SEED

DIRECTIONS = ("minimize", "maximize")


@dataclass
class ParameterConfig:
    """The values that a setting, or a group, may take."""

    kind: str = choice("float", "float", "int", "categorical")
    low: float | None = None
    high: float | None = None
    step: float | None = number(None, above=0)
    """Distance of neighbouring values; null is any value of a float, and 1 of an int."""
    log: bool = False
    """Draw the logarithm of the value evenly, not the value."""
    choices: list[Any] = field(default_factory=list)
    """The values of a categorical parameter; of a group, its options."""
    when: dict[str, list[Any]] = field(default_factory=dict)
    """A categorical parameter above this one -> its values with which this one is drawn."""

    def problems(self) -> Iterator[str]:
        """What the fields do not allow together, each as the name of a field and a sentence."""
        if self.kind == "categorical":
            if any(value is not None for value in (self.low, self.high, self.step)) or self.log:
                yield "kind=categorical: low, high, step and log have no effect. Allowed: choices."
            if not self.choices or len({*map(str, self.choices)}) < len(self.choices):
                yield f"choices={self.choices}: has none, or one twice. Allowed: each value once."
            return
        if self.choices:
            yield f"choices={self.choices}: has no effect with kind={self.kind}. Allowed: low and high."
        if self.low is None or self.high is None:
            yield f"kind={self.kind}: needs low and high."
            return
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            yield f"low={self.low:g} and high={self.high:g}: no range. Allowed: finite numbers, low below high."
        if self.kind == "int" and any(
            not float(each).is_integer() for each in (self.low, self.high, self.step or 1)
        ):
            yield f"low={self.low:g} and high={self.high:g}: kind=int has whole numbers only, its step as well."
        if self.log and self.low <= 0:
            yield f"low={self.low:g}: has no logarithm. Allowed with log=true: above 0."
        if self.log and self.step is not None:
            yield f"step={self.step:g}: has no effect with log=true. Allowed: one of the two."


@dataclass
class SearchConfig:
    """What is searched for, and how."""

    name: str = ""
    """Of the study and its files; by default, that of the file that states the search."""
    question: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    """What all trials share: words of ``minibert run``, a group or a key with its value."""
    parameters: dict[str, ParameterConfig] = field(default_factory=dict)
    """A setting, or a group -> the values that it may take."""
    objectives: dict[str, str] = field(default_factory=lambda: {"eval/loss": "minimize"})
    """A metric, of which the last recorded value counts -> minimize or maximize."""
    trials: int = number(20, at_least=1, at_most=100_000)
    """Of the whole study, those of earlier commands included."""
    workers: int = number(1, at_least=1, at_most=256)
    """Processes that train trials at once."""
    seed: int = number(0, at_least=0, at_most=LARGEST_SEED)
    sampler: str = choice("tpe", "tpe", "random")
    """``tpe``: tree-structured Parzen estimator (Bergstra et al., 2011). ``random``: evenly from all values."""
    startup: int = number(10, at_least=1)
    """Trials that ``tpe`` draws at random before it goes by their results, and that end before any is pruned."""
    pruner: str = choice("median", "median", "none")
    """``median``: a trial ends at an evaluation at which its best value so far is worse than the median of the
    others there. A search with several objectives prunes nothing."""
    prune_after: float = number(0.2, at_least=0, at_most=1)
    """Share of the steps of a trial before which it is not pruned. The untrained network never counts."""
    storage: str | None = None
    """A database for the study, such as ``postgresql://HOST/NAME``, for workers on several machines; null is the
    journal ``search/NAME.journal`` in the folder of the store."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.objectives)

    @property
    def prunes(self) -> bool:
        return self.pruner != "none" and len(self.objectives) == 1 and self.metrics[0].startswith("eval/")

    def problems(self) -> Iterator[str]:
        """What the fields do not allow together."""
        if not self.parameters:
            yield "search.parameters: is empty. Allowed: settings, each with the values that it may take."
        if not self.objectives:
            yield "search.objectives: is empty. Allowed: a metric, such as eval/loss: minimize."
        for metric, direction in self.objectives.items():
            if direction not in DIRECTIONS:
                yield f"search.objectives.{metric}={direction}: not allowed. Allowed: {', '.join(DIRECTIONS)}."
        if not self.name or any(sign in self.name for sign in "/\\\0") or self.name.startswith("."):
            yield f"search.name={self.name}: cannot be the name of a file. Allowed: letters, digits, - and _."
        earlier: dict[str, ParameterConfig] = {}
        for key, parameter in self.parameters.items():
            start = f"search.parameters.{key}"
            yield from (f"{start}.{problem}" for problem in parameter.problems())
            for other, values in parameter.when.items():
                known = earlier[other].choices if other in earlier else []
                if not known:
                    yield f"{start}.when.{other}: is no categorical parameter above {key}."
                elif wrong := [value for value in values if value not in known]:
                    yield f"{start}.when.{other}={wrong[0]}: never occurs. Allowed: {', '.join(map(str, known))}."
            if key in self.settings:
                yield f"search.settings.{key}: is also a parameter. Allowed: one of the two."
            earlier[key] = parameter
