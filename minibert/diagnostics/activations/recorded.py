"""Activations of the training passes, and what feed-forward units respond to.

What reads ``caches`` costs no pass of its own. It sees the batch of the step with its dropout, and the last layer
at the positions that are read, which are all that reach the loss; ``training.last_layer_everywhere=true`` shows
the rest.
"""

import numpy as np

from minibert.diagnostics.activations.measures import (
    collect_activations,
    compute_activation_statistics,
    compute_unit_activity,
    find_top_tokens,
    real_positions,
)
from minibert.diagnostics.engine.registry import diagnostic
from minibert.diagnostics.plotting.series import layer_name, metric_name
from minibert.model.feed_forward import GATED

SIZES = ("activation_mean", "activation_deviation", "activation_minimum", "activation_maximum")


@diagnostic("activation_statistics", level="light", metrics=SIZES)
def activation_statistics(batch, caches):
    """``activation_mean|activation_deviation|activation_minimum|activation_maximum/<place>`` of every activation.

    The places are those of :func:`minibert.diagnostics.activations.measures.collect_activations`, without padding.
    """
    found = {}
    for place, parts in _activations(batch, caches).items():
        if any(part.size for part in parts):
            seen = compute_activation_statistics(parts)
            found |= {
                metric_name("activation_mean", place): seen.mean,
                metric_name("activation_deviation", place): seen.deviation,
                metric_name("activation_minimum", place): seen.minimum,
                metric_name("activation_maximum", place): seen.maximum,
            }
    return found


@diagnostic("feed_forward_units", level="light", metrics=("active_share", "dead_units", "unit_selectivity"))
def feed_forward_units(config, batch, caches):
    """``active_share/layer_i``, ``dead_units/layer_i`` (a share of units) and ``unit_selectivity/layer_i``.

    The last is the mean over the units that are active anywhere. Definitions stand at
    :func:`minibert.diagnostics.activations.measures.compute_unit_activity`.

    Arrays: ``layer_i/share`` and ``layer_i/selectivity``, (F,) float32 each.
    """
    places = _places_of_responses(config)
    found = {}
    for place, parts in _activations(batch, caches, tuple(places)).items():
        if not any(len(part) for part in parts):
            continue
        seen, layer = compute_unit_activity(parts), places[place]
        found[metric_name("active_share", layer)] = seen.active_share
        found[metric_name("dead_units", layer)] = len(seen.dead_units) / len(seen.share)
        selectivity = None if np.isnan(seen.mean_selectivity) else seen.mean_selectivity
        found[metric_name("unit_selectivity", layer)] = selectivity
        found[f"{layer}/share"] = seen.share.astype(np.float32)
        found[f"{layer}/selectivity"] = seen.selectivity.astype(np.float32)
    return found


@diagnostic("feed_forward_top_tokens", every="end", level="full")
def feed_forward_top_tokens(config, data, probe):
    """``feed_forward_top_tokens.json``: for each layer and unit, the five tokens that it responds to most.

    With the largest response to each, the share of the probe's positions at which the unit is active, and its
    selectivity.
    """
    real = real_positions(probe.batch.attention_mask)
    token_ids = probe.batch.input_ids.reshape(-1) if real is None else probe.batch.input_ids[real]
    places = _places_of_responses(config)
    found = {}
    for place, responses in collect_activations(probe.cache, probe.batch.attention_mask, tuple(places)).items():
        seen, top = compute_unit_activity(responses), find_top_tokens(responses, token_ids)
        found[places[place]] = [
            {
                "unit": unit,
                "share": _rounded(seen.share[unit]),
                "selectivity": _rounded(seen.selectivity[unit]),
                "tokens": [data.tokenizer.id_to_token(int(token)) for token in top.tokens[unit]],
                "responses": [_rounded(each) for each in top.responses[unit]],
            }
            for unit in range(len(seen.share))
        ]
    return {"feed_forward_top_tokens": found}


def _places_of_responses(config) -> dict[str, str]:
    """Name of the activation that holds the responses of a layer's units -> name of the layer."""
    response = "gate" if config.model.activation in GATED else "active"
    layers = [layer_name(layer) for layer in range(config.model.layers)]
    return {f"{layer}/feed_forward/{response}": layer for layer in layers}


def _rounded(number: float) -> float | None:
    """For JSON, which has no NaN: None takes its place."""
    return None if np.isnan(number) else round(float(number), 4)


def _activations(batch, caches, places: tuple[str, ...] | None = None) -> dict[str, list[np.ndarray]]:
    """Place -> the lanes' shares of the array. With accumulation these are of the last sequences of the batch."""
    found: dict[str, list[np.ndarray]] = {}
    for cache in caches:
        mask = None if batch.attention_mask is None else batch.attention_mask[cache.sequences]
        for place, array in collect_activations(cache, mask, places).items():
            found.setdefault(place, []).append(array)
    return found
