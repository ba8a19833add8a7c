"""Which words are predicted well, and how far the probabilities can be believed."""
