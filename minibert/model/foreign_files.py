"""The files of a folder of ``transformers``, read with ``json`` and ``safetensors``: nothing is ever unpickled."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize

from minibert.errors import MinibertError, listed, sentence
from minibert.files import read_json
from minibert.model.foreign import Family

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
"""The types of a safetensors file as NumPy has them. A bfloat16 is the upper half of a float32."""


WRAPPERS = ("module", "model", "_orig_mod", "base_model", "auto_model", "backbone", "encoder", "bert", "esm", "0")
"""What stands before all names of a network that was saved inside of another: by DataParallel, ``torch.compile``,
Lightning, PEFT or sentence-transformers. Any other name may be that of another network."""


BEGINNINGS = (
    "embeddings.",
    "encoder.",
    "pooler.",
    "contact_head.",
    "layers.",
    "final_norm.",
    "rotary_embeddings.",
)
"""Of the tensors of an encoder that was saved by itself"""


def read_settings(folder: Path) -> dict:
    """What config.json holds. Raises :class:`MinibertError` where it is no JSON object."""
    path = folder / "config.json"
    try:
        settings = read_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MinibertError(
            f"{path}: {error.strerror}. Give a folder as transformers' save_pretrained writes it."
        ) from error
    except (ValueError, RecursionError) as error:
        raise MinibertError(f"{path}: no JSON, or nested too deeply ({error}).") from error
    if not isinstance(settings, dict):
        raise MinibertError(f"{path}: holds a {type(settings).__name__}. Allowed: an object with settings.")
    return settings


def read_tensors(folder: Path) -> dict[str, np.ndarray]:
    """All tensors of model.safetensors, or of the shards that model.safetensors.index.json names."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists():
        return _read_file(single)
    if not index.exists():
        pickled = ", ".join(sorted(path.name for path in folder.glob("*.bin")))
        raise MinibertError(
            f"{single}: there is no such file. "
            + (f"{pickled} is pickled, which can run code, and is never read. " if pickled else "")
            + "Save the model with transformers' save_pretrained, which writes safetensors."
        )
    try:
        shards = sorted(set(read_json(index.read_text(encoding="utf-8"))["weight_map"].values()))
        outside = [shard for shard in shards if Path(shard).name != shard]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise MinibertError(f"{index}: no index of safetensors files ({error!r}).") from error
    if outside:
        raise MinibertError(f"{index}: names files outside of the folder: {', '.join(outside)}.")
    return {name: tensor for shard in shards for name, tensor in _read_file(folder / shard).items()}


def _read_file(path: Path) -> dict[str, np.ndarray]:
    try:
        entries = deserialize(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise MinibertError(f"{path}: missing, cut short or no safetensors file ({error}).") from error
    unknown = sorted({entry["dtype"] for _, entry in entries} - set(DTYPES))
    if unknown:
        raise MinibertError(f"{path}: holds tensors of type {', '.join(unknown)}. Allowed: {', '.join(DTYPES)}.")
    tensors = {}
    for name, entry in entries:
        tensor = np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = (tensor.astype("<u4") << 16).view("<f4") if entry["dtype"] == "BF16" else tensor
    return tensors


def modern_names(tensors: dict[str, np.ndarray], family: Family) -> dict[str, np.ndarray]:
    """The tensors under the names that ``transformers`` gives them today.

    Old files call a norm's gain gamma and its bias beta; an encoder saved by itself has no prefix; and what a
    network was wrapped in when it was saved (``module.``, ``_orig_mod.``, ``model.``) stands before all its names.

    Raises :class:`MinibertError` where there are several encoders, or none.
    """
    ending = family.name("embeddings.token.weight").removeprefix(family.prefix)
    before = [name.removesuffix(ending) for name in tensors if name == ending or name.endswith(f".{ending}")]
    if not before and not any(name.startswith(family.prefix) for name in tensors):
        beginnings = sorted({".".join(name.split(".")[:2]) for name in tensors})
        raise MinibertError(
            f"none of its {len(tensors)} tensors is named as those of {family.architecture} are, such as "
            f"{family.prefix}{ending}: their names begin with {', '.join(listed(beginnings)) or 'nothing'}"
        )
    wrappers = {prefix.removesuffix(family.prefix) for prefix in before}
    if len(wrappers) > 1 and "" not in wrappers:
        raise MinibertError(
            f"it holds {len(wrappers)} encoders, whose names begin with "
            f"{sentence(', '.join(listed(sorted(wrappers))))} Save the one that is wanted by itself"
        )
    wrapper = "" if "" in wrappers or not wrappers else wrappers.pop()
    if not set(wrapper.split(".")) <= {*WRAPPERS, ""}:
        raise MinibertError(
            f"the names of its tensors begin with {wrapper}, which is no wrapper that minibert knows. "
            f"Allowed: {', '.join(f'{part}.' for part in WRAPPERS)}, alone or behind each other"
        )
    bare = not any(name.startswith(wrapper + family.prefix) for name in tensors)
    renamed = {}
    for name, tensor in tensors.items():
        name = name.removeprefix(wrapper)
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        encoder = name.startswith(BEGINNINGS)
        renamed[family.prefix + name if bare and encoder else name] = tensor
    return renamed
