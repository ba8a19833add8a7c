"""One step of a forward pass: a formula, an array, and what its axes are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from minibert.model.norms import NormCache, RMSNormCache


@dataclass(frozen=True)
class Step:
    """One array on the way, of one sentence."""

    place: str
    """The part of the network, as its parameters are named: ``layers.0.attention``"""
    name: str
    formula: str
    axes: tuple[str, ...]
    """What each axis of the array counts, in the letters of the glossary: H, T, D, K, F, V"""
    array: np.ndarray
    meaning: str
    """One sentence"""

    @property
    def shape(self) -> str:
        """Such as ``T×D = 7×192``"""
        return f"{'×'.join(self.axes)} = {'×'.join(map(str, self.array.shape))}"


StepMaker = Callable[[str, str, str, np.ndarray, str], Step]


def steps_of(place: str) -> StepMaker:
    """(name, formula, axes with spaces between them, array, meaning) -> a :class:`Step` of this place."""

    def make(name: str, formula: str, axes: str, array: np.ndarray, meaning: str) -> Step:
        return Step(place, name, formula, tuple(axes.split()), np.asarray(array), meaning)

    return make


def norm_steps(place: str, read: str, cache: NormCache | None, y: np.ndarray) -> Iterator[Step]:
    """The steps of the network's kind of norm on ``read``, a letter of a formula, to its output y (T, D)."""
    step = steps_of(place)
    if cache is None:
        return
    if isinstance(cache, RMSNormCache):
        root = 1 / cache.inverse_root[:, 0]
        yield step("norm_root", f"r = √(mean({read}²) + ε)", "T", root, "How long each token's vector is.")
        yield step("normalized", f"x̂ = {read} / r", "T D", cache.normalized, "Each token with mean square one.")
    else:
        deviation = 1 / cache.inverse_deviation[:, 0]
        yield step(
            "norm_deviation", f"σ = √(var({read}) + ε)", "T", deviation, "How far a token's entries spread."
        )
        formula = f"x̂ = ({read} - mean({read})) / σ"
        yield step("normalized", formula, "T D", cache.normalized, "Each token with mean zero and variance one.")
    yield step("norm", "x̂ · gain (+ bias)", "T D", y, "Each entry on a scale that was learned.")
