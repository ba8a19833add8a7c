"""What a result depends on besides its configuration: the kernel, the code, the packages and the machine.

The bits of a product depend on the kernel that multiplies, which OpenBLAS chooses by the processor. Those of an
exponential depend on the vector instructions that NumPy's own loops use, which NumPy chooses by the processor.
"""

import getpass
import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

import numpy as np
from threadpoolctl import threadpool_info

PACKAGES = ("minibert", "numpy", "scipy", "hydra-core", "omegaconf", "mlflow", "tokenizers", "safetensors")
PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parent
ROOMS = ("config", "data", "model", "training", "evaluation", "diagnostics", "randomness", "running/assembly")
"""Folders and files of the package on whose code the numbers of a run depend"""
OUTSIDE = {
    "running": "composes settings, which are on record, and begins and ends runs",
    "command_line": "reads settings, which are on record",
    "tracking": "keeps what was computed",
    "serving": "stores the trained network",
    "files": "writes what was computed",
    "errors": "words of messages",
    "locks": "waits for other processes",
    "interruption": "ends a run between two steps, to go on to the same bits",
    "collection": "frees memory",
}
"""The other parts of the package that a training run executes -> what they do, which decides no number"""

KERNEL, LANES = "kernel.", "kernel.lanes"
NAME, LIBRARY, VECTORS = "kernel.name", "kernel.library", "kernel.vectors"
BEFORE = "before_continuation."
"""Before the name of a tag: its value before the run was continued under another"""
UNRECORDED = "unknown"
COMPARED = (KERNEL, "version.", "code.", "git.", "corpus.", "tokenizer.")
"""Tags on which the bits of a result may depend"""
CAUSES = {
    "kernel": (NAME, LIBRARY, VECTORS),
    "versions": ("version.",),
    "lanes": (LANES,),
    "code": ("code.", "git.commit"),
    "data": ("corpus.hash", "tokenizer.hash"),
}
"""What can explain other bits -> the beginnings of its tags"""


def environment() -> dict[str, str]:
    """Kernel, code, git commit, package versions, processors and platform of this process, as tags.

    A value that cannot be found (no git, or an installed wheel instead of a checkout) is ``unknown``.
    """
    tags = _git() | {"mlflow.source.name": "minibert", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    tags |= kernel() | code()
    tags["version.python"] = platform.python_version()
    for package in PACKAGES:
        try:
            tags[f"version.{package}"] = version(package)
        except PackageNotFoundError:
            tags[f"version.{package}"] = "unknown"
    tags["machine.cpus"] = str(os.cpu_count())
    tags["machine.platform"] = platform.platform()
    return tags


def kernel() -> dict[str, str]:
    """What multiplies and what computes element by element: on these the bits depend, versions apart.

    ``kernel.name`` is the architecture whose kernels NumPy's BLAS uses, such as Haswell or SkylakeX,
    ``kernel.library`` that BLAS and its version, ``kernel.vectors`` the vector instructions that NumPy's own loops
    use beyond its baseline.
    """
    libraries = [each for each in threadpool_info() if each["user_api"] == "blas"]
    own = [each for each in libraries if "numpy" in Path(each["filepath"]).parent.name] or libraries[:1]
    found = own[0] if own else {}
    library = f"{found.get('internal_api', 'unknown')} {found.get('version') or ''}".strip()
    vectors = np.show_config(mode="dicts") or {}
    used = vectors.get("SIMD Extensions", {}).get("found") or ["baseline"]
    return {NAME: found.get("architecture", "unknown"), LIBRARY: library, VECTORS: " ".join(used)}


@cache
def code() -> dict[str, str]:
    """``code.<room>``: the :func:`digest` of the file or the files of each of :data:`ROOMS`."""
    return {f"code.{room}": digest(sources(room)) for room in ROOMS}


def sources(room: str) -> dict[str, bytes]:
    """Path within the package -> content, of the file or the files of a room."""
    paths = list((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    return {path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in paths}


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 of paths and contents, its first 12 digits."""
    found = hashlib.sha256()
    for path in sorted(files, key=PurePosixPath):
        found.update(f"{path} {len(files[path])}\n".encode() + files[path])
    return found.hexdigest()[:12]


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Tag -> (value before, value now), of the tags on which bits depend and that differ.

    A kernel that an earlier version of minibert did not record differs: nobody knows which it was. Other tags that
    one of the two lacks are passed over, and the git state where the code is known to be the same without it.
    """
    found, rooms = {}, [key for key in now if key.startswith("code.") and key in before]
    same_code = bool(rooms) and all(before[room] == now[room] for room in rooms)
    for key, value in now.items():
        old = before.get(key, UNRECORDED if key in CAUSES["kernel"] else value)
        if same_code and key.startswith("git."):
            continue
        if key.startswith(COMPARED) and old != value:
            found[key] = (old, value)
    return found


def before_continuation(recorded: Mapping[str, str], changes: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Tags that keep the values from before the changes, after those of earlier continuations."""
    former = {BEFORE + key: old for key, (old, _) in changes.items()}
    return {tag: f"{recorded[tag]}, then {old}" if tag in recorded else old for tag, old in former.items()}


def continuations(recorded: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The changes that a run was continued under, from its tags: tag -> (value before, last value)."""
    keys = [key.removeprefix(BEFORE) for key in recorded if key.startswith(BEFORE)]
    return {key: (recorded[BEFORE + key], recorded.get(key, "unknown")) for key in sorted(keys)}


def explained(changes: Mapping[str, tuple[str, str]], when: tuple[str, str] = ("before", "now")) -> list[str]:
    """The changes as phrases, by cause: ``kernel: Haswell before, SkylakeX now``."""
    found = []
    for cause, beginnings in CAUSES.items():
        for key, (before, now) in changes.items():
            if key.startswith(beginnings):
                room, _, part = key.partition(".")
                shown = "" if key in (NAME, LANES) else f" ({room if cause == 'data' else part})"
                found.append(f"{cause}{shown}: {before} {when[0]}, {now} {when[1]}")
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container may run under a number that has no name
        return "unknown"


def _git() -> dict[str, str]:
    unknown = {"git.commit": "unknown", "git.branch": "unknown", "git.dirty": "unknown"}
    try:
        root, commit, branch = _ask_git(
            "rev-parse", "--show-toplevel", "HEAD", "--abbrev-ref", "HEAD"
        ).splitlines()
        # A wheel may lie inside somebody else's repository, whose commit says nothing about this code.
        if Path(root).resolve() != CHECKOUT:
            return unknown
        dirty = bool(_ask_git("status", "--porcelain").strip())
    except (OSError, ValueError, subprocess.SubprocessError):
        return unknown
    tags = {"git.commit": commit, "git.branch": branch, "git.dirty": str(dirty).lower()}
    # MLflow's own pages look for them under these names.
    return tags | {"mlflow.source.git.commit": commit, "mlflow.source.git.branch": branch}


def _ask_git(*arguments: str) -> str:
    # Without a lock of its index: a kill would leave it in the checkout, and git would refuse to commit there.
    command = ["git", "--no-optional-locks", "-C", str(CHECKOUT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
