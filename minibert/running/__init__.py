"""One run and a sweep of runs: composed, trained, shown and closed."""
