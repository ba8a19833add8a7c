"""Who takes part: one file a family.

A contender is built from a :class:`~tests.benchmarks.workload.Workload` and has ``step()``, one full training
step (forward, backward, clipping to norm 1, AdamW) that returns its loss; ``about``, the versions and threads
that it ran with; and ``amortised_seconds``, its share of rare work, which is added to every step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec


@dataclass(frozen=True)
class Entry:
    module: str
    builder: str
    needs: tuple[str, ...] = ()
    """Packages that are not minibert's own dependencies"""
    takes_parameters: bool = False
    """Whether it starts from minibert's initial parameters"""

    def missing(self) -> list[str]:
        return [package for package in self.needs if find_spec(package) is None]

    def load(self) -> Callable:
        """Import everything that the contender needs, and return what builds it."""
        return getattr(import_module(f"{__name__}.{self.module}"), self.builder)


CONTENDERS = {
    "minibert": Entry("bare_and_tracked", "Bare"),
    "checkpointed": Entry("bare_and_tracked", "Checkpointed"),
    "tracked": Entry("bare_and_tracked", "Tracked"),
    "torch": Entry("pytorch", "Eager", ("torch",), takes_parameters=True),
    "torch.compile": Entry("pytorch", "Compiled", ("torch",), takes_parameters=True),
    "transformers": Entry("huggingface", "Transformers", ("torch", "transformers")),
    "sgemm": Entry("products", "Products"),
}
