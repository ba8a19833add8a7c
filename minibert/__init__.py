"""minibert: controlled experiments on small BERTs in plain NumPy, with every gradient written by hand.

>>> from minibert import MiniBERT, ModelConfig
>>> model = MiniBERT(ModelConfig(), seed=0)
>>> loss, grads = model.loss_and_gradients(input_ids=[[2, 4, 77, 3]], labels=[[-100, 9, -100, -100]])
>>> grads["layers.0.attention.query.weight"].shape
(192, 192)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minibert.config import ModelConfig
    from minibert.data.tokenizer import create_tokenizer
    from minibert.errors import MinibertError
    from minibert.exploration import MathematicalExplorer
    from minibert.model.bert import MiniBERT
    from minibert.model.factory import create_model, load_model
    from minibert.serving.loading import load_run
    from minibert.serving.model_factory import ModelFactory
    from minibert.watching import TrainingAnalyzer

__all__ = [
    "MathematicalExplorer", "MiniBERT", "MinibertError", "ModelConfig", "ModelFactory", "TrainingAnalyzer",
    "create_model", "create_tokenizer", "load_model", "load_run",
]  # fmt: skip

_HOMES = {
    "MathematicalExplorer": "exploration", "MiniBERT": "model.bert", "MinibertError": "errors",
    "ModelConfig": "config", "create_model": "model.factory", "create_tokenizer": "data.tokenizer",
    "load_model": "model.factory", "load_run": "serving.loading", "ModelFactory": "serving.model_factory",
    "TrainingAnalyzer": "watching",
}  # fmt: skip


def __getattr__(name: str):
    # Imported when asked for, so that the commands can watch for Ctrl-C before the long imports begin.
    if name not in _HOMES:
        raise AttributeError(f"module 'minibert' has no attribute '{name}'")
    return getattr(import_module(f"minibert.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
