"""The diagnostics that a run can take and the figures that it can draw, a subject a folder."""

from minibert.diagnostics.activations import figures as activations_figures
from minibert.diagnostics.activations import recorded as activations_recorded
from minibert.diagnostics.attention import figures as attention_figures
from minibert.diagnostics.attention import recorded as attention_recorded
from minibert.diagnostics.geometry import figures as geometry_figures
from minibert.diagnostics.geometry import recorded as geometry_recorded
from minibert.diagnostics.gradients import figures as gradients_figures
from minibert.diagnostics.gradients import loss_component_figures, weight_figures
from minibert.diagnostics.gradients import recorded as gradients_recorded
from minibert.diagnostics.health import curves
from minibert.diagnostics.health import figures as health_figures
from minibert.diagnostics.health import recorded as health_recorded
from minibert.diagnostics.landscape import figures as landscape_figures
from minibert.diagnostics.landscape import recorded as landscape_recorded
from minibert.diagnostics.range_test import figures as range_test_figures
from minibert.diagnostics.spectra import figures as spectra_figures
from minibert.diagnostics.spectra import recorded as spectra_recorded

RECORDED = (
    activations_recorded,
    attention_recorded,
    geometry_recorded,
    gradients_recorded,
    health_recorded,
    landscape_recorded,
    spectra_recorded,
)
"""Modules with functions under ``@diagnostic``"""
DRAWN = (
    activations_figures,
    attention_figures,
    geometry_figures,
    gradients_figures,
    loss_component_figures,
    weight_figures,
    curves,
    health_figures,
    landscape_figures,
    range_test_figures,
    spectra_figures,
)
"""Modules with functions under ``@drawing``"""
