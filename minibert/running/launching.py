"""Calls of Hydra, which learns of our launchers: whatever fails in it, or in a launcher, is one error."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from types import ModuleType

from hydra import version
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin
from omegaconf import DictConfig

from minibert.config import CONF, OVERLAYS
from minibert.errors import MinibertError
from minibert.running.composition import compose_all
from minibert.running.launchers import BASE, CoresLauncher
from minibert.running.ray_launcher import RayLauncher
from minibert.running.submitit_launchers import SubmititLocalLauncher, SubmititSlurmLauncher
from minibert.running.sweeper import planned_sweeper
from minibert.running.workers import describe_error

LAUNCHERS = (CoresLauncher, RayLauncher, SubmititLocalLauncher, SubmititSlurmLauncher)


def call_hydra(task: Callable, arguments: list[str]) -> int:
    """Let Hydra do what a command line asks for. Returns its exit code: 0, or 2 for flags that it does not know.

    ``hydra.main`` would read ``sys.argv``, so this is the call that it ends in. Raises :class:`MinibertError` for
    whatever goes wrong in it, without a traceback.
    """
    version.setbase(BASE)
    for plugin in (*LAUNCHERS, planned_sweeper()):
        _register(plugin)
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


def _register(plugin: type[Plugin]) -> None:
    """Make a plugin known to Hydra, which takes those of the package ``hydra_plugins`` only, by their names.

    A folder of that name would be imported by every program of this environment that uses Hydra. So the module is
    made here, in this process alone.
    """
    Plugins.instance().register(plugin)
    try:
        package = import_module("hydra_plugins")
    except ModuleNotFoundError:  # no other plugin is installed
        package = sys.modules["hydra_plugins"] = ModuleType("hydra_plugins")
        package.__path__ = []
    name = plugin.__module__
    module = sys.modules.setdefault(name, ModuleType(name))
    setattr(module, plugin.__name__, plugin)
    setattr(package, name.rpartition(".")[2], module)


def chosen_launcher(words: Sequence[str]) -> tuple[str, DictConfig]:
    """The launcher that the words of a sweep choose: its name and its settings, which are not to be changed."""
    choosing = [word for word in words if word.startswith("hydra") or word.lstrip("+").startswith(OVERLAYS)]
    return _launcher(tuple(choosing))


@lru_cache
def _launcher(words: tuple[str, ...]) -> tuple[str, DictConfig]:
    hydra = compose_all(words).hydra
    return hydra.runtime.choices["hydra/launcher"], hydra.launcher


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
