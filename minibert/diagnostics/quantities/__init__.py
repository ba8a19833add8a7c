"""The diagnostics that a run can take, a file a room: each hands what a step shows to a function of that room."""

from minibert.diagnostics.figures import activations as activations_figures
from minibert.diagnostics.figures import attention as attention_figures
from minibert.diagnostics.figures import geometry as geometry_figures
from minibert.diagnostics.figures import gradients as gradients_figures
from minibert.diagnostics.figures import health as health_figures
from minibert.diagnostics.figures import landscape as landscape_figures
from minibert.diagnostics.figures import learning_rate as learning_rate_figures
from minibert.diagnostics.figures import loss_components as loss_components_figures
from minibert.diagnostics.figures import spectra as spectra_figures
from minibert.diagnostics.figures import training
from minibert.diagnostics.figures import weights as weights_figures
from minibert.diagnostics.quantities import activations, attention, geometry, gradients, health, landscape, spectra

__all__ = [
    "activations",
    "activations_figures",
    "attention",
    "attention_figures",
    "geometry",
    "geometry_figures",
    "gradients",
    "gradients_figures",
    "health",
    "health_figures",
    "landscape",
    "landscape_figures",
    "learning_rate_figures",
    "loss_components_figures",
    "spectra",
    "spectra_figures",
    "training",
    "weights_figures",
]
