"""What the launchers of minibert share, and ``cores``: a sweep in worker processes of this machine."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from hydra import version
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from minibert.errors import MinibertError
from minibert.running.workers import Death, Workers

BASE = "1.3"
"""The version of Hydra whose defaults hold"""
PACKAGE = "hydra_plugins.minibert"
"""Where Hydra finds launchers by their names; see :func:`minibert.running.launching.call_hydra`"""

Run = tuple[int, list[str]]
"""One run of a sweep: its number and its words"""
Tell = Callable[[str, Death], None]
"""Hears of (the words of a run, the death of its process)"""


@dataclass(frozen=True)
class Launch:
    """What a sweep asks for, beside the words that Hydra splits into its runs."""

    keys: Sequence[str]
    """What is swept over: these words name a run"""
    places: Sequence[int]
    """Of the runs that are to be trained, among all that the words ask for: no launcher composes the others"""
    tell: Tell
    """``death.job`` is a place among ``places``"""


_launch: ContextVar[Launch | None] = ContextVar("launch", default=None)


class SweepLauncher(Launcher):
    """Trains the runs of a sweep. One that fails, or whose process is lost, does not stop the others."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.config, self.task = hydra_context, config, task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train all runs. Raises :class:`MinibertError` for what a run raised, when all have ended."""
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        asked, runs = _launch.get(), list(enumerate(map(list, job_overrides), initial_job_idx))
        names = _names(job_overrides, asked.keys if asked else None)
        failures = self.train(runs, lambda death: asked.tell(names[death.job], death) if asked else None)
        if failures:
            raise MinibertError("\n".join(f"{names[job]}: {why}" for job, why in sorted(failures.items())))
        return [JobReturn(overrides, status=JobStatus.COMPLETED) for overrides in job_overrides]

    @abstractmethod
    def train(self, runs: Sequence[Run], on_death: Callable[[Death], None]) -> dict[int, str]:
        """Train all runs. Returns those that could not be trained: place in ``runs`` -> why."""


@dataclass(frozen=True)
class Perform:
    """One run of a sweep in a worker, composed there."""

    context: HydraContext
    config: DictConfig
    task: TaskFunction

    def __call__(self, run: Run) -> None:
        number, overrides = run
        version.setbase(BASE)
        setup_globals()
        Plugins.instance()  # it knows how to read the configuration
        composed = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = number
        done = run_job(
            task_function=self.task,
            config=composed,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=self.context,
        )
        if done.status == JobStatus.FAILED:
            raise done._return_value


class CoresLauncher(SweepLauncher):
    """Trains the runs of a sweep in worker processes of this machine (see :class:`Workers`)."""

    __module__ = PACKAGE

    def __init__(self, processes: int | None):
        self.processes = processes or 1
        """The sweep replaces null by what this machine has room for"""

    def train(self, runs: Sequence[Run], on_death: Callable[[Death], None]) -> dict[int, str]:
        workers = Workers(Perform(self.context, self.config, self.task), runs, on_death)
        workers.work(self.processes)
        return workers.failures


@contextmanager
def launching(asked: Launch) -> Iterator[None]:
    """Within this context, sweepers and launchers do what is asked for."""
    token = _launch.set(asked)
    try:
        yield
    finally:
        _launch.reset(token)


def launched(batch: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """The runs that are to be trained, of all runs of a sweep."""
    asked = _launch.get()
    return batch if asked is None else [batch[place] for place in asked.places]


def _names(runs: Sequence[Sequence[str]], keys: Sequence[str] | None) -> list[str]:
    """The words of each run that are swept over; where it is not known which are, all its words."""
    return [
        " ".join(word for word in filter_overrides(words) if keys is None or _key(word) in keys) for words in runs
    ]


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")
