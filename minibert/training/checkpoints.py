"""Checkpoints: safetensors files that are whole or not there.

A file is written under a temporary name, flushed to disk and renamed. Nothing in it is code: tensors by name,
and text.
"""

import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from minibert.errors import MinibertError

LAST_POWER = 512


def checkpoint_steps(steps: int, every: int) -> list[int]:
    """The steps whose checkpoints are kept: 0, 1, 2, 4 ... 512, then every ``every``, and the last one.

    Log-spaced at first because that is when most changes: Biderman et al., "Pythia", ICML 2023.
    """
    kept = {0, steps}
    kept.update(power for power in (2**n for n in range(LAST_POWER.bit_length())) if power <= steps)
    kept.update(step for step in range(every, steps + 1, every) if step > LAST_POWER)
    return sorted(kept)


def save_checkpoint(path: Path, tensors: dict[str, np.ndarray], about: dict) -> None:
    """Write tensors and ``about`` (JSON data) to ``path``, which is replaced as a whole or left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    try:
        save_file(tensors, temporary, metadata={"minibert": json.dumps(about)})
        with open(temporary, "rb+") as file:
            os.fchmod(file.fileno(), 0o644)  # safetensors lets nobody else read, not even in a shared store
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise MinibertError(f"The checkpoint {path} could not be written: {error}. Free some space and run again.") from error
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


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
            f"The checkpoint {path} is broken or not one of minibert's ({error}). "
            "Delete it to start this run from the beginning."
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
