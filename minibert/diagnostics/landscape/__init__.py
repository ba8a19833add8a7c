"""The loss around and between parameters."""
