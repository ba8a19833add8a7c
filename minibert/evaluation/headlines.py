"""The numbers that answer the question of an instrument, each beside what needs no knowledge to reach it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

CHANCE, UNTRAINED = "chance", "untrained network"
"""Controls that several instruments have"""


@dataclass(frozen=True)
class Headline:
    """A value of the trained model, its interval, and its controls."""

    about: str
    """Of what, such as ``blimp`` or ``part of speech``: unlike those of the instrument's other headlines"""
    measured: str
    """Such as ``accuracy``, or ``loss, nats a word``"""
    metric: str
    """The name under which the value is recorded"""
    value: float | None
    low: float | None
    high: float | None
    """The 95 % interval; None where there is none"""
    count: int
    counted: str
    """How many of what the value is of, such as 800 and ``pairs``"""
    controls: Mapping[str, float | None] = field(default_factory=dict)
    """Name -> value of what is measured, on the same data"""
    not_better_than: list[str] = field(default_factory=list)
    """The controls that the model does not beat, by an interval"""
    higher_is_better: bool = True

    @property
    def untrained(self) -> float | None:
        return self.controls.get(UNTRAINED)

    @property
    def others(self) -> dict[str, float | None]:
        """The controls without the untrained network"""
        return {name: value for name, value in self.controls.items() if name != UNTRAINED}

    @property
    def verdict(self) -> str:
        """Whether the trained model beats its controls, in words."""
        if self.value is None:
            return "nothing was measured"
        if not self.controls:
            return "without a control"
        if not self.not_better_than:
            return (
                "better than every control"
                if len(self.controls) > 1
                else f"better than {next(iter(self.controls))}"
            )
        if 1 < len(self.controls) == len(self.not_better_than):
            return "no better than any control"
        return f"no better than {listed(self.not_better_than)}"


def headline(
    about: str,
    measured: str,
    metric: str,
    interval: Sequence[float | None],
    count: int,
    counted: str,
    controls: Mapping[str, float | None],
    not_better_than: Sequence[str] | None = None,
    higher_is_better: bool = True,
) -> Headline:
    """A headline of a value with its 95 % interval: (value, low, high), where NaN and None are undefined.

    Controls without a value are left out. ``not_better_than`` names those that the model does not beat on the same
    examples. Without it, these are the ones within the interval or beyond it.

    >>> headline("blimp", "accuracy", "minimal_pairs/accuracy", (0.6, 0.55, 0.65), 800, "pairs",
    ...          {"chance": 0.5, "untrained network": 0.57}).verdict
    'no better than untrained network'
    """
    value, low, high = (_finite(each) for each in interval)
    known = {name: found for name, each in controls.items() if (found := _finite(each)) is not None}
    if not_better_than is None:
        edge = low if higher_is_better else high
        sign = 1 if higher_is_better else -1
        not_better_than = [name for name, each in known.items() if edge is None or sign * edge <= sign * each]
    beaten_by = [name for name in known if name in not_better_than]
    return Headline(about, measured, metric, value, low, high, count, counted, known, beaten_by, higher_is_better)


def bounds(low: float | None, high: float | None, decimals: int = 3) -> str | None:
    """An interval as a cell of a table; None where it is undefined.

    >>> bounds(-0.1, 0.25)
    '−0.100 to 0.250'
    """
    ends = [_finite(low), _finite(high)]
    if None in ends:
        return None
    return " to ".join(f"{end:.{decimals}f}" for end in ends).replace("-", "−")


def with_bounds(interval: Sequence[float | None]) -> list[str | float | int | None]:
    """(value, low, high) as two cells of a table: the value, and its interval."""
    value, low, high = interval
    return [_finite(value), bounds(low, high)]


def listed(names: Sequence[str]) -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _finite(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else float(value)
