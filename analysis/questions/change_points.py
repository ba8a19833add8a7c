"""Change points of a curve, with intervals.

The curve is modelled by straight pieces that meet at *kinks*. An information criterion chooses their number. The
change point is the kink at which the steepest piece begins.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise

import numpy as np
from scipy import stats

from minibert.errors import MinibertError

CONFIDENCE = 0.95
CANDIDATES = 24
"""Number of values of x at which kinks are tried, before the best are refined"""
STILL = 1e-10
"""Share of the range of x: a search ends if no kink moves by more"""
MOST_SWEEPS = 60
TRIED = 20
"""Values of x on either side of a kink that are tried for its interval"""
FEWEST_POINTS = 4
"""Points in every piece: fewer can be straight, and steep, by chance"""
MOST_KINKS = 3
BISECTIONS = 12
ROUNDING = 1e-9
"""Share of the range of y: smaller residuals are rounding errors"""
MOST_AUTOCORRELATION = 0.9


@dataclass(frozen=True)
class Pieces:
    """Continuous straight pieces through the points (x, y)."""

    x: np.ndarray
    y: np.ndarray
    kinks: np.ndarray
    """(K,) where pieces meet, rising"""

    @cached_property
    def _coefficients(self) -> np.ndarray:
        return np.linalg.lstsq(_basis(self.x, self.kinks), self.y, rcond=None)[0]

    def at(self, x) -> np.ndarray:
        """The pieces at any x."""
        return _basis(np.asarray(x, np.float64), self.kinks) @ self._coefficients

    @property
    def slopes(self) -> np.ndarray:
        """(K + 1,)"""
        return np.cumsum(self._coefficients[1:])

    @property
    def ends(self) -> np.ndarray:
        """(K + 2,) of the pieces: the first x, the kinks, the last x"""
        return np.array([self.x[0], *self.kinks, self.x[-1]])

    @property
    def residual_sum(self) -> float:
        """Σ (yᵢ - ŷᵢ)²"""
        return float(np.sum((self.y - self.at(self.x)) ** 2))

    @property
    def spread(self) -> float:
        """Mean squared residual, at least that of rounding, so that an exact fit does not give kinks"""
        least = max((ROUNDING * np.ptp(self.y)) ** 2, np.finfo(float).tiny)
        return max(self.residual_sum / len(self.x), least)

    @property
    def effective_points(self) -> float:
        """n (1 - r) / (1 + r), r the correlation of neighbouring residuals, where it is positive.

        Correlated residuals carry less information than n independent points. The formula is the variance of a
        mean of a first-order autoregression: Bayley and Hammersley, "The effective number of independent
        observations in an autocorrelated time series", 1946.
        """
        residuals = self.y - self.at(self.x)
        size = len(self.x) * self.spread  # at least that of rounding: rounding errors are not correlated
        r = np.sum(residuals[1:] * residuals[:-1]) / size
        r = float(np.clip(r, 0.0, MOST_AUTOCORRELATION))
        return len(self.x) * (1 - r) / (1 + r)


@dataclass(frozen=True)
class ChangePoint:
    """Where the steepest piece begins. ``low`` and ``high``: 95 % profile likelihood interval of the place."""

    place: float
    low: float
    high: float
    change: float
    """Change of y over the steepest piece"""
    pieces: Pieces


def find_change_point(x, y, least_change: float = 0.0) -> ChangePoint | None:
    """The kink at which the steepest of the straight pieces through (x, y) begins.    x, y (n,), x rising

    None if the curve has no kink, if the steepest piece is the first one (the change then began before the first
    point), and if y changes by less than ``least_change`` over this piece.

    The interval is that of all places τ of this kink for which the sum of squared residuals S(τ), over all places
    of the other kinks in their order, stays within

        S(τ) ≤ min S · (1 + F₁,ν / ν),    ν = effective points - 2 - 2 K

    F being the 95 % quantile. It describes the noise around one curve, not the spread over seeds. It holds the
    true kink in 94 % of the cases or more, and in 91 % where it is half as long as the steepest piece itself
    (docs/statistics.md).

    Pieces are fitted as in :func:`fit_pieces`, which raises :class:`MinibertError` for invalid x and y. Lerman,
    "Fitting Segmented Regression Models by Grid Search", 1980; Feder, "The Log Likelihood Ratio in Segmented
    Regression", 1975.
    """
    pieces = fit_pieces(x, y)
    steepest = int(np.argmax(np.abs(pieces.slopes)))
    begin, end = pieces.ends[steepest : steepest + 2]
    change = float(pieces.slopes[steepest] * (end - begin))
    if steepest == 0 or abs(change) < least_change:
        return None
    low, high = _interval(pieces, steepest - 1)
    return ChangePoint(float(begin), low, high, change, pieces)


def fit_pieces(x, y, most_kinks: int = MOST_KINKS) -> Pieces:
    """Least squares with ŷ = a + b₀ x + Σₖ bₖ max(0, x - τₖ), in a, b and τ, for the K that has the lowest

        BIC₃(K) = m log(S / n) + (2 + 3 K) log m,    S = Σ (yᵢ - ŷᵢ)²

    among K = 0 ... ``most_kinks``; m is the effective number of points, by the residuals with the most kinks.
    Every piece has at least four points; with too few points there is no kink. All kinks are first searched over a
    grid. Then one kink at a time moves to its exact best position, until none moves. So nothing is random, and the
    result does not depend on the spacing of the grid. Points that are not finite are left out.

    Raises :class:`MinibertError` for arrays of different lengths, for x that does not rise, and for fewer than
    two points. Hudson, "Fitting Segmented Curves Whose Join Points Have to Be Estimated", 1966; the penalty,
    harsher than Schwarz's: Kim and Kim, "Consistent Model Selection in Segmented Line Regression", 2016.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise MinibertError(f"x, y: shapes {x.shape} and {y.shape} were given. Allowed: two of one length.")
    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    if len(x) < 2 or np.any(np.diff(x) <= 0):
        raise MinibertError(
            f"x: {len(x)} points were given, not all above the one before. Allowed: two or more finite, rising."
        )
    fits = [Pieces(x, y, np.array([]))]
    for count in range(1, most_kinks + 1):
        kinks = _best_kinks(x, y, count)
        if kinks is None:
            break
        fits.append(Pieces(x, y, _refined(x, y, kinks)))
    points = fits[-1].effective_points
    return min(fits, key=lambda fit: _criterion(fit, points))


def _basis(x: np.ndarray, kinks: np.ndarray) -> np.ndarray:
    """(n, 2 + K): 1, x, and max(0, x - τ) of every kink"""
    return np.concatenate([np.stack([np.ones_like(x), x], axis=1), np.maximum(0, x[:, None] - kinks)], axis=1)


def _criterion(pieces: Pieces, points: float) -> float:
    return points * np.log(pieces.spread) + (2 + 3 * len(pieces.kinks)) * np.log(max(points, 2))


def _best_kinks(x: np.ndarray, y: np.ndarray, count: int) -> np.ndarray | None:
    """The best combination of candidates; None if there are too few points for so many pieces."""
    grid = _candidates(x)
    kinks = _combinations(grid, count)
    kinks = kinks[_enough_points(x, kinks)]
    if not len(kinks):
        return None
    return kinks[np.argmin(_residual_sums(x, y, kinks))]


def _refined(x: np.ndarray, y: np.ndarray, kinks: np.ndarray, fixed: int | None = None) -> np.ndarray:
    """Move one kink at a time to its best position, and all to where separate lines meet, until none moves.

    The kink ``fixed`` stays.
    """
    for _ in range(MOST_SWEEPS):
        before = kinks
        for index in range(len(kinks)):
            if index != fixed:
                kinks = _best_place(x, y, kinks, index)
        if fixed is None:
            kinks = _joined(x, y, kinks)
        elif len(kinks) < 3:
            break
        if np.max(np.abs(kinks - before), initial=0) <= STILL * (x[-1] - x[0]):
            break
    return kinks


def _best_place(x: np.ndarray, y: np.ndarray, kinks: np.ndarray, index: int) -> np.ndarray:
    """The kinks, with one of them moved exactly to where S is smallest. The others do not move.

    For a kink between two neighbouring points, b max(0, x - τ) is u x + v after it, with b = u and τ = -v / u. So
    S is smallest either where free u and v give a τ between the two points, or at a point.
    """
    begin, n = x[0], len(x)  # sums of squares are exact for small x alone
    x, others = x - begin, np.delete(kinks, index) - begin
    until = np.array([0, *np.searchsorted(x, others), n])
    behind = np.arange(until[index] + FEWEST_POINTS, until[index + 1] - FEWEST_POINTS + 1)
    behind = behind[behind < n]
    if not len(behind):
        return kinks
    basis, _ = np.linalg.qr(_basis(x, others))
    left = y - basis @ (basis.T @ y)
    from_end = [
        np.cumsum(values[::-1], axis=0)[::-1][behind]
        for values in (x**2, x, np.ones(n), x * left, left, x[:, None] * basis, basis)
    ]
    xx, x1, ones, x_left, one_left, x_basis, one_basis = from_end
    uu, vv = xx - np.sum(x_basis**2, axis=1), ones - np.sum(one_basis**2, axis=1)
    uv = x1 - np.sum(x_basis * one_basis, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = uu * vv - uv**2
        u, v = (vv * x_left - uv * one_left) / determinant, (uu * one_left - uv * x_left) / determinant
        between = -v / u
        explained = u * x_left + v * one_left
        at = x[behind]  # where the kink is at a point
        at_points = (x_left - at * one_left) ** 2 / (uu - 2 * at * uv + at**2 * vv)
    inside = (x[behind - 1] < between) & (between < at)
    places = np.concatenate([between[inside], at])
    gains = np.nan_to_num(np.concatenate([explained[inside], at_points]), nan=-np.inf)
    return begin + np.insert(others, index, places[np.argmax(gains)])


def _joined(x: np.ndarray, y: np.ndarray, kinks: np.ndarray) -> np.ndarray:
    """The kinks where separately fitted lines meet, if that fits better; otherwise the kinks as given."""
    ends = [0, *np.searchsorted(x, kinks), len(x)]
    lines = np.array([np.polyfit(x[begin:end], y[begin:end], 1) for begin, end in pairwise(ends)])
    slopes, offsets = np.diff(lines, axis=0).T
    if np.any(slopes == 0):
        return kinks
    moved = -offsets / slopes
    if not _enough_points(x, moved[None])[0]:
        return kinks
    return min(kinks, moved, key=lambda places: Pieces(x, y, places).residual_sum)


def _interval(pieces: Pieces, index: int) -> tuple[float, float]:
    """The lowest and the highest position of one kink at which the fit is nearly as good as the best."""
    x, y, kinks = pieces.x, pieces.y, pieces.kinks
    grid = _candidates(x)
    # The best positions of the others, which lie between candidates, are tried as well.
    others = np.concatenate([_combinations(grid, len(kinks) - 1), np.delete(kinks, index)[None]])
    freedom = pieces.effective_points - 2 - 2 * len(kinks)
    if freedom < 1:
        return float(x[0]), float(x[-1])
    allowed = len(x) * pieces.spread * (1 + stats.f.ppf(CONFIDENCE, 1, freedom) / freedom)
    best = kinks[index]

    def fits(place: float) -> bool:
        return bool(_least(x, y, place, index, others) <= allowed)

    ends = []
    for end in (x[0], x[-1]):
        shares = np.linspace(1, 0, TRIED + 1)[:-1]  # of the way from the best place to the end
        inside = next((share for share in shares if fits(best + share * (end - best))), 0.0)
        outside = inside + 1 / TRIED
        while not inside and outside > STILL:  # the interval is narrower than the spacing of the tried positions
            outside /= 4
            inside = outside if fits(best + outside * (end - best)) else 0.0
            outside = 4 * outside if inside else outside
        for _ in range(BISECTIONS if inside < 1 else 0):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if fits(best + middle * (end - best)) else (inside, middle)
        ends.append(float(best + inside * (end - best)))
    return ends[0], ends[1]


def _least(x: np.ndarray, y: np.ndarray, place: float, index: int, others: np.ndarray) -> float:
    """The smallest S with kink ``index`` at ``place``, over positions of the others that keep the order."""
    kinks = np.insert(others, index, place, axis=1)
    kinks = kinks[_enough_points(x, kinks)]
    if not len(kinks):
        return np.inf
    # A single other kink reaches its best position from any start.
    start = kinks[np.argmin(_residual_sums(x, y, kinks))] if kinks.shape[1] > 2 else kinks[0]
    return Pieces(x, y, _refined(x, y, start, fixed=index)).residual_sum


def _candidates(x: np.ndarray) -> np.ndarray:
    return np.linspace(x[0], x[-1], CANDIDATES + 2)[1:-1]


def _combinations(grid: np.ndarray, count: int) -> np.ndarray:
    """(m, count): every choice of ``count`` values of the grid, rising"""
    chosen = list(combinations(range(len(grid)), count))
    return grid[np.array(chosen, int).reshape(len(chosen), count)]


def _enough_points(x: np.ndarray, kinks: np.ndarray) -> np.ndarray:
    """(m, K) -> (m,): whether the kinks rise and every piece has enough points"""
    until = np.searchsorted(x, kinks)
    zeros = np.zeros((len(kinks), 1), int)
    counts = np.diff(np.concatenate([zeros, until, zeros + len(x)], axis=1), axis=1)
    return np.all(counts >= FEWEST_POINTS, axis=1)


def _residual_sums(x: np.ndarray, y: np.ndarray, kinks: np.ndarray) -> np.ndarray:
    """S of each combination of kinks (m, K) -> (m,): residuals of a line, less what the kinks explain of them"""
    places, which = np.unique(kinks, return_inverse=True)
    which = which.reshape(kinks.shape)
    line, _ = np.linalg.qr(_basis(x, np.array([])))
    hinges = np.maximum(0, x[:, None] - places)
    hinges = hinges - line @ (line.T @ hinges)
    left = y - line @ (line.T @ y)
    norms = np.linalg.norm(hinges, axis=0)
    hinges = hinges / np.where(norms > 0, norms, 1)
    products, with_y = hinges.T @ hinges, hinges.T @ left
    matrices = products[which[:, :, None], which[:, None, :]] + 1e-12 * np.eye(kinks.shape[1])
    explained = np.linalg.solve(matrices, with_y[which][..., None])[..., 0]
    return np.maximum(left @ left - np.sum(explained * with_y[which], axis=1), 0.0)
