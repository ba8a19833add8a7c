"""Which of two sentences a model prefers: the grammatical one, or the other."""

from minibert.evaluation.minimal_pairs.measures import (
    Gain,
    Preference,
    SyntacticKnowledge,
    gains,
    preferences,
    probe_syntactic_knowledge,
)

__all__ = ["Gain", "Preference", "SyntacticKnowledge", "gains", "preferences", "probe_syntactic_knowledge"]
