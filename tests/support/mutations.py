"""Mistakes put into the source of a function, to see that a test turns red."""

import inspect
import sys
import textwrap
from collections.abc import Callable
from importlib import import_module


def inject(monkeypatch, target: str, replacements: dict[str, str], room: str = "model") -> None:
    """Put the changed function in the place of the original: in its class, or in every module that holds it.

    ``target`` is module:function or module:Class.method, inside this room of minibert.
    """
    module_name, _, path = target.partition(":")
    module = import_module(f"minibert.{room}.{module_name}")
    *classes, name = path.split(".")
    owner = getattr(module, classes[0]) if classes else module
    source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    for old, new in replacements.items():
        assert source.count(old) == 1, f"{target} holds {source.count(old)} times, not once: {old}"
        source = source.replace(old, new)
    changed: dict = {}
    exec(compile(source, f"<mutation of {target}>", "exec"), vars(module), changed)
    if classes:
        monkeypatch.setattr(owner, name, changed[name])
        return
    original = getattr(owner, name)
    for holder in [held for key, held in sys.modules.items() if key.startswith(("minibert.", "test_"))]:
        for attribute, value in list(vars(holder).items()):
            if value is original:
                monkeypatch.setattr(holder, attribute, changed[name])
            elif isinstance(value, dict) and not attribute.startswith("__"):
                for key in [key for key, item in value.items() if item is original]:
                    monkeypatch.setitem(value, key, changed[name])


def failure(check: Callable, **arguments) -> str | None:
    """What the check says against the code as it is now; None where it has nothing to say."""
    try:
        check(**arguments)
    except AssertionError as error:
        return repr(error)
    return None
