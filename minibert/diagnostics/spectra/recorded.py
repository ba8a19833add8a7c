"""Spectra of weights and hidden states, taken in training."""

import math

import numpy as np

from minibert.diagnostics.activations.measures import real_positions
from minibert.diagnostics.engine.registry import diagnostic
from minibert.diagnostics.plotting.series import metric_name, place_names
from minibert.diagnostics.spectra.measures import QUANTITIES, Spectrum, compute_spectrum

HIDDEN = (*(f"hidden_{quantity}" for quantity in QUANTITIES), "hidden_mean_share")


@diagnostic("weight_spectra", level="light", metrics=tuple(QUANTITIES))
def weight_spectra(model):
    """``<quantity>/<parameter>`` of every weight matrix, embeddings included; the matrix is not centred.

    The quantities are :data:`minibert.diagnostics.spectra.measures.QUANTITIES`. What is infinite or no number (the
    condition of a matrix without full rank) is left out.

    The singular values themselves are kept as arrays: parameter -> (r,) float32.
    """
    found = {}
    for name, array in model.params.items():
        if name.endswith(".weight") and array.ndim == 2 and min(array.shape) > 1:
            spectrum = compute_spectrum(array)
            found |= _quantities("", name, spectrum)
            found[name] = spectrum.values.astype(np.float32)
    return found


@diagnostic("hidden_spectra", level="standard", metrics=HIDDEN)
def hidden_spectra(probe):
    """``hidden_<quantity>/<place>`` of the hidden states X (N, D) of the probe, less their mean, without padding.

    σᵢ are the singular values of X - mean(X), divided by √N: standard deviations along the principal axes. The
    ranks are the same without the division; ``hidden_spectral_norm`` is the largest deviation along any axis.
    After a layer norm whose gains are nearly equal, one direction is nearly empty: its rows sum to zero, and
    ``hidden_condition_number`` is very large, or left out where it is infinite.

    ``hidden_mean_share/<place>`` is N ‖mean(X)‖² / ‖X‖²_F: the share of the energy that the mean took with it.

    Arrays: place -> σ (r,) float32.
    """
    real = real_positions(probe.batch.attention_mask)
    found = {}
    hidden_states = probe.cache.hidden_states
    for place, states in zip(place_names(len(hidden_states)), hidden_states, strict=True):
        rows = states.reshape(-1, states.shape[-1]) if real is None else states[real]
        spectrum = compute_spectrum(rows, centred=True)
        scaled = Spectrum(spectrum.values / math.sqrt(len(rows)), spectrum.shape)
        found |= _quantities("hidden_", place, scaled)
        energy = float(np.einsum("nd,nd->", rows, rows, dtype=np.float64))
        if energy:
            found[metric_name("hidden_mean_share", place)] = max(
                1 - float((spectrum.values**2).sum()) / energy, 0.0
            )
        found[place] = scaled.values.astype(np.float32)
    return found


def _quantities(prefix: str, name: str, spectrum: Spectrum) -> dict[str, float]:
    """``<prefix><quantity>/<name>``, as far as they are finite: a store of metrics has no place for others."""
    values = {quantity: compute(spectrum) for quantity, compute in QUANTITIES.items()}
    finite = {quantity: value for quantity, value in values.items() if math.isfinite(value)}
    return {metric_name(prefix + quantity, name): value for quantity, value in finite.items()}
