"""The typed schema of conf/: a dataclass for every group, with what each field allows beside it.

Hydra merges the YAML files of conf/ into these classes, so a misspelt key or a wrong type fails before
anything runs. Ranges and names are stated as field metadata and checked by :func:`validate`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException, ValidationError

from minibert.config.averaging import AVERAGINGS
from minibert.config.checks import other_kind, require_config, require_option, validate
from minibert.config.data import CURRICULA, MASKINGS, DataConfig, MaskingConfig
from minibert.config.diagnostics import DiagnosticsConfig
from minibert.config.evaluation import ASKED_AFTERWARDS, EvaluationConfig
from minibert.config.launcher import LAUNCHERS
from minibert.config.model import ModelConfig
from minibert.config.optimizers import (
    CLIPPINGS,
    LAYER_RATES,
    OPTIMIZERS,
    AdamWConfig,
    LookaheadConfig,
    OptimizerConfig,
)
from minibert.config.positions import POSITIONS, PositionConfig, RelativeBiasConfig, RelativeConfig, RopeConfig
from minibert.config.run import Config, RecipeConfig, SeedsConfig, StudyConfig, TrackingConfig
from minibert.config.shipped import CONF, OVERLAYS, PACKAGE, shipped_options, stated_values
from minibert.config.training import SCHEDULES, ScheduleConfig, TrainingConfig
from minibert.errors import MinibertError, shortened, shown, unknown_name
from minibert.randomness import derive_seeds

__all__ = [
    "CONF",
    "OVERLAYS",
    "ROOT",
    "VARIANTS",
    "AdamWConfig",
    "Config",
    "DataConfig",
    "DiagnosticsConfig",
    "EvaluationConfig",
    "MaskingConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PositionConfig",
    "RecipeConfig",
    "RelativeBiasConfig",
    "RelativeConfig",
    "RopeConfig",
    "ScheduleConfig",
    "SeedsConfig",
    "StudyConfig",
    "TrackingConfig",
    "TrainingConfig",
    "config_hash",
    "register",
    "require_config",
    "require_option",
    "resolve",
    "restore",
    "shipped_options",
    "stated_values",
    "validate",
]  # fmt: skip

VARIANTS = {
    "schedule": SCHEDULES,
    "optimizer": OPTIMIZERS,
    "clipping": CLIPPINGS,
    "layer_rates": LAYER_RATES,
    "averaging": AVERAGINGS,
    "masking": MASKINGS,
    "curriculum": CURRICULA,
    "position": POSITIONS,
}
"""Groups whose options have fields of their own: group -> option -> its schema."""
EARLIER: dict[str, dict[str, Any]] = {
    "training": {"softmax_words": None},
    "muon": {"heads_apart": False, "polynomials": "jordan"},
}
"""Group, or option of the group ``optimizer`` -> what runs did before they recorded these settings, where the
default is another"""
ROOT = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else Path.cwd()
"""The checkout that the code runs from; for an installed wheel, the working directory."""


def register() -> None:
    """Make the schema known to Hydra, and ``${minibert.root:}`` to OmegaConf.

    An option with fields of its own finds its schema as ``<option>_schema`` in its group.
    """
    store = ConfigStore.instance()
    store.store(name="schema", node=_open(Config))
    for group, options in VARIANTS.items():
        for option, schema in options.items():
            node = _open(schema)
            node.name = option
            store.store(group=group, name=f"{option}_schema", node=node)
    for launcher, schema in LAUNCHERS.items():
        store.store(group="hydra/launcher", name=launcher, node=schema, provider="minibert")
    OmegaConf.register_new_resolver("minibert.root", lambda: str(ROOT), replace=True)


def _open(schema: type, plain: Mapping | None = None) -> Any:
    """A schema in which the field of every group has the type of the group's base, so that any option fits.

    With ``plain`` values, the field has the schema of the option that these name, or its default.
    """
    node = OmegaConf.structured(schema)
    places = get_type_hints(Config) | get_type_hints(ModelConfig)
    options = {places[group]: options for group, options in VARIANTS.items()}
    for field, kind in get_type_hints(schema).items():
        if kind in options and plain is None:
            node[field] = kind()
        elif kind in options and plain is not None and field in plain:
            name = plain[field]["name"]
            if not isinstance(name, str) or name not in options[kind]:
                raise unknown_name(f"{field}.name", str(name), options[kind])
            node[field] = _open(options[kind][name], plain[field])
        elif kind is ModelConfig:
            node[field] = _open(kind, None if plain is None else plain.get(field, {}))
    return node


def restore(plain: Mapping, schema: type = Config, source: str = "configuration") -> Any:
    """The configuration that :func:`resolve` gave, from its plain values, such as the ``config.yaml`` of a run.

    With another ``schema``, such as :class:`ModelConfig`, that part of one. Settings that it lacks, because an
    older version wrote it, say what that version did (:data:`EARLIER`), or are at their defaults.

    Raises :class:`MinibertError`, which begins with ``source``, for settings that the schema does not have, and
    for values of another type. Whether values are within bounds, :func:`validate` says.
    """
    _require_groups(plain, schema, source)
    try:
        if schema is Config:
            plain = _with_earlier_settings(plain)
        return OmegaConf.to_object(OmegaConf.merge(_open(schema, plain), plain))
    except (OmegaConfBaseException, MinibertError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise MinibertError(f"{source}: {_what_is_wrong(error, plain)}") from error


def _require_groups(plain: Any, schema: Any, source: str, *place: str) -> None:
    """Refuse a group of settings that is one value or a list. ``place``: the names of the groups around it"""
    if not isinstance(plain, Mapping):
        told = f"{source}: {'.'.join(place)}" if place else source
        raise MinibertError(f"{told}: {shown(plain)} was given. Allowed: settings, each with its value.")
    for name, kind in get_type_hints(schema).items():
        if is_dataclass(kind) and name in plain:
            _require_groups(plain[name], kind, source, *place, name)


def _what_is_wrong(error: Any, plain: Any) -> str:
    """A value with its key and the type that is allowed; or settings that are not known."""
    key = getattr(error, "full_key", None)
    reason = f"no {error}" if type(error) is KeyError else shortened(str(error).splitlines()[0], 300)
    if not isinstance(error, ValidationError) or not key:
        reason = f"{key}: {reason}" if key else reason
        return f"has settings that this version does not know ({reason})."
    if is_dataclass(error.object_type):  # and not a list, of which one entry is wrong
        value = reduce(lambda group, name: group[name], key.split("."), plain)
        if words := other_kind(value, get_type_hints(error.object_type)[error.key]):
            return f"{key}: {shown(value)} was given. Allowed: {words}."
    return f"{key}: {reason}."


def _with_earlier_settings(plain: Mapping) -> dict:
    """Plain values of a run, with the settings that its version did not have yet."""
    plain = dict(plain)
    if "training" in plain:
        plain["training"] = {**EARLIER["training"], **plain["training"]}
    if "optimizer" in plain:
        plain["optimizer"] = _with_earlier_muon(plain["optimizer"])
    return plain


def _with_earlier_muon(optimizer: Mapping) -> Mapping:
    if optimizer["name"] == "lookahead" and "inner" in optimizer:
        return {**optimizer, "inner": _with_earlier_muon(optimizer["inner"])}
    return {**EARLIER["muon"], **optimizer} if optimizer["name"] == "muon" else optimizer


def resolve(composed) -> Config:
    """The composed configuration as plain dataclasses: interpolations resolved, seeds filled in, validated.

    Raises :class:`MinibertError` naming every value that is not allowed.
    """
    try:
        config: Any = OmegaConf.to_object(composed)
    except MissingMandatoryValue as error:
        missing = sorted(OmegaConf.missing_keys(composed))
        raise MinibertError("\n".join(f"{key}: missing. Give a value: {key}=..." for key in missing)) from error
    config.model.auxiliary_heads = config.objective.tasks
    validate(config)
    for stream, seed in derive_seeds(config.seed).items():
        if getattr(config.seeds, stream) is None:
            setattr(config.seeds, stream, seed)
    if isinstance(config.optimizer, LookaheadConfig):
        config.optimizer.inner.learning_rate = config.optimizer.learning_rate
        config.optimizer.inner.rate_factor = config.optimizer.rate_factor
    for rate in ("corruption_rate", "prediction_rate"):
        if getattr(config.masking, rate) is None:
            setattr(config.masking, rate, config.masking.rate)
    return config


def config_hash(config: Config, corpus_hash: str) -> str:
    """SHA-256 of what a run computes: the resolved configuration and the content of the corpus.

    Left out is what changes no result: ``tracking``, ``study``, the cache folder, and the instruments, which are
    asked after training.
    """
    computed: dict[str, Any] = asdict(config) | {"corpus": corpus_hash}
    del computed["tracking"], computed["study"], computed["data"]["cache"]
    for key in ASKED_AFTERWARDS:
        del computed["evaluation"][key.removeprefix("evaluation.")]
    return hashlib.sha256(json.dumps(computed, sort_keys=True).encode()).hexdigest()
