"""How the loss falls with the size of a network and the tokens that it is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import optimize, special

from .estimates import CONFIDENCE

DRAWS = 400
STARTS = {
    "log_a": (0.0, 5.0, 10.0),
    "log_b": (0.0, 5.0, 10.0),
    "log_e": (-1.0, 0.0, 1.0),
    "alpha": (0.2, 0.5, 1.0),
    "beta": (0.2, 0.5, 1.0),
}
"""Where the search for the parameters begins: at the best few of all combinations"""
BEST_STARTS = 5
HUBER = 1e-3
"""From which residual of log L on the loss of the fit grows linearly"""
FEWEST = 6
"""Settings, for five parameters"""


@dataclass(frozen=True)
class Parameter:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Parametric:
    """L(N, D) = E + A / N^α + B / D^β"""

    e: Parameter
    a: Parameter
    b: Parameter
    alpha: Parameter
    beta: Parameter

    def at(self, sizes, tokens) -> np.ndarray:
        """The loss of networks of N weights after D tokens."""
        return (
            self.e.value
            + self.a.value / np.asarray(sizes, float) ** self.alpha.value
            + self.b.value / np.asarray(tokens, float) ** self.beta.value
        )

    @property
    def size_exponent(self) -> float:
        """The exponent of the compute C in the best size: N ∝ C^(β / (α + β)), where C ∝ N · D."""
        return self.beta.value / (self.alpha.value + self.beta.value)


def fit_parametric(
    sizes: Sequence[float], tokens: Sequence[float], losses: Sequence[float], draws: int = DRAWS, seed: int = 0
) -> Parametric | None:
    """E, A, B, α and β of  L(N, D) = E + A / N^α + B / D^β  with 95 % intervals, by the runs of several settings.

    Minimises Σᵢ Huber(log L̂(Nᵢ, Dᵢ) − log Lᵢ) over log A, log B, log E, α and β, from several starts, as the
    source does. Intervals are percentiles of a bootstrap that draws settings (pairs of N and D) with replacement,
    their runs together; a draw with fewer settings than parameters is drawn again. They are wide, or reach far to
    one side, where the data do not tell two parameters apart.

    None for fewer than :data:`FEWEST` settings, or where all have one size or one number of tokens.

    Source: Hoffmann et al. (2022), "Training Compute-Optimal Large Language Models", approach 3.

    Raises ValueError if lengths differ, or a number is not positive.
    """
    columns = [np.asarray(each, float) for each in (sizes, tokens, losses)]
    if len({each.shape for each in columns}) > 1 or not all(np.all(np.isfinite(c) & (c > 0)) for c in columns):
        raise ValueError("sizes, tokens and losses: one positive number of each is needed for every run")
    points = np.log(np.stack(columns))
    _, setting = np.unique(points[:2], axis=1, return_inverse=True)
    places = [np.flatnonzero(setting == each) for each in range(setting.max() + 1)]
    if len(places) < FEWEST or not np.ptp(points[0]) or not np.ptp(points[1]):
        return None
    best = min((_minimum(points, start) for start in _starts(points)), key=lambda found: found.fun).x
    generator, found = np.random.default_rng(seed), []
    while len(found) < draws:
        chosen = generator.integers(len(places), size=len(places))
        if len(np.unique(chosen)) >= best.size:
            found.append(_minimum(points[:, np.concatenate([places[each] for each in chosen])], best).x)
    tails = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(found, tails, axis=0)
    a, b, e, alpha, beta = (
        Parameter(*(float(np.exp(each[i]) if i < 3 else each[i]) for each in (best, low, high))) for i in range(5)
    )
    return Parametric(e, a, b, alpha, beta)


def _starts(points: np.ndarray) -> list[np.ndarray]:
    grid = [np.array(each) for each in product(*STARTS.values())]
    return sorted(grid, key=lambda start: _loss(start, points)[0])[:BEST_STARTS]


def _minimum(points: np.ndarray, start: np.ndarray):
    return optimize.minimize(_loss, start, (points,), "BFGS", jac=True, options={"gtol": 1e-9})


def _loss(parameters: np.ndarray, points: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of Huber's loss, over δ², and its gradient. ``points`` (3, n): log N, log D, log L."""
    log_a, log_b, log_e, alpha, beta = parameters
    log_n, log_d, log_l = points
    terms = np.stack([log_a - alpha * log_n, log_b - beta * log_d, np.full(log_n.size, log_e)])
    residual = special.logsumexp(terms, axis=0) - log_l
    share = special.softmax(terms, axis=0)
    slope = np.clip(residual / HUBER, -1, 1) / HUBER / log_n.size
    of_terms = share @ slope
    gradient = np.array([*of_terms, -np.sum(share[0] * log_n * slope), -np.sum(share[1] * log_d * slope)])
    return float(np.mean(special.huber(HUBER, residual)) / HUBER**2), gradient
