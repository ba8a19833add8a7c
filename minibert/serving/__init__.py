"""A trained network for others: loaded, served by MLflow, written for ``transformers``."""


def _load_pyfunc(path: str):
    """Opens models whose record names this package as their loader."""
    from minibert.serving import mlflow_model

    return mlflow_model._load_pyfunc(path)
