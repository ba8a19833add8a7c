"""Several comparisons at once."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for making several comparisons at once:  p̃₍ᵢ₎ = min(1, max_{j ≤ i} (k − j + 1) · p₍ⱼ₎).

    p₍₁₎ ≤ … ≤ p₍k₎ are the sorted values. Calling a difference real where p̃ < 0.05 keeps the chance of even one
    false call among the k below 5 %, whatever their dependence. NaN stays NaN and does not count towards k.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [np.nan] * len(p_values)
    order = sorted((p, index) for index, p in enumerate(p_values) if not np.isnan(p))
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = largest
    return adjusted
