"""Checkpoints: safetensors files that are either complete or absent.

A file is written under a temporary name, flushed to disk and renamed. Nothing in it is code: tensors by name,
and text. A checksum over all of it shows damage when the file is read (:mod:`minibert.model.saved`).
"""

import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from minibert.errors import MinibertError, sentence
from minibert.files import in_row_order, replacing
from minibert.model.saved import checksum

LAST_POWER = 512


def log_spaced_steps(steps: int, every: int, per_doubling: int = 1) -> list[int]:
    """0, 1, 2, 4 ... 512, then every ``every``, and the last one; ``per_doubling`` of them between powers of two.

    With ``per_doubling=0``, none of the powers.

    Log-spaced at first because that is when most changes: Biderman et al., "Pythia", ICML 2023.
    """
    kept = {0, steps}
    count = (LAST_POWER.bit_length() - 1) * per_doubling + 1 if per_doubling else 0
    powers = (round(2 ** (n / per_doubling)) for n in range(count))
    kept.update(power for power in powers if power <= steps)
    kept.update(step for step in range(every, steps + 1, every) if step > LAST_POWER)
    return sorted(kept)


def checkpoint_name(step: int) -> str:
    """The file of the parameters that are kept of a step."""
    return f"step_{step:07d}.safetensors"


def save_checkpoint(path: Path, tensors: dict[str, np.ndarray], about: dict) -> None:
    """Write tensors and ``about`` (JSON data) to ``path``, which is replaced as a whole or left alone.

    Raises :class:`MinibertError` when there is no room, or no permission, to write it.
    """
    tensors = in_row_order(tensors)
    text = json.dumps(about)
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"minibert": text, "checksum": checksum(tensors, text)})
            os.chmod(temporary, 0o644)  # safetensors lets nobody else read, not even in a shared store
    except (OSError, SafetensorError) as error:  # a full disk is the latter's, and no OSError
        raise MinibertError(
            f"The checkpoint {path} could not be written: {sentence(error)} The one before it is kept. "
            "Free some space and run again."
        ) from error
