"""Whether words of like meaning have like vectors, in the embedding table and in context."""

from minibert.evaluation.semantics.measures import SemanticKnowledge, probe_semantic_knowledge

__all__ = ["SemanticKnowledge", "probe_semantic_knowledge"]
