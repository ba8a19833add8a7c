"""How good predictions are, and how sure that is: over the test sentences, and over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minibert.evaluation.intervals import share


@dataclass(frozen=True)
class Score:
    """What one classifier scores on the test sentences."""

    accuracy: float
    low: float
    high: float
    """The 95 % interval over sentences: Wilson, 1927"""
    macro_f1: float
    """The mean over the labels of F1 = 2 P R / (P + R), that of a label which is never predicted being 0"""


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval; None where there are too few values for one."""

    mean: float
    low: float | None
    high: float | None
    n: int


def score(predicted: np.ndarray, truth: np.ndarray, classes: int) -> Score:
    """Accuracy and macro F1.    predicted, truth (S,) ints, S ≥ 1"""
    from sklearn.metrics import f1_score  # here: it takes a second to import

    right = int((predicted == truth).sum())
    never: Any = 0.0  # the F1 of a label that neither occurs nor is predicted
    f1 = f1_score(truth, predicted, labels=range(classes), average="macro", zero_division=never)
    return Score(*share(right, len(truth)), float(f1))


def over_seeds(values: Sequence[float]) -> Interval:
    """m ± t₍₀.₉₇₅, n−1₎ s / √n over the seeds; at n = 3 the factor t is 4.3. One value has no interval.

    Student, "The Probable Error of a Mean", Biometrika 1908.
    """
    from scipy.stats import t

    found = np.asarray(values, float)
    if len(found) < 2:
        return Interval(float(found.mean()) if len(found) else float("nan"), None, None, len(found))
    half = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
    mean = float(found.mean())
    return Interval(mean, mean - half, mean + half, len(found))


def over_sentences(right: np.ndarray, of_control: np.ndarray) -> Interval:
    """The mean over sentences of d = p - q and m ± 1.96 s / √S: a paired comparison on the same test sentences.

    right, of_control (S,): how often, over its seeds, each gets the sentence right, 0 to 1. Differences between
    seeds are averaged out, and chance in the choice of test sentences is what the interval is about.
    """
    differences = right - of_control
    half = float(1.96 * differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else np.nan
    mean = float(differences.mean())
    known = bool(np.isfinite(half))
    return Interval(mean, mean - half if known else None, mean + half if known else None, len(differences))
