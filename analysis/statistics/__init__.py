"""Estimates over seeds with their intervals, differences, effects, and costs. Nothing in here knows of runs.

Values that are not finite (a diverged run, an unrecorded metric) are left out, and ``n`` counts the rest.
"""

from .bootstrap import Resampled, bootstrap, hierarchical_bootstrap, paired_bootstrap
from .effects import (
    effect_size,
    equivalence,
    minimum_detectable,
    seeds_to_settle,
    small_margin,
    smallest_margin,
    too_small,
)
from .efficiency import area_under_curve, first_crossing, restricted_mean
from .estimates import (
    CONFIDENCE,
    Difference,
    Estimate,
    contrast,
    mean_curve,
    mean_interval,
    paired_difference,
    spread_between_seeds,
    unpaired_difference,
)
from .factorial import Effect, interaction, main_effect, mean_of
from .multiplicity import holm
from .scaling import Parametric, fit_parametric

__all__ = [
    "CONFIDENCE",
    "Difference",
    "Effect",
    "Estimate",
    "Parametric",
    "Resampled",
    "area_under_curve",
    "bootstrap",
    "contrast",
    "effect_size",
    "equivalence",
    "first_crossing",
    "fit_parametric",
    "hierarchical_bootstrap",
    "holm",
    "interaction",
    "main_effect",
    "mean_curve",
    "mean_interval",
    "mean_of",
    "minimum_detectable",
    "paired_bootstrap",
    "paired_difference",
    "restricted_mean",
    "seeds_to_settle",
    "small_margin",
    "smallest_margin",
    "spread_between_seeds",
    "too_small",
    "unpaired_difference",
]
