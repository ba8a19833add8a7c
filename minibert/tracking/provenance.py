"""What a result depends on besides its configuration: the code, the packages and the machine."""

import getpass
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("minibert", "numpy", "hydra-core", "omegaconf", "mlflow", "tokenizers", "safetensors")
CHECKOUT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """Git commit, branch and dirtiness of the running code, package versions, processors and platform, as tags.

    A value that cannot be found (no git, or an installed wheel instead of a checkout) is ``unknown``.
    """
    tags = _git() | {"mlflow.source.name": "minibert", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    tags["version.python"] = platform.python_version()
    for package in PACKAGES:
        try:
            tags[f"version.{package}"] = version(package)
        except PackageNotFoundError:
            tags[f"version.{package}"] = "unknown"
    tags["machine.cpus"] = str(os.cpu_count())
    tags["machine.platform"] = platform.platform()
    return tags


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container may run under a number that has no name
        return "unknown"


def _git() -> dict[str, str]:
    unknown = {"git.commit": "unknown", "git.branch": "unknown", "git.dirty": "unknown"}
    try:
        root, commit = _ask_git("rev-parse", "--show-toplevel", "HEAD").splitlines()
        # A wheel may lie inside somebody else's repository, whose commit says nothing about this code.
        if Path(root).resolve() != CHECKOUT:
            return unknown
        branch = _ask_git("rev-parse", "--abbrev-ref", "HEAD").strip()
        dirty = bool(_ask_git("status", "--porcelain").strip())
    except (OSError, ValueError, subprocess.SubprocessError):
        return unknown
    tags = {"git.commit": commit, "git.branch": branch, "git.dirty": str(dirty).lower()}
    # MLflow's own pages look for them under these names.
    return tags | {"mlflow.source.git.commit": commit, "mlflow.source.git.branch": branch}


def _ask_git(*arguments: str) -> str:
    command = ["git", "-C", str(CHECKOUT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
