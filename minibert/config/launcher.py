"""The group ``hydra/launcher``: what starts the runs of a sweep. Hydra's own launcher is ``basic``."""

from dataclasses import dataclass

MOST_PROCESSES = 1024


@dataclass
class CoresLauncherConfig:
    """``hydra/launcher=cores``, the default: worker processes on all cores of this machine."""

    _target_: str = "hydra_plugins.minibert.CoresLauncher"
    processes: int | None = None
    """At most so many at once; null: as many as there are cores, each with its lanes."""
