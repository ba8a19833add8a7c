"""Every setting and every group of the command line, from the schema and the folders of conf/."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, cast, get_args, get_type_hints

from omegaconf import OmegaConf

from minibert.config import VARIANTS, Config, shipped_options, stated_values
from minibert.errors import MinibertError, hint, most_similar

OTHER_NAMES = {
    "lr": "optimizer.learning_rate",
    "max_lr": "optimizer.learning_rate",
    "peak_lr": "optimizer.learning_rate",
    "betas": "optimizer.beta1",
    "adam_beta1": "optimizer.beta1",
    "adam_beta2": "optimizer.beta2",
    "eps": "optimizer.epsilon",
    "adam_epsilon": "optimizer.epsilon",
    "wd": "optimizer.weight_decay",
    "optim": "optimizer",
    "grad_clip": "clipping.norm",
    "max_grad_norm": "clipping.norm",
    "gradient_clip_val": "clipping.norm",
    "lr_scheduler": "schedule",
    "lr_scheduler_type": "schedule",
    "scheduler": "schedule",
    "warmup_steps": "schedule.warmup",
    "num_warmup_steps": "schedule.warmup",
    "warmup_ratio": "schedule.warmup",
    "steps": "training.steps",
    "epoch": "training.steps",
    "epochs": "training.steps",
    "num_epochs": "training.steps",
    "num_train_epochs": "training.steps",
    "max_epochs": "training.steps",
    "max_steps": "training.steps",
    "max_iters": "training.steps",
    "num_steps": "training.steps",
    "bs": "training.batch_size",
    "batch": "training.batch_size",
    "per_device_train_batch_size": "training.batch_size",
    "train_batch_size": "training.batch_size",
    "accumulate_grad_batches": "training.accumulation",
    "gradient_accumulation_steps": "training.accumulation",
    "gradient_checkpointing": "training.checkpoint_activations",
    "seq_len": "training.sequence_length",
    "seq_length": "training.sequence_length",
    "max_seq_length": "training.sequence_length",
    "block_size": "training.sequence_length",
    "context_length": "training.sequence_length",
    "logging_steps": "training.log_every",
    "save_steps": "training.checkpoint_every",
    "num_workers": "training.lanes",
    "threads": "training.lanes",
    "eval_steps": "evaluation.every",
    "eval_every": "evaluation.every",
    "mlm_probability": "masking.rate",
    "mask_ratio": "masking.rate",
    "mask_prob": "masking.rate",
    "mask_rate": "masking.rate",
    "masking_ratio": "masking.rate",
    "max_seq_len": "model.max_length",
    "max_position_embeddings": "model.max_length",
    "hidden_dim": "model.hidden_size",
    "d_model": "model.hidden_size",
    "n_embd": "model.hidden_size",
    "embedding_dim": "model.hidden_size",
    "dim": "model.hidden_size",
    "n_layers": "model.layers",
    "n_layer": "model.layers",
    "num_layers": "model.layers",
    "num_hidden_layers": "model.layers",
    "depth": "model.layers",
    "n_heads": "model.heads",
    "n_head": "model.heads",
    "num_heads": "model.heads",
    "num_attention_heads": "model.heads",
    "intermediate_size": "model.feed_forward_size",
    "ffn_dim": "model.feed_forward_size",
    "d_ff": "model.feed_forward_size",
    "dim_feedforward": "model.feed_forward_size",
    "hidden_act": "model.activation",
    "hidden_dropout_prob": "model.dropout",
    "attention_probs_dropout_prob": "model.attention_dropout",
    "layer_norm_eps": "model.norm_epsilon",
    "initializer_range": "model.init_scale",
    "type_vocab_size": "model.segments",
    "num_embeddings": "model.vocab_size",
    "random_seed": "seed",
    "output_dir": "tracking.folder",
    "out_dir": "tracking.folder",
    "log_dir": "tracking.folder",
    "tracking_uri": "tracking.uri",
    "experiment_name": "tracking.experiment",
    "dataset": "data",
    "dataset_name": "data.name",
    "corpus": "data",
    "train_file": "data.path",
    "data_dir": "data.path",
}
"""Name of a setting in other tools -> its key here"""


@dataclass(frozen=True)
class Setting:
    """A field of the schema, or of the schema of one option of a group."""

    key: str
    owner: type
    field: Field
    kind: Any
    """Its type"""

    @property
    def optional(self) -> bool:
        return NoneType in get_args(self.kind)

    @property
    def choices(self) -> tuple[str, ...] | None:
        return self.field.metadata.get("choices")

    @property
    def is_open(self) -> bool:
        """Whether there is something to choose: an option may be the only one that a name has."""
        return self.field.metadata.get("takes") != "" and len(self.choices or ("", "")) > 1

    @property
    def is_text(self) -> bool:
        """Whether it takes any text, not one of a few names."""
        return self.choices is None and (self.kind is str or self.kind == str | None)

    @property
    def is_list_of_text(self) -> bool:
        return self.kind in (list[str], list[str] | None)

    def describe(self) -> str:
        """What it takes, in words."""
        if "takes" in self.field.metadata:
            return self.field.metadata["takes"]
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Any: "a value"}
        bounds = [
            f"{name.replace('_', ' ')} {self.field.metadata[name]}"
            for name in ("at_least", "above", "at_most", "below")
            if name in self.field.metadata
        ]
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kinds = [kind for kind in get_args(self.kind) or (self.kind,) if kind is not NoneType]
        kinds = [words.get(kind, str(kind)) for kind in kinds]
        if self.is_list_of_text:
            kinds = ["a list of names, such as [a,b]"]
        elif self.kind == list[float]:
            kinds = ["a list of numbers, such as [0.1,0.2]"]
        null = ["or null"] if self.optional else []
        return " ".join([*kinds, " and ".join(bounds), *null]).replace("  ", " ").strip()


@cache
def groups() -> dict[str, list[str]]:
    """Every config group of conf/ with its options.

    A folder within a group is a group of its own if it fills a part of an option, as ``optimizer/inner`` does.
    Otherwise it is a part of its options' names, as in ``model=ladder/m``.
    """
    found: dict[str, list[str]] = {}
    for name in shipped_options():
        group, slash, option = name.partition("/")
        if not slash:
            continue
        part, _, rest = option.partition("/")
        if rest and options_with(group, part):
            group, option = f"{group}/{part}", rest
        found.setdefault(group, []).append(option)
    return {group: sorted(found[group]) for group in sorted(found)}


def options_with(group: str, part: str) -> list[str]:
    """The options of a group that hold another option as a part: for ``optimizer`` and ``inner``, Lookahead."""
    return [option for option, schema in VARIANTS.get(group, {}).items() if hasattr(schema(), part)]


@cache
def settings() -> dict[str, Setting]:
    """Key -> setting, including the fields that only some options of a group have."""
    return settings_with(None)


def settings_with(chosen: Mapping[str, str] | None) -> dict[str, Setting]:
    """The settings with these options chosen (group -> option); with None, those of all options."""
    found: dict[str, Setting] = {}
    _collect(Config, "", (), chosen, found)
    return found


def _collect(
    schema: type, prefix: str, inside: tuple[str, ...], chosen: Mapping[str, str] | None, found: dict[str, Setting]
) -> None:
    kinds = get_type_hints(schema)
    for field in fields(schema):
        key, kind = prefix + field.name, kinds[field.name]
        if not is_dataclass(kind):
            found.setdefault(key, Setting(key, schema, field, kind))
            continue
        # ``optimizer.inner`` takes any option of ``optimizer``, but none that holds an optimizer itself.
        group, options = ("optimizer", "optimizer/inner") if field.name == "inner" else (field.name, field.name)
        if group in inside[:-1]:
            continue
        schemas: dict[str, type] = VARIANTS.get(group, {})
        if chosen is None:
            places = dict.fromkeys((cast(type, kind), *schemas.values()))
        else:
            places = (schemas.get(chosen.get(options, ""), cast(type, kind)),)
        for each in places:
            _collect(each, key + ".", (*inside, group), chosen, found)


def is_seed(key: str) -> bool:
    """Whether runs that differ in this setting alone are replicates of each other."""
    return key == "seed" or key.startswith("seeds.")


@cache
def filled_keys(group: str) -> frozenset[str]:
    """The settings that the options of a group set: for ``position``, ``model.position.name`` and others."""
    found = _keys_that_differ(group)
    for option in groups()[group]:
        file = shipped_options(group)[option]
        package = re.match(r"# @package (\S+)", file.read_text())
        place = package[1] if package else group.replace("/", ".")
        prefix = "" if place == "_global_" else place + "."
        values = OmegaConf.to_container(stated_values(file), resolve=False)
        assert isinstance(values, dict)
        found |= set(_flat(values, prefix)) | ({prefix + "name"} if place == group.replace("/", ".") else set())
    return frozenset(found & settings().keys())


def _keys_that_differ(group: str) -> set[str]:
    """The settings that only some options of a group have, or for which their schemas have other defaults."""
    every = [settings_with({group: option}) for option in VARIANTS.get(group, {})]
    keys = {key for one in every for key in one}
    return {key for key in keys if len({_default(one.get(key)) for one in every}) > 1}


def _default(setting: Setting | None) -> str:
    return "" if setting is None else repr(getattr(setting.owner(), setting.field.name))


def _flat(values: Mapping, prefix: str) -> Iterator[str]:
    for name, value in values.items():
        yield prefix + name
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")


def unknown_key(given: str, key: str, present: Iterable[str] | None = None, note: str = "") -> MinibertError:
    """The error for an unknown key: what was given, what was probably meant, and what is allowed there.

    ``present`` are the settings with the options chosen; by default those of all options. A ``note`` replaces the
    guess.
    """
    present = list(settings() if present is None else present)
    parts = key.split(".")
    depth = next(n for n in range(len(parts)) if not any(_inside(name, parts[: n + 1]) for name in present))
    stem, start = ".".join(parts[: depth + 1]), "".join(part + "." for part in parts[:depth])
    allowed = [name for name in present if name.startswith(start)] if depth else []
    allowed = allowed or list(dict.fromkeys([*(name.split(".")[0] for name in present), *groups()]))
    told = f". {note}" if note else f"{hint(closest(key, stem, allowed))}."
    return MinibertError(f"{given}: unknown key '{key}'{told} Allowed: {', '.join(allowed)}.")


def closest(key: str, stem: str, neighbours: Iterable[str]) -> str | None:
    """The setting or group that an unknown key may mean; ``stem`` is the key up to its unknown part.

    In this order: a setting that another tool calls by this name; a setting with this last part; the most similar
    of the ``neighbours`` or, if the key has a single part, of all settings by their last part.
    """
    last = _last(key.replace("-", "_").replace("/", ".").lower())
    if last in OTHER_NAMES:
        return OTHER_NAMES[last]
    everything = [*settings(), *groups()]
    for name in everything:
        if _last(name) == last and name != key and last != "name":
            return name
    candidates = [*neighbours, *(everything if key == stem and "." not in key else [])]
    return most_similar(_last(stem).lower(), candidates, _last)


def _inside(name: str, parts: list[str]) -> bool:
    return name.split(".")[: len(parts)] == parts


def _last(key: str) -> str:
    return key.rsplit(".", 1)[-1]
