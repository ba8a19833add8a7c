"""What the units of a network hold, layer by layer."""
