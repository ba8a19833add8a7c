"""Folders of Hugging Face's ``transformers``: config.json, model.safetensors and a tokenizer, read and written.

Which networks these folders can hold, and under which names, says :mod:`minibert.model.foreign`; how their files
are read, :mod:`minibert.model.foreign_files`.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from safetensors.numpy import save

from minibert.config import ModelConfig
from minibert.errors import MinibertError, listed, sentence
from minibert.model import foreign
from minibert.model.foreign import BERT, FAMILIES, Family, is_transposed
from minibert.model.foreign_files import modern_names, read_settings, read_tensors
from minibert.model.parameters import Parameters
from minibert.model.saved import nonfinite, require_parameters

POSITIONS = "embeddings.position.weight"
SEGMENTS = "embeddings.segment.weight"
LONGEST = 400
"""Characters of one problem in a message: a setting in config.json can have any length"""


class HasParameters(Protocol):
    """A network, as far as it is filled in here."""

    params: Parameters


Network = TypeVar("Network", bound=HasParameters)


def load_pretrained(folder, build: Callable[[ModelConfig], Network]) -> Network:
    """The model of a folder; ``build(config)`` makes the network whose ``params`` are then filled in.

    Half precision is read as float32. Tensors that masked language modelling does not use (the pooler, the
    next-sentence head, classifiers) are left aside. Where the folder has no language-model head, the model keeps
    the fresh one that ``build`` made, and a warning says so.

    Raises :class:`MinibertError` listing everything that minibert cannot express, and tensors that are missing,
    misshapen, unknown or not finite.
    """
    folder = Path(folder).expanduser()
    settings, tensors = read_settings(folder), read_tensors(folder)
    families = {family.model_type: family for family in FAMILIES.values()}
    family = families.get(str(settings.get("model_type")))
    if family is None:
        raise _cannot_read(folder, [f"model_type={settings.get('model_type')} (allowed: bert, esm)"])
    problems = foreign.unreadable_settings(settings, family)
    try:
        tensors = _relevant(modern_names(tensors, family), family)
        dtype = "float64" if any(tensor.dtype == np.float64 for tensor in tensors.values()) else "float32"
        config = foreign.model_config(settings, family, dtype, _segments(settings, tensors))
        require_parameters(config, tensors)
        model = build(config)
    except MinibertError as error:
        raise _cannot_read(folder, problems + str(error).splitlines()) from error

    has_head = any(name.startswith(f"{family.head['mlm_head']}.") for name in tensors)
    problems += [*_no_weights(tensors), *nonfinite(tensors)]
    problems += _tie(tensors, family, settings.get("tie_word_embeddings") is not False) if has_head else []
    problems += _fill(model, tensors, family, settings, has_head)
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
    folder = Path(folder).expanduser()
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


def _relevant(tensors: dict[str, np.ndarray], family: Family) -> dict[str, np.ndarray]:
    """All of the encoder and of the language-model head: what stays unknown among them is an error."""
    parts = (family.prefix, *(f"{part}." for part in family.head.values()), f"{family.decoder}.")
    unused = tuple(family.prefix + beginning for beginning in family.unused)
    return {
        name: tensor for name, tensor in tensors.items() if name.startswith(parts) and not name.startswith(unused)
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
    if weight is not None and not np.array_equal(weight, tensors.get(embeddings, weight), equal_nan=True):
        problems.append(f"{family.decoder}.weight differs from the token embeddings, which are used for both")
    if bias is not None and not np.array_equal(tensors.setdefault(head_bias, bias), bias, equal_nan=True):
        problems.append(f"{family.decoder}.bias differs from {head_bias}")
    return problems


def _no_weights(tensors: Mapping[str, np.ndarray]) -> list[str]:
    return listed(
        f"{name} holds {tensor.dtype} (allowed: floating-point numbers)"
        for name, tensor in tensors.items()
        if not np.issubdtype(tensor.dtype, np.floating)
    )


def _fill(model, tensors: dict[str, np.ndarray], family: Family, settings: Mapping, has_head: bool) -> list[str]:
    """Copy every parameter of the model from its tensor. Returns what is missing, misshapen or left over."""
    missing, misshapen = [], []
    for name, array in model.params.items():
        if not has_head and name.startswith("mlm_head."):
            continue
        skipped = foreign.unread_positions(family, foreign.value(settings, "pad_token_id"))
        skipped = skipped if name == POSITIONS else 0
        target = array.T if is_transposed(name) else array
        shape = (len(target) + skipped, *target.shape[1:])
        tensor = tensors.pop(family.name(name), None)
        if tensor is None:
            missing.append(f"{family.name(name)} is missing")
        elif tensor.shape != shape:
            misshapen.append(f"{family.name(name)} has shape {tensor.shape}, not {shape}")
        else:
            target[...] = tensor[skipped:]
    if not model.config.segments:
        tensors.pop(BERT.name(SEGMENTS), None)
    unknown = (f"{name} is unknown" for name in tensors)
    return [*listed(missing), *listed(misshapen), *listed(unknown)]


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
        "tokenizer.json": _json(about),
        "special_tokens_map.json": _json(special),
        "tokenizer_config.json": _json(settings),
    }
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
            f"{folder} could not be written: {sentence(error)} Free some space, or name another folder."
        ) from error


def _token_id(tokenizer, token: str, default: int) -> int:
    found = None if tokenizer is None else tokenizer.token_to_id(token)
    return default if found is None else found


def _json(content: Mapping) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _cannot_read(folder: Path, problems: list[str]) -> MinibertError:
    problems = [problem if len(problem) <= LONGEST else problem[:LONGEST] + "…" for problem in problems]
    return MinibertError(f"{folder} holds no BERT encoder that minibert can express: {'; '.join(problems)}.")
