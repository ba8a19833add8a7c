"""How often the 95 % intervals of a report hold: ``python -m tests.benchmarks.coverage``.

Runs are drawn from normal distributions, unless a row says otherwise. A column is a number of seeds a setting. The
shares, in percent, are of the draws in which there is an interval. One that holds the true value in 93 to 97 of
100 cases is what it says.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product

import numpy as np
from scipy import stats

from analysis.questions.change_points import fit_pieces
from analysis.questions.initialisation_runs import share
from analysis.questions.masking_by_size_runs import SizeRuns, compare
from analysis.questions.power_laws import best_size, fit_floored, fit_pure
from analysis.questions.rank_correlations import rank_correlations
from analysis.statistics import (
    bootstrap,
    equivalence,
    hierarchical_bootstrap,
    interaction,
    main_effect,
    mean_interval,
    paired_difference,
    restricted_mean,
    unpaired_difference,
)
from tests.benchmarks.options import Parser, whole

SEEDS = (3, 5, 10)
NOISE = {("a", "x"): 0.3, ("b", "x"): 0.6, ("a", "y"): 0.3, ("b", "y"): 0.9}
"""Standard deviation of the runs in each cell of a grid of two factors, around what runs of one seed share"""
SIZES = np.array([2.5e4, 1.5e5, 4.4e5, 1.5e6, 3.6e6])
EXPONENT = 0.3
SETTINGS, CORRELATION = 9, 0.7
WITH_SIZE, OF_LOSS_AND_SIZE = 0.5, -0.5
"""Between settings: of score and size, and of loss and size. That of score and loss is -CORRELATION"""
RATIOS = (0.15, 0.25, 0.40, 0.60, 0.80)
"""Those of the experiment masking_by_size"""
TIMES = np.linspace(0, 10, 60)
NORMAL, SKEWED = stats.norm(1, 0.2), stats.lognorm(0.6)
"""Distributions of costs. By the second, a sixth of the runs take 1.8 times as long as the middle one or longer"""


def mean(generator: np.random.Generator, n: int) -> bool | None:
    return _holds(mean_interval(generator.normal(0, 1, n)), 0)


def mean_of_skewed(generator: np.random.Generator, n: int) -> bool | None:
    return _holds(mean_interval(generator.gamma(4, 1, n)), 4)


def paired(generator: np.random.Generator, n: int) -> bool | None:
    shared = generator.normal(0, 1, n)
    groups = [dict(enumerate(shared + generator.normal(0, 0.3, n))) for _ in range(2)]
    return _holds(paired_difference(*groups), 0)


def unpaired(generator: np.random.Generator, n: int) -> bool | None:
    return _holds(unpaired_difference(generator.normal(0, 1, n), generator.normal(0, 2, n)), 0)


def main(generator: np.random.Generator, n: int) -> bool | None:
    return _holds(main_effect(_grid(generator, n), 0, "b", "a").difference, 0)


def both(generator: np.random.Generator, n: int) -> bool | None:
    return _holds(interaction(_grid(generator, n), (0, 1), ("b", "y"), ("a", "x")).difference, 0)


def main_unpaired(generator: np.random.Generator, n: int) -> bool | None:
    return _holds(main_effect(_grid(generator, n, shared=False), 0, "b", "a").difference, 0)


def both_unpaired(generator: np.random.Generator, n: int) -> bool | None:
    found = interaction(_grid(generator, n, shared=False), (0, 1), ("b", "y"), ("a", "x"))
    return _holds(found.difference, 0)


def equivalent(generator: np.random.Generator, n: int) -> bool | None:
    """Not called equivalent where the true difference is the margin: 95 % of the cases or more."""
    group = dict(enumerate(generator.normal(1, 0.3, n)))
    return not equivalence(paired_difference(group, dict.fromkeys(group, 0.0)), 1.0) < 0.05


def censored(generator: np.random.Generator, n: int) -> bool | None:
    """Costs are normal, and a sixth of the runs do not get there by the horizon."""
    return _censored(generator, n, NORMAL, 1 / 6)


def half_censored(generator: np.random.Generator, n: int) -> bool | None:
    return _censored(generator, n, NORMAL, 1 / 2)


def skewed_censored(generator: np.random.Generator, n: int) -> bool | None:
    return _censored(generator, n, SKEWED, 1 / 6)


def skewed_half_censored(generator: np.random.Generator, n: int) -> bool | None:
    return _censored(generator, n, SKEWED, 1 / 2)


def exponent(generator: np.random.Generator, n: int) -> bool | None:
    """Of L(N) = b N^-c."""
    sizes = np.repeat(SIZES, n)
    law = fit_pure(sizes, 30 * sizes**-0.1 * np.exp(generator.normal(0, 0.01, sizes.size)))
    return law and law.c_low <= 0.1 <= law.c_high


def exponent_above_a_floor(generator: np.random.Generator, n: int) -> bool | None:
    law = fit_floored(*_floored(generator, n))
    return law and law.c_low <= EXPONENT <= law.c_high


def floor(generator: np.random.Generator, n: int) -> bool | None:
    law = fit_floored(*_floored(generator, n))
    return law and law.a_low <= 4.0 <= law.a_high


def lowest(generator: np.random.Generator, n: int) -> bool | None:
    """The size of the lowest loss, by a parabola for each seed."""
    losses = 4 + 0.3 * (np.log10(SIZES) - 5.5) ** 2 + generator.normal(0, 0.03, (n, SIZES.size))
    return _holds(
        best_size({(str(seed),): dict(zip(SIZES, each, strict=True)) for seed, each in enumerate(losses)}), 5.5
    )


def share_of_runs(generator: np.random.Generator, n: int) -> bool | None:
    """Of n runs that diverge with a probability which is drawn anew each time."""
    probability = generator.uniform()
    _, low, high = share(int(generator.binomial(n, probability)), n)
    return low <= probability <= high


def rank_correlation(generator: np.random.Generator, n: int) -> bool | None:
    """Of two scores that differ between settings, and half as much between runs of one."""
    covariance = [[1, CORRELATION], [CORRELATION, 1]]
    settings = generator.multivariate_normal([0, 0], covariance, SETTINGS)
    runs = (settings[:, None] + generator.normal(0, 0.5, (SETTINGS, n, 2))).reshape(-1, 2)
    names = [str(setting) for setting in range(SETTINGS) for _ in range(n)]
    found, _ = rank_correlations(runs[:, 0], generator.normal(size=len(names)), runs[:, 1], names)
    return _holds(found, _spearman(CORRELATION / 1.25))


def partial_rank_correlation(generator: np.random.Generator, n: int) -> bool | None:
    """Of score and size at the same loss. The runs of a setting share its size."""
    scores, _, sizes, losses, names = _scored(generator, n)
    _, found = rank_correlations(scores, sizes, losses, names)
    with_size, with_loss, of_both = map(
        _spearman, (WITH_SIZE / 1.25**0.5, -CORRELATION / 1.25, OF_LOSS_AND_SIZE / 1.25**0.5)
    )
    rest = (1 - with_loss**2) * (1 - of_both**2)
    return _holds(found, (with_size - with_loss * of_both) / rest**0.5)


def rank_correlation_of_gains(generator: np.random.Generator, n: int) -> bool | None:
    """Of the loss with the score less that of the untrained network, which larger networks have higher."""
    scores, untrained, sizes, losses, names = _scored(generator, n)
    found, _ = rank_correlations(scores - untrained, sizes, losses, names)
    variance = 1 - 2 * 0.5 * WITH_SIZE + 0.5**2 + 0.5**2 + 0.3**2
    return _holds(found, _spearman((-CORRELATION - 0.5 * OF_LOSS_AND_SIZE) / (variance * 1.25) ** 0.5))


def best_ratio(generator: np.random.Generator, n: int) -> bool | None:
    """By which factor the best masking ratio of the largest size is that of the smallest, 0.38 / 0.30."""
    return _best_ratio(generator, n, 0.30, 0.38)


def best_ratio_at_an_end(generator: np.random.Generator, n: int) -> bool | None:
    """The same from 0.50 to 0.67, where the parabolas of some seeds, and of few means, are lowest beyond 0.80."""
    return _best_ratio(generator, n, 0.50, 0.67)


def change_point(generator: np.random.Generator, n: int) -> bool | None:
    """The mean time at which curves of n seeds begin to fall: by 2 within 2, at a time that differs by seed."""
    return _holds(mean_interval([_begin(generator, place) for place in generator.normal(4, 0.3, n)]), 4)


def time_between_change_points(generator: np.random.Generator, n: int) -> bool | None:
    """Of two curves of each seed, the time from the fall of one to that of the other."""
    first = generator.normal(4, 0.3, n)
    second = first + generator.normal(0.5, 0.2, n)
    found = [dict(enumerate(_begin(generator, place) for place in places)) for places in (second, first)]
    return _holds(paired_difference(*found), 0.5)


def resampled(generator: np.random.Generator, n: int) -> bool | None:
    return _holds(bootstrap(generator.normal(0, 1, n), draws=999, seed=int(generator.integers(2**31))), 0)


def resampled_twice(generator: np.random.Generator, n: int) -> bool | None:
    scores = generator.normal(0, 1, (n, 1)) + generator.normal(0, 1, (1, 100)) + generator.normal(0, 1, (n, 100))
    return _holds(hierarchical_bootstrap(scores, draws=999, seed=int(generator.integers(2**31))), 0)


Trial = Callable[[np.random.Generator, int], bool | None]
TRIALS: Mapping[str, Trial] = {
    "t interval of a mean": mean,
    "t interval of a mean, skewed runs (gamma of shape 4)": mean_of_skewed,
    "paired difference": paired,
    "difference without common seeds (variances 1 and 4)": unpaired,
    "effect averaged over another setting": main,
    "interaction": both,
    "effect averaged over another setting, no common seeds": main_unpaired,
    "interaction, no common seeds": both_unpaired,
    "equivalence is not claimed at its margin": equivalent,
    "cost up to a horizon, a sixth censored": censored,
    "cost up to a horizon, half censored": half_censored,
    "skewed cost up to a horizon, a sixth censored": skewed_censored,
    "skewed cost up to a horizon, half censored": skewed_half_censored,
    "exponent of a power law, 5 sizes": exponent,
    "size of the lowest loss, 5 sizes": lowest,
    "factor between the best of 5 ratios at two sizes": best_ratio,
    "factor between the best of 5 ratios, one near the highest tried": best_ratio_at_an_end,
    "share of runs (Wilson), over all true shares": share_of_runs,
    "bootstrap over seeds": resampled,
    "bootstrap over seeds and 100 items": resampled_twice,
}
SLOW_TRIALS: Mapping[str, tuple[Trial, int]] = {
    "exponent of a power law with a floor, 5 sizes": (exponent_above_a_floor, 4),
    "floor of a power law, 5 sizes": (floor, 4),
    "rank correlation over 9 settings": (rank_correlation, 8),
    "partial rank correlation over 9 settings": (partial_rank_correlation, 8),
    "rank correlation of gains over 9 settings": (rank_correlation_of_gains, 8),
    "time at which curves change, mean over seeds": (change_point, 8),
    "time between two changes": (time_between_change_points, 8),
}
"""Trial, and how many times fewer draws it has"""


def coverage(trial: Trial, n: int, draws: int, seed: int = 0) -> float:
    """The share of draws with an interval, in percent, in which that of ``n`` seeds holds the true value."""
    generator = np.random.default_rng(seed)
    held = [found for _ in range(draws) if (found := trial(generator, n)) is not None]
    return 100 * sum(held) / len(held)


def _grid(generator: np.random.Generator, n: int, shared: bool = True) -> dict:
    common = generator.normal(0, 1, n) if shared else np.zeros(n)
    return {
        cell: {(0 if shared else place) * n + seed: common[seed] + noise for seed, noise in enumerate(noises)}
        for place, cell in enumerate(product("ab", "xy"))
        for noises in [generator.normal(0, NOISE[cell], n)]
    }


def _censored(generator: np.random.Generator, n: int, distribution, share: float) -> bool | None:
    """``share`` of the runs do not get there by the horizon."""
    horizon, true = _restricted(distribution, share)
    costs = distribution.rvs(n, random_state=generator)
    costs[costs > horizon] = np.nan
    return _holds(restricted_mean(costs, np.full(n, horizon)), true)


@cache
def _restricted(distribution, share: float) -> tuple[float, float]:
    """The horizon, and the mean of costs up to it."""
    horizon = float(distribution.ppf(1 - share))
    places = (np.arange(10**5) + 0.5) / 10**5
    return horizon, float(np.minimum(distribution.ppf(places), horizon).mean())


def _floored(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    sizes = np.repeat(SIZES, n)
    return sizes, 4 + 30 * sizes**-EXPONENT + generator.normal(0, 0.03, sizes.size)


def _spearman(pearson: float) -> float:
    """Spearman's ρ of two normal quantities of this correlation"""
    return 6 / math.pi * math.asin(pearson / 2)


def _scored(generator: np.random.Generator, n: int) -> tuple:
    """Scores, those of the untrained networks, sizes, losses and names of the settings, of n runs of each setting.

    Between settings all are normal of variance 1; between runs of one, scores and losses differ by half as much.
    """
    covariance = [
        [1, WITH_SIZE, -CORRELATION],
        [WITH_SIZE, 1, OF_LOSS_AND_SIZE],
        [-CORRELATION, OF_LOSS_AND_SIZE, 1],
    ]
    settings = np.repeat(generator.multivariate_normal([0, 0, 0], covariance, SETTINGS), n, axis=0)
    scores, sizes, losses = (settings + generator.normal(0, [0.5, 0, 0.5], settings.shape)).T
    untrained = 0.5 * sizes + generator.normal(0, 0.3, sizes.shape)
    return scores, untrained, sizes, losses, [str(place // n) for place in range(SETTINGS * n)]


def _best_ratio(generator: np.random.Generator, n: int, smallest: float, largest: float) -> bool | None:
    sizes = []
    for weights, best in enumerate((smallest, largest), start=1):
        losses = {
            ratio: {
                (str(seed),): 5.7 + 1.5 * math.log10(ratio / best) ** 2 + noise
                for seed, noise in enumerate(generator.normal(0, 0.04, n))
            }
            for ratio in RATIOS
        }
        sizes.append(SizeRuns(weights, losses, len(RATIOS) * n, 0))
    change = compare(sizes).of_lowest
    return None if change is None else _holds(change.difference, math.log10(largest / smallest))


def _begin(generator: np.random.Generator, place: float) -> float:
    """Where the steepest piece of a noisy curve begins that falls from ``place`` on; NaN if it begins at once."""
    curve = np.maximum(0, TIMES - place - 2) - np.maximum(0, TIMES - place)
    pieces = fit_pieces(TIMES, curve + generator.normal(0, 0.03, TIMES.size))
    steepest = int(np.argmax(np.abs(pieces.slopes)))
    return float(pieces.ends[steepest]) if steepest else math.nan


def _holds(interval, true: float) -> bool | None:
    """None where no interval can be given."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return None
    return bool(interval.low <= true <= interval.high)


def print_table(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("coverage", __doc__)
    parser.add_argument("--draws", type=whole(max(fewer for _, fewer in SLOW_TRIALS.values())), default=4000)
    parser.add_argument("--only", default="", metavar="TEXT", help="the rows whose name has this text")
    options = parser.parse_args(arguments)
    draws = options.draws
    trials = {name: (trial, 1) for name, trial in TRIALS.items()} | {**SLOW_TRIALS}
    trials = {name: trial for name, trial in trials.items() if options.only in name}
    if not trials:
        parser.error(f"--only: {options.only} was given. Allowed: a part of a row's name, such as interaction.")
    print("| " + " | ".join([f"in % of {draws} draws", *(f"{n} seeds" for n in SEEDS)]) + " |")
    print("| --- |" + " ---: |" * len(SEEDS))
    for name, (trial, fewer) in trials.items():
        few = draws // fewer
        shares = [f"{coverage(trial, n, few):.1f}" for n in SEEDS]
        shown = f"{name} ({few} draws)" if few < draws else name
        print("| " + " | ".join([shown, *shares]) + " |", flush=True)


if __name__ == "__main__":
    print_table()
