"""Files that are either whole or as they were before, whatever ends the process that writes them."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from minibert.errors import MinibertError, shown

if TYPE_CHECKING:
    import numpy as np

UNFINISHED = ".unfinished"
"""Suffix of a folder that holds a file that is still being written"""

LONGEST_PATH = 4096
"""Characters of a path that a message shows: all that a path can have on most systems"""
LONGEST_PART = 80
"""Bytes of a name from data within the name of a file or a metric: file systems take 255, MLflow's metrics 250"""


def short_name(name: str) -> str:
    """A name of at most :data:`LONGEST_PART` bytes: a longer one ends in a hash, so that two stay apart.

    >>> short_name("pairs"), len(short_name("x" * 300))
    ('pairs', 80)
    """
    content = name.encode(errors="surrogateescape")
    if len(content) <= LONGEST_PART:
        return name
    mark = f"-{hashlib.sha256(content).hexdigest()[:8]}"
    return content[: LONGEST_PART - len(mark)].decode(errors="ignore") + mark


class DuplicateKeyError(ValueError):
    """An object of a JSON text has one key twice."""


def in_row_order(arrays: "Mapping[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """The arrays as safetensors may write them, with their rows one after the other in memory.

    Version 0.8.0 writes the memory of an array as it lies there, so that a transposed one is read back with its
    numbers in other places.
    """
    import numpy as np  # a command that only prints does not need it

    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def read_json(text: str | bytes) -> Any:
    """What a JSON text holds. Python takes the last of several values of one key; here that is an error.

    Raises :class:`DuplicateKeyError`, :class:`ValueError` for what is no JSON, and :class:`RecursionError` for
    what is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise DuplicateKeyError(f"the key {max(names, key=names.count)!a:.40} more than once in an object")
    return found


def given_path(given: Any, name: str, allowed: str) -> Path:
    """A path that a function was given as ``name``, with ``~`` read. Raises :class:`MinibertError` for others."""
    try:
        path = Path(given).expanduser()
    except (TypeError, RuntimeError) as error:  # RuntimeError: a ~user that this machine does not know
        reason = f" ({error})" if isinstance(error, RuntimeError) else ""
        raise _no_path(given, name, reason, allowed) from error
    if "\0" in str(path) or not str(given):
        raise _no_path(given, name, "", allowed)
    return path


def _no_path(given: Any, name: str, reason: str, allowed: str) -> MinibertError:
    return MinibertError(f"{name}: {shown(given, LONGEST_PATH)} was given{reason}. Allowed: {allowed}.")


def expanded(path: str | Path, key: str = "", given: str | None = None) -> Path:
    """A path with ``~`` read as a home folder.

    ``key``: the word that names it; ``given``: its value as it was typed, where the path is only a part of that.

    Raises :class:`MinibertError` for the home of a user that this machine does not know.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        told, home = f"{key}={given or path}" if key else f"{path}", Path(path).parts[0]
        raise MinibertError(
            f"{told}: the home folder {home} is not known on this machine. Give the whole path, from / on."
        ) from error


def nearest_there(path: Path) -> Path:
    """A path, or the nearest one above it that is there."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def may_write(path: Path) -> bool:
    """Whether a file or a folder can be written to; if it is missing, the nearest folder above that is there."""
    return os.access(nearest_there(path), os.W_OK)


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary path near ``path``. At the end of the context, the file written there replaces ``path``.

    >>> with replacing(path) as temporary:  # doctest: +SKIP
    ...     temporary.write_bytes(content)

    The folder is made. If the context ends with an exception, ``path`` stays as it was. ``durable`` flushes the
    file and its folder to disk, so that the file also survives a power failure. Raises :class:`OSError`.

    The temporary path has a folder of its own, since libraries write temporary files beside it: safetensors 0.8.0
    leaves ``.tmpXXXXXX`` where a process is killed. :func:`clear_unfinished` removes such folders.
    """
    folder = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    temporary = folder / path.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            _flush(temporary)
        os.replace(temporary, path)
        if durable:
            _flush(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_unfinished(folder: Path) -> None:
    """Remove what processes of this machine that were killed left of :func:`replacing`, anywhere in a folder."""
    for left in list(folder.rglob(f".*{UNFINISHED}")):
        process = left.name.removesuffix(UNFINISHED).rpartition(".")[2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def _flush(path: Path) -> None:
    """Wait until a file, or the list of the files in a folder, is on disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
