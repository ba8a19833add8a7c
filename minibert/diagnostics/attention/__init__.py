"""Attention weights: entropy, distances, shares, maps and dependencies."""
