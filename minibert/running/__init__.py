"""One run and a sweep of runs: planned, lived through, shown and closed."""
