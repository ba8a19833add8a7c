"""``hydra/launcher=ray``: runs as tasks of Ray, which places them on machines that have room for them.

Ray is imported by its name, so that types can be checked without the extra.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from minibert import interruption
from minibert.config.launcher import RayLauncherConfig
from minibert.errors import MinibertError, sentence
from minibert.running.cluster import ClusterLauncher, LostError, PerformAnywhere
from minibert.running.launchers import PACKAGE, Run
from minibert.running.workers import describe_error

POLL_SECONDS = 1.0
END_SECONDS = 120.0
"""That runs may take to end their step and store their state"""
QUIET = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}


class RayLauncher(ClusterLauncher):
    """Trains the runs of a sweep on a cluster of Ray."""

    __module__ = PACKAGE

    def __init__(self, **settings: Any):
        self.settings = RayLauncherConfig(**settings)

    @contextmanager
    def engine(self) -> Iterator[None]:
        """Connect to the cluster. Raises :class:`MinibertError` if it is away, or too small for a run."""
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        ray = import_module("ray")
        needs = {"CPU": self.settings.cpus or 1, "memory": int((self.settings.memory_gb or 0) * 1e9)}
        try:
            ray.init(self.settings.address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except Exception as error:
            raise MinibertError(
                f"hydra.launcher.address={self.settings.address}: no cluster of Ray answers there. "
                f"{sentence(error)} Start it with `ray start --head` on one machine, and "
                "`ray start --address=HOST:PORT` on the others."
            ) from error
        try:
            self._refuse_too_large(ray, needs)
            self._task = ray.remote(_perform).options(
                num_cpus=needs["CPU"], memory=needs["memory"], max_retries=0, scheduling_strategy="SPREAD"
            )
            with interruption.not_passed_on():  # the processes that Ray started here are not runs
                yield
        finally:
            ray.shutdown()

    def submit(self, runs: Sequence[Run]) -> list:
        perform = PerformAnywhere(self.task)
        return [self._task.remote(perform, run) for run in runs]

    def ended(self, handles: Sequence) -> Sequence:
        return import_module("ray").wait(list(handles), num_returns=1, timeout=POLL_SECONDS)[0]

    def result(self, handle) -> str | None:
        ray = import_module("ray")
        errors = ray.exceptions
        try:
            return ray.get(handle)
        except errors.RayTaskError as error:
            return describe_error(error.cause)
        except errors.NodeDiedError as error:
            raise LostError("lost with its machine") from error
        except errors.OutOfMemoryError as error:
            raise LostError("ended by Ray, because the memory of its machine ran out") from error
        except errors.RayError as error:
            raise LostError(f"lost ({type(error).__name__})") from error

    def cancel(self, handles: Sequence) -> None:
        ray = import_module("ray")
        for handle in handles:
            with suppress(Exception):
                ray.cancel(handle, force=False)
        if handles:
            ray.wait(list(handles), num_returns=len(handles), timeout=END_SECONDS)

    def _refuse_too_large(self, ray, needs: dict[str, int]) -> None:
        machines = [each["Resources"] for each in ray.nodes() if each["Alive"]]
        if not any(all(each.get(what, 0) >= amount for what, amount in needs.items()) for each in machines):
            there = ", ".join(
                f"{each.get('CPU', 0):.0f} CPUs and {each.get('memory', 0) / 1e9:.1f} GB" for each in machines
            )
            raise MinibertError(
                f"No machine of the cluster has room for a run, which asks for {needs['CPU']} CPUs and "
                f"{needs['memory'] / 1e9:.1f} GB. There are: {there}. Start larger ones, train smaller runs, or "
                "set hydra.launcher.cpus and hydra.launcher.memory_gb."
            )


def _perform(perform: Callable[[Run], str | None], run: Run) -> str | None:
    """One run, in a process of Ray. A process that was asked to end takes no other run afterwards."""
    interruption.watch()
    with interruption.deferred():
        why = perform(run)
        if interruption.reason():
            raise SystemExit(interruption.exit_code())
        return why
