"""A curve given as points: where it stays below a level, and its means within bins."""

import numpy as np


def first_below(x, y, level: float) -> float:
    """The x after which every y is below ``level``, by linear interpolation.

    NaN if the last y is not below it; the first x if all are.

    >>> first_below([0, 10, 20], [4.0, 2.0, 1.0], level=3.0)
    5.0
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    if not len(y) or y[-1] >= level:
        return float("nan")
    above = np.flatnonzero(y >= level)
    if not len(above):
        return float(x[0])
    last = above[-1]
    share = (y[last] - level) / (y[last] - y[last + 1])
    return float(x[last] + share * (x[last + 1] - x[last]))


def binned(x, y, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Means of x and y within bins [k · width, (k + 1) · width) of x that hold a finite point.

    Otherwise the dense part of the x axis would have more weight than the sparse part.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    kept = np.isfinite(x) & np.isfinite(y)
    # Slightly to the right, so that a multiple of the width is in the bin that begins with it.
    bins = np.floor(x[kept] / width + 1e-9)
    _, place, counts = np.unique(bins, return_inverse=True, return_counts=True)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(place, weights=values[kept], minlength=len(counts)) / counts

    return mean(x), mean(y)
