"""What a run took: time, the time of its processors and, where it can be read, their energy.

Only a process that ends by itself, or is asked to, records this. Of one that kill -9 ended, the next start adds
the time until the last point that it recorded, and nothing else.
"""

import math
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SECONDS = "minibert.seconds"
"""From begin to end of each start of a run, added up: without the time from an interruption to the next start"""
BEGAN = "minibert.began"
"""When the present start began, in seconds since 1970; :data:`COUNTED` when it has recorded its end"""
COUNTED = "counted"
PROCESSOR_SECONDS = "minibert.processor_seconds"
JOULES = "minibert.processor_joules"
POWERCAP = Path("/sys/class/powercap")
"""Where Linux has the energy counters of processors (RAPL, running average power limit), in microjoules. Most
machines let only root read them, and virtual ones have none."""
MOST_WATTS = 500
"""Of one processor. A counter begins again at its largest value: what may have run for longer is not recorded."""


def begun() -> dict[str, str]:
    """The tag of a run that is taken up now."""
    return {BEGAN: repr(time.time())}


def lost_time(before: Mapping[str, str], last_point: float) -> dict[str, str]:
    """The tag that adds the time of a start that could not record its end; empty if there is none to add.

    To be recorded together with :func:`begun`, which overwrites when that start began: the next may be killed too.
    ``before`` are the tags of the run when it is taken up, ``last_point`` is when its last point was recorded, in
    seconds since 1970.
    """
    lost = 0.0 if _is_counted(before) else last_point - _number(before, BEGAN, last_point)
    return {SECONDS: f"{_number(before, SECONDS) + lost:.1f}"} if lost > 0 else {}


@contextmanager
def consumption(before: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Tags that say what was used since this context began, filled at its end.

    ``before`` are the tags of the run when it was taken up: what it had used then is added. The processor time is
    that of all threads of this process and of its children that have ended; the energy is that of whole
    processors, whatever else they did.
    """
    used: dict[str, str] = {}
    began, seconds, energy = time.monotonic(), _seconds(), _energy()
    try:
        yield used
    finally:
        took = time.monotonic() - began
        used[SECONDS] = f"{_number(before, SECONDS) + took:.1f}"
        used[BEGAN] = COUNTED
        used[PROCESSOR_SECONDS] = f"{_number(before, PROCESSOR_SECONDS) + _seconds() - seconds:.1f}"
        spent = [_since(start, zone, took) for zone, start in energy.items()]
        if spent and None not in spent:
            used[JOULES] = f"{_number(before, JOULES) + sum(filter(None, spent)):.0f}"


def seconds_taken(tags: Mapping[str, str], started: float, ended: float | None) -> float | None:
    """The time that a run took, without the time between its interruptions and what followed.

    None for a run that has not ended, or whose last process could not record its end. Of a run of an early
    version, which recorded begin and end alone, it is the time between these.
    """
    if ended is None or not _is_counted(tags):
        return None
    return _number(tags, SECONDS) if SECONDS in tags else ended - started


def _is_counted(tags: Mapping[str, str]) -> bool:
    """Whether all starts of a run recorded their end; so too where the run is of an early version."""
    return tags.get(BEGAN, COUNTED) == COUNTED


def _seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _energy() -> dict[Path, int]:
    """The counter of each processor that may be read."""
    zones = [zone for zone in POWERCAP.glob("*-rapl:*") if zone.name.count(":") == 1]
    found = {zone: _read(zone / "energy_uj") for zone in zones}
    return {zone: value for zone, value in found.items() if value is not None}


def _since(start: int, zone: Path, seconds: float) -> float | None:
    """Joules since the counter stood at ``start``, that many seconds ago; None if they cannot be told."""
    now, largest = _read(zone / "energy_uj"), _read(zone / "max_energy_range_uj")
    if now is None or largest is None or seconds * MOST_WATTS * 1e6 > largest:
        return None
    return (now - start + largest * (now < start)) / 1e6


def _number(tags: Mapping[str, str], tag: str, unknown: float = 0.0) -> float:
    try:
        number = float(tags.get(tag, unknown))
    except ValueError:
        return unknown
    return number if math.isfinite(number) else unknown


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
