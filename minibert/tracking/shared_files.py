"""Files at several places, stored once, by hard links. Where the file system has none, they are copied.

What many runs have alike, such as the code of their models, is one read-only copy, named by its hash. A file stays
as long as it has one place, so what is deleted takes nothing from the others. No place may be written to: a file
that changes is replaced (:func:`minibert.files.replacing`).
"""

import hashlib
import os
import shutil
from pathlib import Path

from minibert.files import replacing

READ_ONLY = 0o444
COMPILED = shutil.ignore_patterns("__pycache__")
"""What is left out of copied code"""


def copy_code(code: Path, target: Path) -> None:
    """Copy a folder of modules to ``target``, which must not exist."""
    shutil.copytree(code, target, ignore=COMPILED)


def share_code(code: Path, target: Path, pool: Path) -> None:
    """The same, with links into ``pool`` for files."""
    shutil.copytree(
        code, target, ignore=COMPILED, copy_function=lambda path, place: link(_pooled(Path(path), pool), place)
    )


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
