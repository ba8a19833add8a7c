"""A run while it trains: what its record says so far."""

from minibert.watching.analyzer import TrainingAnalyzer

__all__ = ["TrainingAnalyzer"]
