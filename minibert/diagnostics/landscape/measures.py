"""The loss around a network's parameters: along lines, over planes, and between two networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minibert.diagnostics.landscape.directions import choose_parameters, draw_direction, indices_of
from minibert.diagnostics.landscape.frozen_loss import FrozenLoss
from minibert.diagnostics.landscape.sharpness import compute_hessian_products, compute_top_eigenvalues
from minibert.errors import MinibertError, nearest
from minibert.model.bert import MiniBERT
from minibert.model.parameters import Parameters

BY_FILTER = "size of the weights"
UNIT_LENGTH = "parameter units"
UPDATES = "updates"
RISE = 0.1
"""Nats: the rise of the loss at which :attr:`Slice.width` measures the distance."""


@dataclass(frozen=True)
class Direction:
    """A direction in parameter space, with the slope and the curvature of the loss along it."""

    name: str
    vector: np.ndarray
    """d, flat, in the network's precision; zero outside of the chosen parameters"""
    unit: str
    """What distance 1 is: all of ``vector``. :data:`BY_FILTER`: every filter moves as far as it is from zero;
    :data:`UNIT_LENGTH`: ‖d‖ = 1; :data:`UPDATES`: one update"""
    slope: float
    """∇L · d at the parameters, from an exact gradient in float64; of :func:`measure_slice`, from losses"""
    curvature: float
    """dᵀ H d, from differences of such gradients; of :func:`measure_slice`, from losses"""


@dataclass(frozen=True)
class Slice:
    """The loss along one direction."""

    direction: Direction
    distances: np.ndarray
    """α (P,), ascending, in ``direction.unit``"""
    losses: np.ndarray
    """L(θ + α d) (P,), nats a prediction"""
    loss: float
    """L(θ)"""

    @property
    def quadratic(self) -> np.ndarray:
        """What slope and curvature predict: L(θ) + α ∇L · d + α² dᵀHd / 2.    (P,)"""
        alpha = self.distances
        return self.loss + alpha * self.direction.slope + alpha**2 * self.direction.curvature / 2

    @property
    def width(self) -> float | None:
        """How far from θ the loss has risen by :data:`RISE` nats, as a mean over both sides.

        Linear between points. None if it does not rise so far on either side, and if L(θ) is not finite.
        """
        found = []
        for sign in (1, -1) if np.isfinite(self.loss) else ():
            side = self.distances * sign > 0
            order = np.argsort(self.distances[side] * sign)
            away = np.concatenate([[0.0], (self.distances[side] * sign)[order]])
            # A NaN means that the loss has overflowed.
            rise = np.nan_to_num(np.concatenate([[0.0], self.losses[side][order] - self.loss]), nan=np.inf)
            above = np.flatnonzero(rise >= RISE)
            if len(above):
                end = above[0]
                share = (RISE - rise[end - 1]) / (rise[end] - rise[end - 1])  # 0 before a loss without bounds
                found.append(away[end - 1] + share * (away[end] - away[end - 1]))
        return float(np.mean(found)) if found else None


@dataclass(frozen=True)
class Surface:
    """The loss over the plane of two directions."""

    directions: tuple[Direction, Direction]
    distances: tuple[np.ndarray, np.ndarray]
    """α (P,) and β (P,), ascending"""
    losses: np.ndarray
    """L(θ + α d₁ + β d₂) at [index of β, index of α], (P, P)"""
    loss: float
    """L(θ)"""


@dataclass(frozen=True)
class LossLandscape:
    """What :func:`analyze_loss_landscape` found around θ."""

    parameters: tuple[str, ...]
    """The parameters that were moved"""
    loss: float
    """L(θ), nats a prediction"""
    gradient_norm: float
    """‖∇L(θ)‖ over the parameters that were moved, without dropout"""
    slices: dict[str, Slice]
    """By name of the direction"""
    surface: Surface | None


@dataclass(frozen=True)
class LinearPath:
    """The loss on the straight line between two networks."""

    fractions: np.ndarray
    """α (P,), from 0 to 1"""
    losses: np.ndarray
    """L((1 - α) θ_a + α θ_b), (P,), nats a prediction"""

    @property
    def straight_line(self) -> np.ndarray:
        """(1 - α) L(θ_a) + α L(θ_b), (P,): linear interpolation of the losses at the two ends."""
        return (1 - self.fractions) * self.losses[0] + self.fractions * self.losses[-1]

    @property
    def barrier(self) -> float:
        """max_α L - straight line, in nats; 0 where no point lies above it: linear mode connectivity.

        Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020, who compare with
        the mean of the two ends; with the line between them: Entezari et al., ICLR 2022.
        """
        return float(max((self.losses - self.straight_line).max(), 0.0))

    @property
    def rise(self) -> float:
        """The largest climb on the way, max over α < α' of L(α') - L(α), in nats; 0 where it never goes up.

        Lucas et al., "On Monotonic Linear Interpolation of Neural Network Parameters", ICML 2021.
        """
        return float((self.losses - np.minimum.accumulate(self.losses)).max())


def analyze_loss_landscape(
    model: MiniBERT,
    data_batch,
    param_name: str | None = None,
    *,
    directions: Sequence[str] = ("random_0", "random_1", "gradient"),
    surface: tuple[str, str] | None = None,
    points: int = 41,
    surface_points: int = 25,
    radius: float | Mapping[str, float] | None = None,
    update: Parameters | np.ndarray | None = None,
    seed: int = 0,
    threads: int = 2,
) -> LossLandscape:
    """The masked-token loss of a frozen batch around θ, without dropout: L(θ + α d) and L(θ + α d₁ + β d₂).

    Parameters
    ----------
    model : not changed: the parameters of copies are moved
    data_batch : a batch, or the pair (input_ids, labels); auxiliary tasks are left out
    param_name : what is moved: a parameter, a group or another start of names; None is the whole network
    directions : of the slices, by name.
        ``random_<n>``: the n-th random direction under ``seed``, normalised by filter
        (:func:`minibert.diagnostics.landscape.directions.normalise_by_filter`); distance 1 is the size of the
        weights.
        ``gradient``: -∇L / ‖∇L‖, so that the slope at 0 is -‖∇L‖; distance is that of parameter space.
        ``eigenvector``: of the top eigenvalue of the Hessian, of length 1, turned so that the loss falls ahead.
        ``update``: the ``update`` given; distance 1 is one update.
    surface : names of two directions to span a plane
    points, surface_points : of a slice, and of each side of the surface, evenly from -radius to radius. An odd
        number has a point at θ itself.
    radius : in the direction's unit: one for all, or by name. By default 1 for random directions, 4 updates, and
        for directions of length 1 the distance at which slope or curvature alone makes 1 nat, whichever is nearer.
    seed : of the random directions

    Raises :class:`MinibertError` for unknown names, too few points and a batch without predictions.

    Li et al., "Visualizing the Loss Landscape of Neural Nets", NeurIPS 2018. Two random directions show two of a
    million: what looks convex there need not be (the paper, section 7).
    """
    _check_points(points=points, surface_points=surface_points)
    names = choose_parameters(model.params, param_name)
    directions = (directions,) if isinstance(directions, str) else tuple(directions)
    wanted = tuple(dict.fromkeys(map(str, (*directions, *(surface or ())))))
    with FrozenLoss(model, data_batch, threads) as loss:
        gradient = _only(indices_of(model.params, names), loss.gradients([loss.parameters])[0])
        found = {}
        for name in wanted:
            vector, unit = _direction(name, model.params, names, gradient, update, seed, loss)
            (product,) = compute_hessian_products(loss.gradients, loss.parameters, [vector.astype(np.float64)])
            found[name] = Direction(name, vector, unit, float(gradient @ vector), float(vector @ product))
        reach = {name: _radius(each, radius) for name, each in found.items()}
        here = loss.at_parameters()
        slices = {}
        for name in dict.fromkeys(directions):
            distances = _even(reach[name], points)
            slices[name] = Slice(found[name], distances, losses_along(loss, found[name].vector, distances), here)
        plane = None
        if surface:
            pair = tuple(found[name] for name in surface)
            across, up = (_even(reach[name], surface_points) for name in surface)
            sides = (across, up)
            plane = Surface(pair, sides, _losses_over(loss, pair, sides), here)
    return LossLandscape(names, here, float(np.linalg.norm(gradient)), slices, plane)


def losses_along(loss: FrozenLoss, direction: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """L(θ + α d) for every distance α.    direction flat, distances (P,) -> (P,) float64"""
    theta = loss.model.params.vector

    def place(index, vector):
        np.multiply(direction, vector.dtype.type(distances[index]), out=vector)
        vector += theta

    return loss.losses(len(distances), place)


def measure_slice(loss: FrozenLoss, name: str, vector: np.ndarray, unit: str, distances: np.ndarray) -> Slice:
    """A slice by losses alone, for a small share of the time that exact derivatives take.

    ``distances`` (P,) ascend and are symmetric about 0, which is one of them. Slope and curvature are the central
    differences (L(h) - L(-h)) / 2h and (L(h) - 2 L(0) + L(-h)) / h² between the nearest two points, ±h: they
    describe the loss on that scale.
    """
    losses = losses_along(loss, vector, distances)
    middle = len(distances) // 2
    below, here, above = losses[middle - 1 : middle + 2]
    step = distances[middle + 1]
    direction = Direction(name, vector, unit, (above - below) / (2 * step), (above - 2 * here + below) / step**2)
    return Slice(direction, distances, losses, here)


def analyze_linear_path(
    model: MiniBERT, params_a, params_b, data_batch, *, points: int = 21, threads: int = 2
) -> LinearPath:
    """L((1 - α) θ_a + α θ_b), α from 0 to 1: between initialisation and end, two checkpoints or two seeds.

    ``params_a`` and ``params_b`` are networks, their parameters, or flat vectors, in the layout of ``model``,
    which is not changed. Units of two seeds are not matched: units with the same function may have different
    indices, so a barrier does not show that the networks compute different functions (Entezari et al., ICLR 2022).

    Raises :class:`MinibertError` for parameters of another network, fewer than three points and a batch without
    predictions.

    Goodfellow, Vinyals and Saxe, "Qualitatively Characterizing Neural Network Optimization Problems", ICLR 2015.
    """
    _check_points(points=points)
    ends = [_flat(name, given, model) for name, given in (("params_a", params_a), ("params_b", params_b))]
    fractions = np.linspace(0, 1, points)

    def place(index, vector):
        kind = vector.dtype.type
        np.multiply(ends[0], kind(1 - fractions[index]), out=vector)
        vector += kind(fractions[index]) * ends[1]

    with FrozenLoss(model, data_batch, threads) as loss:
        return LinearPath(fractions, loss.losses(points, place))


def _direction(name, params, names, gradient, update, seed, loss) -> tuple[np.ndarray, str]:
    """The flat vector of a direction, in the network's precision, and its unit."""
    kind, _, number = name.partition("_")
    dtype = params.vector.dtype
    if kind == "random" and number.isdecimal():
        return draw_direction(params, names, seed, int(number)).astype(dtype), BY_FILTER
    if name == "gradient":
        norm = np.linalg.norm(gradient)
        if not norm:
            raise MinibertError("directions: the gradient is zero here. Allowed: the other directions.")
        return (-gradient / norm).astype(dtype), UNIT_LENGTH
    if name == "eigenvector":
        indices = indices_of(params, names)
        vector = np.zeros(len(gradient))
        pairs = compute_top_eigenvalues(loss.gradients, loss.parameters, indices=indices, seed=seed)
        vector[indices] = pairs.vectors[:, 0]
        return (-vector if gradient @ vector > 0 else vector).astype(dtype), UNIT_LENGTH
    if name == "update":
        if update is None:
            raise MinibertError("directions: update needs update=..., what the optimizer added to the parameters.")
        flat = np.asarray(getattr(update, "vector", update), dtype)
        if flat.shape != params.vector.shape:
            raise MinibertError(
                f"update: shape {flat.shape} was given. Allowed: {params.vector.shape}, one number a parameter."
            )
        return _only(indices_of(params, names), flat), UPDATES
    known = ("random_0", "random_1", "gradient", "eigenvector", "update")
    raise MinibertError(
        f"directions: unknown name '{name}'{nearest(name, known)}. "
        "Allowed: random_<number>, gradient, eigenvector, update."
    )


def _only(indices: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The vector with zeros everywhere else."""
    chosen = np.zeros_like(vector)
    chosen[indices] = vector[indices]
    return chosen


def _radius(direction: Direction, radius) -> float:
    given = radius.get(direction.name) if isinstance(radius, Mapping) else radius
    if given is not None:
        if not given > 0:
            raise MinibertError(f"radius: {given} was given. Allowed: above 0.")
        return float(given)
    if direction.unit == UNIT_LENGTH:
        slope, curvature = abs(direction.slope), abs(direction.curvature)
        distances = [1 / slope] if slope else []
        distances += [np.sqrt(2 / curvature)] if curvature else []
        return float(min(distances, default=1.0))
    return {BY_FILTER: 1.0, UPDATES: 4.0}[direction.unit]


def _even(radius: float, points: int) -> np.ndarray:
    """From -radius to radius; the middle one of an odd number is 0, not nearly 0 as linspace may have it."""
    return radius * (2 * np.arange(points) - (points - 1)) / (points - 1)


def _losses_over(loss: FrozenLoss, pair, sides) -> np.ndarray:
    theta = loss.model.params.vector
    first, second = (direction.vector for direction in pair)
    across, up = sides

    def place(index, vector):
        row, column = divmod(index, len(across))
        kind = vector.dtype.type
        np.multiply(first, kind(across[column]), out=vector)
        vector += kind(up[row]) * second
        vector += theta

    return loss.losses(len(up) * len(across), place).reshape(len(up), len(across))


def _flat(name: str, given, model: MiniBERT) -> np.ndarray:
    params = model.params
    given = getattr(given, "params", given)
    vector = np.asarray(getattr(given, "vector", given))
    layout = getattr(given, "layout", params.layout)
    if vector.shape != params.vector.shape or layout.blocks != params.layout.blocks:
        raise MinibertError(
            f"{name}: these are not parameters of the network given ({vector.size:,} numbers; it has "
            f"{params.vector.size:,}). Allowed: a network of its configuration, its parameters or its flat vector."
        )
    return vector.astype(params.vector.dtype)


def _check_points(**points: int) -> None:
    for name, count in points.items():
        if count < 3:
            raise MinibertError(f"{name}: {count} was given. Allowed: at least 3.")
