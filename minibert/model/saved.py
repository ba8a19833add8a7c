"""Checkpoint files, read back: tensors by name and JSON data, never code."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from minibert.errors import MinibertError


def load_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """The tensors and the JSON data of a checkpoint.

    Raises :class:`MinibertError` when the file is missing, cut short or not minibert's.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["minibert"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except FileNotFoundError as error:
        raise MinibertError(f"There is no checkpoint at {path}.") from error
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise MinibertError(
            f"The checkpoint {path} is broken, or not one of minibert's ({error}). "
            "Delete it where a run should begin anew instead of resuming from it."
        ) from error


def copy_into(target, tensors: dict[str, np.ndarray], path: Path) -> None:
    """Copy named tensors into ``target`` (a mapping to arrays), refusing missing, unknown or misshapen ones."""
    problems = [f"{name} is missing" for name in target if name not in tensors]
    problems += [f"{name} is unknown" for name in tensors if name not in target]
    problems += [
        f"{name} has shape {tensors[name].shape}, not {target[name].shape}"
        for name in target
        if name in tensors and tensors[name].shape != target[name].shape
    ]
    if problems:
        raise MinibertError(f"The checkpoint {path} does not fit the model: {'; '.join(problems)}.")
    for name, tensor in tensors.items():
        target[name][...] = tensor
