"""From tracked runs to answers: everything in here reads the MLflow store and trains nothing.

Imports within this package are relative: minibert loads it under a name of its own, since the working folder may
have another package called ``analysis``.
"""
