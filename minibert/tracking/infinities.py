"""Infinities among the values of a store."""

import math

LARGEST = 1e308
"""SQL has no infinity: MLflow stores the largest float64, 1.8e308, in its place"""


def restored(value: float) -> float:
    """A value as it was recorded: above :data:`LARGEST` in size, an infinity."""
    return math.copysign(math.inf, value) if abs(value) > LARGEST else value
