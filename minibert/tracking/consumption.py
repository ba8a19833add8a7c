"""What a run took of the machine: the time of its processors and, where it can be read, their energy.

Only a process that ends by itself, or is asked to, records this: what kill -9 ends is not counted.
"""

import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROCESSOR_SECONDS = "minibert.processor_seconds"
JOULES = "minibert.processor_joules"
POWERCAP = Path("/sys/class/powercap")
"""Where Linux has the energy counters of processors (RAPL, running average power limit), in microjoules. Most
machines let only root read them, and virtual ones have none."""
MOST_WATTS = 500
"""Of one processor. A counter begins again at its largest value: what may have run for longer is not recorded."""


@contextmanager
def consumption(before: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Tags that say what was used since this context began, filled at its end.

    ``before`` are the tags of the run when it was taken up: what it had used then is added. The time is that of
    all threads of this process and of its children that have ended; the energy is that of whole processors,
    whatever else they did.
    """
    used: dict[str, str] = {}
    began, seconds, energy = time.monotonic(), _seconds(), _energy()
    try:
        yield used
    finally:
        used[PROCESSOR_SECONDS] = f"{_earlier(before, PROCESSOR_SECONDS) + _seconds() - seconds:.1f}"
        spent = [_since(start, zone, time.monotonic() - began) for zone, start in energy.items()]
        if spent and None not in spent:
            used[JOULES] = f"{_earlier(before, JOULES) + sum(filter(None, spent)):.0f}"


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


def _earlier(before: Mapping[str, str], tag: str) -> float:
    try:
        return float(before.get(tag, 0))
    except ValueError:
        return 0.0


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
