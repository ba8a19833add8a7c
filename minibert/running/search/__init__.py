"""A search for the best values of settings: trials of Optuna that are runs like any other."""
