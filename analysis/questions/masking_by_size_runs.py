"""Runs of several sizes at several masking ratios: which ratio each size has best, and whether that changes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..statistics import Difference, Estimate, holm, mean_interval, paired_difference
from ..tracked_runs import TrackedRun
from .representation_scaling_runs import LOSS, layer_weights

RATIO, WIDTH = "masking.rate", "model.hidden_size"
LOW, HIGH = 0.15, 0.40
"""The ratios that are compared at each size: BERT's, and that which Wettig et al. found best for a large model"""
By = Mapping[tuple[str, ...], float]
"""Replicate -> value"""


@dataclass(frozen=True)
class SizeRuns:
    """The runs of one size."""

    weights: int
    """In the matrices of the layers, without embeddings and head"""
    losses: Mapping[float, By]
    """Ratio -> replicate -> final held-out loss, where it is finite"""
    runs: int
    diverged: int
    """Runs that were ended, or ended, with a number that is not finite. No mean includes them"""
    gain_p: float = math.nan
    """Holm's p of :attr:`gain`"""

    @cached_property
    def means(self) -> dict[float, Estimate]:
        """By ratio, those with a finite loss."""
        return {ratio: mean_interval([*found.values()]) for ratio, found in sorted(self.losses.items()) if found}

    @cached_property
    def best(self) -> float:
        """The ratio with the lowest mean; NaN without a finite loss."""
        return min(self.means, key=lambda ratio: self.means[ratio].mean, default=math.nan)

    @property
    def at_an_end(self) -> bool:
        """Whether the best ratio is the lowest or the highest that was tried."""
        return self.best in (min(self.means), max(self.means))

    @cached_property
    def above_best(self) -> dict[float, tuple[Difference, float]]:
        """Other ratio -> its loss less that of the best, seed by seed, and Holm's p over these."""
        others = [ratio for ratio in self.means if ratio != self.best]
        found = [paired_difference(self.losses[ratio], self.losses[self.best]) for ratio in others]
        adjusted = holm([each.p_value for each in found])
        return dict(zip(others, zip(found, adjusted, strict=True), strict=True))

    @cached_property
    def gain(self) -> Difference:
        """Loss at the high ratio less that at the low one, seed by seed: negative if more masking is better."""
        return paired_difference(self.losses.get(HIGH, {}), self.losses.get(LOW, {}))

    @cached_property
    def lowest(self) -> dict[tuple[str, ...], float]:
        """Replicate -> its part in log₁₀ of the ratio with the lowest loss (:func:`lowest_point`)."""
        by_seed: dict[tuple[str, ...], dict[float, float]] = {}
        for ratio, found in self.losses.items():
            for seed, loss in found.items():
                by_seed.setdefault(seed, {})[ratio] = loss
        return lowest_point(by_seed)


@dataclass(frozen=True)
class Change:
    """From the smallest to the largest of the sizes that have what is compared, paired by seed."""

    smallest: int
    largest: int
    difference: Difference
    p: float
    """Holm's, over the gains of all sizes and both changes"""


@dataclass(frozen=True)
class BySize:
    """All sizes, and what changes between them."""

    sizes: tuple[SizeRuns, ...]
    of_gain: Change | None
    """The interaction: a difference of differences. None if fewer than two sizes have both ratios"""
    of_lowest: Change | None
    """Of log₁₀ of the best ratio by parabolas; None if fewer than two sizes have one with shared seeds"""


def read_sizes(runs: Iterable[TrackedRun]) -> list[SizeRuns]:
    """The sizes whose runs have finished or diverged, from the smallest."""
    by_size: dict[int, list[TrackedRun]] = {}
    for run in runs:
        if {RATIO, WIDTH} <= run.parameters.keys() and (run.finished or run.ended_not_finite):
            by_size.setdefault(layer_weights(run.parameters), []).append(run)
    return [_read(weights, by_size[weights]) for weights in sorted(by_size)]


def compare(sizes: Sequence[SizeRuns]) -> BySize:
    """The gain at each size and its change, with p values that are adjusted for all of these."""
    with_gain = [size for size in sizes if size.gain.n]
    with_lowest = [size for size in sizes if size.lowest]
    gains = _ends(with_gain, [size.gain.by_seed for size in with_gain])
    lowest = _ends(with_lowest, [size.lowest for size in with_lowest])
    p_values = [size.gain.p_value for size in sizes]
    p_values += [change.difference.p_value if change else math.nan for change in (gains, lowest)]
    *of_sizes, of_gain, of_lowest = holm(p_values)
    return BySize(
        tuple(replace(size, gain_p=p) for size, p in zip(sizes, of_sizes, strict=True)),
        replace(gains, p=of_gain) if gains else None,
        replace(lowest, p=of_lowest) if lowest else None,
    )


def lowest_point(by_seed: Mapping[tuple[str, ...], Mapping[float, float]]) -> dict[tuple[str, ...], float]:
    """Where the loss is lowest, as one number for each seed whose mean is that place, in log₁₀ of the ratio.

    A parabola a + b x + c x² in x = log₁₀ ratio is fitted to the losses of each seed s. The place is that of the
    mean parabola, x̂ = −b̄ / 2c̄. A seed has the number x̂ − (b_s + 2 x̂ c_s) / 2c̄: their mean is x̂ and their spread,
    to first order, that of x̂ (delta method), so that Student's intervals of them, and of their differences between
    two sizes, are those of x̂. No seed is left out because its own parabola is lowest beyond the ratios, or flat.

    ``by_seed``: seed -> ratio -> loss. Seeds with less than three ratios are left out. Empty where the mean
    parabola is not open above, and where it is lowest beyond the ratios that were tried. Oehlert (1992), "A note
    on the delta method".
    """
    known = {seed: losses for seed, losses in by_seed.items() if len(losses) > 2}
    fits = {seed: np.polyfit(np.log10([*losses]), [*losses.values()], 2) for seed, losses in known.items()}
    if not fits:
        return {}
    c, b, _ = np.mean([*fits.values()], axis=0)
    ratios = [ratio for losses in known.values() for ratio in losses]
    if not c > 0 or not math.log10(min(ratios)) <= -b / (2 * c) <= math.log10(max(ratios)):
        return {}
    place = float(-b / (2 * c))
    return {seed: place - float(own[1] + 2 * place * own[0]) / (2 * float(c)) for seed, own in fits.items()}


def _read(weights: int, runs: Sequence[TrackedRun]) -> SizeRuns:
    losses: dict[float, dict[tuple[str, ...], float]] = {}
    for run in runs:
        found = losses.setdefault(float(run.parameters[RATIO]), {})
        loss = run.final(LOSS)
        if run.finished and math.isfinite(loss):
            found[run.replicate] = loss
    finite = sum(len(found) for found in losses.values())
    return SizeRuns(weights, losses, len(runs), len(runs) - finite)


def _ends(sizes: Sequence[SizeRuns], values: Sequence[By]) -> Change | None:
    """The value of the largest size less that of the smallest."""
    if len(sizes) < 2:
        return None
    difference = paired_difference(values[-1], values[0])
    return Change(sizes[0].weights, sizes[-1].weights, difference, math.nan) if difference.n else None
