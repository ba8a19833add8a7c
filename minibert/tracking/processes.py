"""Which process writes a record, and whether that process is still there."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

PROCESS, STARTED, SYSTEM = "minibert.process", "minibert.process_started", "minibert.process_system"
SAME_SECONDS = 1.0
"""Two times of the start of a process differ by less if they are of the same process."""


def process_tags() -> dict[str, str]:
    """This process as tags: host and number, the time of its start, and the table that its number is of."""
    process = psutil.Process()
    return {
        PROCESS: f"{socket.gethostname()}:{process.pid}",
        STARTED: repr(process.create_time()),
        SYSTEM: system(),
    }


def is_alive(tags: Mapping[str, str]) -> bool | None:
    """Whether the process of :func:`process_tags` is there; None if that cannot be told from here.

    A number is used again after a while, so the time of the start has to agree. It cannot be told of a process of
    another host or container, nor of a number in use where no start was recorded.
    """
    host, _, number = tags.get(PROCESS, "").rpartition(":")
    if not number.isdecimal() or host != socket.gethostname() or tags.get(SYSTEM, system()) != system():
        return None
    try:
        started = psutil.Process(int(number)).create_time()
    except psutil.Error:
        return False
    try:
        apart = abs(started - float(tags[STARTED]))
    except (KeyError, ValueError):
        return None
    return apart < SAME_SECONDS


def system() -> str:
    """What has one table of processes: a boot of a machine, or a container on it. Empty where that is unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""
