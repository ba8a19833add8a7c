"""Gradients, updates and what they do to the loss, taken in training."""

import math

import numpy as np

from minibert.diagnostics.engine.registry import diagnostic
from minibert.diagnostics.gradients.loss_components import compute_loss_components
from minibert.diagnostics.gradients.measures import (
    compute_gradient_cosines,
    compute_gradient_noise,
    compute_gradient_rms,
    compute_update_ratios,
)
from minibert.diagnostics.gradients.weights import measure_displacements
from minibert.diagnostics.plotting.series import metric_name
from minibert.model.parameters import Parameters

OFTEN = 10
"""Steps between measurements of noisy quantities: only means over many of them are meaningful."""

DISTANCES = ("distance_from_initialisation", "relative_distance_from_initialisation", "angle_from_initialisation")


@diagnostic("gradient_magnitudes", level="light", metrics=("gradient_rms",))
def gradient_magnitudes(gradients):
    """``gradient_rms/<parameter>``, ``/<group>`` and ``/global``, before clipping."""
    return {metric_name("gradient_rms", name): value for name, value in compute_gradient_rms(gradients).items()}


@diagnostic("parameter_updates", level="light", metrics=("update_ratio",))
def parameter_updates(params_before, update):
    """``update_ratio/<parameter>``, ``/<group>`` and ``/global``; of none that is zero, as biases are at first."""
    ratios = compute_update_ratios(params_before, update)
    return {metric_name("update_ratio", name): ratio for name, ratio in ratios.items() if not math.isnan(ratio)}


@diagnostic("gradient_noise", every=OFTEN, level="standard", metrics=("gradient_noise",))
def gradient_noise(lane_gradients, lane_predictions, batch):
    """``gradient_noise/squared_norm``, ``/trace`` and, where the former is above zero, ``/scale``, in sequences.

    The parts of the batch are the lanes' shares, so a run with ``training.lanes=1`` has no noise scale. The unit
    is the sequence, since predictions of one sequence are not independent. A lane's mean is over its
    predictions, so a lane of P' of the P predictions counts as B P' / P sequences. Dropout is part of the noise;
    the sample of the vocabulary (``training.softmax_words``), which lanes share, is not.
    """
    sequences, predictions = len(batch.input_ids), sum(lane_predictions)
    if predictions:
        sizes = [sequences * count / predictions for count in lane_predictions]
    else:  # an objective without masked tokens: its tasks ask about the same number of sequences in each lane
        sizes = [len(share) for share in np.array_split(range(sequences), len(lane_gradients))]
    if sum(size > 0 for size in sizes) < 2:
        return {}
    noise = compute_gradient_noise(lane_gradients, sizes)
    found = {"squared_norm": noise.squared_norm, "trace": noise.trace, "batch_size": sequences}
    if not math.isnan(noise.scale):
        found["scale"] = noise.scale
    return {metric_name("gradient_noise", name): value for name, value in found.items()}


@diagnostic("gradient_cosine", every=OFTEN, level="standard", metrics=("gradient_cosine",))
def gradient_cosine(gradients, previous_gradient):
    """``gradient_cosine/successive`` of the whole gradients of a step and the one before, and ``/<group>``."""
    previous = Parameters(gradients.layout, vector=previous_gradient)
    cosines = compute_gradient_cosines(gradients, previous)
    cosines["successive"] = cosines.pop("global")
    return {
        metric_name("gradient_cosine", name): value for name, value in cosines.items() if not math.isnan(value)
    }


@diagnostic("weight_evolution", level="light", metrics=DISTANCES)
def weight_evolution(model, initial):
    """``distance_from_initialisation/``, ``relative_distance_from_initialisation/`` and
    ``angle_from_initialisation/``, each with ``<parameter>`` and ``global``. What starts at zero has a distance
    only.
    """
    metrics = {}
    for name, each in measure_displacements(model.params, initial).items():
        for quantity, value in each._asdict().items():
            if not math.isnan(value):
                metrics[metric_name(f"{quantity}_from_initialisation", name)] = value
    return metrics


@diagnostic("loss_components", level="standard", metrics=("loss_change",))
def loss_components(gradients, update, after, loss):
    """``loss_change/<group>`` (first order), ``/curvature``, ``/measured`` and ``/remainder``, in nats.

    Arrays ``groups`` (G,), ``first_order`` (G,) and ``curvature`` (G,) have the curvature group by group.
    """
    parts = compute_loss_components(gradients, after.gradients, update, loss, after.loss)
    metrics = {metric_name("loss_change", group): value for group, value in parts.first_order.items()}
    metrics |= {
        metric_name("loss_change", "curvature"): sum(parts.curvature.values()),
        metric_name("loss_change", "measured"): parts.measured,
        metric_name("loss_change", "remainder"): parts.remainder,
    }
    return metrics | {
        "groups": np.array(list(parts.first_order)),
        "first_order": np.array(list(parts.first_order.values())),
        "curvature": np.array(list(parts.curvature.values())),
    }
