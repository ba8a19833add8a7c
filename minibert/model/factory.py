"""Networks from a name, from a checkpoint, and from another network."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from minibert.config import ModelConfig, restore, shipped_options, stated_values
from minibert.errors import MinibertError, sentence, shown, unknown_name
from minibert.files import given_path
from minibert.model.bert import MiniBERT
from minibert.model.saved import copy_parameters, load_checkpoint, require_parameters


def create_model(config_or_name: ModelConfig | str, seed: int = 0) -> MiniBERT:
    """A new network, from a configuration or the name of a file in conf/model, such as ``base`` or ``ladder/m``.

    Raises :class:`MinibertError` for an unknown name, for a configuration that makes no network, and for a seed
    that is no whole number from 0 to 2¹²⁸ - 1.

    >>> create_model("tiny").params.vector.size
    1470336
    """
    if isinstance(config_or_name, ModelConfig):
        return MiniBERT(config_or_name, seed)
    files = shipped_options("model")
    if not isinstance(config_or_name, str):
        names = ", ".join(sorted(files))
        raise MinibertError(
            f"model: {shown(config_or_name)} was given. Allowed: a ModelConfig, or one of {names}."
        )
    if config_or_name not in files:
        raise unknown_name("model", config_or_name, files)
    file = files[config_or_name]
    return MiniBERT(restore(stated_values(file), ModelConfig, str(file)), seed)


def load_model(checkpoint_path) -> MiniBERT:
    """The network of a checkpoint that a run kept: ``checkpoints/step_<n>.safetensors`` among its artifacts.

    It is also how a served model comes back. The file says itself which network its parameters are of.

    Raises :class:`MinibertError` when there is no such file, when it is broken or no checkpoint of minibert, when
    it was written by a version that knows other settings, or when its tensors are not those of its network.
    """
    path = given_path(checkpoint_path, "checkpoint_path", "the path of a .safetensors file that a run kept")
    return build_recorded(*load_checkpoint(path), path)


def build_recorded(tensors: dict[str, np.ndarray], about: dict, path: Path) -> MiniBERT:
    """The network of a checkpoint that was read from ``path``. Raises as :func:`load_model` does."""
    if "model" not in about:
        raise MinibertError(
            f"{path}: does not say which network it is of. Checkpoints that a run keeps, step_<n>.safetensors, "
            "do; what it resumes from does not."
        )
    config = restore(about["model"], ModelConfig, str(path))
    try:
        require_parameters(config, tensors)
    except MinibertError as error:
        raise MinibertError(f"{path}: {sentence(error)}") from error
    model = MiniBERT(config)
    copy_parameters(model.params, tensors, path)
    return model


def add_gated_attention(model: MiniBERT, bias: float = 4.0) -> MiniBERT:
    """The same network with a gate on each head (:mod:`minibert.model.gating`), to be trained on.

    All gates start at σ(bias) everywhere, 0.98 by default: almost the network given. Its parameters are copied.

    Raises :class:`MinibertError` for a network that has gates already.
    """
    if model.config.attention == "gated":
        raise MinibertError("model.attention=gated: has gates already.")
    gated = MiniBERT(replace(model.config, attention="gated"))
    for name, array in gated.params.items():
        if name in model.params:
            array[...] = model.params[name]
        else:
            array[...] = bias if name.endswith(".bias") else 0
    return gated
