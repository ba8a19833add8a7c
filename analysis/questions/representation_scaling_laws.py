"""The laws of the losses at one budget, and which size is best there."""

from dataclasses import dataclass

from ..statistics import Difference, Estimate, holm, mean_interval, paired_difference
from .power_laws import Floored, Parabola, Pure, best_size, fit_floored, fit_parabola, fit_pure
from .representation_scaling_runs import Budget


@dataclass(frozen=True)
class Laws:
    """What was fitted to the losses of one budget."""

    budget: Budget
    floored: Floored | None
    pure: Pure | None
    parabola: Parabola | None
    lowest: Estimate
    """log₁₀ of the size at the lowest point of a parabola, over seeds"""
    best: int
    """The size with the lowest mean loss"""
    over_others: dict[int, tuple[Difference, float]]
    """Other size -> its loss less that of the best, seed by seed, and Holm's p over all of these"""


def fit_laws(budget: Budget) -> Laws:
    """All laws, and the best size against each other one."""
    sizes, losses = zip(*((run.weights, run.loss) for run in budget.runs), strict=True)
    means = {size: mean_loss(budget, size).mean for size in budget.sizes}
    best = min(means, key=lambda size: means[size])
    own = budget.by_seed(best, lambda run: run.loss)
    others = [size for size in budget.sizes if size != best]
    differences = [paired_difference(budget.by_seed(size, lambda run: run.loss), own) for size in others]
    adjusted = holm([difference.p_value for difference in differences])
    seeds: dict[tuple[str, ...], dict[float, float]] = {}
    for run in budget.runs:
        seeds.setdefault(run.run.replicate, {})[run.weights] = run.loss
    return Laws(
        budget=budget,
        floored=fit_floored(sizes, losses),
        pure=fit_pure(sizes, losses),
        parabola=fit_parabola(sizes, losses),
        lowest=best_size(seeds),
        best=best,
        over_others=dict(zip(others, zip(differences, adjusted, strict=True), strict=True)),
    )


def mean_loss(budget: Budget, weights: int) -> Estimate:
    """Of one size, over its seeds."""
    return mean_interval([run.loss for run in budget.of_size(weights)])
