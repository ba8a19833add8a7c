"""From tracked runs to answers: everything in here reads the MLflow store and trains nothing."""
