"""What a trained model knows."""

from minibert.evaluation.intrinsic import compute_gradient_norm, compute_perplexity, masked_accuracy

__all__ = ["compute_gradient_norm", "compute_perplexity", "masked_accuracy"]
