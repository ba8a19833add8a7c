"""How far weights have come from where they started."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import atan2, hypot, nan
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minibert.diagnostics.gradients.measures import Arrays, check_same_parameters, inner_product
from minibert.errors import MinibertError
from minibert.files import given_path
from minibert.model.saved import load_checkpoint

ENDINGS = (".weight", ".bias", ".gain")
STATE = ("optimizer.", "diagnostics.")
"""What the names of tensors begin with that are in a file to resume from, but are no parameters."""


class Displacement(NamedTuple):
    """Where a parameter is, as seen from where it was."""

    distance: float
    """‖θ - θ₀‖₂"""
    relative_distance: float
    """‖θ - θ₀‖₂ / ‖θ₀‖₂; NaN where θ₀ is zero"""
    angle: float
    """Between θ and θ₀, from 0 to π radians; NaN where one of them is zero"""


@dataclass(frozen=True)
class WeightEvolution:
    """The course of every parameter, and of all of them as one vector, "global": name -> (S,) float64."""

    steps: tuple[int, ...]
    """S optimizer steps; the first is the reference"""
    distance: dict[str, np.ndarray]
    """‖θₜ - θ₀‖₂"""
    relative_distance: dict[str, np.ndarray]
    """‖θₜ - θ₀‖₂ / ‖θ₀‖₂; NaN where θ₀ is zero"""
    angle: dict[str, np.ndarray]
    """Between θₜ and θ₀, in radians; NaN where one of them is zero"""
    angle_between: dict[str, np.ndarray]
    """Between θₜ and the one before it, in radians; 0 at the first"""


def measure_displacements(params: Arrays, initial: Arrays) -> dict[str, Displacement]:
    """Distance and angle of every parameter from ``initial``, and of all of them as one vector, under "global".

    With Δ = θ - θ₀, split into a part along θ₀ and one across it, the angle is

        tan φ = √(‖Δ‖² - (Δ·θ₀)² / ‖θ₀‖²) / (‖θ₀‖ + Δ·θ₀ / ‖θ₀‖),

    which, unlike the arc cosine of a product, is precise for the small angles of early training. In many
    dimensions independent directions are at π/2.

    Wide networks are fitted without going far (Chizat, Oyallon and Bach, "On Lazy Training in Differentiable
    Programming", NeurIPS 2019); layers differ in how far they have to go (Zhang, Bengio and Singer, "Are All
    Layers Created Equal?", JMLR 2022).

    Raises :class:`MinibertError` when the two are not of the same parameters.
    """
    check_same_parameters(params, initial, "displacements")
    sums = {}
    for name, start in initial.items():
        change = params[name] - start
        products = inner_product(change, change), inner_product(change, start), inner_product(start, start)
        sums[name] = np.array(products)
    sums["global"] = np.sum(list(sums.values()), axis=0)
    return {name: _displacement(*values) for name, values in sums.items()}


def _displacement(squared_distance: float, along: float, squared_start: float) -> Displacement:
    """From ‖Δ‖², Δ·θ₀ and ‖θ₀‖²."""
    distance, start = squared_distance**0.5, squared_start**0.5
    if not start:
        return Displacement(distance, nan, nan)
    across = max(squared_distance - along**2 / squared_start, 0.0) ** 0.5
    onwards = start + along / start
    ends_at_zero = hypot(across, onwards) < 1e-7 * start
    return Displacement(distance, distance / start, nan if ends_at_zero else atan2(across, onwards))


def analyze_weight_evolution(params_history: Sequence[Arrays], steps: Sequence[int]) -> WeightEvolution:
    """How far, and in which direction, parameters go over training: see :func:`measure_displacements`.

    Parameters
    ----------
    params_history : named arrays of each step: copies of ``model.params``, or the tensors of
        :func:`minibert.model.saved.load_checkpoint`, of which optimizer state is left aside. The first is what
        distances and angles are taken from
    steps : the optimizer steps they are of

    >>> history.append({name: array.copy() for name, array in model.params.items()})  # doctest: +SKIP

    Raises :class:`MinibertError` for other than as many steps as entries, for steps that do not increase, and
    where entries are not of the same parameters.
    """
    if len(params_history) != len(steps) or not len(steps):
        raise MinibertError(
            f"weight evolution: {len(params_history)} sets of parameters and {len(steps)} steps were given. "
            "Allowed: as many of one as of the other, and at least one."
        )
    return _evolution(zip(steps, params_history, strict=True))


def track_weight_changes(model_checkpoints: Iterable) -> WeightEvolution:
    """:func:`analyze_weight_evolution` of checkpoints, in the order of their steps.

    Each of ``model_checkpoints`` is the path of a checkpoint file, kept (``checkpoints/step_*.safetensors`` of a
    run) or to resume from, which says itself what step it is of; or a model, such as :func:`minibert.load_run`
    returns with its step. Models that know no step (:class:`minibert.MiniBERT`) are numbered from 0. Files are
    read one at a time, and only the first and the last two are held.

    >>> evolution = track_weight_changes(sorted(Path("checkpoints").glob("step_*.safetensors")))  # doctest: +SKIP
    >>> evolution.angle["mlm_head.transform.weight"]  # doctest: +SKIP

    Raises :class:`MinibertError` for a file that is missing or broken, for steps that do not increase, and where
    checkpoints are not of the same parameters.
    """
    return _evolution(_open(place, checkpoint) for place, checkpoint in enumerate(model_checkpoints))


def _open(place: int, checkpoint) -> tuple[int, Arrays]:
    """Step and tensors of what :func:`track_weight_changes` takes."""
    if isinstance(checkpoint, str | Path):
        tensors, about = load_checkpoint(given_path(checkpoint, "model_checkpoints", "paths of checkpoint files"))
        step = about.get("step", about.get("progress", {}).get("step"))
        return place if step is None else step, tensors
    params = getattr(getattr(checkpoint, "model", checkpoint), "params", None)
    if not isinstance(params, Mapping):
        raise MinibertError(
            f"model_checkpoints: {type(checkpoint).__name__} was given. "
            "Allowed: paths of checkpoint files, models, and what load_run returns."
        )
    return getattr(checkpoint, "step", place), params


def _evolution(history: Iterable[tuple[int, Arrays]]) -> WeightEvolution:
    steps: list[int] = []
    found: dict[str, dict[str, list[float]]] = {key: {} for key in (*Displacement._fields, "between")}
    first = before = None
    for step, tensors in history:
        params = {
            name: array for name, array in tensors.items() if name.endswith(ENDINGS) and not name.startswith(STATE)
        }
        if steps and step <= steps[-1]:
            raise MinibertError(
                f"weight evolution: step {step} was given after step {steps[-1]}. Allowed: steps that increase. "
                "Put the checkpoints in order."
            )
        if before is not None and any(array is before.get(name) for name, array in params.items()):
            raise MinibertError(
                f"weight evolution: steps {steps[-1]} and {step} are the very same arrays. "
                "Allowed: copies, since training changes parameters in place: {name: array.copy() ...}."
            )
        steps.append(step)
        first = params if first is None else first
        before = params if before is None else before
        since = measure_displacements(params, before)
        for name, each in measure_displacements(params, first).items():
            for key, value in {**each._asdict(), "between": since[name].angle}.items():
                found[key].setdefault(name, []).append(value)
        before = params
    if not steps:
        raise MinibertError("weight evolution: no checkpoint was given. Allowed: one or more.")
    arrays = {key: {name: np.array(values) for name, values in each.items()} for key, each in found.items()}
    return WeightEvolution(
        tuple(steps), arrays["distance"], arrays["relative_distance"], arrays["angle"], arrays["between"]
    )
