"""The group ``hydra/launcher``: what starts the runs of a sweep. Hydra's own launcher is ``basic``."""

from dataclasses import dataclass, field
from typing import Any

MOST_PROCESSES = 1024


@dataclass
class CoresLauncherConfig:
    """``hydra/launcher=cores``, the default: worker processes on all cores of this machine."""

    _target_: str = "hydra_plugins.minibert.CoresLauncher"
    processes: int | None = None
    """At most so many at once; null: as many as there are cores, each with its lanes."""


@dataclass
class ClusterLauncherConfig:
    """What one run asks of the machine that trains it, and how often it is begun."""

    cpus: int | None = None
    """Of a run; null: one a lane."""
    memory_gb: float | None = None
    """Of a run; null: estimated from the largest run of the sweep."""
    tries: int = 2
    """A run is begun so often if its process or its machine is lost."""


@dataclass
class RayLauncherConfig(ClusterLauncherConfig):
    """``hydra/launcher=ray``: tasks of Ray, on every machine of its cluster."""

    _target_: str = "hydra_plugins.minibert.RayLauncher"
    address: str | None = None
    """``HOST:PORT`` of the cluster's head; null: the cluster that this machine belongs to, else a new one."""


@dataclass
class SubmititLocalLauncherConfig(ClusterLauncherConfig):
    """``hydra/launcher=submitit_local``: submitit's jobs as processes of this machine, to try what Slurm does."""

    _target_: str = "hydra_plugins.minibert.SubmititLocalLauncher"
    folder: str = "${hydra.sweep.dir}/submitit"
    """Jobs and what they print"""
    processes: int | None = None
    """At most so many at once; null: as many as there are cores, each with its lanes."""
    timeout_min: int = 240
    """Minutes of a job, after which it is put back into the queue"""


@dataclass
class SubmititSlurmLauncherConfig(ClusterLauncherConfig):
    """``hydra/launcher=submitit_slurm``: jobs of Slurm."""

    _target_: str = "hydra_plugins.minibert.SubmititSlurmLauncher"
    folder: str = "${hydra.sweep.dir}/submitit"
    """Jobs and what they print, on a disk that all machines share"""
    timeout_min: int = 240
    """Minutes of a job, after which it is put back into the queue"""
    signal_delay_s: int = 120
    """Seconds before that, in which a run ends its step and stores its state"""
    timeouts: int = 20
    """How often a run is put back into the queue because its time is over"""
    at_once: int = 256
    """Jobs that run at most at the same time"""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    further: dict[str, Any] = field(default_factory=dict)
    """Other options of sbatch, such as {mail-user: me@example.org}"""


LAUNCHERS = {
    "cores": CoresLauncherConfig,
    "ray": RayLauncherConfig,
    "submitit_local": SubmititLocalLauncherConfig,
    "submitit_slurm": SubmititSlurmLauncherConfig,
}
"""Option of ``hydra/launcher`` -> its settings"""
