"""minibert: controlled experiments on small BERTs in plain NumPy, with every gradient written by hand.

>>> model = MiniBERT(ModelConfig(), seed=0)
>>> loss, grads = model.loss_and_gradients(input_ids, labels)
>>> grads["layers.0.attention.query.weight"]
"""

from minibert.config import ModelConfig
from minibert.data.tokenizer import create_tokenizer
from minibert.errors import MinibertError
from minibert.loading import load_run
from minibert.model.bert import MiniBERT
from minibert.model.factory import create_model, load_model

__all__ = [
    "MiniBERT", "MinibertError", "ModelConfig", "create_model", "create_tokenizer", "load_model", "load_run",
]  # fmt: skip
