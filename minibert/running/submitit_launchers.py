"""``hydra/launcher=submitit_slurm`` and ``submitit_local``: runs as jobs of Slurm, or of this machine.

Slurm announces the end of a job by a signal. The run then ends its step, stores its state, and its job is put back
into the queue: it continues wherever Slurm places it next.

submitit is imported by its name, so that types can be checked without the extra.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from minibert import interruption
from minibert.config.launcher import SubmititLocalLauncherConfig, SubmititSlurmLauncherConfig
from minibert.errors import MinibertError, sentence
from minibert.running.cluster import ClusterLauncher, LostError, PerformAnywhere
from minibert.running.launchers import PACKAGE, Run

POLL_SECONDS = 1.0
END_SECONDS = 120.0
"""That runs may take to end their step and store their state"""
NAME = "minibert"


@dataclass(frozen=True)
class SubmittedRun:
    """What a job does. submitit calls :meth:`checkpoint` for what the job does when it is begun again."""

    perform: PerformAnywhere
    run: Run

    def __call__(self) -> str | None:
        """Why the run could not be trained, or None. A job that was asked to end leaves no result."""
        number = signal.Signals[f"SIG{import_module('submitit').JobEnvironment.USR_SIG}"]
        requeue = signal.getsignal(number)
        interruption.watch(also=(number,))
        with interruption.deferred():
            why = self.perform(self.run)
        if interruption.reason() is None:
            return why
        if interruption.exit_code() == 128 + number and callable(requeue):
            requeue(number, None)
        raise SystemExit(interruption.exit_code())

    def checkpoint(self):
        return import_module("submitit").helpers.DelayedSubmission(self)


class SubmititLauncher(ClusterLauncher):
    """Trains the runs of a sweep as jobs of submitit."""

    executor: str
    """submitit's name for what runs the jobs"""
    shared_disk: bool
    """Whether a result appears on this machine some seconds after it was written on another"""

    @contextmanager
    def engine(self) -> Iterator[None]:
        submitit = import_module("submitit")
        settings = self.settings
        try:
            self._executor = submitit.AutoExecutor(settings.folder, cluster=self.executor, **self.limits)
            self._executor.update_parameters(name=NAME, timeout_min=settings.timeout_min, **self.parameters)
        except Exception as error:
            raise MinibertError(f"submitit cannot begin: {sentence(error)}") from error
        yield

    @property
    def limits(self) -> dict[str, Any]:
        """What the executor is made with"""
        return {}

    @property
    def parameters(self) -> dict[str, Any]:
        """What every job asks for"""
        return {}

    def submit(self, runs: Sequence[Run]) -> list:
        perform = PerformAnywhere(self.task)
        return self._executor.submit_array([SubmittedRun(perform, run) for run in runs])

    def ended(self, handles: Sequence) -> Sequence:
        if done := [handle for handle in handles if handle.done()]:
            return done
        time.sleep(POLL_SECONDS)
        return []

    def result(self, handle) -> str | None:
        errors = import_module("submitit").core.utils
        lost = LostError(f"lost (job {handle.job_id}, {handle.state}; see {handle.paths.stderr})")
        if not (self.shared_disk or handle.paths.result_pickle.exists()):
            raise lost
        try:
            return handle.result()
        except errors.UncompletedJobError:
            raise lost from None
        except errors.FailedJobError:
            return f"job {handle.job_id} failed; see {handle.paths.stderr}"

    def cancel(self, handles: Sequence) -> None:
        until = time.monotonic() + END_SECONDS
        while time.monotonic() < until and not all(handle.done() for handle in handles):
            time.sleep(POLL_SECONDS)


class SubmititLocalLauncher(SubmititLauncher):
    """Trains the runs of a sweep in processes of this machine. A signal to the sweep is passed on to them."""

    __module__ = PACKAGE
    executor, shared_disk = "local", False

    def __init__(self, **settings: Any):
        self.settings = SubmititLocalLauncherConfig(**settings)

    @property
    def at_once(self) -> int:
        return self.settings.processes or 1  # the sweep replaces null by what this machine has room for


class SubmititSlurmLauncher(SubmititLauncher):
    """Trains the runs of a sweep as one array of jobs of Slurm."""

    __module__ = PACKAGE
    executor, shared_disk = "slurm", True

    def __init__(self, **settings: Any):
        self.settings = SubmititSlurmLauncherConfig(**settings)

    @property
    def limits(self) -> dict[str, Any]:
        return {"slurm_max_num_timeout": self.settings.timeouts}

    @property
    def parameters(self) -> dict[str, Any]:
        settings = self.settings
        named = {key: getattr(settings, key) for key in ("partition", "account", "qos", "constraint")}
        return {
            "cpus_per_task": settings.cpus,
            "mem_gb": settings.memory_gb,
            "slurm_signal_delay_s": settings.signal_delay_s,
            "slurm_array_parallelism": settings.at_once,
            "slurm_additional_parameters": dict(settings.further),
        } | {f"slurm_{key}": value for key, value in named.items() if value is not None}

    def cancel(self, handles: Sequence) -> None:
        for handle in handles:
            handle.cancel(check=False)
        super().cancel(handles)
