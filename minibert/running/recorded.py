"""What commands on a recorded run share: its data, made again, and the checkpoints that they are asked for."""

from collections.abc import Callable
from typing import Any

from minibert.data.prepared import PreparedData
from minibert.errors import MinibertError, shortened
from minibert.serving.loading import SavedRun

MOST_DIGITS = 12
"""Of a number of steps"""


def as_steps(given: str, key: str, value: str) -> str | list[int]:
    """``all``, ``last``, or a list of numbers."""
    if value in ("all", "last"):
        return value
    parts = [part for part in value.removeprefix("[").removesuffix("]").split(",") if part.strip()]
    try:
        return [int(part) for part in parts]
    except ValueError as error:
        raise MinibertError(
            f"{given}: not a list of steps. Allowed: steps=all, steps=last, or steps=[0,64,512]."
        ) from error


def as_count(given: str, key: str, value: str) -> int:
    """A number of steps."""
    if not (value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS):
        raise MinibertError(
            f"{shortened(given)}: not a number of steps. Allowed: a whole number, such as {key}=64."
        )
    return int(value)


def as_counts(given: str, key: str, value: str) -> list[int]:
    """A list of numbers of steps."""
    if not value.strip("[] ") or value.startswith("[") != value.endswith("]"):
        raise MinibertError(f"{shortened(given)}: not a list of steps. Allowed: such as {key}=[64,128].")
    return [as_count(given, key, each.strip()) for each in value.removeprefix("[").removesuffix("]").split(",")]


def recorded_data(saved: SavedRun, corpus_hash: str | None, report: Callable[[str], None]) -> PreparedData:
    """The data that a run was trained on. ``corpus_hash`` is what the store has of it.

    Raises :class:`MinibertError` if the corpus is another one now.
    """
    data = saved.prepared_data(report)
    if corpus_hash not in (None, data.corpus_hash):
        raise MinibertError(
            f"run={saved.id}: it was trained on another corpus than data.{saved.config.data.name} gives now "
            f"(hash {str(corpus_hash)[:12]}, not {data.corpus_hash[:12]}). "
            "Put the former text back to go on with the run."
        )
    return data


def kept_steps(asked: Any, saved: SavedRun) -> list[int]:
    """The kept checkpoints that ``all``, ``last`` or a list asks for, in order.

    Raises :class:`MinibertError` for a step that was not kept.
    """
    kept = list(saved.checkpoints)
    if asked == "all":
        return kept
    if asked == "last":
        return kept[-1:]
    steps = asked if isinstance(asked, list) else [asked]
    missing = [step for step in steps if step not in kept]
    if missing:
        raise MinibertError(f"steps={asked}: {saved.not_kept(missing)}")
    if not steps:
        raise MinibertError(
            f"steps={asked}: no step. Allowed: all, last, or a list of {', '.join(map(str, kept))}."
        )
    return sorted(set(steps))
