"""How many runs this machine has room for at once: by its cores, and by its memory."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

from minibert.config import Config
from minibert.config.launcher import CoresLauncherConfig
from minibert.model.memory import available_memory, estimate_run_memory
from minibert.running.launching import launcher_settings
from minibert.running.plan import Plan

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much processor time a container gets: microseconds, or ``max``, of so many"""


def usable_cores() -> int:
    """The cores that this process may use: those of its affinity, or the quota of its container if that is less.

    A quota that is no whole number is rounded up.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = map(int, QUOTA.read_text().split())
    except (OSError, ValueError):  # no such limit: no file, or the word "max"
        return cores
    return min(cores, math.ceil(quota / period))


def planned_processes(planned: Plan) -> tuple[int, str]:
    """How many runs of a sweep are trained at once, and why; 1 without a reason by a launcher that is not ours."""
    launcher = launcher_settings(planned.fixed)
    if launcher._target_ != CoresLauncherConfig._target_:
        return 1, ""
    return worker_processes([job.config for job in planned.jobs], launcher.processes)


def worker_processes(configs: Iterable[Config], asked: int | None = None) -> tuple[int, str]:
    """How many of these runs are trained at once, at least one and at most ``asked``, and why, as a sentence.

    By default as many as there are cores, if each lane has one. The largest run counts.
    """
    configs = list(configs)
    cores, lanes = usable_cores(), max(config.training.lanes for config in configs)
    wanted = min(asked or max(cores // lanes, 1), len(configs))
    needed, there = max(map(estimate_run_memory, configs)), available_memory()
    processes = min(wanted, max(there // needed, 1))
    text = f"{_counted(processes, 'worker process', 'es')} with {_counted(lanes, 'lane')}"
    text += f" on {_counted(cores, 'core')}"
    memory = f"a run takes about {_gigabytes(needed)} of memory, and {_gigabytes(there)} are free"
    if processes < wanted:
        text += f", not {wanted}: {memory}"
    elif needed > there:
        text += f", which may not be enough: {memory}"
    else:
        text += f"; {memory}"
    return processes, text


def _counted(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}{'' if number == 1 else plural}"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
