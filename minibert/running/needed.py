"""The kept checkpoints that a run is still asked about."""

from minibert.errors import MinibertError
from minibert.serving.loading import saved_run
from minibert.tracking.store import Store
from minibert.tracking.sweeps import Child


def needed_steps(store: Store, child: Child) -> list[int] | None:
    """The steps of ``evaluation.steps``: instruments that are asked later ask about these.

    None if its configuration cannot be read, so that nothing is known about what it needs.
    """
    if child.status != "FINISHED":
        return []
    try:
        saved = saved_run(store, child.id)
    except MinibertError:
        return None
    asked = saved.config.evaluation.asked_steps()
    return list(asked) if isinstance(asked, list) else []
