"""The geometry of hidden states, taken in training on the probe: held-out sequences without dropout.

The tokens measured are ordinary ones that are not predicted: the network sees them as they are in the text. The
others are mostly [MASK], one vector for many words. ``mode_collapse`` alone uses all tokens that are not padding.
"""

import math
from dataclasses import asdict

import numpy as np

from minibert.diagnostics.engine.registry import diagnostic
from minibert.diagnostics.geometry.collapse import is_collapsed, measure_collapse
from minibert.diagnostics.geometry.measures import (
    analyze_representation_geometry,
    compute_norms_by_token,
    real_tokens,
    token_vectors,
)
from minibert.diagnostics.geometry.similarity import compute_layer_similarity
from minibert.diagnostics.geometry.stability import measure_representation_stability
from minibert.diagnostics.plotting.series import metric_name, pair_name, place_names

QUANTITIES = ("token_diversity", "anisotropy", "isotropy", "intrinsic_dimension", "norm_frequency_correlation")
STABILITY = ("stability", "stability_cosine", "stability_baseline", "stability_changed")


@diagnostic("representation_geometry", level="standard", metrics=QUANTITIES)
def representation_geometry(probe, data):
    """The five quantities of every place, and the norm and frequency of every token for the figure.

    The intrinsic dimension is that of one vector for each different token, left out where it is undefined.

    Arrays: ``counts`` (m,) of the tokens in the training text, ``norms/<place>`` (m,).
    """
    batch, counts = probe.batch, data.unigram_counts
    shown = shown_tokens(batch, counts)
    states = probe.cache.hidden_states
    found = analyze_representation_geometry(states, batch.attention_mask, batch.input_ids, counts, shown)
    results = {
        metric_name(quantity, place): value
        for place, geometry in found.items()
        for quantity, value in asdict(geometry).items()
        if quantity in QUANTITIES and value is not None and math.isfinite(value)
    }
    for place, array in zip(found, states, strict=True):
        ids = batch.input_ids[shown]
        _, results[f"norms/{place}"], results["counts"] = compute_norms_by_token(array[shown], ids, counts)
    return results


@diagnostic("layer_similarity", level="standard", metrics=("layer_similarity",))
def layer_similarity(probe, data):
    """``layer_similarity/<a>_<b>`` of neighbouring places, and of all the array ``similarity`` (L + 1, L + 1)."""
    states = probe.cache.hidden_states
    matrix = compute_layer_similarity(states, chosen=shown_tokens(probe.batch, data.unigram_counts))
    places = place_names(len(states))
    neighbours = zip(places, places[1:], np.diagonal(matrix, 1), strict=False)
    return {
        metric_name("layer_similarity", pair_name(one, other)): float(value) for one, other, value in neighbours
    } | {"similarity": matrix}


@diagnostic("mode_collapse", level="standard", metrics=("mode_collapse",))
def mode_collapse(probe):
    """``mode_collapse/spread/<place>``, ``mode_collapse/first_direction_share/<place>``, and how many collapsed:
    ``mode_collapse/collapsed_places``."""
    states, batch = probe.cache.hidden_states, probe.batch
    real = real_tokens(batch.attention_mask, batch.input_ids.shape)
    results, collapsed = {}, 0
    for place, array in zip(place_names(len(states)), states, strict=True):
        spread, share = measure_collapse(token_vectors(array, real))
        results[metric_name("mode_collapse", "spread", place)] = spread
        results[metric_name("mode_collapse", "first_direction_share", place)] = share
        collapsed += is_collapsed(spread, share)
    return results | {metric_name("mode_collapse", "collapsed_places"): float(collapsed)}


@diagnostic("representation_stability", every="end", level="full", metrics=STABILITY)
def representation_stability(model, data):
    """``stability/<perturbation>/<place>``, beside ``stability_cosine/…``, ``stability_baseline/<place>`` and
    ``stability_changed/<perturbation>``."""
    results = {}
    for name, places in measure_representation_stability(model, tokenizer=data.tokenizer).items():
        for place, found in places.items():
            stability = None if math.isnan(found.stability) else found.stability
            results[metric_name("stability", name, place)] = stability
            results[metric_name("stability_cosine", name, place)] = found.cosine
            results[metric_name("stability_baseline", place)] = found.baseline
            results[metric_name("stability_changed", name)] = found.changed
    return results


def shown_tokens(batch, counts: np.ndarray) -> np.ndarray:
    """(B, T) bool, True at tokens as in the text: neither special, nor padding, nor predicted."""
    real = real_tokens(batch.attention_mask, batch.input_ids.shape)
    return real & (counts[batch.input_ids] > 0) & (batch.labels < 0)
