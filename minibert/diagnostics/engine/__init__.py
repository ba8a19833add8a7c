"""How diagnostics are registered, run and shown, whatever they measure."""
