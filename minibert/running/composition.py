"""What Hydra composes, once for each choice of options.

Hydra reads the files of all groups for each composition, and a sweep is many configurations of the same options.
What is composed of options alone is kept; a setting is then laid over it by the same call of OmegaConf that Hydra
makes.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from functools import cache, lru_cache
from typing import Any, NamedTuple

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minibert.command_line.settings import groups
from minibert.command_line.words import Word, read_value
from minibert.config import CONF, OVERLAYS

MOST_KEPT = 64
"""Compositions of options"""


class Composed(NamedTuple):
    """A configuration without Hydra's own settings. It is not to be changed."""

    config: DictConfig
    choices: dict[str, str]
    """Group -> the option chosen in it; without those of Hydra itself"""


def compose_all(overrides: Iterable[str]) -> DictConfig:
    """What Hydra composes, its own settings included. Also within a run that Hydra has started in this process."""
    running, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            return hydra_compose(config_name="config", overrides=list(overrides), return_hydra_config=True)
    finally:
        GlobalHydra.instance().hydra = running


def compose_options(words: Iterable[str]) -> Composed:
    """What Hydra composes of options, such as ``model=debug``, and of words for Hydra itself."""
    words = list(words)
    if not any(word.lstrip("+").partition("=")[0] in OVERLAYS for word in words):  # these choose other defaults
        defaults = default_options()
        words = [word for word in words if not _states(word, defaults)]
    return _compose_options(tuple(sorted(words)))


@cache
def default_options() -> dict[str, str]:
    """Group -> the option that conf/config.yaml chooses."""
    entries: Any = OmegaConf.load(CONF / "config.yaml").defaults
    known = groups()
    stated = [entry.items() for entry in entries if not isinstance(entry, str)]
    return {str(group): str(option) for items in stated for group, option in items if group in known}


class Layers:
    """Configurations of the same options, one after another: :func:`compose_options`, with values laid over it.

    Every configuration has to set the same keys, because the values of the one before stay where they are.
    """

    def __init__(self, options: Iterable[str]):
        composed = compose_options(options)
        self.choices = composed.choices
        self._config = deepcopy(composed.config)
        self._set: dict[str, str] = {}

    def with_values(self, values: Iterable[tuple[Word, str]]) -> DictConfig:
        """The configuration with these values, until the next one is asked for.

        Raises what OmegaConf and Hydra's parser raise for a value or key that does not fit.
        """
        for word, value in values:
            if self._set.get(word.key) != value:
                OmegaConf.update(self._config, word.key, read_value(value), merge=True)
                self._set[word.key] = value
        return self._config


def compose_quickly(layers: dict[tuple[str, ...], Layers], words: Sequence[tuple[Word, str]]) -> Composed | None:
    """The same as Hydra composes of words with one value each; None where only Hydra can tell.

    ``layers`` keeps what may be used again by the next call, whose words have to have the same keys.
    """
    options = tuple(word.at(value) for word, value in words if word.is_group or word.is_hydra)
    try:
        if options not in layers:
            layers[options] = Layers(options)
        values = ((word, value) for word, value in words if not (word.is_group or word.is_hydra))
        return Composed(layers[options].with_values(values), layers[options].choices)
    except (HydraException, OmegaConfBaseException):
        layers.pop(options, None)  # some of the values may have been set
        return None


@lru_cache(MOST_KEPT)
def _compose_options(words: tuple[str, ...]) -> Composed:
    return without_hydra(compose_all(words))


def without_hydra(composed: DictConfig) -> Composed:
    """The configuration alone, and the options chosen in it."""
    chosen = composed.hydra.runtime.choices.items()
    choices = {group: str(option) for group, option in chosen if not group.startswith("hydra/")}
    OmegaConf.set_struct(composed, False)
    del composed.hydra
    OmegaConf.set_struct(composed, True)
    return Composed(composed, choices)


def _states(word: str, options: Mapping[str, str]) -> bool:
    group, _, option = word.partition("=")
    return options.get(group) == option
