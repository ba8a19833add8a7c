"""The sweeper of Hydra that takes the runs of a sweep as they were planned."""

from collections.abc import Sequence
from functools import cache

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

from minibert.running.launchers import PACKAGE, launched

PLANNED = f"hydra.sweeper._target_={PACKAGE}.PlannedSweeper"
"""The word for Hydra that chooses it"""


@cache
def planned_sweeper() -> type[Sweeper]:
    """Hydra's sweeper, for runs that were all composed and checked before.

    Hydra's own composes every run once more before the first begins: a third of a second each, on one core. Of the
    planned runs, those are launched that the sweep asks for (:class:`minibert.running.launchers.Launch`).
    """
    Plugins.instance()  # executes the module of the sweeper once more, which makes another class of it
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    class PlannedSweeper(BasicSweeper):
        __module__, __qualname__ = PACKAGE, "PlannedSweeper"  # Hydra looks for it there

        def get_job_batch(self) -> Sequence[Sequence[str]]:
            return launched(super().get_job_batch())

        def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
            """Nothing is left to find: see :func:`minibert.running.plan.plan`."""

    return PlannedSweeper
