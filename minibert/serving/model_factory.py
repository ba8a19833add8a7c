"""The entry points to networks and tokenizers under one name."""

from minibert.data.tokenizer import create_tokenizer
from minibert.model.factory import create_model, load_model


class ModelFactory:
    """The functions :func:`minibert.create_model`, :func:`minibert.load_model` and
    :func:`minibert.create_tokenizer` under one name. It has no state, so no instance is needed.

    >>> ModelFactory.create_model("debug").config.layers
    2
    """

    create_model = staticmethod(create_model)
    load_model = staticmethod(load_model)
    create_tokenizer = staticmethod(create_tokenizer)
