"""The same networks in another library's words: names and settings of Hugging Face's ``transformers``.

Post-norm networks are what that library calls ``bert``. Pre-norm networks are exactly its ``esm`` with learned
absolute positions, no norm on the embeddings and no token dropout; its activation is always the exact GELU.

What ``esm`` does about padding is the same as here as long as padding stands at the end of a sequence and the
attention mask says so: it counts positions over the tokens that are not [PAD], from ``pad_token_id`` + 1 on (the
rows of the table before that are never read), and sets the embeddings of masked tokens to zero. Two things
differ: what is computed *at* padding, which nobody reads, and, in training, that it has no dropout on the
embeddings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

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
"""Parts of both families' encoders: minibert's name -> the name after the prefix or ``encoder.layer.<n>.``"""


@dataclass(frozen=True)
class Family:
    """One model type of ``transformers``: how it names what it shares with minibert."""

    model_type: str
    architecture: str
    parts: Mapping[str, str]
    head: Mapping[str, str]
    decoder: str
    """The output weights, which repeat the token embeddings"""
    unused: tuple[str, ...]
    """How tensors of the encoder begin that take no part in masked language modelling"""

    @property
    def prefix(self) -> str:
        return f"{self.model_type}."

    def name(self, name: str) -> str:
        """``layers.0.attention.query.weight`` -> ``bert.encoder.layer.0.attention.self.query.weight``"""
        part, _, kind = name.rpartition(".")
        kind = "bias" if kind == "bias" else "weight"
        if part in self.head:
            return f"{self.head[part]}.{kind}"
        if part.startswith("layers."):
            _, index, part = part.split(".", 2)
            return f"{self.prefix}encoder.layer.{index}.{self.parts[part]}.{kind}"
        return f"{self.prefix}{self.parts[part]}.{kind}"


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
"""By ``model.norm``"""

SETTINGS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "feed_forward_size": "intermediate_size",
    "max_length": "max_position_embeddings",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "norm_epsilon": "layer_norm_eps",
    "init_scale": "initializer_range",
}
"""Fields of :class:`ModelConfig` -> keys of config.json. ``esm`` counts unread rows in its table of positions."""

DEFAULTS = {
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
    "initializer_range": 0.02, "type_vocab_size": 2, "pad_token_id": 0,
}  # fmt: skip
"""What ``transformers`` takes where config.json is silent. Sizes are never guessed."""

ACTIVATIONS = {
    "gelu": "gelu", "gelu_python": "gelu", "relu": "relu", "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh", "gelu_accurate": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
}  # fmt: skip
"""``hidden_act`` -> ``model.activation``; of two names for one function the first is written"""

OTHER_NETWORKS = (
    "is_decoder", "is_encoder_decoder", "add_cross_attention", "emb_layer_norm_before", "token_dropout",
    "is_folding_model",
)  # fmt: skip
"""Switches of config.json that make another network when they are on"""

NOT_COMPARED = {
    "name", "segments", "norm", "activation", "position", "output_bias", "dtype",
    "init", "init_gain", "match_feed_forward",
}  # fmt: skip
"""Fields of :class:`ModelConfig` that are checked one by one, or that change nothing in a trained network"""


def is_transposed(name: str) -> bool:
    """Whether ``transformers`` keeps the transpose: PyTorch's linear layers have weights (out, in)."""
    return name.endswith(".weight") and not name.startswith("embeddings.")


def unread_positions(family: Family, padding: int) -> int:
    """Rows at the start of the position table that stand for no position."""
    return padding + 1 if family is ESM else 0


def value(settings: Mapping, key: str) -> Any:
    """A key of config.json, or what ``transformers`` takes for it; None when there is neither."""
    given = settings.get(key)
    return DEFAULTS.get(key) if given is None else given


def model_settings(config: ModelConfig, family: Family, padding: int, mask: int) -> dict:
    """What goes into config.json, for the token ids of [PAD] and [MASK]."""
    settings = {theirs: getattr(config, ours) for ours, theirs in SETTINGS.items()}
    settings |= {
        "model_type": family.model_type,
        "architectures": [family.architecture],
        "torch_dtype": config.dtype,
        "pad_token_id": padding,
        "tie_word_embeddings": True,
    }
    if family is BERT:
        activation = next(theirs for theirs, ours in ACTIVATIONS.items() if ours == config.activation)
        # That library has no BERT without segments: one segment of zeros adds nothing.
        return settings | {"hidden_act": activation, "type_vocab_size": max(config.segments, 1)}
    return settings | {
        "max_position_embeddings": config.max_length + unread_positions(family, padding),
        "position_embedding_type": "absolute",
        "emb_layer_norm_before": False,
        "token_dropout": False,
        "mask_token_id": mask,
    }


def model_config(settings: Mapping, family: Family, dtype: str, segments: int) -> ModelConfig:
    """The configuration that config.json describes. Raises :class:`MinibertError` where a size is no number."""
    values = {ours: value(settings, theirs) for ours, theirs in SETTINGS.items()}
    padding = value(settings, "pad_token_id")
    numbers = {item.name: item.type for item in fields(ModelConfig) if item.type in (int, float)}
    wrong = [
        f"{SETTINGS[ours]}={given!r} is not {'a whole' if numbers[ours] is int else 'a'} number"
        for ours, given in values.items()
        if isinstance(given, bool) or not isinstance(given, (int, numbers[ours]))
    ]
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        wrong.append(f"pad_token_id={padding!r} is no token id")
    if isinstance(segments, bool) or not isinstance(segments, int):
        wrong.append(f"type_vocab_size={segments!r} is not a whole number")
    if wrong:
        raise MinibertError("\n".join(wrong))
    values["max_length"] -= unread_positions(family, padding)
    if family is ESM:
        return ModelConfig(name="pretrained", norm="pre", activation="gelu", dtype=dtype, **values)
    activation = ACTIVATIONS.get(str(value(settings, "hidden_act")), "gelu")
    return ModelConfig(
        name="pretrained", norm="post", activation=activation, segments=segments, dtype=dtype, **values
    )


def unreadable_settings(settings: Mapping, family: Family) -> list[str]:
    """Settings of config.json that minibert does not support."""
    problems = [f"{key}={settings[key]}" for key in OTHER_NETWORKS if settings.get(key)]
    position = settings.get("position_embedding_type") or "absolute"
    if position != "absolute":
        problems.append(f"position_embedding_type={position} (allowed: absolute)")
    if family is BERT and str(value(settings, "hidden_act")) not in ACTIVATIONS:
        problems.append(f"hidden_act={settings['hidden_act']} (allowed: {', '.join(ACTIVATIONS)})")
    if settings.get("auto_map"):
        problems.append("auto_map names code of the folder's own, which is never run")
    if settings.get("quantization_config"):
        problems.append("quantization_config asks for quantised weights")
    return problems


def inexpressible_settings(config: ModelConfig) -> list[str]:
    """What a network has that neither family has. A field that this file does not know must be at its default."""
    problems = []
    if config.norm not in FAMILIES:
        problems.append(f"model.norm={config.norm} (allowed: {', '.join(FAMILIES)})")
    if config.position.name != "absolute":
        problems.append(f"model.position.name={config.position.name} (allowed: absolute)")
    if config.norm == "pre" and config.activation != "gelu":
        problems.append(f"model.activation={config.activation} with model.norm=pre (allowed: gelu)")
    elif config.activation not in ACTIVATIONS.values():
        allowed = ", ".join(dict.fromkeys(ACTIVATIONS.values()))
        problems.append(f"model.activation={config.activation} (allowed: {allowed})")
    if config.norm == "pre" and config.segments:
        problems.append(f"model.segments={config.segments} with model.norm=pre (allowed: 0)")
    standard = ModelConfig()
    for name in (item.name for item in fields(config) if item.name not in SETTINGS.keys() | NOT_COMPARED):
        if getattr(config, name) != getattr(standard, name):
            problems.append(f"model.{name}={getattr(config, name)} (allowed: {getattr(standard, name)})")
    return problems
