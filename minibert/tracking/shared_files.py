"""Files that many runs have alike, such as the code of their models, stored once.

They are hard links to one read-only copy, named by its hash. Each stays as long as one run has it, so a run that
is deleted takes nothing from the others. Where the file system has no hard links, they are copied.
"""

import hashlib
import os
import shutil
from pathlib import Path

from minibert.files import replacing

READ_ONLY = 0o444


def copy_folder(source: Path, target: Path, pool: Path, shared: str) -> None:
    """Copy a folder to ``target``, which is replaced. Files under its part ``shared`` are links into ``pool``."""
    shutil.rmtree(target, ignore_errors=True)  # a file that is a link must not be written in place
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_relative_to(source / shared):
            link(_pooled(path, pool), place)
        else:
            shutil.copy(path, place)


def link_folder(source: Path, target: Path) -> None:
    """Give the files of a folder a second place; ``target`` is replaced."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=link)


def link(source: Path | str, target: Path | str) -> None:
    """A hard link to a file, or a copy where there can be none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _pooled(path: Path, pool: Path) -> Path:
    content = path.read_bytes()
    kept = pool / hashlib.sha256(content).hexdigest()
    if not kept.exists() or kept.read_bytes() != content:  # a damaged one is replaced, and no link to it changed
        pool.mkdir(parents=True, exist_ok=True)
        with replacing(kept, durable=False) as temporary:
            temporary.write_bytes(content)
            temporary.chmod(READ_ONLY)
    return kept
