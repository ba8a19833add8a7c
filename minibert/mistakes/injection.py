"""Text replaced in the source of one function, and the changed function in the place of the original.

Where the network is rewritten and a text is no longer found, what replaces it has to be rewritten with it.
"""

import difflib
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def changed_source(where: str, changes: Mapping[str, str]) -> tuple[str, str]:
    """The source of a function, and the same with every text replaced: both as they would stand at the margin.

    ``where`` is module:function or module:Class.method, inside minibert.

    Raises LookupError for a text that is not there exactly once.
    """
    owner, name, _ = _find(where)
    right = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    wrong = right
    for old, new in changes.items():
        if wrong.count(old) != 1:
            raise LookupError(f"{where} holds {wrong.count(old)} times, not once: {old}")
        wrong = wrong.replace(old, new)
    return right, wrong


def difference(where: str, changes: Mapping[str, str]) -> str:
    """The changed lines: those of the right code after ``-``, those of the wrong code after ``+``, one around."""
    right, wrong = (text.splitlines() for text in changed_source(where, changes))
    shown = list(difflib.unified_diff(right, wrong, n=1, lineterm=""))[2:]
    return "\n".join("…" if line.startswith("@@") else line.rstrip() for line in shown).removeprefix("…\n")


@contextmanager
def injected(where: str, changes: Mapping[str, str], holders: tuple[str, ...] = ("minibert.",)) -> Iterator[None]:
    """Within this context, the changed function stands in its class, or wherever a module holds the original.

    ``holders``: how the names of those modules begin. A module's dictionaries are looked through, too.
    """
    owner, name, module = _find(where)
    _, wrong = changed_source(where, changes)
    if inspect.isclass(owner):  # outside of a class, super() does not know which one is meant
        wrong = wrong.replace("super()", f"super({owner.__name__}, self)")
    made: dict[str, Any] = {}
    exec(compile(wrong, f"<mistake in {where}>", "exec"), vars(module), made)
    original, changed = vars(owner)[name], made[name]
    places = [(owner, name)] if inspect.isclass(owner) else list(_places(original, holders))
    for holder, key in places:
        _put(holder, key, changed)
    try:
        yield
    finally:
        for holder, key in places:
            _put(holder, key, original)


def _find(where: str) -> tuple[Any, str, Any]:
    """The class or module that holds the function, its name there, and the module."""
    module_name, _, path = where.partition(":")
    module = import_module(f"minibert.{module_name}")
    *classes, name = path.split(".")
    return getattr(module, classes[0]) if classes else module, name, module


def _places(original: Any, holders: tuple[str, ...]) -> Iterator[tuple[Any, str]]:
    for module in [held for name, held in sys.modules.items() if name.startswith(holders)]:
        for attribute, value in list(vars(module).items()):
            if value is original:
                yield module, attribute
            elif isinstance(value, dict) and not attribute.startswith("__"):
                yield from ((value, key) for key, item in list(value.items()) if item is original)


def _put(holder: Any, key: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[key] = value
    else:
        setattr(holder, key, value)
