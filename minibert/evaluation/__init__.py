"""What a trained model knows."""

from minibert.evaluation.intrinsic.held_out import compute_gradient_norm, compute_perplexity, masked_accuracy
from minibert.evaluation.minimal_pairs import probe_syntactic_knowledge
from minibert.evaluation.pseudo_likelihood import pseudo_log_likelihoods

__all__ = [
    "compute_gradient_norm",
    "compute_perplexity",
    "masked_accuracy",
    "probe_syntactic_knowledge",
    "pseudo_log_likelihoods",
]
