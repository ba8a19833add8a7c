"""Gradients, updates and weights: their sizes, noise and directions."""
