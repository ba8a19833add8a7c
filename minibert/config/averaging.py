"""The group ``averaging``: which average of the weights over steps is evaluated in their place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minibert.config.fields import choice, joins, number, option
from minibert.config.optimizers import LookaheadConfig

if TYPE_CHECKING:
    from minibert.config.run import Config

AVERAGINGS: dict[str, "type[AveragingConfig]"] = {}


@joins(AVERAGINGS)
@dataclass
class AveragingConfig:
    """Training goes on with the trained weights. Evaluated, kept in checkpoints and served is the average."""

    name: str = option("none", AVERAGINGS)

    def problems(self, config: "Config") -> Iterator[str]:
        if self.name != "none" and isinstance(config.optimizer, LookaheadConfig):
            yield (
                f"averaging={self.name} with optimizer=lookahead: its slow weights are evaluated already. "
                "Allowed: averaging=none, or another optimizer."
            )


@joins(AVERAGINGS)
@dataclass
class EMAConfig(AveragingConfig):
    name: str = choice("ema")
    half_life: float = number(0.02, above=0, at_most=1)
    """The share of all steps after which the weights of a step count half as much as new ones."""


@joins(AVERAGINGS)
@dataclass
class LastConfig(AveragingConfig):
    name: str = choice("last")
    share: float = number(0.1, above=0, at_most=1)
    """The share of all steps, at the end, that the mean is over. Before, the trained weights are evaluated."""
