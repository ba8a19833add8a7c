"""The words of a door: ``key=value``, read and explained from the fields of a dataclass.

The door ``minibert run`` takes settings instead, which :mod:`minibert.command_line.words` reads by their types.
Both read a text, its quotes and a list of names by the same functions.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from textwrap import wrap
from typing import Any, TypeVar

from minibert.command_line.words import no_value, plain
from minibert.config import register, shipped_options, stated_values
from minibert.config.run import NO_ADDRESS
from minibert.errors import MinibertError, unknown_name

Schema = TypeVar("Schema")
Reader = Callable[[str, str, str], Any]
"""(the word as typed, its key, its value) -> what it means"""
WIDTH = 100


@dataclass(frozen=True)
class Argument:
    """A key that a door takes."""

    meaning: str
    shown: str
    read: Reader
    default: Any
    """``MISSING`` if it has to be given"""


def as_text(given: str, key: str, value: str) -> str:
    """The value as it stands, without quotes around it."""
    return plain(value)


def as_switch(given: str, key: str, value: str) -> bool:
    """A truth value."""
    if value.lower() not in ("true", "false"):
        raise MinibertError(f"{given}: not a truth value. Allowed: {key}=true, {key}=false.")
    return value.lower() == "true"


def argument(meaning: str, shown: str, default: Any = MISSING, read: Reader = as_text) -> Any:
    """A field of a door's dataclass. ``shown`` stands for its value in the help.

    Without a default, it has to be given. If the default is None, ``null`` is None.
    """
    about = {"argument": Argument(meaning, shown, read, default)}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class StoreWords:
    """Where runs are recorded, in the words that ``minibert run`` has for it."""

    folder: str | None = argument("folder of the store; mlruns of this checkout if not given", "FOLDER", None)
    uri: str | None = argument("address of the MLflow store, if it is not in that folder", "URI", None)
    experiment: str | None = argument("MLflow experiment in the store", "NAME", "minibert")

    def __post_init__(self) -> None:
        if self.uri is not None and not self.uri.strip():
            raise MinibertError(NO_ADDRESS)

    @classmethod
    def stated(cls, given: str, option: str) -> dict[str, str]:
        """What an option of the group states, as ``tracking=server`` does for ``minibert run``.

        Raises :class:`MinibertError` for an unknown option.
        """
        options = shipped_options("tracking")
        if option not in options:
            raise unknown_name(given, option, options)
        register()
        found = stated_values(options[option])
        return {each.name: found[each.name] for each in fields(cls) if each.name in found}


def names_store(word: str) -> bool:
    """Whether a word of a command says where runs are recorded.

    >>> [names_store(word) for word in ("tracking=server", "+tracking.folder=/a", "tracking.report=false")]
    [True, True, False]
    """
    key = word.lstrip("+").partition("=")[0]
    return key == "tracking" or key in {f"tracking.{each.name}" for each in fields(StoreWords)}


def read_arguments(
    schema: type[Schema], words: Sequence[str], older: Mapping[str, str] | None = None, bare: str | None = None
) -> Schema:
    """The words of a command line as an instance of a door's dataclass.

    ``older`` are other names that are still read: name -> key. A name that begins with ``--`` may have its value
    in the next word. A word without an equals sign is the value of the key ``bare``, if there is one.

    Raises :class:`MinibertError` for an unknown key, a key without a value, a required key that is missing, and
    bytes that are no text.
    """
    require_text(words)
    known, older, rest = arguments_of(schema), older or {}, iter(words)
    defaults = {each.name: each.default for each in fields(schema)}  # pyright: ignore[reportArgumentType]
    groups = {name: default for name, default in defaults.items() if isinstance(default, StoreWords)}
    given: dict[str, Any] = {}
    for text in rest:
        key, sign, value = text.partition("=")
        if not sign and key.startswith("--") and key in older:
            sign, value = "=", next(rest, "")
        elif not sign and bare and not key.startswith("-"):
            key, sign, value = bare, "=", text
        key = older.get(key, key)
        if key in groups and value:
            given[key] = groups[key].stated(text, value)
            continue
        if key not in known:
            raise unknown_name(text, key, known)
        if not sign or not value:
            raise no_value(text, key)
        taken = known[key]
        given[key] = None if value == "null" and taken.default is None else taken.read(text, key, value)
    missing = [
        f"{key}={each.shown}" for key, each in known.items() if key not in given and each.default is MISSING
    ]
    if missing:
        lacking = " and ".join(word.partition("=")[0] for word in missing)
        raise MinibertError(f"{lacking} must be given: {' '.join(missing)}. --help says more.")
    return _filled(schema, given)


def require_text(words: Sequence[str]) -> None:
    """Raises :class:`MinibertError` for a word with bytes that are no UTF-8: nothing could be recorded of it."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise MinibertError(f"{word!a}: holds bytes that are no UTF-8. Allowed: text in UTF-8.") from error


def arguments_of(schema: type) -> dict[str, Argument]:
    """Key -> argument. A dataclass within a dataclass has its name before its keys: ``tracking.folder``."""
    found: dict[str, Argument] = {}
    for each in fields(schema):
        if is_dataclass(each.default):
            for name, inner in arguments_of(type(each.default)).items():
                found[f"{each.name}.{name}"] = replace(inner, default=getattr(each.default, name))
        else:
            found[each.name] = each.metadata["argument"]
    return found


def door_help(called: str, summary: str, schema: type, examples: Mapping[str, str], note: str) -> str:
    """The text of ``--help``. ``called``: how the door is called. ``examples``: words after it -> what they do."""
    known = {f"{key}={_value(each)}": each for key, each in arguments_of(schema).items()}
    required = [shown for shown, each in known.items() if each.default is MISSING]
    width = max(map(len, known)) + 2
    lines = [summary, "", " ".join([f"  {called}", *required, "[KEY=VALUE ...]"]), ""]
    for shown, each in known.items():
        first, *others = wrap(each.meaning, WIDTH - width)
        lines += [f"  {shown:<{width}}{first}", *(" " * (width + 2) + other for other in others)]
    lines += ["", "A value in capital letters is to be given; any other is the default.", "", "For example:"]
    for words, what in examples.items():
        lines += [f"  {called} {words}", f"      {what}"]
    return "\n".join([*lines, "", note])


def command(door: str) -> str:
    """How a door is called, in the words by which this program was called."""
    called = os.path.basename(sys.argv[0])
    return f"minibert {door}" if called == "minibert" else f"python -m minibert.{door}"


def _value(each: Argument) -> str:
    """What the help shows behind a key: the default, or what is to be given."""
    if isinstance(each.default, list) and each.default:
        return f"[{','.join(each.default)}]"
    return each.default if isinstance(each.default, str) else each.shown


def _filled(schema: type[Schema], given: Mapping[str, Any]) -> Schema:
    values = {}
    for each in fields(schema):  # pyright: ignore[reportArgumentType]
        start = f"{each.name}."
        if is_dataclass(each.default) and not isinstance(each.default, type):
            own = {key.removeprefix(start): value for key, value in given.items() if key.startswith(start)}
            values[each.name] = replace(each.default, **(given.get(each.name, {}) | own))
        elif each.name in given:
            values[each.name] = given[each.name]
    return schema(**values)
