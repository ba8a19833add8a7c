"""How often the 95 % intervals of change points hold the true place:  python -m tests.benchmarks.change_points

Curves of known kinks with white noise, each repetition with noise of its own. Prints a row for every curve and
deviation of the noise: in how many repetitions a change point is found, and in which share of these the interval
holds the place. With 300 repetitions, two standard errors of a share of 0.95 are 0.025.
"""

import math
from collections.abc import Sequence

import numpy as np

from analysis.questions.change_points import find_change_point
from tests.benchmarks.options import Parser, whole

DEVIATIONS = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3)
LONG, SHORT = np.arange(60.0), np.linspace(0, 10, 60)
CURVES = {
    "2 max(0, x - 30)": (LONG, 2 * np.maximum(0, LONG - 30), 30.0),
    "falls by 2 from 4 to 6": (SHORT, np.maximum(0, SHORT - 6) - np.maximum(0, SHORT - 4), 4.0),
}
"""Title -> x, y, where the steepest piece begins"""


def coverage(curve: str, deviation: float, repetitions: int) -> tuple[int, int, float]:
    """Change points found, intervals that hold the place, median width of the intervals."""
    x, y, place = CURVES[curve]
    random = np.random.default_rng([list(CURVES).index(curve), DEVIATIONS.index(deviation)])
    noises = random.normal(0, 1, (repetitions, len(x)))
    found = [point for noise in noises if (point := find_change_point(x, y + deviation * noise))]
    widths = [point.high - point.low for point in found]
    return (
        len(found),
        sum(point.low <= place <= point.high for point in found),
        float(np.median(widths)) if widths else math.nan,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("change_points", __doc__)
    parser.add_argument("--repetitions", type=whole(), default=300)
    repetitions = parser.parse_args(arguments).repetitions
    for curve in CURVES:
        print(f"{curve}: noise, found, coverage, median width")
        for deviation in DEVIATIONS:
            found, held, width = coverage(curve, deviation, repetitions)
            share = held / found if found else math.nan
            print(f"{deviation:8g} {found / repetitions:6.3f} {share:6.3f} {width:9.2g}", flush=True)


if __name__ == "__main__":
    main()
