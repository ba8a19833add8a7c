"""Who takes part: one file a family.

A contender is built from a :class:`~tests.benchmarks.workload.Workload`. Most take one full training step at a
time (forward, backward, clipping to norm 1, AdamW); those of ``optimizer_steps``, an optimizer's part of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec


class Contender:
    """What a worker needs of every contender."""

    about: dict
    """The versions and threads that it runs with"""
    amortised_seconds = 0.0
    """Its share of rare work, which is added to every step"""

    def prepare(self) -> None:
        """What has to stand ready for a step, off the clock."""

    def step(self) -> float:
        """One step. Returns its loss, or NaN where there is none."""
        raise NotImplementedError


@dataclass(frozen=True)
class Entry:
    module: str
    builder: str
    needs: tuple[str, ...] = ()
    """Packages that are not minibert's own dependencies"""
    takes_parameters: bool = False
    """Whether it starts from minibert's initial parameters"""
    options: Mapping[str, object] = field(default_factory=dict)
    """What its builder is told beside the workload"""

    def missing(self) -> list[str]:
        return [package for package in self.needs if find_spec(package) is None]

    def load(self) -> Callable:
        """Import everything that the contender needs, and return what builds it."""
        return partial(getattr(import_module(f"{__name__}.{self.module}"), self.builder), **self.options)


CONTENDERS = {
    "minibert": Entry("bare_and_tracked", "Bare"),
    "checkpointed": Entry("bare_and_tracked", "Checkpointed"),
    "tracked": Entry("bare_and_tracked", "Tracked"),
    "torch": Entry("pytorch", "Eager", ("torch",), takes_parameters=True),
    "torch.compile": Entry("pytorch", "Compiled", ("torch",), takes_parameters=True),
    "transformers": Entry("huggingface", "Transformers", ("torch", "transformers")),
    "sgemm": Entry("products", "Products"),
}
"""minibert: the bare step, the step with checkpointed activations, and the step of a tracked run."""
