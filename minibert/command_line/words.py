"""The words of a command line: ``key=value``, read by the type of what they set.

A text is the right-hand side as it stands: ``data.split=train[:1%]``, ``data.revision=7e91234``. So is each name
in a list of text. Everything else follows Hydra's grammar. The values of a sweep are separated by commas, or
written as ``choice(...)``, ``range(...)`` or ``glob(...)``. In a single run, a comma is a part of a text. In a
sweep, it separates the values of ``data.*``, and a text with a comma is put in quotes.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from random import shuffle
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minibert.command_line.settings import Setting, groups, settings, unknown_key
from minibert.config.launcher import MOST_PROCESSES
from minibert.config.shipped import COMBINED, OVERLAYS, SEARCHES
from minibert.errors import MinibertError, nearest, unknown_name

MOST_VALUES = 10_000
"""Most values of one word"""
PROCESSES = "hydra.launcher.processes"
HYDRA_KEYS = ("hydra/launcher", PROCESSES, "hydra.sweeper.params")
"""Keys of Hydra itself that may be set; besides ``processes``, all settings of the launcher"""

_GRAMMAR = re.compile(r"(?P<prefix>~|\+\+|\+)?(?P<key>[^=@~+]+)(?P<package>@[^=]*)?(?:=(?P<value>.*))?", re.DOTALL)
_FUNCTION = re.compile(r"(choice|glob|range|interval|sort|shuffle|tag)\(.*\)", re.DOTALL)
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """One setting or group, with its value or the values of a sweep, as Hydra's grammar takes them."""

    given: str
    """As it was typed"""
    key: str
    values: tuple[str, ...]
    swept: bool
    """Whether it was written as several values, such as ``range(0,1)``, even if it has one"""

    @property
    def is_group(self) -> bool:
        return self.key in groups()

    @property
    def is_hydra(self) -> bool:
        return self.key.startswith("hydra")

    def at(self, value: str) -> str:
        """The word with one of its values, for Hydra."""
        return f"{'+' if self.key in OVERLAYS else ''}{self.key}={value}"

    def __str__(self) -> str:
        return self.at(",".join(self.values))


def read(text: str, sweeping: bool) -> Word:
    """The word that a user typed. ``sweeping``: whether several values of a text may be given.

    Hydra adds a key with a leading plus. It is removed here, because no keys can be added. Raises
    :class:`MinibertError` for an unknown key, and for a value that the type of the setting does not take.
    """
    match = _GRAMMAR.fullmatch(text)
    if not match or (match["value"] is None and match["prefix"] != "~"):
        raise MinibertError(f"{text}: not a setting. Allowed: key=value, such as masking.rate=0.4.")
    key = match["key"].strip()
    if match["prefix"] == "~":
        known = f"Choose another option instead: {key}=..." if key in groups() else "Give it another value instead"
        raise MinibertError(f"{text}: nothing can be taken out of a configuration. {known}.")
    if match["package"] is not None:
        raise MinibertError(f"{text}: a group cannot be put elsewhere. Allowed: {key}={match['value'] or '...'}.")
    value = match["value"].strip()
    if not value:
        raise no_value(text, key)
    if key.startswith("hydra"):
        return _hydra_word(text, key, value)
    if key in groups():
        return _named(text, key, value, groups()[key])
    if key not in settings():
        raise _not_a_setting(text, key)
    setting = settings()[key]
    if setting.choices:
        return _named(text, key, value, None)
    if setting.is_text:
        several = sweeping and key.startswith("data.")
        return _listed(text, key, value, several, lambda one: _text(one, setting))
    if setting.is_list_of_text:
        return _listed(text, key, value, True, lambda one: _list_of_text(text, key, one))
    if setting.kind is Any:
        return Word(text, key, (_number_or_text(value),), False)
    return _typed(text, setting, value)


@cache
def launchers() -> tuple[str, ...]:
    """The launchers that can start the runs of a sweep: Hydra's own, and those of installed plugins."""
    Plugins.instance()  # plugins register their launchers when they are loaded
    return tuple(name.removesuffix(".yaml") for name in sorted(ConfigStore.instance().list("hydra/launcher")))


def quoted(text: str) -> str:
    """The text as Hydra's grammar takes it. ``${`` is escaped if it does not begin an interpolation."""
    try:
        OmegaConf.create({"x": text})
    except OmegaConfBaseException:
        text = text.replace("${", "\\${")
    return QuotedString(text, Quote.single).with_quotes()


def plain(value: str) -> str:
    """A text without the quotes around it, if there are any."""
    if _QUOTED.fullmatch(value):
        with suppress(HydraException):
            return str(_parse(f"x={value}").value())
        return value[1:-1]
    return value


def read_value(value: str) -> Any:
    """One of a word's values, as Python has it."""
    return _parse(f"x={value}").value()


def no_value(text: str, key: str) -> MinibertError:
    """The error for a word whose value is missing."""
    return MinibertError(f"{text}: has no value. Write {key}=..., with a value after the sign.")


def split(text: str) -> list[str]:
    """The parts between commas. Commas within quotes or brackets do not count."""
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        if not text[start:place].strip() and (match := _QUOTED.match(text, place)):
            place = match.end()
            continue
        character = text[place]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth = max(depth - 1, 0)
        elif character == "," and not depth:
            parts.append(text[start:place])
            start = place + 1
        place += 1
    return [part.strip() for part in [*parts, text[start:]]]


def _not_a_setting(text: str, key: str) -> MinibertError:
    inside = [name for name in settings() if name.startswith(key + ".")]
    if inside:
        return MinibertError(f"{text}: {key} is a part of the configuration. Allowed: {', '.join(inside)}.")
    if key.split(".")[0] == SEARCHES:
        return MinibertError(f"{text}: a search has a command of its own: python -m minibert.search {text}.")
    return unknown_key(text, key)


def _hydra_word(text: str, key: str, value: str) -> Word:
    """One of the words of Hydra itself: the launcher of a sweep, and whether an experiment sweeps."""
    if key == "hydra/launcher" and "," not in value and value not in (known := launchers()):
        raise unknown_name(key, value, known)
    if key == "hydra.sweeper.params" and value in ("null", "{}"):
        return Word(text, key, (value,), False)
    if key.startswith("hydra.sweeper.params"):
        wanted = key.removeprefix("hydra.sweeper.params").lstrip(".")
        raise MinibertError(
            f"{text}: a sweep is written with the keys themselves: --multirun {wanted or 'KEY'}="
            f"{value if wanted else 'a,b'}. "
            "Allowed: hydra.sweeper.params=null, for an experiment without its sweep."
        )
    if key == "hydra/launcher" or re.fullmatch(r"hydra\.launcher\.[a-z]\w*", key):
        found = _hydra_grammar(text, key, value, "one value")
        if found.is_sweep_override():
            raise MinibertError(f"{text}: one launcher starts all runs of a sweep. Allowed: one value.")
        if key == PROCESSES and value != "null" and value not in map(str, range(1, MOST_PROCESSES + 1)):
            raise MinibertError(
                f"{text}: not a number of processes. Allowed: 1 to {MOST_PROCESSES}, or null: as many as this "
                "machine has cores and memory for."
            )
        return Word(text, key, (value,), False)
    raise MinibertError(
        f"{text}: unknown key '{key}'{nearest(key, HYDRA_KEYS)}. Allowed keys of Hydra: {', '.join(HYDRA_KEYS)}."
    )


def _named(text: str, key: str, value: str, options: list[str] | None) -> Word:
    """A word whose values are names: options of a group, which are checked here, or choices of a field."""
    known = list(settings()[key].choices or ()) if options is None else options
    if _FUNCTION.fullmatch(value):
        parsed = _hydra_grammar(text, key, value, "one of " + ", ".join(known))._value
        if isinstance(parsed, Glob):
            values = parsed.filter(known)
        else:
            values = [plain(one) for one in _enumerate(text, key, parsed)]
        if not values:
            raise MinibertError(f"{text}: matches no name. Allowed: {', '.join(known)}.")
        swept = True
    else:
        values = [plain(part) for part in split(value)]
        swept = len(values) > 1
    if options is None:
        return Word(text, key, tuple(map(quoted, values)), swept)
    for one in values:
        for name in names(text, key, one) if key in COMBINED and one.startswith("[") else [one]:
            if name not in options:
                raise unknown_name(key, name, options)
    return Word(text, key, tuple(values), swept)


def _listed(text: str, key: str, value: str, several: bool, convert: Callable[[str], str]) -> Word:
    """A word of one text or, if ``several`` are allowed, of those between commas or in ``choice(...)``."""
    inside = re.fullmatch(r"choice\((.*)\)", value, re.DOTALL) if several else None
    parts = split(inside[1] if inside else value) if several else [value]
    if len(parts) > 1 and not all(parts):
        raise MinibertError(
            f"{text}: a value between two commas is missing. A text with a comma is quoted: {key}=\"'a,b'\"."
        )
    return Word(text, key, tuple(convert(part) for part in parts), len(parts) > 1 or inside is not None)


def _text(value: str, setting: Setting) -> str:
    return "null" if value == "null" and setting.optional else quoted(plain(value))


def names(text: str, key: str, value: str) -> list[str]:
    """The names in ``[a,b]``, each as it stands. Raises :class:`MinibertError` if there are no brackets."""
    if not (value.startswith("[") and value.endswith("]")):
        reason = "a bracket is missing" if value.startswith("[") or value.endswith("]") else "not a list"
        inside = value.removeprefix("[").removesuffix("]")
        raise MinibertError(f"{text}: {reason}. Allowed: names in brackets, {key}=[{inside}].")
    found = split(value[1:-1])
    if len(found) > 1 and not all(found):
        raise MinibertError(f"{text}: a name between two commas is missing. Allowed: {key}=[a,b].")
    return [plain(name) for name in found if name]


def _list_of_text(text: str, key: str, value: str) -> str:
    return value if value == "null" else "[" + ",".join(map(quoted, names(text, key, value))) + "]"


def _number_or_text(value: str) -> str:
    try:
        parsed = _parse(f"x={value}")
    except HydraException:
        return quoted(value)
    number = parsed.value()
    finite = isinstance(number, int) or (isinstance(number, float) and abs(number) < float("inf"))
    return value if number is None or finite else quoted(plain(value))


def _typed(text: str, setting: Setting, value: str) -> Word:
    """A number, a truth value or a list of numbers, by Hydra's grammar."""
    parsed = _hydra_grammar(text, setting.key, value, setting.describe())
    if not parsed.is_sweep_override():
        return Word(text, setting.key, (value,), False)
    return Word(text, setting.key, tuple(_enumerate(text, setting.key, parsed._value)), True)


def _enumerate(text: str, key: str, parsed: Any) -> list[str]:
    """The values of a sweep in their order. Raises :class:`MinibertError` if they cannot be counted."""
    advice = f"Allowed: {key}=a,b,c or a range that is not empty, such as range(0,3)."
    if isinstance(parsed, IntervalSweep):
        raise MinibertError(f"{text}: an interval cannot be counted through. {advice}")
    if isinstance(parsed, Glob):
        raise MinibertError(f"{text}: glob(...) goes over names. {advice}")
    values: Iterable[Any] = ()
    try:
        if isinstance(parsed, RangeSweep):
            values = list(islice(parsed.range(), MOST_VALUES + 1))
        elif isinstance(parsed, ChoiceSweep):
            values = parsed.list
    except (HydraException, ValueError, ArithmeticError) as error:
        raise MinibertError(f"{text}: has no values ({error}). {advice}") from error
    found = [Override._get_value_element_as_str(value) for value in values]
    if getattr(parsed, "shuffle", False):
        shuffle(found)
    if not found:
        raise MinibertError(f"{text}: holds no value. {advice}")
    if len(found) > MOST_VALUES:
        raise MinibertError(f"{text}: more than {MOST_VALUES} values. Allowed: at most {MOST_VALUES}.")
    return found


def _hydra_grammar(text: str, key: str, value: str, allowed: str) -> Override:
    try:
        return _parse(f"x={value}")
    except HydraException as error:
        raise MinibertError(f"{text}: cannot be read as a value. Allowed for {key}: {allowed}.") from error


def _parse(text: str) -> Override:
    return OverridesParser.create().parse_override(text)
