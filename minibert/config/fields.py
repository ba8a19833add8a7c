"""What a field of the schema allows, stated beside it as metadata, and how a schema joins its group."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import field, fields
from typing import Any, TypeVar

Schema = TypeVar("Schema", bound=type)


def number(
    default, *, at_least=None, above=None, at_most=None, below=None, only_with: Mapping | None = None
) -> Any:
    """A numeric field with its bounds.

    ``only_with``: neighbouring fields -> the values under which this field is read; one of them is enough.
    ``True`` stands for every value except zero, false and null.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below, "only_with": only_with}
    return field(default=default, metadata={key: value for key, value in bounds.items() if value is not None})


def choice(default: str, *allowed: str) -> Any:
    """A field that takes one of the names allowed; where none is given, only its default."""
    return field(default=default, metadata={"choices": allowed or (default,)})


def told(default, takes: str) -> Any:
    """A field whose help says in these words what it takes; nothing where it is no user's to set."""
    metadata = {"takes": takes}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def option(default: str, options: Mapping[str, type]) -> Any:
    """A field that takes the name of one of the options of a group, those that join it later included."""
    return field(default=default, metadata={"choices": options})


def setting(default, *, only_with: Mapping) -> Any:
    """Another field that is read only with some values of its neighbours (see :func:`number`)."""
    return field(default=default, metadata={"only_with": only_with})


def joins(options: MutableMapping[str, Any], *names: str) -> Callable[[Schema], Schema]:
    """Enter a schema into the options of its group, under these names or under the default of its ``name``."""

    def enter(schema: Schema) -> Schema:
        own = next(item.default for item in fields(schema) if item.name == "name")
        options.update(dict.fromkeys(names or (str(own),), schema))
        return schema

    return enter
