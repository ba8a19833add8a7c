"""Sweeps on the machines of a cluster: an engine such as Ray or Slurm places the runs, and begins them.

Machines share neither disks nor folders. So a run is sent as its words alone, and is composed where it is trained,
by the minibert and with the folders of that machine. What is recorded goes to the MLflow server.
"""

from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import TaskFunction
from omegaconf import OmegaConf
from threadpoolctl import threadpool_limits

from minibert import interruption
from minibert.running.launchers import Run, SweepLauncher
from minibert.running.plan import compose
from minibert.running.workers import Death, describe_error

Handle = TypeVar("Handle")


class LostError(Exception):
    """The process of a run, or its machine, is gone. The text ends the sentence ``a worker process was``."""


@dataclass(frozen=True)
class PerformAnywhere:
    """One run of a sweep, composed from its words on the machine that trains it."""

    task: TaskFunction

    def __call__(self, run: Run) -> str | None:
        """Returns why the run could not be trained, or None. How its training ends stands in the store."""
        try:
            composed = compose(run[1], multirun=True)
            HydraConfig.instance().set_config(composed)
            OmegaConf.set_struct(composed, False)
            del composed.hydra
            threadpool_limits(1, user_api="blas")  # the lanes of a training are threads of their own
            return self.task(composed)
        except Exception as error:
            return describe_error(error)


class ClusterLauncher(SweepLauncher, Generic[Handle]):
    """Gives runs to an engine, and hears how each of them ends.

    A run whose process or machine is lost is given to the engine again, ``tries`` times in all.
    """

    settings: Any
    """Those of the launcher's group, with ``tries``"""

    @property
    def at_once(self) -> int | None:
        """How many runs are given to the engine at most; None: all, because it has a queue."""
        return None

    @abstractmethod
    def engine(self) -> AbstractContextManager:
        """Within this context, runs can be submitted."""

    @abstractmethod
    def submit(self, runs: Sequence[Run]) -> list[Handle]: ...

    @abstractmethod
    def ended(self, handles: Sequence[Handle]) -> Sequence[Handle]:
        """Those that have ended; none of them if a second has passed."""

    @abstractmethod
    def result(self, handle: Handle) -> str | None:
        """Why a run that has ended could not be trained, or None. Raises :class:`LostError`."""

    @abstractmethod
    def cancel(self, handles: Sequence[Handle]) -> None:
        """Let runs end after their step, and others not begin. Returns when all of them have ended."""

    def train(self, runs: Sequence[Run], on_death: Callable[[Death], None]) -> dict[int, str]:
        failures: dict[int, str] = {}
        waiting, begun = deque(range(len(runs))), Counter[int]()
        active: dict[Handle, int] = {}
        with self.engine():
            while (waiting or active) and interruption.reason() is None:
                room = len(waiting) if self.at_once is None else self.at_once - len(active)
                chosen = [waiting.popleft() for _ in range(min(room, len(waiting)))]
                begun.update(chosen)
                if chosen:
                    active.update(zip(self.submit([runs[job] for job in chosen]), chosen, strict=True))
                for handle in self.ended(list(active)):
                    job = active.pop(handle)
                    try:
                        why = self.result(handle)
                    except LostError as lost:
                        final = begun[job] >= self.settings.tries
                        on_death(Death(job, str(lost), final))
                        why = f"its worker process was {lost}"
                        if not final:
                            waiting.append(job)
                            continue
                    if why:
                        failures[job] = why
            self.cancel(list(active))
        return failures
