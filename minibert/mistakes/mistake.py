"""What is told of a mistake."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minibert.mistakes.gradient_check import Problem

Outputs = Mapping[str, np.ndarray]
"""Name -> what the code computes, where a gradient need not tell right from wrong: a wrong forward pass may have a
right gradient. The test knows what is right; here the right code stands beside the wrong."""


class Sighting(NamedTuple):
    """Where a mistake has been seen, or one like it."""

    project: str
    year: int
    what: str
    """In a sentence without its full stop"""
    address: str


class Part(NamedTuple):
    """A part of the code in which mistakes are made."""

    title: str
    derivation: str | None
    """Its page in docs/mathematics"""


@dataclass(frozen=True)
class Mistake:
    """A mistake in one function, and what catches it."""

    name: str
    """part.mistake"""
    said: str
    """The mistake, as a sentence without its full stop"""
    why: str
    """Why it looks right"""
    where: str
    """module:function or module:Class.method, inside minibert"""
    changes: Mapping[str, str]
    """Text of the right code -> text of the wrong code"""
    test: str
    """The test that must fail: a file in tests, two colons, a function"""
    check: Callable[..., Problem | Outputs]
    """What shows it: gradients to be compared with slopes, or what the code computes"""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Those of the test, and of the check"""
    seen: tuple[Sighting, ...] = ()
    told: bool = False
    """Whether the gallery's page tells it with a figure"""

    @property
    def part(self) -> str:
        return self.name.partition(".")[0]

    @property
    def test_file(self) -> str:
        return self.test.partition("::")[0]

    @property
    def test_name(self) -> str:
        return self.test.partition("::")[2]
