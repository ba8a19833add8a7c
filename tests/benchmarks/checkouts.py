"""Another checkout of minibert, that this one is measured beside."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.commands import spend

ROOT = Path(__file__).resolve().parents[2]
LOCATE = ("-c", "import minibert; print(minibert.__file__)")


def obstacle(given: str) -> str | None:
    """Why nothing can be measured beside the folder or commit ``given``, in words; None if it can."""
    if is_checkout(Path(given)) or git("rev-parse", "--quiet", "--verify", f"{given}^{{commit}}").returncode == 0:
        return None
    return f"{given}: neither a folder with minibert/run.py nor a commit of this repository."


@contextmanager
def checkout_of(given: str, folder: Path) -> Iterator[Path]:
    """The folder given, or a checkout of the commit given, which is in ``folder`` until the context ends.

    Raises :class:`SystemExit` where Python does not run the code of the checkout.
    """
    place, made = Path(given).resolve(), not is_checkout(Path(given))
    if made:
        place = folder.resolve() / "checkout"
        git("worktree", "add", "--detach", place, given).check_returncode()
    try:
        if (runs := Path(spend(LOCATE, place).printed.strip())) != place / "minibert" / "__init__.py":
            raise SystemExit(f"{given}: its code is in {place}, but Python runs {runs} there.")
        yield place
    finally:
        if made:
            git("worktree", "remove", "--force", place)


def is_checkout(folder: Path) -> bool:
    return (folder / "minibert" / "run.py").is_file()


def git(*words: str | Path) -> subprocess.CompletedProcess:
    """A command of Git on this repository."""
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)
