"""How good predictions are, and how sure that is over the test sentences."""

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


def score(predicted: np.ndarray, truth: np.ndarray, classes: int) -> Score:
    """Accuracy and macro F1.    predicted, truth (S,) ints, S ≥ 1"""
    from sklearn.metrics import f1_score  # here: it takes a second to import

    right = int((predicted == truth).sum())
    never: Any = 0.0  # the F1 of a label that neither occurs nor is predicted
    f1 = f1_score(truth, predicted, labels=range(classes), average="macro", zero_division=never)
    return Score(*share(right, len(truth)), float(f1))
