"""Whether the model completes a statement of fact with the right word, beside what frequency alone does."""

from minibert.evaluation.facts.measures import FactualKnowledge, probe_factual_knowledge

__all__ = ["FactualKnowledge", "probe_factual_knowledge"]
