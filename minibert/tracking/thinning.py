"""Kept checkpoints that nobody needs any more: which they are, and how large."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minibert.errors import MinibertError
from minibert.tracking.artifacts import Artifacts, artifacts_of
from minibert.tracking.status import Status
from minibert.tracking.store import Store
from minibert.tracking.sweeps import MEMBER, Child

FOLDER = "checkpoints"
ENDS = ("first", "last")


@dataclass(frozen=True)
class Thinning:
    """The checkpoints of one run."""

    run: Child
    artifacts: Artifacts
    removed: tuple[str, ...]
    """Paths"""
    kept: tuple[int, ...]
    """Steps"""
    bytes: int
    """Of the files that would be removed"""
    left: str = ""
    """Why nothing of it is removed"""

    def carry_out(self) -> None:
        """Remove the files."""
        for path in self.removed:
            self.artifacts.remove(path)


def read_keep(given: str) -> tuple[str, ...] | int:
    """``first,last``, one of these, or how many checkpoints are kept. The last one is always kept.

    Raises :class:`MinibertError` for anything else.
    """
    words = tuple(part.strip() for part in given.split(","))
    if words and all(word in ENDS for word in words):
        return words
    if given.isascii() and given.isdecimal() and int(given) >= 1:
        return int(given)
    raise MinibertError(f"keep={given}: not understood. Allowed: first,last, one of them, or a number from 1.")


def chosen_steps(steps: Sequence[int], keep: tuple[str, ...] | int, needed: Collection[int] = ()) -> list[int]:
    """The steps that are kept, of those in order. The last one and those ``needed`` are always kept.

    A number keeps as many, evenly over their order, from the first to the last.
    """
    if not steps:
        return []
    if isinstance(keep, int):
        count = min(keep, len(steps))
        places = {round(place * (len(steps) - 1) / max(count - 1, 1)) for place in range(count)}
        kept = {steps[place] for place in places} if keep > 1 else set()
    else:
        kept = {steps[0]} if "first" in keep else set()
    return [step for step in steps if step in kept or step in needed or step == steps[-1]]


def plan_thinning(
    store: Store, run: Child, keep: tuple[str, ...] | int, needed: Collection[int] | None, of_sweep: str
) -> Thinning:
    """What thinning the checkpoints of a run would remove. ``of_sweep``: the tag of the members of its sweep.

    ``needed`` are steps that stay; None if they are not known. A run is left as it is in that case, if it has not
    finished, and if it counts in another sweep as well.
    """
    artifacts = artifacts_of(store, run.id)
    files = {_step(path): path for path in artifacts.list(FOLDER) if _step(path) is not None}
    steps = sorted(step for step in files if step is not None)
    others = [tag for tag in run.tags if tag.startswith(MEMBER) and tag != of_sweep]
    left = ""
    if run.status != Status.FINISHED:
        left = f"it is {run.status.lower()}"
    elif others:
        left = "it counts in another sweep as well"
    elif needed is None:
        left = "it has no readable checkpoint or configuration"
    kept = steps if left else chosen_steps(steps, keep, needed or ())
    removed = tuple(files[step] for step in steps if step not in kept)
    return Thinning(run, artifacts, removed, tuple(kept), _bytes(artifacts, removed), left)


def _bytes(artifacts: Artifacts, paths: Iterable[str]) -> int:
    """The size of files on this machine; what lies with a server is not counted."""
    if artifacts.folder is None:
        return 0
    return sum((artifacts.folder / path).stat().st_size for path in paths)


def _step(path: str) -> int | None:
    name = Path(path)
    number = name.stem.removeprefix("step_")
    return int(number) if name.suffix == ".safetensors" and number.isdecimal() else None
