"""Where a run stands: steps and tokens, sums since the last log, and the end of a range test."""

import math
from dataclasses import asdict, dataclass, field, fields

from minibert.model.auxiliary_heads import Measured

EXPLODED = 2.0
"""A range test ends at a loss of this many times its first."""


@dataclass
class Progress:
    """How far training has come."""

    step: int = 0
    """Optimizer steps done"""
    tokens_seen: int = 0
    """Tokens read, without padding"""
    tokens_predicted: int = 0
    flops: float = 0.0
    """Floating-point operations of the matrix products, forward and backward"""
    seconds: float = 0.0
    """Time spent in steps, without evaluation and checkpoints"""


@dataclass
class Meters:
    """Sums over the steps since the last log. Each ``take`` function gives a mean and starts its sum again."""

    loss_sum: float = 0.0
    loss_count: int = 0
    measured: dict[str, list[float]] = field(default_factory=dict)
    """Of each task that is measured apart: sum of losses, right predictions, predictions, steps"""
    clipped_sum: float = 0.0
    """Of the share of units whose gradient was clipped"""
    clipped_steps: int = 0
    """Steps that it is the sum of; none where there is no clipping"""

    def add(self, loss: float, measured: Measured | None = None, clipped: float | None = None) -> None:
        """Add one step. ``measured`` and ``clipped`` are None where a step has none."""
        self.loss_sum += loss
        self.loss_count += 1
        for name, values in (measured or {}).items():
            sums = self.measured.get(name, (0.0, 0, 0, 0))
            self.measured[name] = [total + value for total, value in zip(sums, (*values, 1), strict=True)]
        if clipped is not None:
            self.clipped_sum += clipped
            self.clipped_steps += 1

    def take_mean_loss(self) -> float:
        """Mean training loss, in nats."""
        mean = self.loss_sum / max(self.loss_count, 1)
        self.loss_sum, self.loss_count = 0.0, 0
        return mean

    def take_measured(self) -> dict[str, float]:
        """``<task>_loss`` in nats and ``<task>_accuracy`` of every task measured."""
        metrics = {}
        for name, (loss, hits, count, steps) in self.measured.items():
            metrics |= {f"{name}_loss": loss / steps, f"{name}_accuracy": hits / max(count, 1)}
        self.measured = {}
        return metrics

    def take_clipped_share(self) -> dict[str, float]:
        """``clipped_share``, the share of steps whose gradient was clipped.

        With adaptive clipping, the mean share of units
        (:func:`minibert.training.transforms.clipping.clipped_share`); without clipping, nothing.
        """
        found = {"clipped_share": self.clipped_sum / self.clipped_steps} if self.clipped_steps else {}
        self.clipped_sum, self.clipped_steps = 0.0, 0
        return found


@dataclass
class RangeTestStop:
    """The end of a range test (``schedule=range_test``), which comes when the loss explodes."""

    first_loss: float | None = None
    diverged: bool = False
    """Whether the test has come to its end before the last step"""

    def explodes(self, loss: float, gradient_norm: float) -> bool:
        """Whether the test ends with this pass. The first pass sets the loss to compare with."""
        if self.first_loss is None:
            self.first_loss = loss
        return not (loss < EXPLODED * self.first_loss and math.isfinite(gradient_norm))


def saved_progress(progress: Progress, meters: Meters, range_test: RangeTestStop) -> dict:
    """All three as one dictionary, for a checkpoint."""
    return asdict(progress) | asdict(meters) | asdict(range_test)


def restored_progress(saved: dict) -> tuple[Progress, Meters, RangeTestStop]:
    """What :func:`saved_progress` saved. What is missing starts at its default.

    Raises :class:`TypeError` for a name that none of the three has.
    """
    kinds = (Progress, Meters, RangeTestStop)
    known = {each.name: kind for kind in kinds for each in fields(kind)}
    if unknown := set(saved) - set(known):
        raise TypeError(f"unknown: {', '.join(sorted(unknown))}")
    mine = {kind: {name: value for name, value in saved.items() if known[name] is kind} for kind in kinds}
    return Progress(**mine[Progress]), Meters(**mine[Meters]), RangeTestStop(**mine[RangeTestStop])
