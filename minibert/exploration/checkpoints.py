"""The networks that a page can be asked about: the kept checkpoints of a run, or a single model."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from minibert.errors import MinibertError
from minibert.exploration.explorer import MathematicalExplorer

KEPT = 8
"""Networks that stay in memory"""


class Checkpoints:
    """A network at every step that was kept. ``load(step)`` reads one; the last few stay in memory."""

    def __init__(self, name: str, steps: Sequence[int], load: Callable[[int], MathematicalExplorer]):
        self.name = name
        self.steps = sorted(steps)
        self._load = lru_cache(KEPT)(load)

    @classmethod
    def of_model(cls, name: str, explorer: MathematicalExplorer) -> "Checkpoints":
        """A model without steps: it stands at step 0."""
        return cls(name, [0], lambda step: explorer)

    def at(self, step: object) -> MathematicalExplorer:
        """The network of a step. Raises :class:`MinibertError` for one that was not kept."""
        if isinstance(step, bool) or step not in self.steps:
            raise MinibertError(f"step={step!a:.40}: was not kept. Allowed: {', '.join(map(str, self.steps))}.")
        return self._load(int(step))  # pyright: ignore[reportArgumentType]
