"""The command line to typed configurations: what Hydra composes, with errors that name the way out."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import product
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minibert.config import CONF, VARIANTS, Config, resolve
from minibert.errors import MinibertError, nearest, unknown_name
from minibert.model.memory import refuse_what_does_not_fit


@dataclass(frozen=True)
class Job:
    """One run of a plan: its configuration and the words that composed it."""

    config: Config
    overrides: tuple[str, ...]
    choices: dict[str, str]
    """Group -> the option chosen in it"""


@dataclass(frozen=True)
class Plan:
    """What a command line asks for."""

    jobs: tuple[Job, ...]
    sweep: tuple[str, ...]
    """The swept overrides, such as ``masking.rate=0.15,0.40``; empty for a single run"""
    fixed: tuple[str, ...]
    """The overrides that all jobs share"""

    command: tuple[str, ...]
    """The words that asked for it"""

    @property
    def keys(self) -> list[str]:
        """The keys and groups that are swept over."""
        return [word.split("=", 1)[0].lstrip("+") for word in self.sweep]


def groups() -> dict[str, list[str]]:
    """Every config group of conf/ with its options.

    A folder within a group is a group of its own where it fills a part of an option, as ``optimizer/inner`` does.
    Elsewhere it is a part of its options' names, as in ``model=ladder/m``.
    """
    found: dict[str, list[str]] = {}
    for file in sorted(CONF.glob("*/**/*.yaml")):
        group, _, option = file.relative_to(CONF).with_suffix("").as_posix().partition("/")
        part, _, rest = option.partition("/")
        if rest and any(hasattr(schema(), part) for schema in VARIANTS.get(group, {}).values()):
            group, option = f"{group}/{part}", rest
        found.setdefault(group, []).append(option)
    return {group: sorted(found[group]) for group in sorted(found)}


def plan(overrides: list[str], multirun: bool) -> Plan:
    """Compose every run that the overrides ask for, before any of them starts.

    An experiment that states ``hydra.sweeper.params`` is swept over them, whether or not ``multirun`` is given;
    a key given on the command line takes the place of the experiment's own. Raises :class:`MinibertError`.
    """
    # Experiments are no part of the defaults, so Hydra wants a plus that nobody should have to think of.
    overrides = [f"+{word}" if word.startswith("experiment=") else word for word in overrides]
    parsed = _parse(overrides)
    swept = [override for override in parsed if override.is_sweep_override()]
    fixed = [override for override in parsed if not override.is_sweep_override()]
    names = [override.input_line for override in fixed]
    composed = _compose(names + [_first_choice(override) for override in swept])
    given = {override.key_or_group for override in parsed}
    params = composed.hydra.sweeper.params or {}
    stated = {key: value for key, value in params.items() if key not in given}
    if swept and not (multirun or params):
        raise MinibertError(
            f"{swept[0].input_line}: several values need --multirun (-m): "
            "python -m minibert.run --multirun " + " ".join(overrides)
        )
    swept = _parse([f"{key}={value}" for key, value in stated.items()]) + swept
    if not (swept or multirun):
        return Plan((_job(composed, names),), (), tuple(names), tuple(overrides))
    axes = [[f"{o.input_line.split('=', 1)[0]}={value}" for value in _values(o)] for o in swept]
    jobs = tuple(_job(_compose(names + list(words)), words) for words in product(*axes))
    command = (*(["--multirun"] if multirun else []), *overrides)
    return Plan(jobs, tuple(override.input_line for override in swept), tuple(names), command)


def _job(composed, overrides) -> Job:
    choices = {group: str(option) for group, option in composed.hydra.runtime.choices.items() if not group.startswith("hydra/")}
    del composed.hydra
    config = resolve(composed)
    refuse_what_does_not_fit(config)
    return Job(config, tuple(overrides), choices)


def _parse(overrides: list[str]) -> list[Override]:
    parsed = []
    for text in overrides:
        try:
            parsed += OverridesParser.create().parse_overrides([text])
        except HydraException as error:
            raise MinibertError(f"{text}: not an override. Allowed: key=value ({_first_line(error)}).") from error
    return parsed


def _compose(overrides: list[str]):
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            composed = hydra_compose(config_name="config", overrides=overrides, return_hydra_config=True)
            OmegaConf.set_struct(composed, False)
            return composed
    except (HydraException, OmegaConfBaseException) as error:
        parsed = _parse(overrides)
        chosen = {override.key_or_group: override.value() for override in parsed}
        for override in parsed:
            for problem in _problems(override, chosen):
                raise problem from error
        raise MinibertError(_first_line(error)) from error


def _problems(override: Override, chosen: dict[str, Any]) -> Iterator[MinibertError]:
    """What is wrong with one override: an unknown group option, an unknown key, a value of another type.

    ``chosen`` are the values of all overrides: a group's fields depend on the option chosen in it.
    """
    key, value = override.key_or_group, override.value()
    options = groups().get(key)
    if options is not None:
        if isinstance(value, str) and value not in options:
            yield unknown_name(key, value, options)
        group, _, part = key.rpartition("/")
        holders = [option for option, schema in VARIANTS.get(group, {}).items() if hasattr(schema(), part)]
        if group and chosen.get(group) not in holders:
            yield MinibertError(f"{override.input_line}: goes with {group}={' or '.join(holders)} only.")
        return
    if key.startswith("hydra"):
        return
    node: Any = Config()
    *parents, last = key.split(".")
    for depth, part in enumerate([*parents, last]):
        names = [item.name for item in fields(node)] if is_dataclass(node) else []
        if part not in names:
            prefix = ".".join(key.split(".")[:depth])
            allowed = [f"{prefix}.{name}" if prefix else name for name in names] or [prefix]
            if not depth:
                allowed += [group for group in groups() if group not in allowed]
            yield MinibertError(
                f"{override.input_line}: unknown key '{key}'{nearest(key, allowed)}. Allowed: {', '.join(allowed)}."
            )
            return
        owner, node = node, getattr(node, part)
        # The group ``position`` fills ``model.position``; all others bear the name of what they fill.
        place = part if part in VARIANTS else "/".join(key.split(".")[: depth + 1])
        schemas = VARIANTS.get(part if part in VARIANTS else key.split(".")[0], {})
        if chosen.get(place) in schemas:
            node = schemas[chosen[place]]()
    try:
        OmegaConf.update(OmegaConf.structured(type(owner)), last, value)
    except OmegaConfBaseException:
        field = next(item for item in fields(owner) if item.name == last)
        yield MinibertError(
            f"{key}={value}: wrong type. Allowed: {_describe(field)}; the default is {getattr(owner, last)}."
        )


def _describe(field) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    bounds = [f"{name.replace('_', ' ')} {bound}" for name, bound in field.metadata.items() if name != "choices"]
    choices = field.metadata.get("choices")
    kind = "one of " + ", ".join(choices) if choices else words.get(field.type, str(field.type))
    return " ".join([kind, " and ".join(bounds)]).strip()


def _first_choice(override: Override) -> str:
    return f"{override.input_line.split('=', 1)[0]}={_values(override)[0]}"


def _values(override: Override) -> list[str]:
    return list(override.sweep_string_iterator())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
