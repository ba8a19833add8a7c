"""The group ``position``: how the network knows the order of tokens. It fills ``model.position``.

A new scheme is a schema here, a class in a file of :mod:`minibert.model.positions`, and a file in conf/position.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minibert.config.fields import choice, joins, number, option

if TYPE_CHECKING:
    from minibert.config.model import ModelConfig

POSITIONS: dict[str, "type[PositionConfig]"] = {}
"""The options of the group ``position`` with their schemas"""


@joins(POSITIONS, "absolute", "sinusoidal", "alibi", "none")
@dataclass
class PositionConfig:
    """The schema of the schemes that have no settings, and the base of all others."""

    name: str = option("absolute", POSITIONS)

    @property
    def has_table(self) -> bool:
        """Whether no sequence may be longer than ``model.max_length``"""
        return self.name == "absolute"

    def problems(self, model: "ModelConfig") -> Iterator[str]:
        """What the scheme refuses of the network that it is part of."""
        if self.name == "sinusoidal" and model.hidden_size % 2:
            yield (
                "position=sinusoidal: is made of pairs of sine and cosine, and "
                f"model.hidden_size={model.hidden_size} is odd. Allowed: an even hidden size."
            )


@joins(POSITIONS)
@dataclass
class RelativeConfig(PositionConfig):
    name: str = choice("relative")
    distance: int = number(16, at_least=1, at_most=65_536)
    """Distances beyond this one share its vector."""
    keys: bool = True
    """Add a vector to the keys."""
    values: bool = True
    """Add a vector to the values."""

    @property
    def has_table(self) -> bool:
        return True

    def problems(self, model: "ModelConfig") -> Iterator[str]:
        if not (self.keys or self.values):
            yield (
                "model.position.keys=False and model.position.values=False: tell no order. "
                "Allowed: at least one of them true, or position=none."
            )


@joins(POSITIONS)
@dataclass
class RelativeBiasConfig(PositionConfig):
    name: str = choice("relative_bias")
    buckets: int = number(32, at_least=4, at_most=65_536)
    """For both directions together."""
    farthest: int = number(128, at_least=2)
    """Distances from here on share the last bucket of their direction."""

    def problems(self, model: "ModelConfig") -> Iterator[str]:
        if self.farthest <= self.buckets // 4:
            yield (
                f"model.position.farthest={self.farthest}: within the distances that have a bucket each with "
                f"model.position.buckets={self.buckets}. Allowed: more than {self.buckets // 4}."
            )
        if self.buckets % 4:
            yield (
                f"model.position.buckets={self.buckets}: two directions, each half of them one distance a bucket. "
                "Allowed: multiples of 4."
            )


@joins(POSITIONS)
@dataclass
class RopeConfig(PositionConfig):
    name: str = option("rope", POSITIONS)
    base: float = number(30.0, above=1)
    """The slowest pair of entries turns by about 1/base a position; the fastest, always by 1."""
    local_base: float | None = number(None, above=1)
    """The base in local layers (``model.attention_window``); null: that of all."""
    fraction: float = number(1.0, above=0, at_most=1)
    """Share of a head's entries that turn."""

    def problems(self, model: "ModelConfig") -> Iterator[str]:
        head_size = model.hidden_size // model.heads
        if self.local_base is not None and model.attention_window is None:
            yield (
                f"model.position.local_base={self.local_base}: without model.attention_window every layer "
                "is global. Allowed: attention=local, or no local_base."
            )
        if head_size % 2:
            yield (
                f"position=rope: turns pairs of a head's entries, and model.hidden_size={model.hidden_size} / "
                f"model.heads={model.heads} gives heads of {head_size}. Allowed: an even head size."
            )
        elif int(self.fraction * head_size / 2) < 1:
            yield (
                f"model.position.fraction={self.fraction}: less than one pair of a head's {head_size} entries. "
                f"Allowed: at least {2 / head_size:g}, or position=none."
            )
