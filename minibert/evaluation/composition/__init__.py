"""Whether the model reads sentences, or only words: their order, their roles, their negation, their phrases."""

from minibert.evaluation.composition.measures import (
    CompositionalUnderstanding,
    measure_compositional_understanding,
)

__all__ = ["CompositionalUnderstanding", "measure_compositional_understanding"]
