"""A trained network for others: loaded, served by MLflow, written for ``transformers``."""


def _load_pyfunc(path: str):
    """Load a model whose record names this package as its loader."""
    from minibert.serving import mlflow_model

    return mlflow_model._load_pyfunc(path)
