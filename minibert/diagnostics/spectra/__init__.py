"""Singular values of weights and hidden states."""
