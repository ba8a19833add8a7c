"""Studies with a question of their own: what they show beside a comparison of final values."""
