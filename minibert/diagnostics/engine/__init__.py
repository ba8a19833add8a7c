"""How diagnostics are registered, run and shown."""
