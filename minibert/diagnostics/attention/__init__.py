"""Where attention goes: entropy, distances, shares, maps and dependencies."""
