"""Which networks ``transformers`` has too, and what its config.json says of them.

- ``bert``: post-norm, learned absolute positions.
- ``esm``: pre-norm with learned absolute or rotary positions; its activation is always the exact GELU, and it has
  all biases. A norm on the embeddings is its ``emb_layer_norm_before``.
- ``modernbert``: pre-norm with a norm on the embeddings in place of the first attention's, rotary positions, gated
  units, any biases, global and local layers.

Dropout differs, in training only: ``modernbert`` drops within the feed-forward network instead of behind it, and
attention's output at the rate of its weights.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from minibert.config import ModelConfig, PositionConfig, RopeConfig
from minibert.errors import MinibertError
from minibert.model.feed_forward import inner_size
from minibert.model.foreign import BERT, ESM, FAMILIES, MODERNBERT, Family, unread_positions
from minibert.model.windows import is_local

SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "feed_forward_size": "intermediate_size",
    "max_length": "max_position_embeddings",
    "init_scale": "initializer_range",
}
OLDER = SIZES | {
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "norm_epsilon": "layer_norm_eps",
}
SETTINGS = {
    "bert": OLDER,
    "esm": OLDER,
    "modernbert": SIZES
    | {"dropout": "embedding_dropout", "attention_dropout": "attention_dropout", "norm_epsilon": "norm_eps"},
}
"""Numbers of :class:`ModelConfig` -> keys of config.json. ``esm`` counts unread rows in its table of positions."""
BIASES = {
    "attention_bias": "attention_bias",
    "feed_forward_bias": "mlp_bias",
    "norm_bias": "norm_bias",
    "head_bias": "classifier_bias",
    "decoder_bias": "decoder_bias",
}
"""Of ``modernbert`` alone"""

COMMON = {"initializer_range": 0.02, "pad_token_id": 0, "tie_word_embeddings": True}
OLDER_DEFAULTS = COMMON | {
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
    "type_vocab_size": 2, "position_embedding_type": "absolute", "rope_theta": 10000.0,
}  # fmt: skip
DEFAULTS = {
    "bert": OLDER_DEFAULTS,
    "esm": OLDER_DEFAULTS,
    "modernbert": COMMON
    | {
        "embedding_dropout": 0.0, "attention_dropout": 0.0, "mlp_dropout": 0.0, "norm_eps": 1e-5,
        "hidden_activation": "gelu", "classifier_activation": "gelu", "attention_bias": False, "mlp_bias": False,
        "norm_bias": False, "classifier_bias": False, "decoder_bias": True, "local_attention": 128,
        "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0,
    },
}  # fmt: skip
"""What ``transformers`` takes where config.json is silent. Sizes are never guessed."""

ACTIVATIONS = {
    "gelu": "gelu", "gelu_python": "gelu", "relu": "relu", "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh", "gelu_accurate": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
}  # fmt: skip
"""``hidden_act`` -> ``model.activation``; of two names for one function the first is written"""
GATES = {"gelu": "geglu", "gelu_python": "geglu", "silu": "swiglu", "swish": "swiglu"}
"""``hidden_activation`` of ``modernbert`` -> ``model.activation``"""

KINDS = ("full_attention", "sliding_attention")
"""What ``modernbert`` calls global layers and local ones"""

OTHER_NETWORKS = ("is_decoder", "is_encoder_decoder", "add_cross_attention", "token_dropout", "is_folding_model")
"""Switches of config.json that make another network when they are on"""

WITHOUT_GATES = {
    "position": ("absolute",), "embedding_norm": (False, True), "first_attention_norm": (True, False),
    "activation": tuple(dict.fromkeys(ACTIVATIONS.values())), "norm": ("post",),
    "tie_word_embeddings": (True, False),
}  # fmt: skip
EXPRESSIBLE: dict[str, dict[str, tuple]] = {
    "bert": WITHOUT_GATES,
    "esm": WITHOUT_GATES
    | {
        "norm": ("pre",), "position": ("absolute", "rope"), "activation": ("gelu",), "segments": (0,),
        "first_attention_norm": (True,),
    },
    "modernbert": {
        "norm": ("pre",), "position": ("rope",), "activation": ("geglu", "swiglu"), "segments": (0,),
        "embedding_norm": (True,), "first_attention_norm": (False,), "tie_word_embeddings": (True, False),
        **dict.fromkeys(BIASES, (True, False)),
    },
}  # fmt: skip
"""Model type -> fields of :class:`ModelConfig` -> values that it has"""
NOT_COMPARED = {"name", "output_bias", "dtype", "init", "init_gain", "match_feed_forward", "global_every"}
"""Fields of :class:`ModelConfig` that change nothing in a trained network, or nothing beside those compared"""


def value(settings: Mapping, key: str, family: Family) -> Any:
    """A key of config.json, or what ``transformers`` takes for it; None when there is neither."""
    given = settings.get(key)
    return DEFAULTS[family.model_type].get(key) if given is None else given


def fitting_family(config: ModelConfig) -> tuple[Family, list[str]]:
    """The model type that has this network, or the nearest, and what that does not have of it."""
    alike = [name for name in FAMILIES if config.norm in EXPRESSIBLE[name]["norm"]] or FAMILIES
    problems = {name: inexpressible_settings(config, FAMILIES[name]) for name in alike}
    nearest = min(problems, key=lambda name: len(problems[name]))
    return FAMILIES[nearest], problems[nearest]


def inexpressible_settings(config: ModelConfig, family: Family) -> list[str]:
    """What a network has that the family lacks. A field that this file does not know must be at its default."""
    expressible, numbers = EXPRESSIBLE[family.model_type], SETTINGS[family.model_type].keys()
    problems, standard = [], ModelConfig()
    for name in (item.name for item in fields(config) if item.name not in numbers | NOT_COMPARED):
        given = getattr(config, name)
        if (family is MODERNBERT and name == "attention_window") or (family is BERT and name == "segments"):
            continue
        if name == "position":
            name, given = "position.name", config.position.name
        allowed = expressible.get(name.removesuffix(".name"), (getattr(standard, name, None),))
        if given not in allowed:
            problems.append(f"model.{name}={given} (allowed: {', '.join(map(str, allowed))})")
    if isinstance(config.position, RopeConfig) and config.position.fraction != 1:
        problems.append(f"model.position.fraction={config.position.fraction} (allowed: 1)")
    return problems


def model_settings(config: ModelConfig, family: Family, tokens: Mapping[str, int]) -> dict:
    """What goes into config.json, for the ids of the special tokens: ``pad``, ``cls``, ``sep`` and ``mask``."""
    settings = {theirs: getattr(config, ours) for ours, theirs in SETTINGS[family.model_type].items()}
    settings |= {
        "model_type": family.model_type,
        "architectures": [family.architecture],
        "torch_dtype": config.dtype,
        "pad_token_id": tokens["pad"],
        "tie_word_embeddings": config.tie_word_embeddings,
    }
    if family is BERT:
        activation = next(theirs for theirs, ours in ACTIVATIONS.items() if ours == config.activation)
        # That library has no BERT without segments: one segment of zeros adds nothing.
        return settings | {"hidden_act": activation, "type_vocab_size": max(config.segments, 1)}
    if family is MODERNBERT:
        return settings | _modern_settings(config, tokens)
    settings |= {"emb_layer_norm_before": config.embedding_norm, "token_dropout": False}
    settings |= {"mask_token_id": tokens["mask"]}
    if isinstance(config.position, RopeConfig):
        return settings | {"position_embedding_type": "rotary", "rope_theta": config.position.base}
    rows = config.max_length + unread_positions(family, tokens["pad"])
    return settings | {"position_embedding_type": "absolute", "max_position_embeddings": rows}


def _modern_settings(config: ModelConfig, tokens: Mapping[str, int]) -> dict:
    """The keys of ``modernbert`` alone. Layers and bases stand there under the names of older versions, too."""
    position: Any = config.position
    local = [is_local(index, config) for index in range(config.layers)]
    bases = dict(zip(KINDS, (position.base, position.local_base or position.base), strict=True))
    activation = next(theirs for theirs, ours in GATES.items() if ours == config.activation)
    older = {"global_rope_theta": bases[KINDS[0]], "local_rope_theta": bases[KINDS[1]]}
    if not local[0]:
        older |= {"global_attn_every_n_layers": config.global_every if any(local) else 1}
    return older | {
        "intermediate_size": inner_size(config),
        "hidden_activation": activation,
        "classifier_activation": activation,
        "mlp_dropout": config.dropout,
        **{theirs: getattr(config, ours) for ours, theirs in BIASES.items()},
        "layer_types": [KINDS[here] for here in local],
        "local_attention": config.attention_window or DEFAULTS["modernbert"]["local_attention"],
        "rope_parameters": {kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()},
        "bos_token_id": tokens["cls"],
        "eos_token_id": tokens["sep"],
        "cls_token_id": tokens["cls"],
        "sep_token_id": tokens["sep"],
    }


def model_config(settings: Mapping, family: Family, dtype: str, segments: Any, tied: bool) -> ModelConfig:
    """The configuration that config.json describes. Raises :class:`MinibertError` where a size is no number."""
    keys = SETTINGS[family.model_type]
    values = {ours: value(settings, theirs, family) for ours, theirs in keys.items()}
    numbers = {item.name: item.type for item in fields(ModelConfig) if item.type in (int, float)}
    given = {keys[ours]: (values[ours], numbers[ours]) for ours in keys}
    base, local_base = (rope_base(settings, kind, family) for kind in KINDS)
    given |= {"rope_theta": (base, float), "rope_theta of local layers": (local_base, float)}
    padding = value(settings, "pad_token_id", family)
    if family is BERT:
        given["type_vocab_size"] = segments, int
    if family is MODERNBERT:
        given["local_attention"] = value(settings, "local_attention", family), int
    wrong = [
        f"{key}={number!r} is not {'a whole' if kind is int else 'a'} number"
        for key, (number, kind) in given.items()
        if isinstance(number, bool) or not isinstance(number, (int, kind))
    ]
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        wrong.append(f"pad_token_id={padding!r} is no token id")
    if wrong:
        raise MinibertError("\n".join(wrong))
    config = ModelConfig(name="pretrained", dtype=dtype, tie_word_embeddings=tied, **values)
    if family is BERT:
        activation = ACTIVATIONS.get(str(value(settings, "hidden_act", family)), "gelu")
        position = PositionConfig("absolute")
        return replace(config, norm="post", activation=activation, segments=segments, position=position)
    if family is MODERNBERT:
        return _modern_config(settings, config, base, local_base)
    normed = bool(settings.get("emb_layer_norm_before"))
    config = replace(config, norm="pre", activation="gelu", embedding_norm=normed)
    if value(settings, "position_embedding_type", family) == "rotary":
        return replace(config, position=RopeConfig(base=base))
    rows = unread_positions(family, padding)
    return replace(config, position=PositionConfig("absolute"), max_length=config.max_length - rows)


def _modern_config(settings: Mapping, config: ModelConfig, base: float, local_base: float) -> ModelConfig:
    every = global_every(settings, config.layers)
    window = None if every == 1 else value(settings, "local_attention", MODERNBERT)
    return replace(
        config,
        norm="pre",
        embedding_norm=True,
        first_attention_norm=False,
        activation=GATES.get(str(value(settings, "hidden_activation", MODERNBERT)), "geglu"),
        position=RopeConfig(base=base, local_base=None if window is None or local_base == base else local_base),
        attention_window=window,
        global_every=3 if window is None or every is None else every,
        **{ours: bool(value(settings, theirs, MODERNBERT)) for ours, theirs in BIASES.items()},
    )


def global_every(settings: Mapping, layers: int) -> int | None:
    """Every how many layers, from the first on, one is global; 0: none; None: the layers follow no such rule."""
    kinds, every = settings.get("layer_types"), value(settings, "global_attn_every_n_layers", MODERNBERT)
    if kinds is None:
        return every if isinstance(every, int) and every > 0 else None
    if not isinstance(kinds, list) or len(kinds) != layers or not {*map(str, kinds)} <= {*KINDS}:
        return None
    whole = [index for index, kind in enumerate(kinds) if kind == KINDS[0]]
    simplest = 0 if not whole else whole[1] if len(whole) > 1 else layers
    for rule in (every, simplest):
        if isinstance(rule, int) and whole == (list(range(0, layers, rule)) if rule > 0 else []):
            return rule
    return None


def rope_base(settings: Mapping, kind: str, family: Family) -> Any:
    """The base of rotary positions in layers of a kind, under its name of today or of older versions."""
    if family is not MODERNBERT:
        return value(settings, "rope_theta", family)
    base = _turning(settings, kind).get("rope_theta")
    local = kind == KINDS[1]
    if base is None and local and "local_rope_theta" in settings and settings["local_rope_theta"] is None:
        return rope_base(settings, KINDS[0], family)
    return value(settings, "local_rope_theta" if local else "global_rope_theta", family) if base is None else base


def _turning(settings: Mapping, kind: str) -> Mapping:
    parameters = settings.get("rope_parameters")
    given = parameters.get(kind) if isinstance(parameters, Mapping) else None
    return given if isinstance(given, Mapping) else {}


def unreadable_settings(settings: Mapping, family: Family) -> list[str]:
    """Settings of config.json that minibert does not support."""
    problems = [f"{key}={settings[key]}" for key in OTHER_NETWORKS if settings.get(key)]
    positions = ("absolute", "rotary") if family is ESM else ("absolute",)
    position = value(settings, "position_embedding_type", family)
    if family is not MODERNBERT and position not in positions:
        problems.append(f"position_embedding_type={position} (allowed: {', '.join(positions)})")
    if family is BERT and str(value(settings, "hidden_act", family)) not in ACTIVATIONS:
        problems.append(f"hidden_act={settings['hidden_act']} (allowed: {', '.join(ACTIVATIONS)})")
    if family is MODERNBERT:
        problems += _unreadable_modern(settings)
    for key in ("rope_scaling", "partial_rotary_factor"):
        if settings.get(key) not in (None, 1):
            problems.append(f"{key}={settings[key]} (allowed: none)")
    head = settings.get("head_dim")
    if head is not None and head * settings.get("num_attention_heads", 1) != settings.get("hidden_size"):
        problems.append(f"head_dim={head} (allowed: hidden_size / num_attention_heads)")
    if settings.get("auto_map"):
        problems.append("auto_map names code of the folder's own, which is never run")
    if settings.get("quantization_config"):
        problems.append("quantization_config asks for quantised weights")
    return problems


def other_dropout(settings: Mapping, family: Family) -> str | None:
    """What a stranger's ``modernbert`` drops in training that minibert drops at another rate; None: nothing."""
    if family is not MODERNBERT:
        return None
    embeddings, inner = (value(settings, f"{part}_dropout", family) for part in ("embedding", "mlp"))
    return (
        None
        if inner == embeddings
        else f"mlp_dropout={inner}, where training takes embedding_dropout={embeddings}"
    )


def _unreadable_modern(settings: Mapping) -> list[str]:
    problems = []
    gate, head = (str(value(settings, f"{part}_activation", MODERNBERT)) for part in ("hidden", "classifier"))
    if gate not in GATES:
        problems.append(f"hidden_activation={gate} (allowed: {', '.join(GATES)})")
    elif GATES.get(head) != GATES[gate]:
        problems.append(f"classifier_activation={head} (allowed: {gate}, that of the gates)")
    layers = settings.get("num_hidden_layers")
    if global_every(settings, layers if isinstance(layers, int) else 0) is None:
        key = "global_attn_every_n_layers" if settings.get("layer_types") is None else "layer_types"
        problems.append(f"{key}={settings.get(key)} (allowed: {KINDS[0]} in every n-th layer from the first on)")
    for kind in KINDS:
        turning = _turning(settings, kind)
        plain = {"rope_theta": turning.get("rope_theta"), "rope_type": "default", "partial_rotary_factor": 1}
        others = {key: given for key, given in turning.items() if given not in (None, plain.get(key))}
        if others:
            problems.append(f"rope_parameters of {kind}: {others} (allowed: rope_type=default and a rope_theta)")
    for key in BIASES.values():
        if not isinstance(value(settings, key, MODERNBERT), bool):
            problems.append(f"{key}={settings[key]} (allowed: true, false)")
    return problems
