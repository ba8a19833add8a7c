"""The loss landscape and its curvature, taken in training.

All of it is measured on the first sequences of the probe: held-out text under masks that never change, without
dropout, so that steps and runs are compared on the same function. The loss is that of masked tokens alone.
"""

from typing import cast

import numpy as np

from minibert.diagnostics.engine.registry import diagnostic
from minibert.diagnostics.landscape.directions import draw_direction, scale_to_weights
from minibert.diagnostics.landscape.frozen_loss import FrozenLoss, freeze
from minibert.diagnostics.landscape.measures import (
    BY_FILTER,
    Surface,
    analyze_linear_path,
    analyze_loss_landscape,
    losses_along,
    measure_slice,
)
from minibert.diagnostics.landscape.sharpness import BlockSharpness, analyze_sharpness
from minibert.diagnostics.plotting.series import metric_name

SEQUENCES = 8
"""Sequences of the probe batch that are used; their number limits the cost"""
MORE_SEQUENCES = 16
"""Sequences that are used if few losses are computed"""
DIRECTIONS = ("random_0", "random_1", "gradient", "eigenvector")
PLANE = ("random_0", "random_1")
PROBES = 8
"""Of the trace"""
COARSE = 0.05
"""Residual, relative to the eigenvalue, that is good enough: its square is what the eigenvalue is off by"""
MULTIPLES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Of the update, at which the loss is taken"""
NEAR = (1 / 81, 1 / 27, 1 / 9, 1 / 3, 1.0)
"""Of the size of the weights, to either side, at which the coarse slices take the loss: along an update it rises
much sooner than along a random direction"""


@diagnostic("random_slice", every="end", level="light", metrics=("landscape",))
def random_slice(model, probe_batch, config):
    """``landscape/random/curvature`` and ``landscape/random/width`` along one random direction, the first of
    ``loss_landscape``, normalised by filter; the 11 losses as an array."""
    direction = draw_direction(model.params, tuple(model.params), 0, 0)
    return _coarse_slice("random", direction, model, probe_batch, config)


@diagnostic("update_slice", every="end", level="light", metrics=("landscape",))
def update_slice(model, update, probe_batch, config):
    """``landscape/update/curvature`` and ``landscape/update/width`` along the last update, made as large as the
    weights; the 11 losses as an array. The tag ``diagnostics.update_slice`` where that update changed nothing."""
    direction = scale_to_weights(update.vector, model.params)
    if direction is None:
        return {"diagnostics.update_slice": "left out: the last update changed no parameter"}
    return _coarse_slice("update", direction, model, probe_batch, config)


def _coarse_slice(name: str, direction: np.ndarray, model, batch, config) -> dict:
    distances = np.array([*(-distance for distance in reversed(NEAR)), 0.0, *NEAR])
    with FrozenLoss(model, batch, config.training.lanes, MORE_SEQUENCES) as loss, np.errstate(all="ignore"):
        found = measure_slice(loss, name, direction.astype(model.params.vector.dtype), BY_FILTER, distances)
    curvature = found.direction.curvature
    return {
        metric_name("landscape", name, "curvature"): curvature if np.isfinite(curvature) else None,
        metric_name("landscape", name, "width"): found.width,
        "distances": distances,
        "losses": found.losses,
        "quadratic": found.quadratic,
    }


@diagnostic("loss_landscape", every="end", level="full", metrics=("landscape",))
def loss_landscape(model, probe, config):
    """``landscape/loss``, ``landscape/gradient_norm``, and for every direction ``landscape/<direction>/slope``,
    ``curvature`` and ``width``; slices of 41 points and the directions themselves as arrays.
    """
    found = analyze_loss_landscape(
        model, freeze(probe.batch, SEQUENCES), directions=DIRECTIONS, threads=config.training.lanes
    )
    recorded = {
        metric_name("landscape", "loss"): found.loss,
        metric_name("landscape", "gradient_norm"): found.gradient_norm,
    }
    for name, each in found.slices.items():
        recorded |= {
            metric_name("landscape", name, "slope"): each.direction.slope,
            metric_name("landscape", name, "curvature"): each.direction.curvature,
            metric_name("landscape", name, "width"): each.width,
            f"{name}/distances": each.distances,
            f"{name}/losses": each.losses,
            f"{name}/quadratic": each.quadratic,
            f"{name}/direction": each.direction.vector,
        }
    return recorded


@diagnostic("loss_surface", every="end", level="full")
def loss_surface(model, probe, config):
    """25 × 25 losses over the plane of the first two random directions of ``loss_landscape``, as arrays."""
    batch = freeze(probe.batch, SEQUENCES)
    found = analyze_loss_landscape(model, batch, directions=(), surface=PLANE, threads=config.training.lanes)
    surface = cast(Surface, found.surface)
    across, up = surface.distances
    return {"across": across, "up": up, "losses": surface.losses}


@diagnostic("sharpness", level="full", metrics=("sharpness",))
def sharpness(model, probe, config):
    """``sharpness/top_eigenvalue``, ``sharpness/trace``, and what each is uncertain by."""
    found = analyze_sharpness(
        model,
        freeze(probe.batch, SEQUENCES),
        probes=PROBES,
        by_group=False,
        tolerance=COARSE,
        threads=config.training.lanes,
    )
    return _named("sharpness", found.whole) | {
        metric_name("sharpness", "difference_error"): found.eigenpairs.difference_error
    }


@diagnostic("sharpness_by_group", every="end", level="full", metrics=("sharpness",))
def sharpness_by_group(model, probe, config):
    """``sharpness/<group>/top_eigenvalue`` and ``sharpness/<group>/trace`` of every part of the network."""
    found = analyze_sharpness(
        model, freeze(probe.batch, SEQUENCES), probes=PROBES, tolerance=COARSE, threads=config.training.lanes
    )
    recorded = {}
    for group, block in found.groups.items():
        recorded |= _named(metric_name("sharpness", group), block)
    return recorded


@diagnostic("initial_to_final_path", every="end", level="full", metrics=("landscape",))
def initial_to_final_path(model, initial, probe, config):
    """``landscape/path/barrier`` and ``landscape/path/rise`` on the straight line from θ₀, with its 21 losses."""
    path = analyze_linear_path(
        model, initial, model, freeze(probe.batch, SEQUENCES), threads=config.training.lanes
    )
    return {
        metric_name("landscape", "path", "barrier"): path.barrier,
        metric_name("landscape", "path", "rise"): path.rise,
        "fractions": path.fractions,
        "losses": path.losses,
    }


@diagnostic("loss_along_update", level="full", metrics=("landscape",))
def loss_along_update(model, update, probe, config):
    """``landscape/update/change``, ``landscape/update/best_multiple``; losses at multiples of it as arrays.

    The update is known only in the step that makes it.
    """
    multiples = np.array(MULTIPLES)
    with FrozenLoss(model, probe.batch, config.training.lanes, MORE_SEQUENCES) as loss:
        losses = losses_along(loss, update.vector, multiples - 1)  # the network already includes the update
    return {
        metric_name("landscape", "update", "change"): losses[MULTIPLES.index(1.0)] - losses[0],
        metric_name("landscape", "update", "best_multiple"): multiples[np.argmin(losses)],
        "multiples": multiples,
        "losses": losses,
    }


def _named(quantity: str, block: BlockSharpness) -> dict[str, float]:
    return {
        metric_name(quantity, "top_eigenvalue"): block.top_eigenvalue,
        metric_name(quantity, "residual"): block.residual,
        metric_name(quantity, "trace"): block.trace.value,
        metric_name(quantity, "trace_standard_error"): block.trace.standard_error,
    }
