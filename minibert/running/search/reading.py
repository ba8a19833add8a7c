"""The words of ``minibert search``: a file that states the search, changes of it, words of ``minibert run``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from minibert.command_line.arguments import require_text
from minibert.command_line.words import Word, no_value, plain, read, read_value
from minibert.config.checks import field_problems
from minibert.config.search import ParameterConfig, SearchConfig
from minibert.config.shipped import SEARCHES, shipped_options
from minibert.errors import MinibertError, nearest, unknown_name
from minibert.files import expanded
from minibert.running.search.space import as_text

CHOICES_OF_MANY = ("parameters", "objectives")
"""Fields of a search that hold a value for each key"""


@dataclass(frozen=True)
class Asked:
    """What a command line asks to search for."""

    search: SearchConfig
    words: tuple[str, ...]
    """Of ``minibert run``, which all trials share"""
    command: tuple[str, ...]
    """The words of the command line"""


def read_search(arguments: Sequence[str]) -> Asked:
    """What a command line asks for: ``+search=NAME`` or ``+search=FILE.yaml``, ``search.KEY=VALUE``, other words.

    A word of ``minibert run`` replaces the setting of that key in the file, and fixes a parameter.

    Raises :class:`MinibertError` for words and files that state no search.
    """
    require_text(arguments)
    chosen, changes, given = _sorted(arguments)
    file = _file(chosen)
    stated = _load(file)
    for text, key, value in changes:
        _change(stated, text, key, value)
    words = [read(text, sweeping=False) for text in given]
    for word in words:
        _refuse_many(word)
        stated.get("parameters", {}).pop(word.key, None)
        stated.get("settings", {}).pop(word.key, None)
    stated["name"] = stated.get("name") or file.stem
    search = _typed(stated, str(file))
    shared = tuple(f"{key}={as_text(value)}" for key, value in search.settings.items())
    _check(search, str(file))
    return Asked(search, (*shared, *given), tuple(arguments))


def _sorted(arguments: Sequence[str]) -> tuple[str, list[tuple[str, str, str]], list[str]]:
    """The search chosen, the changes of it (word, key, value), and the words of ``minibert run``."""
    chosen: list[str] = []
    changes, given = [], []
    for text in arguments:
        key, sign, value = text.partition("=")
        key = key.lstrip("+")
        if text.startswith("-"):
            raise MinibertError(f"{text}: unknown flag. Allowed: --help, and KEY=VALUE.")
        if key == SEARCHES or key.startswith(f"{SEARCHES}."):
            if not sign or not value:
                raise no_value(text, key)
            if key == SEARCHES:
                chosen.append(value)
            else:
                changes.append((text, key.partition(".")[2], value))
        else:
            given.append(text)
    if len(chosen) != 1:
        what = "no search" if not chosen else f"{len(chosen)} searches"
        known = ", ".join(shipped_options(SEARCHES))
        raise MinibertError(f"+search: {what} given. Allowed: +search=NAME, one of {known}, or +search=FILE.yaml.")
    return plain(chosen[0]), changes, given


def _file(chosen: str) -> Path:
    known = shipped_options(SEARCHES)
    if chosen in known:
        return known[chosen]
    if not chosen.endswith((".yaml", ".yml")):
        raise unknown_name("+search", chosen, known)
    file = expanded(chosen, "+search")
    if not file.is_file():
        raise MinibertError(f"+search={chosen}: is no file. Allowed: a file, or one of {', '.join(known)}.")
    return file


def _load(file: Path) -> dict[str, Any]:
    try:
        stated = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except (YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        raise MinibertError(f"{file}: cannot be read as YAML. {' '.join(str(error).split())}") from error
    if not isinstance(stated, dict):
        raise MinibertError(f"{file}: states no search. Allowed: keys such as settings, parameters, objectives.")
    for key in ("settings", *CHOICES_OF_MANY):
        if not isinstance(stated.get(key, {}), dict):
            raise MinibertError(
                f"{file}: {key} is {stated[key]!r}. Allowed: a value for each name, as KEY: VALUE."
            )
    return {str(key): value for key, value in stated.items()}


def _change(stated: dict[str, Any], text: str, key: str, value: str) -> None:
    """Change what the file states by one word: ``search.trials=50``, ``search.parameters.KEY={low:1,high:2}``."""
    read_as: Any = plain(value)
    with suppress(HydraException):
        read_as = read_value(value)
    field, dot, inner = key.partition(".")
    if field == "settings":
        raise MinibertError(f"{text}: settings of the trials are given as they are: {inner or 'KEY'}={value}.")
    if not dot:
        stated[field] = read_as
    elif field not in CHOICES_OF_MANY:
        raise MinibertError(f"{text}: unknown key '{key}'{nearest(key, _names(SearchConfig))}.")
    elif read_as is None:
        stated.setdefault(field, {}).pop(inner, None)
    else:
        stated.setdefault(field, {})[inner] = read_as


def _refuse_many(word: Word) -> None:
    if word.swept:
        raise MinibertError(
            f"{word.given}: all trials have one value of it. Allowed: one, or the parameter "
            f"'search.parameters.{word.key}={{kind:categorical,choices:[{','.join(word.values)}]}}'."
        )


def _typed(stated: Mapping[str, Any], source: str) -> SearchConfig:
    """The search as its dataclass. Raises :class:`MinibertError` for unknown keys and wrong types."""
    rest = {key: value for key, value in stated.items() if key not in ("settings", "parameters")}
    search = cast(SearchConfig, _merged(SearchConfig, rest, "search", source))
    settings = stated.get("settings") or {}
    parameters = stated.get("parameters") or {}
    for name, value in (("settings", settings), ("parameters", parameters)):
        if not isinstance(value, Mapping):
            raise MinibertError(f"{source}: search.{name}={value}: wrong type. Allowed: keys with their values.")
    typed = {}
    for key, each in parameters.items():
        if not isinstance(each, Mapping):
            raise MinibertError(
                f"{source}: search.parameters.{key}={each}: wrong type. Allowed: {{low: 0.1, high: 1}}, or "
                "{kind: categorical, choices: [a, b]}."
            )
        typed[str(key)] = _merged(ParameterConfig, each, f"search.parameters.{key}", source)
    return replace(search, settings={str(key): value for key, value in settings.items()}, parameters=typed)


def _merged(schema: type, values: Mapping, place: str, source: str) -> Any:
    names, kinds = _names(schema), get_type_hints(schema)
    for key in values:
        if key not in names:
            raise MinibertError(
                f"{source}: unknown key '{place}.{key}'{nearest(str(key), names)}. Allowed: {', '.join(names)}."
            )
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), dict(values)))
    except OmegaConfBaseException as error:
        key = str(getattr(error, "full_key", "") or "").partition(".")[0].partition("[")[0]
        given = f"{place}.{key}={values.get(key)}" if key else place
        raise MinibertError(f"{source}: {given}: wrong type. Allowed: {_kind(kinds.get(key))}.") from error


def _kind(kind: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    kinds = [words[each] for each in get_args(kind) or (kind,) if each in words]
    return (
        " or null".join([kinds[0], ""])
        if len(get_args(kind)) > 1 and kinds
        else (kinds or ["a mapping or list"])[0]
    )


def _names(schema: type) -> list[str]:
    assert is_dataclass(schema)
    return [field.name for field in fields(schema)]


def _check(search: SearchConfig, source: str) -> None:
    problems = [*_bounds(search), *search.problems()]
    if problems:
        raise MinibertError("\n".join(f"{source}: {problem}" for problem in problems))


def _bounds(search: SearchConfig) -> Iterator[str]:
    yield from field_problems(search, "search.")
    for key, parameter in search.parameters.items():
        yield from field_problems(parameter, f"search.parameters.{key}.")
