"""How many runs this machine has room for at once: by its cores, and by its memory."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

from minibert.command_line.words import PROCESSES
from minibert.config import Config
from minibert.config.launcher import LAUNCHERS
from minibert.model.memory import available_memory, estimate_run_memory
from minibert.running.launching import chosen_launcher
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


def fit(planned: Plan) -> tuple[list[str], int, str]:
    """What the launcher of a sweep is to be told about its runs.

    Returns the words, how many runs are trained at once, and a sentence about it. Another's launcher is told
    nothing: then it is one run, without a sentence. For a cluster it is one too: its room is not known here.
    """
    _, launcher = chosen_launcher(planned.fixed)
    configs = [job.config for job in planned.jobs]
    if launcher._target_ not in (schema._target_ for schema in LAUNCHERS.values()):
        return [], 1, ""
    words, processes, text = [], 1, ""
    if "processes" in launcher:
        processes, text = worker_processes(configs, launcher.processes)
        words = [f"{PROCESSES}={processes}"]
    if "memory_gb" in launcher:
        cpus = launcher.cpus or max(config.training.lanes for config in configs)
        needed = max(map(estimate_run_memory, configs))
        memory = launcher.memory_gb or math.ceil(needed / 1e8) / 10
        words += [f"hydra.launcher.cpus={cpus}", f"hydra.launcher.memory_gb={memory}"]
        text = text or f"a run asks for {_counted(cpus, 'CPU')} and {memory:.1f} GB of memory"
    return words, processes, text


def worker_processes(configs: Iterable[Config], asked: int | None = None) -> tuple[int, str]:
    """How many of these runs are trained at once, at least one and at most ``asked``, and why, as a sentence.

    By default as many as there are cores, if each lane has one. The largest run counts.
    """
    configs = list(configs)
    cores, lanes = usable_cores(), max(config.training.lanes for config in configs)
    wanted = min(asked or max(cores // lanes, 1), len(configs))
    needed, there = max(map(estimate_run_memory, configs)), available_memory()
    processes = min(wanted, max(there // needed, 1))
    text = f"{_counted(processes, 'run')} at a time, {'each ' if processes > 1 else ''}in a worker process with "
    text += f"{_counted(lanes, 'thread')} (training.lanes), on {_counted(cores, 'core')}"
    memory = f"a run takes about {_gigabytes(needed)} of memory, and {_gigabytes(there)} are free"
    if processes < wanted:
        text += f", and not {wanted} runs: {memory}"
    elif needed > there:
        text += f", which may not be enough: {memory}"
    else:
        text += f"; {memory}"
    return processes, text


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
