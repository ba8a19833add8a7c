"""Checkpoint files, read back: tensors by name and JSON data, never code."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import numpy as np
from safetensors import SafetensorError, safe_open

from minibert.config import ModelConfig
from minibert.errors import MinibertError, listed

LENGTH_BYTES = 8
"""Of a .safetensors file, before its header"""


def load_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """The tensors and the JSON data of a checkpoint.

    Raises :class:`MinibertError` when the file is missing, a folder, cut short, damaged or not minibert's. Files
    of versions that wrote no checksum are read as they are.
    """
    if os.path.isdir(path):
        raise MinibertError(f"{path} is a folder: give the .safetensors file in it.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            text = metadata["minibert"]
            about = json.loads(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if not isinstance(about, dict):
            raise ValueError(f"it holds a {type(about).__name__} where its settings should be")
        # Another name is a damaged one: every file that has a checksum keeps it under this name.
        if set(metadata) != {"minibert"} and metadata.get("checksum") != checksum(tensors, text):
            raise ValueError("its content does not match its checksum")
        return tensors, about
    except FileNotFoundError as error:
        raise MinibertError(f"There is no checkpoint at {path}.") from error
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no entry {error}" if isinstance(error, KeyError) else error
        if _is_another(path):
            words = f"{path} is no checkpoint ({reason}). Allowed: a .safetensors file that a run kept."
        else:
            words = f"The checkpoint {path} is broken, or not one of minibert's ({reason})."
        raise MinibertError(words) from error


def _is_another(path: Path) -> bool:
    """Whether a file is of another kind: no regular file, or one that begins as no .safetensors file does.

    Such a file has the length of its header in the first eight bytes, and then the header, a JSON object.
    """
    if not os.path.isfile(path):
        return True
    try:
        with path.open("rb") as file:
            begins = file.read(LENGTH_BYTES + 1)
    except OSError:
        return False
    return begins[LENGTH_BYTES:] not in (b"", b"{")


def checksum(tensors: Mapping[str, np.ndarray], text: str) -> str:
    """CRC-32 of a checkpoint: of names, types, shapes and bytes of its tensors, and of its text.

    It tells every change of up to 32 neighbouring bits, and takes 0.6 ms a megabyte.
    """
    value = crc32(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        value = crc32(f"{name} {tensor.dtype} {tensor.shape}".encode(), value)
        value = crc32(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data, value)
    return f"crc32:{value:08x}"


def copy_into(target, tensors: dict[str, np.ndarray], path: Path) -> None:
    """Copy named tensors into ``target`` (a mapping to arrays), refusing missing, unknown or misshapen ones."""
    misshapen = (name for name in target if name in tensors and tensors[name].shape != target[name].shape)
    problems = [
        *listed(f"{name} is missing" for name in target if name not in tensors),
        *listed(f"{name} is unknown" for name in tensors if name not in target),
        *listed(f"{name} has shape {tensors[name].shape}, not {target[name].shape}" for name in misshapen),
    ]
    if problems:
        raise MinibertError(f"The checkpoint {path} does not fit the model: {'; '.join(problems)}.")
    for name, tensor in tensors.items():
        target[name][...] = tensor


def copy_parameters(params, tensors: dict[str, np.ndarray], path: Path) -> None:
    """:func:`copy_into` for a network that is to be used: a parameter that is no finite number is refused, too."""
    problems = nonfinite(tensors)
    if problems:
        raise MinibertError(
            f"The checkpoint {path} has parameters that are not finite: {'; '.join(problems)}. "
            "Take an earlier step, from before training failed."
        )
    copy_into(params, tensors, path)


def require_parameters(config: ModelConfig, tensors: Mapping[str, np.ndarray]) -> None:
    """Refuse sizes that are far beyond what ``tensors`` could fill, before memory is taken for such a network.

    Counted are the token embeddings and, of each layer, the attention and one matrix of the feed-forward network.
    """
    hidden, stored = config.hidden_size, sum(tensor.size for tensor in tensors.values())
    layers = config.layers * hidden * (4 * hidden + config.feed_forward_size)
    positions = config.max_length if config.position.name == "absolute" else 0
    least = layers + hidden * (config.vocab_size + positions + config.segments)
    if least > 2 * stored + 10**6:
        raise MinibertError(
            f"its sizes are those of a network of at least {least:,} parameters, and it holds {stored:,}. "
            f"Given are vocab_size={config.vocab_size}, hidden_size={hidden}, layers={config.layers}, "
            f"feed_forward_size={config.feed_forward_size}, max_length={config.max_length}"
        )


def nonfinite(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """A sentence for every tensor that holds something else than finite numbers, or for the first of them."""
    found = []
    for name, tensor in tensors.items():
        if not np.issubdtype(tensor.dtype, np.inexact) or np.isfinite(tensor).all():
            continue
        nans, infinities = int(np.isnan(tensor).sum()), int(np.isinf(tensor).sum())
        counts = [f"{count} {what}" for count, what in ((nans, "NaN"), (infinities, "infinite")) if count]
        found.append(f"{name} holds {' and '.join(counts)} of {tensor.size} values")
    return listed(found)
