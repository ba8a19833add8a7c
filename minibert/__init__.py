"""minibert: controlled experiments on small BERTs in plain NumPy, with every gradient written by hand.

>>> model = MiniBERT(ModelConfig(), seed=0)
>>> loss, grads = model.loss_and_gradients(input_ids, labels)
>>> grads["layers.0.attention.query.weight"]
"""

from minibert.config import ModelConfig
from minibert.errors import MinibertError
from minibert.loading import load_run
from minibert.model.bert import MiniBERT

__all__ = ["MiniBERT", "MinibertError", "ModelConfig", "load_run"]
