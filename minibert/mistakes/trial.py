"""One mistake tried: the same check on the right code and on the wrong."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minibert.mistakes.gradient_check import TOLERANCE, Comparison, Problem, compare, points
from minibert.mistakes.injection import injected
from minibert.mistakes.mistake import Mistake, Outputs

MOST_ARRAYS, MOST_POINTS = 4, 24
"""The wrong gradients of which entries are compared one by one, those that are most wrong, and how many of each"""
SAME = 1e-9
"""Relative difference up to which two outputs in float64 are the same but for the order of sums"""


@dataclass(frozen=True)
class GradientTrial:
    """Gradients beside slopes of the loss, of the right code and of the wrong."""

    right: list[Comparison]
    wrong: list[Comparison]
    right_points: Mapping[str, np.ndarray]
    """Of the gradients that are most wrong: name -> (n, 2), gradient and slope"""
    wrong_points: Mapping[str, np.ndarray]

    @property
    def caught(self) -> list[str]:
        """The arrays whose gradient only the right code gives."""
        known = {each.name for each in self.right if each.right}
        return [each.name for each in self.wrong if not each.right and each.name in known]

    @property
    def errors(self) -> dict[str, tuple[float, float]]:
        """Array -> relative error of the right and of the wrong code, 1 where gradient and slope are both 0.

        Gradients that are zero in theory have none.
        """
        pairs = [pair for pair in zip(self.right, self.wrong, strict=True) if not pair[0].zero]
        return {right.name: (right.error, 1.0 if np.isnan(wrong.error) else wrong.error) for right, wrong in pairs}


@dataclass(frozen=True)
class OutputTrial:
    """What the right code computes, and the wrong."""

    right: Outputs
    wrong: Outputs

    @property
    def caught(self) -> list[str]:
        """The outputs that differ by more than rounding."""
        return [name for name, (_, error) in self.errors.items() if not error <= SAME]

    @property
    def errors(self) -> dict[str, tuple[float, float]]:
        """Output -> 0, and the largest difference as a share of the largest entry."""
        return {name: (0.0, _difference(right, self.wrong[name])) for name, right in self.right.items()}


Trial = GradientTrial | OutputTrial


def try_out(mistake: Mistake, holders: tuple[str, ...] = ("minibert.",)) -> Trial:
    """Check the right code, then the wrong. ``holders``: see :func:`minibert.mistakes.injection.injected`."""
    right = mistake.check(**mistake.arguments)
    if not isinstance(right, Problem):
        with injected(mistake.where, mistake.changes, holders):
            return OutputTrial(right, _as_outputs(mistake))
    compared = compare(right)
    with injected(mistake.where, mistake.changes, holders):
        wrong = mistake.check(**mistake.arguments)
        assert isinstance(wrong, Problem)
        found = compare(wrong)
        off = sorted((each for each in found if not (each.right or each.zero)), key=lambda each: -each.error)
        drawn = [each.name for each in off[:MOST_ARRAYS]]
        wrong_points = points(wrong, drawn, MOST_POINTS)
    return GradientTrial(compared, found, points(right, drawn, MOST_POINTS), wrong_points)


def largest(trial: Trial) -> tuple[str, float]:
    """The array that is most wrong, and its error."""
    return max(((name, wrong) for name, (_, wrong) in trial.errors.items()), key=lambda each: each[1])


def allowed(trial: Trial) -> float:
    """The largest error of right code."""
    return TOLERANCE if isinstance(trial, GradientTrial) else SAME


def _as_outputs(mistake: Mistake) -> Outputs:
    found = mistake.check(**mistake.arguments)
    assert not isinstance(found, Problem)
    return found


def _difference(right: np.ndarray, wrong: np.ndarray) -> float:
    scale = max(float(np.abs(right).max(initial=0)), float(np.abs(wrong).max(initial=0)))
    return float(np.abs(right - wrong).max(initial=0)) / scale if scale else 0.0
