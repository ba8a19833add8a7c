"""How often the 95 % intervals of ``analysis.statistics`` hold: ``python -m tests.benchmarks.coverage``.

Groups of runs are drawn from normal distributions; the shares are over all draws, in percent. A column is a number
of seeds. An interval that holds the true value in 93 to 97 of 100 cases is what it says to be.
"""

import argparse
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

from analysis.statistics import (
    bootstrap,
    equivalence,
    hierarchical_bootstrap,
    mean_interval,
    paired_difference,
    restricted_mean,
    unpaired_difference,
)

SEEDS = (3, 5, 10)
HORIZON = 1.2
"""Of the costs, which are normal around 1: a sixth of the runs does not get there"""


def mean(generator: np.random.Generator, n: int) -> bool:
    return _holds(mean_interval(generator.normal(0, 1, n)), 0)


def paired(generator: np.random.Generator, n: int) -> bool:
    shared = generator.normal(0, 1, n)
    groups = [dict(enumerate(shared + generator.normal(0, 0.3, n))) for _ in range(2)]
    return _holds(paired_difference(*groups), 0)


def unpaired(generator: np.random.Generator, n: int) -> bool:
    return _holds(unpaired_difference(generator.normal(0, 1, n), generator.normal(0, 2, n)), 0)


def equivalent(generator: np.random.Generator, n: int) -> bool:
    """Not called equivalent where the true difference is the margin: 95 % of the cases or more."""
    group = dict(enumerate(generator.normal(1, 0.3, n)))
    return not equivalence(paired_difference(group, dict.fromkeys(group, 0.0)), 1.0) < 0.05


def censored(generator: np.random.Generator, n: int) -> bool:
    costs = generator.normal(1, 0.2, n)
    costs[costs > HORIZON] = np.nan
    z = (HORIZON - 1) / 0.2
    true = stats.norm.cdf(z) - 0.2 * stats.norm.pdf(z) + HORIZON * stats.norm.sf(z)
    return _holds(restricted_mean(costs, np.full(n, HORIZON)), true)


def resampled(generator: np.random.Generator, n: int) -> bool:
    return _holds(bootstrap(generator.normal(0, 1, n), draws=999, seed=int(generator.integers(2**31))), 0)


def resampled_twice(generator: np.random.Generator, n: int) -> bool:
    scores = generator.normal(0, 1, (n, 1)) + generator.normal(0, 1, (1, 100)) + generator.normal(0, 1, (n, 100))
    return _holds(hierarchical_bootstrap(scores, draws=999, seed=int(generator.integers(2**31))), 0)


TRIALS: Mapping[str, Callable[[np.random.Generator, int], bool]] = {
    "t interval of a mean": mean,
    "paired difference": paired,
    "difference without common seeds (variances 1 and 4)": unpaired,
    "equivalence is not claimed at its margin": equivalent,
    "cost up to a horizon, a sixth censored": censored,
    "bootstrap over seeds": resampled,
    "bootstrap over seeds and 100 items": resampled_twice,
}


def coverage(trial: Callable[[np.random.Generator, int], bool], n: int, draws: int, seed: int = 0) -> float:
    """The share of draws, in percent, in which the interval of ``n`` seeds holds the true value."""
    generator = np.random.default_rng(seed)
    return 100 * sum(trial(generator, n) for _ in range(draws)) / draws


def _holds(interval, true: float) -> bool:
    """An interval that cannot be given holds everything."""
    return not (interval.low > true or interval.high < true)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4000)
    draws = parser.parse_args().draws
    print("| " + " | ".join(["in % of " + str(draws) + " draws", *(f"{n} seeds" for n in SEEDS)]) + " |")
    print("| --- |" + " ---: |" * len(SEEDS))
    for name, trial in TRIALS.items():
        shares = [f"{coverage(trial, n, draws):.1f}" for n in SEEDS]
        print("| " + " | ".join([name, *shares]) + " |", flush=True)


if __name__ == "__main__":
    main()
