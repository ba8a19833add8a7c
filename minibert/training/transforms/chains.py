"""What a transform is, and how transforms are chained.

A transform is a function of four things: the update on its way from gradient to step, the parameters, the state,
and facts about the step. It changes the first three in place. Most transforms work element by element. They get
*pieces*: runs of elements so small that gradient, parameters and state stay in the L2 cache through the whole
chain. Others need a parameter as a whole, for its norm or as a matrix, and get it in its shape. State is plain
data, a dictionary of arrays, so it is saved and restored as parameters are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]
State = dict[str, np.ndarray]


@dataclass(frozen=True)
class Moment:
    """What a transform may know about the step it is part of."""

    step: int
    """1 at the first step"""
    learning_rate: float
    gradient_norm: float
    """Norm of the whole gradient, before clipping"""


class Factor(NamedTuple):
    """Meaning of u = factor · u"""

    of: Callable[[State, Moment], float]
    """The factor, from the shared state"""


class Adam(NamedTuple):
    """Meaning of :func:`minibert.training.transforms.elements.scale_by_adam`"""

    beta1: float
    beta2: float
    epsilon: float


class Decay(NamedTuple):
    """Meaning of u = u + λ θ"""

    decay: float


class Addition(NamedTuple):
    """Meaning of θ = θ + u"""


@dataclass(frozen=True, eq=False)
class Transform:
    """One link of a chain; equal only to itself."""

    update: Callable[[np.ndarray, np.ndarray, State, Moment], None]
    """(update, params, state, moment) for one piece or one parameter, the first three to be changed in place"""
    whole: bool = False
    """Whether it must see each parameter as a whole, instead of any run of elements"""
    vectors: Mapping[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    """State with an element for each parameter's element: name -> what it starts as, given the parameters"""
    arrays: Mapping[str, Callable[[Shape], Shape]] = field(default_factory=dict)
    """State of another shape for each parameter, which starts at zero: name -> its shape, given the parameter's.
    Only for transforms that see parameters as a whole"""
    shared: Mapping[str, int] = field(default_factory=dict)
    """State of all parameters together, which starts at zero: name -> number of elements, float64"""
    prepare: Callable[[State, Moment], None] | None = None
    """Called once a step with the shared state, before any update, which may only read it"""
    meaning: Factor | Adam | Decay | Addition | None = None
    """What ``update`` computes, where a run of transforms may be computed as one (:mod:`.fused`)"""


@dataclass(frozen=True, eq=False)
class Choice:
    """A link whose transform depends on the parameter: (name, parameter) -> a transform, or None for no change.

    It should give the very same transform wherever it decides alike, so that runs of elements can be long.
    """

    choose: Callable[[str, np.ndarray], Transform | None]


Chain = tuple[Transform | Choice, ...]


def chain(*links: Transform | Choice | Chain) -> Chain:
    """One link after the other, chains among them laid out flat: each takes what the one before it made."""
    return tuple(part for link in links for part in (link if isinstance(link, tuple) else (link,)))


def transforms_of(links: Chain, name: str, parameter: np.ndarray) -> tuple[Transform, ...]:
    """The transforms that a chain comes to for one parameter.

    Raises :class:`ValueError` when two of them would share a state.
    """
    chosen = (link.choose(name, parameter) if isinstance(link, Choice) else link for link in links)
    transforms = tuple(transform for transform in chosen if transform is not None)
    states = [state for one in transforms for kind in (one.vectors, one.arrays, one.shared) for state in kind]
    if len(set(states)) < len(states):
        raise ValueError(f"two transforms of a chain use the same state name: {states}")
    return transforms


def scaling(factor: Callable[[State, Moment], float], **state) -> Transform:
    """u = factor · u, with a factor that is one number a step; ``state`` as in :class:`Transform`."""

    def update(update, params, state, moment):
        number = factor(state, moment)
        if number != 1:
            update *= update.dtype.type(number)

    return Transform(update, meaning=Factor(factor), **state)


def only_weights(transform: Transform) -> Choice:
    """The transform for weights; gains and biases are left as they are."""
    return Choice(lambda name, _: transform if name.endswith(".weight") else None)


def norm(array: np.ndarray) -> float:
    """‖x‖₂ over all elements"""
    return float(np.sqrt(np.vdot(array, array)))


def root_mean_square(array: np.ndarray) -> float:
    """√(mean x²)"""
    return norm(array) / array.size**0.5
