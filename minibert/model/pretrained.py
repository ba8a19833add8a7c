"""Folders of Hugging Face's ``transformers``: config.json, model.safetensors and a tokenizer, read and written.

Which networks these folders can hold says :mod:`minibert.model.foreign_settings`; under which names,
:mod:`minibert.model.foreign`; how their files are read, :mod:`minibert.model.foreign_files`.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from safetensors.numpy import save

from minibert.config import ModelConfig, RopeConfig
from minibert.errors import MinibertError, listed, sentence
from minibert.files import given_path, in_row_order
from minibert.model import foreign, foreign_settings
from minibert.model.foreign import BERT, ESM, FAMILIES, SEGMENTS, Family
from minibert.model.foreign_files import modern_names, read_settings, read_tensors
from minibert.model.parameters import Parameters
from minibert.model.saved import nonfinite, require_parameters

SPECIAL = {"pad": 0, "cls": 2, "sep": 3, "mask": 4}
"""Special tokens -> their ids in a tokenizer that minibert trained"""
TURN_RATES = "esm.rotary_embeddings.inv_freq"
TURN_RATES_OF_LAYER = "esm.encoder.layer.{}.attention.self.rotary_embeddings.inv_freq"
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
    the fresh one that ``build`` made, and a warning says so, as it does of a rate of dropout that minibert lacks.

    Raises :class:`MinibertError` listing everything that minibert cannot express, and tensors that are missing,
    misshapen, unknown or not finite.
    """
    folder = given_path(folder, "folder", "the path of a folder")
    settings, tensors = read_settings(folder), read_tensors(folder)
    family = FAMILIES.get(str(settings.get("model_type")))
    if family is None:
        allowed = ", ".join(FAMILIES)
        raise _cannot_read(folder, [f"model_type={settings.get('model_type')} (allowed: {allowed})"])
    problems = foreign_settings.unreadable_settings(settings, family)
    try:
        tensors = _relevant(modern_names(tensors, family), family)
        rates = _take_turn_rates(tensors)
        dtype = "float64" if any(tensor.dtype == np.float64 for tensor in tensors.values()) else "float32"
        tied = settings.get("tie_word_embeddings") is not False or f"{family.decoder}.weight" not in tensors
        config = foreign_settings.model_config(settings, family, dtype, _segments(settings, tensors), tied)
        require_parameters(config, tensors)
        model = build(config)
    except MinibertError as error:
        raise _cannot_read(folder, problems + str(error).splitlines()) from error

    has_head = any(name.startswith(f"{family.head['mlm_head.transform']}.") for name in tensors)
    problems += [*_no_weights(tensors), *nonfinite(tensors), *_other_turns(rates, config)]
    problems += _tie(tensors, family, settings.get("tie_word_embeddings") is not False) if has_head else []
    problems += _fill(model, config, tensors, family, settings, has_head)
    if problems:
        raise _cannot_read(folder, problems)
    dropout = foreign_settings.other_dropout(settings, family)
    if dropout:
        warnings.warn(f"{folder}: {dropout} everywhere.", stacklevel=3)
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
    folder = given_path(folder, "folder", "the path of a folder")
    family, problems = foreign_settings.fitting_family(config)
    if problems:
        raise MinibertError(
            f"The layout of transformers cannot express this model. Nearest is {family.model_type}, but for "
            f"{'; '.join(problems)}. minibert's own checkpoints can: load_run reads them."
        )
    tokens = {name: _token_id(tokenizer, f"[{name.upper()}]", id) for name, id in SPECIAL.items()}
    tensors = foreign.to_tensors(params, config, family, tokens["pad"])
    if family is BERT:
        tensors.setdefault(BERT.name(SEGMENTS), np.zeros((1, config.hidden_size), config.dtype))
        if not config.tie_word_embeddings:  # that library then has two output biases, and reads the decoder's
            tensors[f"{BERT.decoder}.bias"] = tensors[BERT.name("mlm_head.bias")].copy()
    if family is ESM:
        if isinstance(config.position, RopeConfig):
            # Before version 5 every layer has its own, and they alone tell the base: rope_theta is not read.
            names = [TURN_RATES, *map(TURN_RATES_OF_LAYER.format, range(config.layers))]
            tensors |= dict.fromkeys(names, foreign.turn_rates(config))
        # A head for another task that the class always has: without it, loading warns of missing weights.
        tensors["esm.contact_head.regression.weight"] = np.zeros((1, config.layers * config.heads), config.dtype)
        tensors["esm.contact_head.regression.bias"] = np.zeros(1, config.dtype)
    files = {
        "model.safetensors": save(in_row_order(tensors), metadata={"format": "pt"}),
        "config.json": _json(foreign_settings.model_settings(config, family, tokens)),
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
    size, table = foreign_settings.value(settings, "type_vocab_size", BERT), tensors.get(BERT.name(SEGMENTS))
    return 0 if size == 1 and table is not None and not table.any() else size


def _tie(tensors: dict[str, np.ndarray], family: Family, tied: bool) -> list[str]:
    """Take out of ``tensors`` what repeats the token embeddings, where these are the output weights, too, and what
    repeats the output bias."""
    output, embeddings = f"{family.decoder}.weight", family.name("embeddings.token.weight")
    head_bias, second = family.name("mlm_head.bias"), f"{family.decoder}.bias"
    bias = tensors.pop(second, None) if second != head_bias else None
    problems = []
    if not tied and output not in tensors:
        problems.append(f"{family.decoder}.weight is missing, with tie_word_embeddings=False")
    weight = tensors.pop(output, None) if tied else None
    if weight is not None and not np.array_equal(weight, tensors.get(embeddings, weight), equal_nan=True):
        problems.append(f"{family.decoder}.weight differs from the token embeddings, which are used for both")
    if bias is not None and not tied:
        tensors[head_bias] = bias  # of the two that an untied BERT then has, the one that acts
    elif bias is not None and not np.array_equal(tensors.setdefault(head_bias, bias), bias, equal_nan=True):
        problems.append(f"{family.decoder}.bias differs from {head_bias}")
    return problems


def _no_weights(tensors: Mapping[str, np.ndarray]) -> list[str]:
    return listed(
        f"{name} holds {tensor.dtype} (allowed: floating-point numbers)"
        for name, tensor in tensors.items()
        if not np.issubdtype(tensor.dtype, np.floating)
    )


def _fill(
    model, config: ModelConfig, tensors: dict[str, np.ndarray], family: Family, settings: Mapping, has_head: bool
) -> list[str]:
    """Copy every parameter of the model from its tensor. Returns what is missing, misshapen or left over."""
    params = {name: array for name, array in model.params.items() if has_head or not name.startswith("mlm_head.")}
    padding = foreign_settings.value(settings, "pad_token_id", family)
    missing, misshapen = foreign.fill(params, tensors, config, family, padding)
    if not config.segments:
        tensors.pop(BERT.name(SEGMENTS), None)
    unknown = (f"{name} is unknown" for name in tensors)
    return [*listed(missing), *listed(misshapen), *listed(unknown)]


def _take_turn_rates(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ``esm`` keeps of its rotary positions, once or in every layer: it follows from ``rope_theta``."""
    return {name: tensors.pop(name) for name in list(tensors) if name.endswith("rotary_embeddings.inv_freq")}


def _other_turns(rates: Mapping[str, np.ndarray], config: ModelConfig) -> list[str]:
    expected = foreign.turn_rates(config) if isinstance(config.position, RopeConfig) else np.zeros(0)
    return listed(
        f"{name} is not what rope_theta={config.position.base} gives"  # pyright: ignore[reportAttributeAccessIssue]
        for name, given in rates.items()
        if len(expected) and (given.shape != expected.shape or not np.allclose(given, expected, rtol=1e-2))
    )


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
