"""How representations lie in their space."""
