"""Directions in parameter space, and the unit of distance along each."""

from collections.abc import Mapping

import numpy as np

from minibert.errors import MinibertError, nearest, shown
from minibert.model.initializers import is_table
from minibert.model.parameters import Parameters
from minibert.randomness import generator


def display_name(group: str) -> str:
    """``layers.0`` as ``layer_0``, the way metrics are named; other groups as they are."""
    return group.replace("layers.", "layer_", 1)


def choose_parameters(params: Parameters, param_name: str | None = None) -> tuple[str, ...]:
    """Names of the parameters that ``param_name`` stands for, in the order of the network.

    None is all of them; else a name (``layers.0.attention.query.weight``), the start of names up to a dot
    (``layers.0.attention``, ``layers.0``, also written ``layer_0``, ``embeddings``), or a joint block
    (``layers.0.attention.query_key_value.weight``).

    Raises :class:`MinibertError` for an unknown name.
    """
    if param_name is None:
        return tuple(params)
    if not isinstance(param_name, str):
        raise MinibertError(f"param_name: {shown(param_name)} was given. Allowed: one name, or None for all.")
    wanted = param_name.replace("layer_", "layers.", 1) if param_name.startswith("layer_") else param_name
    joint = {part: block.name for block in params.layout.blocks for part in block.parts}
    chosen = tuple(
        name
        for name in params
        if any(f"{full}.".startswith(f"{wanted}.") for full in (name, joint.get(name, name)))
    )
    if not chosen:
        known = [*params.groups, *params]
        raise MinibertError(
            f"param_name: no parameter is called '{param_name}'{nearest(wanted, known)}. Allowed: a group "
            f"({', '.join(params.groups)}), a parameter such as {known[-1]}, or None for the whole network."
        )
    return chosen


def indices_of(params: Parameters, names: tuple[str, ...]) -> np.ndarray:
    """The indices of the named parameters in the flat vector, (n,) ascending."""
    marks = Parameters(params.layout, "bool")
    for name in names:
        marks[name] = True
    return np.flatnonzero(marks.vector)


def filter_norms(name: str, weight: np.ndarray) -> np.ndarray:
    """‖w‖ of every filter of a weight, to be broadcast against it: (1, out) of columns, (rows, 1) of a table."""
    return np.sqrt(np.sum(np.square(weight, dtype=np.float64), axis=1 if is_table(name) else 0, keepdims=True))


def normalise_by_filter(direction: Mapping[str, np.ndarray], params: Parameters) -> np.ndarray:
    """d_f ‖w_f‖ / ‖d_f‖ for every filter f: as large as the weights, filter by filter.    Flat, float64.

    A filter is what one output unit reads: a column of an (in, out) weight. In a lookup table it is a row, the
    vector of one token (with tied output weights also what its score is made with), position or distance. Gains
    and biases are not moved. Names that ``direction`` has not stay at zero, as do filters of zeros.

    Without this, a network with all weights doubled would seem half as sharp, although norms make it the same
    function. Li et al., "Visualizing the Loss Landscape of Neural Nets", NeurIPS 2018.
    """
    scaled = Parameters(params.layout, "float64")
    for name, array in direction.items():
        if name.endswith(".weight"):
            own = filter_norms(name, array)
            scale = np.divide(filter_norms(name, params[name]), own, out=np.zeros_like(own), where=own > 0)
            np.multiply(array, scale, out=scaled[name])
    return scaled.vector


def draw_direction(params: Parameters, names: tuple[str, ...], seed: int, number: int) -> np.ndarray:
    """A normally distributed direction in the weights among ``names``, normalised by filter.    Flat float64.

    The random numbers depend on (seed, number, index of the parameter): a direction in one group is that group's
    part of the whole network's direction.

    Raises :class:`MinibertError` where there are only gains and biases, which such a direction does not move.
    """
    drawn = {
        name: generator(seed, number, place).standard_normal(params[name].shape)
        for place, name in enumerate(params)
        if name in names and name.endswith(".weight")
    }
    if not drawn:
        raise MinibertError(
            f"param_name: {', '.join(names)} has no weight, and random directions leave gains and biases alone. "
            "Allowed for these: the directions gradient, update and eigenvector."
        )
    return normalise_by_filter(drawn, params)


def scale_to_weights(vector: np.ndarray, params: Parameters) -> np.ndarray | None:
    """d ‖w‖ / ‖d‖, w being all weights, gains and biases aside; None for a direction of zeros.    Flat, float64.

    Then ‖d‖ is that of a random direction normalised by filter, and distances along both compare. The line is the
    same whatever the learning rate was.
    """
    vector = np.asarray(vector, np.float64)
    size = np.linalg.norm(vector)
    if not size:
        return None
    weights = [np.linalg.norm(params[name].astype(np.float64)) for name in params if name.endswith(".weight")]
    return vector * (np.linalg.norm(weights) / size)
