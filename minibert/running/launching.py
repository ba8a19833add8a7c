"""Calls of Hydra, and its launcher ``cores``: whatever fails in it, or in a launcher, is one error."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from hydra import version
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from minibert.config import CONF, OVERLAYS
from minibert.errors import MinibertError
from minibert.running.composition import compose_all
from minibert.running.workers import Death, Workers, describe_error

BASE = "1.3"
"""The version of Hydra whose defaults hold"""

_on_death: ContextVar[Callable[[str, Death], None]] = ContextVar("on_death", default=lambda run, death: None)


@dataclass(frozen=True)
class Perform:
    """One run of a sweep in a worker, composed there."""

    context: HydraContext
    config: DictConfig
    task: TaskFunction

    def __call__(self, run: tuple[int, Sequence[str]]) -> None:
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


class CoresLauncher(Launcher):
    """Trains the runs of a sweep in worker processes of this machine (see :class:`Workers`)."""

    __module__ = "hydra_plugins.minibert"  # see _register

    def __init__(self, processes: int | None):
        self.processes = processes or 1
        """The sweep replaces null by what this machine has room for"""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.perform = Perform(hydra_context, config, task_function)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train all runs. Raises :class:`MinibertError` for what a run raised, when all have ended."""
        Path(str(self.perform.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        names = _names(job_overrides)
        tell = _on_death.get()
        runs = list(enumerate(map(list, job_overrides), initial_job_idx))
        workers = Workers(self.perform, runs, lambda death: tell(names[death.job], death))
        workers.work(self.processes)
        if workers.failures:
            raise MinibertError("\n".join(f"{names[job]}: {why}" for job, why in sorted(workers.failures.items())))
        return [JobReturn(overrides, status=JobStatus.COMPLETED) for overrides in job_overrides]


def _names(runs: Sequence[Sequence[str]]) -> list[str]:
    """The words by which each of these runs differs from the others; of a single one, all its words."""
    shared = set(runs[0]).intersection(*runs[1:]) if len(runs) > 1 else ()
    return [" ".join(word for word in filter_overrides(words) if word not in shared) for words in runs]


def call_hydra(task: Callable, arguments: list[str]) -> int:
    """Let Hydra do what a command line asks for. Returns its exit code: 0, or 2 for flags that it does not know.

    ``hydra.main`` would read ``sys.argv``, so this is the call that it ends in. Raises :class:`MinibertError` for
    whatever goes wrong in it, without a traceback.
    """
    version.setbase(BASE)
    _register(CoresLauncher)
    parser = get_args_parser()
    parser.prog = "minibert run"
    try:
        with _raising():
            _run_hydra(
                args=parser.parse_args(arguments),
                args_parser=parser,
                task_function=task,
                config_path=str(CONF),
                config_name="config",
            )
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except MinibertError:
        raise
    except Exception as error:
        raise MinibertError(describe_error(error)) from error
    return 0


def _register(launcher: type[Launcher]) -> None:
    """Make a launcher known to Hydra, which takes those of the package ``hydra_plugins`` only, by their names.

    A folder of that name would be imported by every program of this environment that uses Hydra. So the module is
    made here, in this process alone.
    """
    Plugins.instance().register(launcher)
    try:
        package = import_module("hydra_plugins")
    except ModuleNotFoundError:  # no other plugin is installed
        package = sys.modules["hydra_plugins"] = ModuleType("hydra_plugins")
        package.__path__ = []
    module = ModuleType(launcher.__module__)
    setattr(module, launcher.__name__, launcher)
    sys.modules[module.__name__] = module
    setattr(package, module.__name__.rpartition(".")[2], module)


@contextmanager
def telling_of_deaths(tell: Callable[[str, Death], None]) -> Iterator[None]:
    """Within this context, ``tell`` gets the run and the death of every worker of the launcher ``cores``."""
    token = _on_death.set(tell)
    try:
        yield
    finally:
        _on_death.reset(token)


def launcher_settings(words: Sequence[str]) -> DictConfig:
    """The launcher that the words of a sweep choose, with its settings."""
    choosing = [word for word in words if word.startswith("hydra") or word.lstrip("+").startswith(OVERLAYS)]
    return compose_all(choosing).hydra.launcher


@contextmanager
def _raising() -> Iterator[None]:
    """Within this context Hydra raises its errors. Otherwise it prints a traceback and ends the process."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
