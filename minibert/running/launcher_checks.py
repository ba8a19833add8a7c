"""What the launchers of clusters need: a package of an extra, and a store that every machine reaches."""

from importlib.util import find_spec

from minibert.config.launcher import LAUNCHERS
from minibert.errors import MinibertError
from minibert.running.launching import chosen_launcher
from minibert.running.plan import Plan
from minibert.tracking.addresses import is_server

EXTRAS = {"ray": ("ray", "ray"), "submitit_local": ("submitit", "slurm"), "submitit_slurm": ("submitit", "slurm")}
"""Launcher -> the package that it needs, and the extra of minibert that has it"""
SEVERAL_MACHINES = ("ray", "submitit_slurm")


def check_launcher(planned: Plan) -> None:
    """Refuse a launcher whose package is missing, or whose machines cannot reach the store.

    Raises :class:`MinibertError`.
    """
    chosen, settings = chosen_launcher(planned.fixed)
    if chosen not in EXTRAS:
        return
    given, (package, extra) = f"hydra/launcher={chosen}", EXTRAS[chosen]
    if settings._target_ != LAUNCHERS[chosen]._target_:
        raise MinibertError(
            f"{given}: another package has a launcher of this name: {settings._target_}. "
            "Uninstall it; minibert brings its own."
        )
    if find_spec(package) is None:
        raise MinibertError(
            f"{given}: needs the package {package}, which is not installed. "
            f"Install it with `pip install 'minibert[{extra}]'`, on every machine."
        )
    uri = planned.jobs[0].config.tracking.uri
    if chosen in SEVERAL_MACHINES and not (uri and is_server(uri)):
        raise MinibertError(
            f"{given}: tracking.uri={'null' if uri is None else uri}: machines without a common disk need an "
            "MLflow server. Allowed: tracking.uri=http://HOST:PORT; docs/cluster.md shows how to start one."
        )
