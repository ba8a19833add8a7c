"""What happens inside a network, as numbers and pictures."""

from minibert.data.annotated.conllu import read_conllu
from minibert.data.annotated.pieces import encode_words
from minibert.data.duplicates import compute_duplicate_shares
from minibert.diagnostics.activations.analyzer import MathematicalAnalyzer
from minibert.diagnostics.activations.measures import (
    collect_activations,
    compute_activation_statistics,
    compute_unit_activity,
)
from minibert.diagnostics.attention.dependencies import (
    compute_dependency_attention,
    measure_dependency_attention,
)
from minibert.diagnostics.attention.maps import (
    create_attention_heatmap,
    plot_attention_over_steps,
    visualize_attention_patterns,
)
from minibert.diagnostics.attention.measures import (
    cluster_heads,
    compute_attention_distance,
    compute_attention_entropy,
    compute_attention_shares,
    compute_head_distances,
)
from minibert.diagnostics.engine.registry import diagnostic
from minibert.diagnostics.geometry.collapse import detect_mode_collapse
from minibert.diagnostics.geometry.measures import (
    analyze_representation_geometry,
    compute_representation_geometry,
    compute_token_diversity,
)
from minibert.diagnostics.geometry.similarity import compute_layer_similarity, compute_linear_cka
from minibert.diagnostics.geometry.stability import measure_representation_stability
from minibert.diagnostics.gradients.figures import plot_gradient_flow
from minibert.diagnostics.gradients.loss_component_figures import plot_loss_components
from minibert.diagnostics.gradients.loss_components import LossComponents, compute_loss_components
from minibert.diagnostics.gradients.measures import (
    analyze_gradient_magnitudes_by_layer,
    analyze_parameter_updates,
    compute_gradient_cosines,
    compute_gradient_noise,
    compute_gradient_rms,
    compute_noise_scale,
    compute_update_ratios,
)
from minibert.diagnostics.gradients.weights import (
    analyze_weight_evolution,
    measure_displacements,
    track_weight_changes,
)
from minibert.diagnostics.health.detect import detect_training_issues
from minibert.diagnostics.health.figures import plot_training_health
from minibert.diagnostics.health.issues import Finding, Health
from minibert.diagnostics.health.nonfinite import NonFiniteLocation, locate_nonfinite
from minibert.diagnostics.landscape.figures import (
    plot_linear_path,
    plot_loss_slices,
    plot_loss_surface,
    plot_sharpness,
)
from minibert.diagnostics.landscape.measures import (
    LinearPath,
    LossLandscape,
    analyze_linear_path,
    analyze_loss_landscape,
)
from minibert.diagnostics.landscape.sharpness import (
    Sharpness,
    analyze_sharpness,
    compute_hessian_products,
    compute_top_eigenvalues,
    estimate_traces,
)
from minibert.diagnostics.range_test.measures import analyze_learning_rate_sensitivity
from minibert.diagnostics.spectra.measures import (
    compute_condition_number,
    compute_effective_dimensionality,
    compute_effective_rank,
    compute_spectral_norm,
    compute_spectrum,
    compute_stable_rank,
    compute_tail_exponent,
)

__all__ = [
    "Finding",
    "Health",
    "LinearPath",
    "LossComponents",
    "LossLandscape",
    "MathematicalAnalyzer",
    "NonFiniteLocation",
    "Sharpness",
    "analyze_gradient_magnitudes_by_layer",
    "analyze_learning_rate_sensitivity",
    "analyze_linear_path",
    "analyze_loss_landscape",
    "analyze_parameter_updates",
    "analyze_representation_geometry",
    "analyze_sharpness",
    "analyze_weight_evolution",
    "cluster_heads",
    "collect_activations",
    "compute_activation_statistics",
    "compute_attention_distance",
    "compute_attention_entropy",
    "compute_attention_shares",
    "compute_condition_number",
    "compute_dependency_attention",
    "compute_duplicate_shares",
    "compute_effective_dimensionality",
    "compute_effective_rank",
    "compute_gradient_cosines",
    "compute_gradient_noise",
    "compute_gradient_rms",
    "compute_head_distances",
    "compute_hessian_products",
    "compute_layer_similarity",
    "compute_linear_cka",
    "compute_loss_components",
    "compute_noise_scale",
    "compute_representation_geometry",
    "compute_spectral_norm",
    "compute_spectrum",
    "compute_stable_rank",
    "compute_tail_exponent",
    "compute_token_diversity",
    "compute_top_eigenvalues",
    "compute_unit_activity",
    "compute_update_ratios",
    "create_attention_heatmap",
    "detect_mode_collapse",
    "detect_training_issues",
    "diagnostic",
    "encode_words",
    "estimate_traces",
    "locate_nonfinite",
    "measure_dependency_attention",
    "measure_displacements",
    "measure_representation_stability",
    "plot_attention_over_steps",
    "plot_gradient_flow",
    "plot_linear_path",
    "plot_loss_components",
    "plot_loss_slices",
    "plot_loss_surface",
    "plot_sharpness",
    "plot_training_health",
    "read_conllu",
    "track_weight_changes",
    "visualize_attention_patterns",
]
