"""The bridge to the folders of Hugging Face's ``transformers``: config.json, model.safetensors and a tokenizer.

Post-norm networks are what that library calls ``bert``. Pre-norm networks are exactly its ``esm`` with learned
absolute positions, no norm on the embeddings and no token dropout; its activation is always the exact GELU.

What ``esm`` does about padding is the same as here as long as padding stands at the end of a sequence and the
attention mask says so: it counts positions over the tokens that are not [PAD], from ``pad_token_id`` + 1 on (the
rows before that are never read), and sets the embeddings of masked tokens to zero. Two things differ: what is
computed *at* padding, which nobody reads, and, in training, that it has no dropout on the embeddings.

Everything is read with ``safetensors`` and ``json``: nothing in a folder is ever unpickled or run.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from minibert.config import ModelConfig
from minibert.errors import MinibertError

PARTS = {
    "embeddings.token": "embeddings.word_embeddings",
    "embeddings.position": "embeddings.position_embeddings",
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "feed_forward.in": "intermediate.dense",
    "feed_forward.out": "output.dense",
}
"""Parts of the encoder: minibert's name -> the name after the encoder's prefix, or after ``encoder.layer.<n>.``"""


@dataclass(frozen=True)
class Family:
    """One model type of ``transformers``: how it names what it shares with minibert."""

    model_type: str
    architecture: str
    parts: Mapping[str, str]
    head: Mapping[str, str]
    decoder: str
    """The output weights, which repeat the token embeddings"""
    ignored: tuple[str, ...]
    """Beginnings of tensors of the encoder that take no part in masked language modelling"""

    @property
    def prefix(self) -> str:
        return f"{self.model_type}."


BERT = Family(
    "bert",
    "BertForMaskedLM",
    PARTS
    | {
        "embeddings.segment": "embeddings.token_type_embeddings",
        "embeddings.norm": "embeddings.LayerNorm",
        "attention.norm": "attention.output.LayerNorm",
        "feed_forward.norm": "output.LayerNorm",
    },
    {
        "mlm_head.transform": "cls.predictions.transform.dense",
        "mlm_head.norm": "cls.predictions.transform.LayerNorm",
        "mlm_head": "cls.predictions",
    },
    "cls.predictions.decoder",
    ("pooler.", "embeddings.position_ids", "embeddings.token_type_ids"),
)
ESM = Family(
    "esm",
    "EsmForMaskedLM",
    PARTS
    | {
        "attention.norm": "attention.LayerNorm",
        "feed_forward.norm": "LayerNorm",
        "final_norm": "encoder.emb_layer_norm_after",
    },
    {"mlm_head.transform": "lm_head.dense", "mlm_head.norm": "lm_head.layer_norm", "mlm_head": "lm_head"},
    "lm_head.decoder",
    ("pooler.", "embeddings.position_ids", "contact_head."),
)
FAMILIES = {"post": BERT, "pre": ESM}

SETTINGS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "feed_forward_size": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "norm_epsilon": "layer_norm_eps",
    "init_scale": "initializer_range",
}
"""Fields of ModelConfig whose values mean the same under another name"""

DEFAULTS = {
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
    "initializer_range": 0.02, "type_vocab_size": 2, "pad_token_id": 0,
}  # fmt: skip
"""What ``transformers`` takes where config.json is silent; sizes are never guessed"""

ACTIVATIONS = {
    "gelu": "gelu", "gelu_python": "gelu", "relu": "relu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh",
}  # fmt: skip
"""``hidden_act`` -> ``model.activation``"""

ELSEWHERE = {"name", "max_length", "segments", "norm", "activation", "position", "output_bias", "dtype"}
"""Fields of ModelConfig that are translated one by one, or do not change what a trained network computes"""

MUST_NOT_BE = {
    "is_decoder": True, "add_cross_attention": True, "is_encoder_decoder": True, "emb_layer_norm_before": True,
    "token_dropout": True, "is_folding_model": True,
}  # fmt: skip
"""Settings of config.json that make another network"""

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def load_pretrained(folder, build: Callable[[ModelConfig], object]):
    """The model of a folder; ``build(config)`` makes the network whose ``params`` are then filled in.

    Half precision is read as float32. Tensors that masked language modelling does not use (the pooler, the
    next-sentence head, classifiers) are left aside. Without a language-model head in the folder, the head is the fresh one
    that ``build`` made, and a warning says so.

    Raises :class:`MinibertError` listing everything that minibert cannot express, and every tensor that is
    missing, misshapen or unknown.
    """
    folder = Path(folder)
    settings, tensors = _read_settings(folder), _read_tensors(folder)
    family = next((family for family in FAMILIES.values() if family.model_type == settings.get("model_type")), None)
    if family is None:
        raise _cannot_read(folder, [f"model_type={settings.get('model_type')!r} (allowed: bert, esm)"])
    tensors = _modern_names(tensors, family)
    has_head = any(name.startswith(tuple(f"{part}." for part in family.head.values())) for name in tensors)
    tensors = _drop_unused(tensors, family)
    problems = _setting_problems(settings, family)
    try:
        config = _model_config(settings, family, tensors)
        model = build(config)
    except MinibertError as error:
        raise _cannot_read(folder, problems + str(error).splitlines()) from error

    if has_head:
        problems += _tie(tensors, family, settings.get("tie_word_embeddings", True))
    skipped = settings_value(settings, "pad_token_id") + 1 if family is ESM else 0
    for name, array in model.params.items():
        if name.startswith("mlm_head.") and not has_head:
            continue
        foreign = foreign_name(name, family)
        tensor = tensors.pop(foreign, None)
        if tensor is None:
            problems.append(f"{foreign} is missing")
            continue
        tensor = tensor.T if is_transposed(name) else tensor
        tensor = tensor[skipped:] if name == "embeddings.position.weight" else tensor
        if tensor.shape == array.shape:
            array[...] = tensor
        else:
            problems.append(f"{foreign} has shape {tensor.T.shape if is_transposed(name) else tensor.shape}, "
                            f"not {array.T.shape if is_transposed(name) else array.shape}")  # fmt: skip
    problems += [f"{name} is unknown" for name in tensors]
    if problems:
        raise _cannot_read(folder, problems)
    if not has_head:
        warnings.warn(f"{folder} holds an encoder without a language-model head: the head starts fresh.", stacklevel=3)
    return model


def save_pretrained(folder, config: ModelConfig, params, tokenizer=None) -> None:
    """Write ``folder``, made if missing, for ``AutoModelForMaskedLM.from_pretrained`` and, when a tokenizer
    (:class:`tokenizers.Tokenizer`) is given, ``AutoTokenizer.from_pretrained``.

    Raises :class:`MinibertError` listing every setting that the layout cannot express.
    """
    folder = Path(folder)
    problems = _inexpressible(config)
    if problems:
        raise MinibertError(
            f"The layout of transformers cannot express this model: {'; '.join(problems)}. "
            "minibert's own checkpoints can: load_run reads them."
        )
    family = FAMILIES[config.norm]
    padding = _token_id(tokenizer, "[PAD]", 0)
    tensors = {}
    for name, array in params.items():
        tensors[foreign_name(name, family)] = np.ascontiguousarray(array.T if is_transposed(name) else array)
    settings = {foreign: getattr(config, ours) for ours, foreign in SETTINGS.items()}
    settings |= {
        "model_type": family.model_type, "architectures": [family.architecture], "torch_dtype": config.dtype,
        "pad_token_id": padding, "tie_word_embeddings": True,
    }  # fmt: skip
    if family is BERT:
        # That library has no BERT without segments: one segment of zeros adds nothing.
        segments = foreign_name("embeddings.segment.weight", family)
        tensors.setdefault(segments, np.zeros((1, config.hidden_size), config.dtype))
        settings |= {
            "hidden_act": {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}[config.activation],
            "type_vocab_size": len(tensors[segments]), "max_position_embeddings": config.max_length,
        }  # fmt: skip
    else:
        name = foreign_name("embeddings.position.weight", family)
        unread = np.zeros((padding + 1, config.hidden_size), config.dtype)
        tensors[name] = np.concatenate([unread, tensors[name]])
        # A head for another task that the class always has: zeros keep it from warning that weights are missing.
        tensors["esm.contact_head.regression.weight"] = np.zeros((1, config.layers * config.heads), config.dtype)
        tensors["esm.contact_head.regression.bias"] = np.zeros(1, config.dtype)
        settings |= {
            "position_embedding_type": "absolute", "max_position_embeddings": len(tensors[name]),
            "emb_layer_norm_before": False, "token_dropout": False, "mask_token_id": _token_id(tokenizer, "[MASK]", 4),
        }  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        _write_json(folder / "config.json", settings)
        if tokenizer is not None:
            _save_tokenizer(folder, config, tokenizer)
    except (OSError, SafetensorError) as error:
        raise MinibertError(f"{folder} could not be written: {error}. Name another folder or free some space.") from error


def foreign_name(name: str, family: Family) -> str:
    """The name that ``transformers`` gives to a parameter.

    ``layers.0.attention.query.weight`` -> ``bert.encoder.layer.0.attention.self.query.weight``
    """
    part, _, kind = name.rpartition(".")
    kind = "bias" if kind == "bias" else "weight"
    if part in family.head:
        return f"{family.head[part]}.{kind}"
    if part.startswith("layers."):
        _, index, part = part.split(".", 2)
        return f"{family.prefix}encoder.layer.{index}.{family.parts[part]}.{kind}"
    return f"{family.prefix}{family.parts[part]}.{kind}"


def is_transposed(name: str) -> bool:
    """Whether ``transformers`` keeps the transpose: PyTorch's linear layers have weights (out, in)."""
    return name.endswith(".weight") and not name.startswith("embeddings.")


def settings_value(settings: Mapping, key: str):
    value = settings.get(key)
    return DEFAULTS.get(key) if value is None else value


def _read_settings(folder: Path) -> dict:
    path = folder / "config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MinibertError(f"{path}: cannot be read ({error.strerror}). Give a folder in the transformers layout.") from error
    except ValueError as error:
        raise MinibertError(f"{path}: is not JSON ({error}).") from error
    if not isinstance(settings, dict):
        raise MinibertError(f"{path}: holds no settings but {type(settings).__name__}.")
    return settings


def _read_tensors(folder: Path) -> dict[str, np.ndarray]:
    """All tensors of model.safetensors, or of the shards that model.safetensors.index.json names."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists() or not index.exists():
        if not single.exists():
            pickled = ", ".join(sorted(path.name for path in folder.glob("*.bin")))
            hint = f"{pickled} there is pickled, which can run code, and is never read. " if pickled else ""
            raise MinibertError(
                f"{single}: there is no such file. {hint}Save the model with transformers' save_pretrained, "
                "which writes safetensors."
            )
        return _read_file(single)
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise MinibertError(f"{index}: is not an index of safetensors files ({error!r}).") from error
    outside = [shard for shard in shards if Path(shard).name != shard]
    if outside:
        raise MinibertError(f"{index}: names files outside of the folder: {', '.join(outside)}.")
    return {name: tensor for shard in shards for name, tensor in _read_file(folder / shard).items()}


def _read_file(path: Path) -> dict[str, np.ndarray]:
    try:
        entries = deserialize(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise MinibertError(f"{path}: is missing, cut short or no safetensors file ({error}).") from error
    unknown = sorted({entry["dtype"] for _, entry in entries} - set(DTYPES))
    if unknown:
        raise MinibertError(f"{path}: holds tensors of type {', '.join(unknown)}. Allowed: {', '.join(DTYPES)}.")
    tensors = {}
    for name, entry in entries:
        tensor = np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        if entry["dtype"] == "BF16":  # the upper half of a float32
            tensor = (tensor.astype("<u4") << 16).view("<f4")
        tensors[name] = tensor
    return tensors


def _modern_names(tensors: dict[str, np.ndarray], family: Family) -> dict[str, np.ndarray]:
    """Norms that old files call gamma and beta, and encoders that were saved without their prefix."""
    renamed = {}
    bare = not any(name.startswith(family.prefix) for name in tensors)
    for name, tensor in tensors.items():
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        if bare and name.startswith(("embeddings.", "encoder.", "pooler.", "contact_head.")):
            name = family.prefix + name
        renamed[name] = tensor
    return renamed


def _drop_unused(tensors: dict[str, np.ndarray], family: Family) -> dict[str, np.ndarray]:
    """What belongs to the encoder and to the head: anything unknown that stands among them is suspect."""
    head = tuple({f"{part}." for part in (*family.head.values(), family.decoder)})
    ignored = tuple(family.prefix + beginning for beginning in family.ignored)
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name.startswith((family.prefix, *head)) and not name.startswith(ignored)
    }


def _setting_problems(settings: Mapping, family: Family) -> list[str]:
    problems = [f"{key}={settings[key]}" for key, value in MUST_NOT_BE.items() if settings.get(key) == value]
    if settings.get("position_embedding_type") not in (None, "absolute"):
        problems.append(f"position_embedding_type={settings['position_embedding_type']!r} (allowed: 'absolute')")
    if settings.get("auto_map"):
        problems.append("auto_map names code in the folder, which is never run")
    if settings.get("quantization_config"):
        problems.append("quantization_config: quantised weights")
    activation = settings_value(settings, "hidden_act")
    if family is BERT and activation not in ACTIVATIONS:
        problems.append(f"hidden_act={activation!r} (allowed: {', '.join(ACTIVATIONS)})")
    sizes = [key for key in (*SETTINGS.values(), "max_position_embeddings") if settings_value(settings, key) is None]
    return problems + [f"{key} is missing in config.json" for key in sizes]


def _model_config(settings: Mapping, family: Family, tensors: Mapping) -> ModelConfig:
    values = {ours: settings_value(settings, foreign) for ours, foreign in SETTINGS.items()}
    length, padding = settings.get("max_position_embeddings"), settings_value(settings, "pad_token_id")
    values |= {"max_length": length, "norm": "post" if family is BERT else "pre", "activation": "gelu", "name": "pretrained"}
    types = {item.name: item.type for item in fields(ModelConfig)}
    wrong = [
        f"{SETTINGS.get(name, 'max_position_embeddings')}={value!r} is no number"
        for name, value in values.items()
        if types[name] in (int, float) and (isinstance(value, bool) or not isinstance(value, (int, types[name])))
    ]
    if wrong or not isinstance(padding, int):
        raise MinibertError("\n".join(wrong) or f"pad_token_id={padding!r} is no number")
    if family is BERT:
        values["activation"] = ACTIVATIONS.get(settings_value(settings, "hidden_act"), "gelu")
        values["segments"] = settings_value(settings, "type_vocab_size")
        table = tensors.get(foreign_name("embeddings.segment.weight", family))
        if values["segments"] == 1 and table is not None and not table.any():
            values["segments"] = 0  # adds nothing: how networks without segments are written
    else:
        values["max_length"] = length - padding - 1
    kinds = {tensor.dtype for tensor in tensors.values()}
    return ModelConfig(**values, dtype="float64" if np.dtype("f8") in kinds else "float32")


def _tie(tensors: dict[str, np.ndarray], family: Family, tied: bool) -> list[str]:
    """Take the output weights away, which minibert does not keep apart; problems if they are weights of their own."""
    embeddings = tensors.get(foreign_name("embeddings.token.weight", family))
    bias = foreign_name("mlm_head.bias", family)
    weight, second_bias = tensors.pop(f"{family.decoder}.weight", None), tensors.pop(f"{family.decoder}.bias", None)
    problems = []
    if weight is None and not tied:
        problems.append(f"{family.decoder}.weight is missing, and tie_word_embeddings=False")
    if weight is not None and embeddings is not None and not np.array_equal(weight, embeddings):
        problems.append(f"{family.decoder}.weight differs from the token embeddings (they are one array in minibert)")
    if second_bias is not None and not np.array_equal(tensors.setdefault(bias, second_bias), second_bias):
        problems.append(f"{family.decoder}.bias differs from {bias}")
    return problems


def _inexpressible(config: ModelConfig) -> list[str]:
    problems = []
    if config.position.name != "absolute":
        problems.append(f"model.position.name={config.position.name} (allowed: absolute)")
    if config.norm not in FAMILIES:
        problems.append(f"model.norm={config.norm} (allowed: {', '.join(FAMILIES)})")
    if config.norm == "pre" and config.activation != "gelu":
        problems.append(f"model.activation={config.activation} with model.norm=pre (allowed: gelu)")
    elif config.activation not in ACTIVATIONS.values():
        problems.append(f"model.activation={config.activation} (allowed: {', '.join(dict.fromkeys(ACTIVATIONS.values()))})")
    if config.norm == "pre" and config.segments:
        problems.append(f"model.segments={config.segments} with model.norm=pre (allowed: 0)")
    standard = ModelConfig()
    problems += [
        f"model.{item.name}={getattr(config, item.name)} (allowed: {getattr(standard, item.name)})"
        for item in fields(ModelConfig)
        if item.name not in SETTINGS | dict.fromkeys(ELSEWHERE)
        and getattr(config, item.name) != getattr(standard, item.name)
    ]
    return problems


def _save_tokenizer(folder: Path, config: ModelConfig, tokenizer) -> None:
    """tokenizer.json as it is; PreTrainedTokenizerFast makes ``transformers`` run exactly that."""
    special = {
        "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]",
    }  # fmt: skip
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if config.segments > 1 else ["input_ids", "attention_mask"]
    normalizer = json.loads(tokenizer.to_str()).get("normalizer") or {}
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab()
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.get)), "utf-8")
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json",
        special | {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.max_length,
            "model_input_names": inputs, "do_lower_case": bool(normalizer.get("lowercase", False)),
        },
    )  # fmt: skip


def _token_id(tokenizer, token: str, default: int) -> int:
    found = None if tokenizer is None else tokenizer.token_to_id(token)
    return default if found is None else found


def _write_json(path: Path, content: Mapping) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _cannot_read(folder: Path, problems: list[str]) -> MinibertError:
    return MinibertError(f"{folder} is not a BERT encoder that minibert can express: {'; '.join(problems)}.")
