"""Text to batches: corpora, tokenizer, packing, masking, order, tasks, and baselines for the held-out loss."""

from minibert.data.curriculum import implement_curriculum_learning
from minibert.data.masking_rates import implement_adaptive_masking
from minibert.data.objectives import add_auxiliary_tasks

__all__ = ["add_auxiliary_tasks", "implement_adaptive_masking", "implement_curriculum_learning"]
