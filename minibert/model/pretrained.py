"""Folders of Hugging Face's ``transformers``: config.json, model.safetensors and a tokenizer, read and written.

Which networks these folders can hold, and under which names, says :mod:`minibert.model.foreign`. Everything is
read with ``json`` and ``safetensors``: nothing in a folder is ever unpickled or run.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from minibert.config import ModelConfig
from minibert.errors import MinibertError
from minibert.model import foreign
from minibert.model.foreign import BERT, FAMILIES, Family, is_transposed

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
"""The types of a safetensors file as NumPy has them. A bfloat16 is the upper half of a float32."""

POSITIONS = "embeddings.position.weight"
SEGMENTS = "embeddings.segment.weight"


def load_pretrained(folder, build: Callable[[ModelConfig], object]):
    """The model of a folder; ``build(config)`` makes the network whose ``params`` are then filled in.

    Half precision is read as float32. Tensors that masked language modelling does not use (the pooler, the
    next-sentence head, classifiers) are left aside. Where the folder has no language-model head, the model keeps
    the fresh one that ``build`` made, and a warning says so.

    Raises :class:`MinibertError` listing everything that minibert cannot express, and every tensor that is
    missing, misshapen or unknown.
    """
    folder = Path(folder)
    settings, tensors = _read_settings(folder), _read_tensors(folder)
    families = {family.model_type: family for family in FAMILIES.values()}
    family = families.get(str(settings.get("model_type")))
    if family is None:
        raise _cannot_read(folder, [f"model_type={settings.get('model_type')} (allowed: bert, esm)"])
    tensors = _relevant(_modern_names(tensors, family), family)
    has_head = any(name.startswith(f"{family.head['mlm_head']}.") for name in tensors)
    problems = foreign.unreadable_settings(settings, family)
    try:
        dtype = "float64" if any(tensor.dtype == np.float64 for tensor in tensors.values()) else "float32"
        model = build(foreign.model_config(settings, family, dtype, _segments(settings, tensors)))
    except MinibertError as error:
        raise _cannot_read(folder, problems + str(error).splitlines()) from error

    problems += _tie(tensors, family, settings.get("tie_word_embeddings") is not False) if has_head else []
    for name, array in model.params.items():
        if has_head or not name.startswith("mlm_head."):
            skipped = foreign.unread_positions(family, foreign.value(settings, "pad_token_id"))
            problems += _fill(array, tensors, name, family, skipped if name == POSITIONS else 0)
    if not model.config.segments:
        tensors.pop(BERT.name(SEGMENTS), None)
    problems += [f"{name} is unknown" for name in tensors]
    if problems:
        raise _cannot_read(folder, problems)
    if not has_head:
        warnings.warn(
            f"{folder} holds an encoder without a language-model head: the head starts fresh.", stacklevel=3
        )
    return model


def save_pretrained(folder, config: ModelConfig, params: Mapping[str, np.ndarray], tokenizer=None) -> None:
    """Write ``folder``, made if missing, for ``AutoModelForMaskedLM.from_pretrained`` and, where a tokenizer
    (:class:`tokenizers.Tokenizer`) is given, for ``AutoTokenizer.from_pretrained``.

    Raises :class:`MinibertError` listing every setting that the layout cannot express.
    """
    folder = Path(folder)
    problems = foreign.inexpressible_settings(config)
    if problems:
        raise MinibertError(
            f"The layout of transformers cannot express this model: {'; '.join(problems)}. "
            "minibert's own checkpoints can: load_run reads them."
        )
    family = FAMILIES[config.norm]
    padding, mask = _token_id(tokenizer, "[PAD]", 0), _token_id(tokenizer, "[MASK]", 4)
    tensors = {
        family.name(name): np.ascontiguousarray(array.T if is_transposed(name) else array)
        for name, array in params.items()
    }
    if family is BERT:
        tensors.setdefault(BERT.name(SEGMENTS), np.zeros((1, config.hidden_size), config.dtype))
    else:
        unread = np.zeros((foreign.unread_positions(family, padding), config.hidden_size), config.dtype)
        tensors[family.name(POSITIONS)] = np.concatenate([unread, tensors[family.name(POSITIONS)]])
        # A head for another task that the class always has: without it, loading warns of missing weights.
        tensors["esm.contact_head.regression.weight"] = np.zeros((1, config.layers * config.heads), config.dtype)
        tensors["esm.contact_head.regression.bias"] = np.zeros(1, config.dtype)
    files = {
        "model.safetensors": save(tensors, metadata={"format": "pt"}),
        "config.json": _json(foreign.model_settings(config, family, padding, mask)),
    }
    _write(folder, files | ({} if tokenizer is None else _tokenizer_files(config, tokenizer)))


def _read_settings(folder: Path) -> dict:
    path = folder / "config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MinibertError(
            f"{path}: {error.strerror}. Give a folder as transformers' save_pretrained writes it."
        ) from error
    except ValueError as error:
        raise MinibertError(f"{path}: no JSON ({error}).") from error
    if not isinstance(settings, dict):
        raise MinibertError(f"{path}: holds a {type(settings).__name__}. Allowed: an object with settings.")
    return settings


def _read_tensors(folder: Path) -> dict[str, np.ndarray]:
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
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        outside = [shard for shard in shards if Path(shard).name != shard]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
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


def _modern_names(tensors: dict[str, np.ndarray], family: Family) -> dict[str, np.ndarray]:
    """Old files call a norm's gain gamma and its bias beta; an encoder saved by itself has no prefix."""
    renamed = {}
    bare = not any(name.startswith(family.prefix) for name in tensors)
    for name, tensor in tensors.items():
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        encoder = name.startswith(("embeddings.", "encoder.", "pooler.", "contact_head."))
        renamed[family.prefix + name if bare and encoder else name] = tensor
    return renamed


def _relevant(tensors: dict[str, np.ndarray], family: Family) -> dict[str, np.ndarray]:
    """All of the encoder and of the language-model head: what stays unknown among them is an error."""
    parts = (family.prefix, *(f"{part}." for part in family.head.values()), f"{family.decoder}.")
    unused = tuple(family.prefix + beginning for beginning in family.unused)
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name.startswith(parts) and not name.startswith(unused)
    }


def _segments(settings: Mapping, tensors: Mapping[str, np.ndarray]) -> int:
    """Size of the segment table; one segment of zeros is how a network without segments is written."""
    size, table = foreign.value(settings, "type_vocab_size"), tensors.get(BERT.name(SEGMENTS))
    return 0 if size == 1 and table is not None and not table.any() else size


def _tie(tensors: dict[str, np.ndarray], family: Family, tied: bool) -> list[str]:
    """Take the output weights out of ``tensors``: minibert has none beside the token embeddings."""
    weight, bias = (tensors.pop(f"{family.decoder}.{kind}", None) for kind in ("weight", "bias"))
    embeddings, head_bias = family.name("embeddings.token.weight"), family.name("mlm_head.bias")
    problems = []
    if weight is None and not tied:
        problems.append(f"{family.decoder}.weight is missing, with tie_word_embeddings=False")
    if weight is not None and not np.array_equal(weight, tensors.get(embeddings, weight)):
        problems.append(f"{family.decoder}.weight differs from the token embeddings, which are used for both")
    if bias is not None and not np.array_equal(tensors.setdefault(head_bias, bias), bias):
        problems.append(f"{family.decoder}.bias differs from {head_bias}")
    return problems


def _fill(
    array: np.ndarray, tensors: dict[str, np.ndarray], name: str, family: Family, skipped: int
) -> list[str]:
    """Copy a parameter from its tensor, less the first ``skipped`` rows, and take that tensor out."""
    target = array.T if is_transposed(name) else array
    shape = (len(target) + skipped, *target.shape[1:])
    tensor = tensors.pop(family.name(name), None)
    if tensor is None:
        return [f"{family.name(name)} is missing"]
    if tensor.shape != shape:
        return [f"{family.name(name)} has shape {tensor.shape}, not {shape}"]
    target[...] = tensor[skipped:]
    return []


def _tokenizer_files(config: ModelConfig, tokenizer) -> dict[str, bytes]:
    """tokenizer.json, under the class that makes ``transformers`` run exactly that; vocab.txt for others.

    A vocab.txt is left out where BERT's way of cutting texts would make other tokens of it.
    """
    about = json.loads(tokenizer.to_str())
    about |= {"padding": None, "truncation": None}  # of the texts that were encoded last, not of the tokenizer
    ids = tokenizer.get_vocab()
    largest = max(ids.values())
    if largest >= config.vocab_size:
        raise MinibertError(
            f"tokenizer: its largest token id is {largest}, and the model has embeddings for model.vocab_size="
            f"{config.vocab_size} tokens. Allowed: the tokenizer that the model was trained with."
        )
    special = {f"{kind}_token": f"[{kind.upper()}]" for kind in ("pad", "unk", "cls", "sep", "mask")}
    normalizer = about.get("normalizer") or {}
    settings = special | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.max_length,
        # Without a second segment, ids of segments would be refused (esm) or out of range (bert).
        "model_input_names": ["input_ids", "attention_mask"] + ["token_type_ids"] * (config.segments > 1),
        "do_lower_case": bool(normalizer.get("lowercase", False)),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": bool(normalizer.get("handle_chinese_chars", True)),
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"}
            for token in about["added_tokens"]
        },
    }
    files = {
        "tokenizer.json": _json(about), "special_tokens_map.json": _json(special),
        "tokenizer_config.json": _json(settings),
    }  # fmt: skip
    if _is_bert(about, ids):
        files["vocab.txt"] = "".join(f"{token}\n" for token in sorted(ids, key=ids.get)).encode()
    return files


def _is_bert(about: Mapping, ids: Mapping[str, int]) -> bool:
    """Whether a tokenizer (``about``, as tokenizer.json has it) is what BERT's classes make of a vocab.txt."""
    model, normalizer = about["model"], about.get("normalizer") or {}
    standard = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
    return (
        standard.items() <= model.items()
        and model.get("max_input_chars_per_word") == 100
        and normalizer.get("type") == "BertNormalizer"
        and normalizer.get("clean_text") is True
        and (about.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
        and sorted(ids.values()) == list(range(len(ids)))
        and not any("\n" in token or "\r" in token for token in ids)
    )


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files or, where there is no room for one of them, none."""
    written = {folder / f".{name}.tmp": folder / name for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(written, files.values(), strict=True):
            path.write_bytes(content)
        for path, final in written.items():
            path.replace(final)
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise MinibertError(
            f"{folder} could not be written: {error}. Free some space, or name another folder."
        ) from error


def _token_id(tokenizer, token: str, default: int) -> int:
    found = None if tokenizer is None else tokenizer.token_to_id(token)
    return default if found is None else found


def _json(content: Mapping) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _cannot_read(folder: Path, problems: list[str]) -> MinibertError:
    return MinibertError(f"{folder} holds no BERT encoder that minibert can express: {'; '.join(problems)}.")
