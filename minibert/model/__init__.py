"""The network and its gradients."""

from minibert.model.bert import MiniBERT
from minibert.model.factory import add_gated_attention, create_model, load_model

__all__ = ["MiniBERT", "add_gated_attention", "create_model", "load_model"]
